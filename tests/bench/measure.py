"""Measuring from outside: a process's CPU and memory, PostgreSQL's CPU, the rows that can be seen."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import timescale

TICKS = os.sysconf("SC_CLK_TCK")
GIVE_UP_SECONDS = 600


@dataclass(frozen=True)
class Seen:
    """How a count grew: the process's start, the first rows seen, the goal reached (monotonic seconds)."""

    started: float
    first: float
    first_rows: int
    last: float
    last_rows: int

    @property
    def rate(self) -> float:
        """Rows per second from the first ones seen to the last, the process's start left out."""
        return (self.last_rows - self.first_rows) / (self.last - self.first)

    @property
    def rate_with_start(self) -> float:
        """Rows per second since the process was started."""
        return self.last_rows / (self.last - self.started)


def start(command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A process with its output in `log`."""
    with log.open("wb") as out:
        return subprocess.Popen([*command], stdout=out, stderr=subprocess.STDOUT, env=os.environ | environment)


def watch(process: subprocess.Popen[bytes], started: float, rows: Callable[[], int], goal: int, every_seconds: float) -> Seen:
    """Look at `rows()` until there are `goal`. Raises SystemExit when the process ends before, or nothing comes for too long."""
    first, first_rows, most, deadline = 0.0, 0, 0, time.monotonic() + GIVE_UP_SECONDS
    while True:
        found, now = rows(), time.monotonic()
        if found > most:
            most, deadline = found, now + GIVE_UP_SECONDS
        if found and not first_rows:
            first, first_rows = now, found
        if found >= goal:
            return Seen(started, first, first_rows, now, found)
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode} after {found} of {goal} rows")
        if now > deadline:
            raise SystemExit(f"{process.args!r}: {found} of {goal} rows, and no more for {GIVE_UP_SECONDS} s")
        time.sleep(every_seconds)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to who does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children so far."""
    return sum(sum(_times(each)[:2]) for each in (pid, *children(pid))) / TICKS


def peak_mb(pid: int) -> float:
    """The most resident memory a living process and its children ever had, each by itself, added. (Not ru_maxrss: that one starts with
    the parent's.)"""
    return sum(_peak_kb(each) for each in (pid, *children(pid))) / 1024


def children(pid: int) -> list[int]:
    """The processes that it started and that live."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


class Peaks:
    """The most resident memory that a process and all that come of it ever had, each by itself, added: looked at while it is entered, also of those
    that end meanwhile."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._found: dict[int, int] = {}
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    @property
    def megabytes(self) -> float:
        """So far."""
        return sum(self._found.values()) / 1024

    def __enter__(self) -> "Peaks":
        self._looking.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            there = [self._pid]
            for pid in there:
                with contextlib.suppress(OSError, LookupError):
                    self._found[pid] = _peak_kb(pid)
                    there += children(pid)


def _peak_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise LookupError(pid)


def postgres_seconds(state_dir: Path) -> float:
    """CPU of the embedded server so far, ended sessions included; 0.0 for a server that is not ours."""
    head = timescale.pid_of(state_dir)
    if head is None:
        return 0.0
    total = sum(_times(head))
    for task in Path("/proc").glob("[0-9]*"):
        try:
            if int(task.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1]) == head:
                total += sum(_times(int(task.name))[:2])
        except (OSError, IndexError):
            continue
    return total / TICKS


def _times(pid: int) -> tuple[int, int, int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]), int(fields[12]), int(fields[13]), int(fields[14])
