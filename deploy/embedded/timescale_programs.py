"""The database server's programs: the system's where it has TimescaleDB, else Debian's packages unpacked into the cache."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from deploy.embedded.debian import OURSELVES, Apt, User, missing
from deploy.embedded.places import Say, draft_of, locked, server_cache_dir
from streams.errors import Misconfigured

SUITE, POSTGRES = "trixie", "17"
PROGRAMS = ("postgres", "initdb", "pg_ctl", "psql", "pg_dump", "pg_restore", "pg_controldata")
LENT_USER = "song-ma"
_SYSTEM = ("lib/postgresql/*/bin", "pgsql-*/bin")

# PostgreSQL finds its share/ and lib/ from argv[0], and its backends fork without exec: so it runs under the packages' own libc.
_WRAPPER = """\
#!/bin/sh
d=${{0%/*}} r=${{0%/*}}/../../../../..
exec "$r/{loader}" --library-path "$r/{libraries}" --argv0 "$0" "$d/real/{program}" "$@"
"""


def here() -> Path | None:
    """The folder of programs that could be run at once, None when they must be fetched first."""
    system = _system()
    if system is not None:
        return system
    return _unpacked() if (_unpacked() / "postgres").exists() else None


def ensure(say: Say) -> Path:
    """The folder of the programs, unpacked when this machine has none. Raises Misconfigured without apt, Retry when its archive is away."""
    found = here()
    if found is not None:
        return found
    if missing():
        raise Misconfigured(
            f"this machine has no {' and no '.join(missing())} to fetch TimescaleDB with",
            "set IOC_DATABASE__DSN to a server that has it",
        )
    with locked(_root().with_suffix(".lock"), 600, say):
        if here() is None:
            say(f"fetching PostgreSQL {POSTGRES} and TimescaleDB from Debian {SUITE}, 40 MB (once)")
            shutil.rmtree(_root(), ignore_errors=True)
            _fetch(_root())
    return _unpacked()


def user() -> User:
    """Whom the server runs as: ourselves; PostgreSQL refuses root, so for root `postgres`, else a system user made for this."""
    if os.geteuid() != 0:
        return OURSELVES
    for name in ("postgres", LENT_USER):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid, Path("/nonexistent"))
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", LENT_USER]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise Misconfigured(
            f"PostgreSQL does not run as root, and no user could be made for it: {made.stderr.strip()}",
            "run as an ordinary user",
        )
    return user()


def _system() -> Path | None:
    found = [place for pattern in _SYSTEM for place in Path("/usr").glob(pattern)]
    having = [place for place in found if (place.parent / "lib" / "timescaledb.so").exists()]
    return max(having, key=lambda place: float(re.sub(r"[^\d.]", "", place.parent.name) or 0), default=None)


def _root() -> Path:
    return server_cache_dir() / f"timescaledb-{SUITE}-{POSTGRES}"


def _unpacked() -> Path:
    return _root() / "usr" / "lib" / "postgresql" / POSTGRES / "bin"


def _fetch(root: Path) -> None:
    runner = user()
    with draft_of(root) as draft:
        for folder in (draft.parent, draft):
            folder.chmod(0o755)
            if runner.uid is not None and runner.gid is not None:
                os.chown(folder, runner.uid, runner.gid)
        apt = Apt(draft.parent / "apt", SUITE, runner)
        apt.update()
        needed = [name for name in apt.closure(f"postgresql-{POSTGRES}-timescaledb") if _is_needed(name)]
        apt.unpack(needed, draft)
        _wrap(draft)


def _is_needed(package: str) -> bool:
    """Of the closure what the server loads: no JIT, no Perl, no locales."""
    wanted = re.match(rf"postgresql-(client-)?{POSTGRES}|tzdata|lib", package)
    return bool(wanted) and not re.match(r"lib(llvm|z3|perl|c-l10n)|.*-perl$", package)


def _wrap(root: Path) -> None:
    programs = root / "usr" / "lib" / "postgresql" / POSTGRES / "bin"
    loader = next(root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")).relative_to(root)
    (programs / "real").mkdir()
    (programs / "real").chmod(0o755)
    for program in PROGRAMS:
        (programs / program).rename(programs / "real" / program)
        (programs / program).write_text(_WRAPPER.format(loader=loader, libraries=loader.parent, program=program))
        (programs / program).chmod(0o755)
