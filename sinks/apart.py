"""Figures in a process of their own, so that what follows from events never waits for the interpreter that reads them."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import msgspec
import structlog

from sinks.lives import Figures
from streams.collector import rest
from streams.errors import Misconfigured, Retry
from streams.event import Touched

log = structlog.get_logger("figures")


class _Begin(msgspec.Struct):
    """The first line: which database (never an argument of the command, where others could read the password) and which space."""

    dsn: str
    space: str


class _Answer(msgspec.Struct, omit_defaults=True):
    """One line for each department asked: what was touched, or why nothing could be. away: Retry, else a defect."""

    touched: Touched | None = None
    wrong: str | None = None
    away: bool = False


class Apart:
    """The process, started when first asked and again when it died. It ends when this one does, however that ends."""

    def __init__(self, dsn: str, space: str) -> None:
        self._begin = _Begin(dsn, space)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def catch_up(self, department: str) -> Touched | None:
        """As `Figures.catch_up`. Raises Retry while the database is away or when the process died; Misconfigured for a defect."""
        with self._lock:
            line = self._asked(department.encode() + b"\n")
            if not line:
                self._end()
                raise Retry("the process of the figures died", "nothing is lost; it is started again")
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.wrong is not None:
            raise Retry(answer.wrong, "start it again") if answer.away else Misconfigured(answer.wrong, "see the log")
        return answer.touched

    def close(self) -> None:
        """End it; a transaction in hand is finished first."""
        with self._lock:
            self._end()

    def _asked(self, question: bytes) -> bytes:
        """The answer's line; empty when the process died."""
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, "-m", "sinks.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            question = msgspec.json.encode(self._begin) + b"\n" + question
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            return b""
        try:
            to.write(question)
            to.flush()
            return back.readline()
        except OSError:
            return b""

    def _end(self) -> None:
        """Close the pipe, which ends the process when it has answered; insist after a while."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def main() -> None:
    """Answer line by line until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which closes the pipe
    os.nice(5)  # what was told comes before what follows from it
    begin = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Begin)
    held: dict[str, Figures] = {}
    rest()
    for line in sys.stdin.buffer:
        name = line.decode().strip()
        figures = held.get(name) or held.setdefault(name, Figures(begin.dsn, begin.space, name))
        sys.stdout.buffer.write(msgspec.json.encode(_answer(figures, name)) + b"\n")
        sys.stdout.buffer.flush()
    for figures in held.values():
        figures.close()


def _answer(figures: Any, name: str) -> _Answer:
    try:
        return _Answer(figures.catch_up())
    except Retry as away:
        return _Answer(wrong=away.wrong, away=True)
    except Exception as error:
        log.exception("figures could not follow", department=name)
        return _Answer(wrong=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
