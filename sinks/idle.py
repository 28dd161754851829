"""What works for a replay works while nobody else wants the processor (docs/decisions/0018-idle-replays.md)."""

import contextlib
import os
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
    """Where this process is idle, `idle` for the server's own process of the connection too, if it runs on this machine and we may say so."""
    if not _is_idle():
        return
    pid = connection.info.backend_pid
    with contextlib.suppress(OSError):  # no such process here, or not ours
        if connection.info.host in _HERE and b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes():
            idle(pid)
