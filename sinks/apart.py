"""Figures, and rules, each in a process of their own, so that what follows from events never waits for the interpreter that reads them."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from sinks.lives import Figures
from sinks.session import Session
from streams import logs
from streams.collector import rest
from streams.errors import Misconfigured, Retry
from streams.event import Touched
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.rules.firing import Change

log = structlog.get_logger("figures")


Work = Literal["figures", "rules"]


class _Begin(msgspec.Struct):
    """The first line: what to do, in which database (never an argument of the command, where others could read the password) and space. settings:
    as JSON."""

    work: Work
    dsn: str
    space: str
    settings: str


class _Answer(msgspec.Struct, omit_defaults=True):
    """One line for each question: what was touched, or why nothing could be. away: Retry, else a defect."""

    touched: Touched | None = None
    wrong: str | None = None
    away: bool = False


class Apart:
    """The process, started when first asked and again when it died. It ends when this one does, however that ends."""

    def __init__(self, work: Work, dsn: str, settings: Settings) -> None:
        self._begin = _Begin(work, dsn, settings.space, settings.model_dump_json())
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def catch_up(self, department: str) -> Touched | None:
        """As `Figures.catch_up`. Raises Retry while the database is away or when the process died; Misconfigured for a defect."""
        return self._answer(department)

    def _answer(self, question: str) -> Touched | None:
        with self._lock:
            line = self._asked(question.encode() + b"\n")
            if not line:
                self._end()
                raise Retry(f"the process of the {self._begin.work} died", "nothing is lost; it is started again")
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


class FiguresApart:
    """The processes of the figures, as many as the worker's settings say; a department is followed by whichever is free."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        self._all = [Apart("figures", dsn, settings) for _ in range(settings.worker.figures)]
        self._free = queue.LifoQueue[Apart]()  # one that is not needed is not started
        for each in reversed(self._all):
            self._free.put(each)

    def catch_up(self, department: str) -> Touched | None:
        """As `Apart.catch_up`."""
        chosen = self._free.get()
        try:
            return chosen.catch_up(department)
        finally:
            self._free.put(chosen)

    def close(self) -> None:
        """End them; transactions in hand are finished first."""
        for each in self._all:
            each.close()


class RulesApart(Apart):
    """The process of the rules, started once there are any."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        super().__init__("rules", dsn, settings)
        self._look = _Look(dsn, settings.space, "ioc-rules-look")

    def evaluate(self) -> Touched | None:
        """One round; what to tell when firings changed. Raises as `catch_up`."""
        if self._process is None and not self._look.finds_rules():
            return None
        self._look.close()
        return self._answer("rules")


class _Look(Session):
    def finds_rules(self) -> bool:
        """Whether there is something to decide, or an alarm that has not ended."""
        with self._reaching():
            found = (
                self._connected()
                .execute("select exists (select from rule where enabled) or exists (select from alarm where closed_at is null)")
                .fetchone()
            )
        return bool(found and found[0])


def main() -> None:
    """Answer line by line until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which closes the pipe
    logs.configure()
    os.nice(5)  # what was told comes before what follows from it
    back = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever logs or prints must not speak between the answers
    begin = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Begin)
    work: _Figures | _Rules = _Figures(begin) if begin.work == "figures" else _Rules(begin)
    rest()
    with contextlib.suppress(BrokenPipeError):  # the other side is gone
        for line in sys.stdin.buffer:
            back.write(msgspec.json.encode(_answer(work, line.decode().strip())) + b"\n")
            back.flush()
    work.close()


class _Figures:
    """Figures of every department that was asked for."""

    def __init__(self, begin: _Begin) -> None:
        self._begin = begin
        self._held: dict[str, Figures] = {}

    def answer(self, question: str) -> Touched | None:
        found = self._held.get(question) or self._held.setdefault(question, Figures(self._begin.dsn, self._begin.space, question))
        return found.catch_up()

    def close(self) -> None:
        for figures in self._held.values():
            figures.close()


class _Rules:
    """Rounds of the evaluator."""

    def __init__(self, begin: _Begin) -> None:
        from sinks import alarms  # numpy and the holidays: only where rules are decided
        from sinks.evaluator import Evaluator
        from sinks.round import Standing
        from sinks.session import Connection

        settings = Settings.model_validate_json(begin.settings)

        def ring(connection: Connection, standing: Standing, changed: "Sequence[Change]", now: datetime) -> None:
            alarms.ring(connection, begin.space, settings, standing.rule, standing.version, changed, now)

        self._evaluator = Evaluator(begin.dsn, begin.space, ring)

    def answer(self, question: str) -> Touched | None:
        return self._evaluator.evaluate()

    def close(self) -> None:
        self._evaluator.close()


def _answer(work: _Figures | _Rules, question: str) -> _Answer:
    try:
        return _Answer(work.answer(question))
    except Retry as away:
        return _Answer(wrong=away.wrong, away=True)
    except Exception as error:
        log.exception("what follows could not follow", question=question)
        return _Answer(wrong=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
