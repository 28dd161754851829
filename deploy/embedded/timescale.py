"""The embedded database: a real TimescaleDB on 127.0.0.1, the system's or Debian's packages unpacked; no root needed, no Docker."""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import processes, timescale_programs
from deploy.embedded.debian import User, run_as
from deploy.embedded.places import Say, last_lines, silent
from streams.errors import Misconfigured, Retry

DATABASE = "ioc"
START_SECONDS = 120
ROOTS_FOLDER = Path("/var/lib/song-ma")

_CONFIGURATION = """\
# written anew at every start
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
shared_buffers = {shared_buffers}
min_wal_size = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
synchronous_commit = on
max_locks_per_transaction = 256
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


@dataclass(frozen=True)
class Server:
    """Where one state folder's database lies: home holds data, password, port and log; user is whom it runs as."""

    home: Path
    user: User

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def read(self, name: str) -> str | None:
        """A small file of the home: password, port."""
        try:
            return (self.home / name).read_text().strip()
        except OSError:
            return None

    def write(self, name: str, content: str) -> None:
        """The same, written; only its user can read it."""
        path = self.home / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
        if self.user.uid is not None and self.user.gid is not None:
            os.chown(path, self.user.uid, self.user.gid)

    def dsn(self) -> str | None:
        """How to reach it as owner, None before the first start."""
        password, port = self.read("password"), self.read("port")
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/{DATABASE}" if password and port else None


def ensure(state_dir: Path, say: Say) -> str:
    """The DSN of that state folder's running database, made and started when needed. The caller holds the state folder's lock.

    Raises Misconfigured when no server can be had on this machine, Retry (with the log's end) when it does not start.
    """
    server = _server(state_dir)
    if server is not None and pid_of(state_dir) is not None:
        dsn = server.dsn()
        if dsn is not None and _greets(dsn):
            return dsn
    if not Path("/usr/share/zoneinfo").is_dir():
        raise Misconfigured("there is no /usr/share/zoneinfo, PostgreSQL cannot start without it", "install the package tzdata")
    programs = timescale_programs.ensure(say)
    server = server or _settle(state_dir)
    if not (server.data / "PG_VERSION").is_file():
        _create(server, programs, say)
    _start(server, programs, say)
    return _with_database(server)


def stop(state_dir: Path) -> None:
    """End the database of that state folder if it runs (fast: open transactions are rolled back); its data stay."""
    server, pid = _server(state_dir), pid_of(state_dir)
    if server is None or pid is None:
        return
    programs = timescale_programs.ensure(silent)
    done = run_as(server.user, [str(programs / "pg_ctl"), "-D", str(server.data), "-m", "fast", "-w", "-t", "60", "stop"], server.home)
    if done.returncode and pid_of(state_dir) is not None:
        raise Retry(f"the database does not stop: {done.stderr.strip()}", f"its log is {server.log}")


def wipe(state_dir: Path) -> None:
    """Stop it and delete its data."""
    stop(state_dir)
    server = _server(state_dir)
    if server is not None:
        shutil.rmtree(server.home, ignore_errors=True)
        pointer = _pointer(state_dir)
        if pointer.is_symlink():
            pointer.unlink()


def running(state_dir: Path) -> str | None:
    """The DSN of that state folder's database while its process lives."""
    server = _server(state_dir)
    return None if server is None or _pid(server.data) is None else server.dsn()


def pid_of(state_dir: Path) -> int | None:
    """The first process of that state folder's database, if it lives."""
    server = _server(state_dir)
    return None if server is None else _pid(server.data)


def _pointer(state_dir: Path) -> Path:
    return state_dir.resolve() / "database"


def _server(state_dir: Path) -> Server | None:
    """That state folder's server, None before the first start."""
    pointer = _pointer(state_dir)
    return Server(pointer.resolve(), timescale_programs.user()) if pointer.is_dir() else None


def _settle(state_dir: Path) -> Server:
    """A home for the data: in the state folder; for root below /var/lib, since the server's user may not look into root's folders.

    Then the state folder holds a link to it: who deletes the folder gets a new, empty database, as an ordinary user does.
    """
    pointer, user = _pointer(state_dir), timescale_programs.user()
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    if user.uid is None or user.gid is None:
        pointer.mkdir(parents=True, mode=0o700)
        return Server(pointer, user)
    _forget_former(state_dir)
    home = ROOTS_FOLDER / secrets.token_hex(8)
    home.mkdir(parents=True, mode=0o700)
    ROOTS_FOLDER.chmod(0o755)
    os.chown(home, user.uid, user.gid)
    (home / "state_dir").write_text(f"{state_dir.resolve()}\n")
    pointer.symlink_to(home)
    return Server(home, user)


def _forget_former(state_dir: Path) -> None:
    """Delete what an earlier state folder of the same name left below /var/lib, its server too if it still runs."""
    for note in ROOTS_FOLDER.glob("*/state_dir"):
        if note.read_text().strip() != str(state_dir.resolve()):
            continue
        pid = _pid(note.parent / "data")
        if pid is not None:
            processes.end(pid, 10)
        shutil.rmtree(note.parent, ignore_errors=True)


def _create(server: Server, programs: Path, say: Say) -> None:
    say("making the database's folder")
    draft = server.home / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    server.write("password", secrets.token_urlsafe(24))
    command = [str(programs / "initdb"), "-D", str(draft), "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
    rules = ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={server.home}/password"]
    done = run_as(server.user, [*command, *rules], server.home, {"LC_ALL": "C.UTF-8"})
    if done.returncode:
        raise Retry(f"the database's folder cannot be made: {(done.stdout + done.stderr).strip()[-1500:]}", f"see {server.home}")
    with (draft / "postgresql.conf").open("a") as file:
        file.write("include = 'song_ma.conf'\n")
    draft.rename(server.data)


def _start(server: Server, programs: Path, say: Say) -> None:
    say("starting the database")
    _clear_after_crash(server)
    before = server.read("port")
    port = processes.free_port(int(before) if before else None)
    if before and port != int(before):
        say(f"port {before} is taken; the database moves to {port}")
    server.write("port", str(port))
    server.write("data/song_ma.conf", _CONFIGURATION.format(shared_buffers=_shared_buffers()) + f"port = {port}\n")
    command = [str(programs / "pg_ctl"), "-D", str(server.data), "-s", "-w", "-t", str(START_SECONDS), "-l", str(server.log), "start"]
    done = run_as(server.user, command, server.home, {"LC_ALL": "C.UTF-8"})
    if done.returncode:
        raise Retry(f"the database does not start: {done.stderr.strip()}\n{last_lines(server.log)}", f"its log is {server.log}")


def _clear_after_crash(server: Server) -> None:
    """Wait for what a killed server left running, then take its lock file away.

    PostgreSQL does so itself unless the dead process is still listed, as in a container whose first process buries nobody.
    """
    if not (server.data / "postmaster.pid").exists():
        return
    if not processes.until(lambda: not _working_in(server.data), 60):
        raise Retry(f"processes of the last run still work in {server.data}", "end them, then try again")
    (server.data / "postmaster.pid").unlink(missing_ok=True)


def _pid(data: Path) -> int | None:
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        where = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError, IndexError):
        return None
    return pid if where == data else None


def _working_in(folder: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if process.readlink() == folder:
                return True
        except OSError:  # it ended meanwhile, is a zombie, or is somebody else's
            continue
    return False


def _shared_buffers() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return "1GB" if memory >= 7.5 * 2**30 else "256MB"


def _with_database(server: Server) -> str:
    """Make the database and its extension unless they are there; its DSN."""
    import psycopg

    dsn = server.dsn()
    if dsn is None:
        raise Retry(f"{server.home} has lost its password or port file", "delete the state folder to begin anew, or restore them")
    try:
        with psycopg.connect(dsn.rpartition("/")[0] + "/postgres", autocommit=True, connect_timeout=30) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f"create database {DATABASE}")
        with psycopg.connect(dsn, autocommit=True, connect_timeout=30) as connection:
            connection.execute("set client_min_messages = warning")
            connection.execute("create extension if not exists timescaledb")
    except psycopg.Error as error:
        raise Retry(f"the database started but refuses us: {error}", f"its log is {server.log}") from error
    return dsn


def _greets(dsn: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            connection.execute("select 1")
    except psycopg.Error:
        return False
    return True
