"""What works for a replay works while nobody else wants the processor (docs/decisions/0018-idle-replays.md)."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
_HERE = ("127.0.0.1", "::1", "localhost")


def idle(pid: int = 0) -> None:
    """Let a process (0: this one) and what it starts work only while nobody else wants the processor, as whatever works for a replay does. Raises OSError
    where that process is not ours."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    if not pid and os.getsid(0) == os.getpid():
        # Linux may share the processor among sessions first (autogroup): idle within ours would not be idle beside the others.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")


def _is_idle() -> bool:
    """Whether this process works only while nobody else wants the processor."""
    return os.sched_getscheduler(0) == os.SCHED_IDLE if hasattr(os, "SCHED_IDLE") else os.getpriority(os.PRIO_PROCESS, 0) >= 19


def give_way(connection: Connection) -> None:
    """Where this process is idle, the server's own process of the connection too, on the processors that this one has: if it runs on this machine
    and we may say so."""
    if not _is_idle():
        return
    for pid in servers(connection, [connection.info.backend_pid]):
        with contextlib.suppress(OSError):  # not ours
            idle(pid)
            keep_to([pid], os.sched_getaffinity(0))


def servers(connection: Connection, pids: Iterable[int]) -> list[int]:
    """Those of a server's processes that run on this machine."""
    if connection.info.host not in _HERE:
        return []
    return [pid for pid in pids if b"postgres" in _read(Path(f"/proc/{pid}/cmdline"))]


def keep_to(pids: Iterable[int], processors: set[int]) -> None:
    """Let processes, every thread of them, work on these processors only. Those that are gone or not ours are left alone."""
    for pid in pids:
        for thread in _threads(pid):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, processors)


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for thread in _threads(pid):
        for child in _read(Path(f"/proc/{pid}/task/{thread}/children")).split():
            yield from family(int(child))


def _threads(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""
