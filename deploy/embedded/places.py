"""Where the embedded parts keep things outside the checkout, and the locks that hold two starts apart."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import Retry

Say = Callable[[str], None]


def silent(_: str) -> None:
    """A Say for those who do not want to hear."""


def cache_dir() -> Path:
    """What was downloaded once: $XDG_CACHE_HOME/song-ma, else ~/.cache/song-ma. It may be deleted whenever nothing runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "song-ma"


def server_cache_dir() -> Path:
    """The same for files that a server reads which gave up root: root's home is closed to it."""
    return Path("/var/cache/song-ma") if os.geteuid() == 0 else cache_dir()


@contextmanager
def locked(path: Path, within_seconds: float, say: Say = silent) -> Iterator[None]:
    """Hold the file lock `path` (made when absent). Raises Retry when another process keeps it longer than that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + within_seconds
        told = False
        while not _take(file.fileno()):
            if time.monotonic() > deadline:
                raise Retry(f"another start has held {path} for {within_seconds:.0f} s", "wait for it, or end it, then try again")
            if not told:
                say("another start is under way; waiting for it")
                told = True
            time.sleep(0.1)
        yield


@contextmanager
def draft_of(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block ends well; nothing half-made is ever seen there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as held:
        draft = Path(held) / folder.name
        draft.mkdir()
        yield draft
        draft.rename(folder)


def write_private(path: Path, content: str) -> None:
    """Write `content` whole or not at all, readable by the owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    draft.replace(path)


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log for an error message; a word of its own when there is no log."""
    try:
        return "\n".join(log.read_text(errors="replace").strip().splitlines()[-count:]) or "(the log is empty)"
    except OSError:
        return "(there is no log)"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"song-ma-{os.getuid()}"


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
