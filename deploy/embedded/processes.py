"""Servers that outlive the command that started them: pid files that survive pid reuse, free ports, a clean stop."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.embedded.places import write_private

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def launch(command: Sequence[str], folder: Path, output: Path) -> int:
    """Start `command` in `folder` as a process of its own session, words into `output`; its pid.

    It is nobody's child: no Ctrl-C of a terminal reaches it, and the one who started it has no zombie to bury.
    """
    script = 'out=$1; shift; "$@" >"$out" 2>&1 </dev/null & echo $!'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(output), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    return int(done.stdout)


def remember(pid_file: Path, pid: int) -> None:
    """Write pid and start time, so that another process which gets the number later is not taken for ours."""
    write_private(pid_file, json.dumps({"pid": pid, "started": _started(pid)}))


def recall(pid_file: Path) -> int | None:
    """The pid in the file if that very process still lives."""
    try:
        held = json.loads(pid_file.read_text())
        pid, started = int(held["pid"]), held["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if started is not None and _started(pid) == started else None


def with_last_argument(argument: str) -> int | None:
    """A process that was called with that last argument: one whose pid file was deleted under it."""
    for listed in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if listed.read_bytes().endswith(b"\0" + argument.encode() + b"\0"):
                return int(listed.parent.name)
    return None


def lives(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    return _started(pid) is not None


def end(pid: int, within_seconds: float) -> bool:
    """SIGTERM, then SIGKILL when it does not end in time. True when it ended by itself."""
    started = _started(pid)
    if started is None:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if until(lambda: _started(pid) != started, within_seconds):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: _started(pid) != started, 10)
    return False


def until(condition: Callable[[], bool], within_seconds: float, every_seconds: float = 0.05) -> bool:
    """Look until it holds or the time is over; whether it held."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True


def free_port(preferred: int | None = None, avoid: frozenset[int] = frozenset()) -> int:
    """A free TCP port on 127.0.0.1: `preferred` when it can be had, else one below the ephemeral range.

    A port inside that range could be taken as the near end of any outgoing connection while the server is down, and a client
    that knocks on it again and again would in the end connect to itself (TCP simultaneous open).
    """
    if preferred is not None and _is_free(preferred):
        return preferred
    highest = min(_ephemeral_from() - 1, 32_000)
    candidates = list(range(20_000, highest)) if highest > 20_500 else list(range(10_000, 65_000))
    random.shuffle(candidates)
    for port in candidates:
        if port not in avoid and _is_free(port):
            return port
    raise OSError("no TCP port is free on 127.0.0.1")


def answers(port: int) -> bool:
    """Whether something accepts connections on that port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_from() -> int:
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


def _started(pid: int) -> str | None:
    """When a living process began, in the system's own words; None for no process and for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return None if not told or told.startswith("Z") else told.partition(" ")[2].strip()
