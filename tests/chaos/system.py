"""A running system under load, and what is asked of it after a fault: is everything there, once, and how soon."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec.structs import replace

from deploy.commands.demo import Demo
from deploy.embedded import kafka, parts, processes, timescale
from deploy.embedded.places import last_lines
from deploy.settled import Settled
from deploy.simulators import judge, judge_einvoice, judge_payment, judge_telehealth, judge_video, judge_visit
from deploy.simulators.judge_lines import BankLine, TaxLine, TelehealthLine, VideoLine, VisitLine, read
from streams.brokers import kafka_python_options
from streams.settings import Settings

PATIENCE_SECONDS = 60.0  # for what has not arrived, as long as nothing of it does


@dataclass(frozen=True)
class Outcome:
    """After a fault. lost: facts the departments had issued by then that never came. recovered_seconds: from the beginning of the
    repair until all of them were there. fell: processes that ended though nobody had killed them."""

    what: str
    lost: int
    doubled: int
    recovered_seconds: float
    balanced: bool
    fell: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the fault did no harm."""
        return self.lost == self.doubled == 0 and self.balanced and not self.fell


class System:
    """A demo with its load, and ways to hurt it. `seed` decides what the departments send."""

    def __init__(self, settings: Settings, rate: float, seed: int) -> None:
        self.demo = Demo(settings, rate, seed, 1.0, time.time())
        self.fleet = self.demo.fleet
        self._settings = self.demo.settings
        self._settled = Settled(self._settings, [])
        self._ids: dict[tuple[str, str], str] = {}

    def up(self) -> None:
        """Everything runs, and the first figure is there."""
        self.demo.up()

    def verdict(self) -> dict[str, Any]:
        """The departments stop; every figure against the truth."""
        return self.demo.verdict()

    def down(self) -> None:
        """Nothing runs any more."""
        self.demo.down()

    def in_mid_load(self, random: Random) -> None:
        """Back at a random moment up to a second and a half after something more was committed."""
        before = self._received()
        # Whoever hangs in a client library is found out after half a minute: how soon a fault is over is measured elsewhere.
        self.until(lambda: self._received() > before, "something more is committed", 180.0)
        time.sleep(random.uniform(0, 1.5))

    def kill(self, part: str) -> None:
        """kill -9 of `broker` or `database`."""
        state = self._settings.state_dir
        pid = kafka.pid_of(state) if part == "broker" else timescale.pid_of(state)
        assert pid is not None, f"the {part} does not run"
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not processes.lives(pid), f"the {part} is dead")

    def mend(self) -> None:
        """Broker and database run again."""
        parts.ensure(self._settings)

    def await_workers(self, count: int) -> None:
        """Until the group of the workers has so many members and is at work."""
        self.until(lambda: self._workers() == count, f"{count} workers share the partitions")

    def await_wall(self) -> None:
        """Until the web server answers: one that does not find Kafka when it starts ends, as doors.md says."""
        self.until(lambda: processes.answers(self.demo.web_port), "the wall answers")

    def outcome(self, what: str, since: float) -> Outcome:
        """What became of all that was issued by now. since: when the repair began (time.monotonic)."""
        lost = self._wait_for_all()
        took = time.monotonic() - since
        ids = self._settled.ids()
        doubled = sum(len(held) - len(set(held)) for held in ids.values())
        with self._settled.connected() as rows:
            balanced = all(received == sum(parts) for _, received, *parts in rows)
        return Outcome(what, lost, doubled, round(took, 1), balanced, tuple(self.fleet.fallen()))

    def until(self, condition: Callable[[], bool], wanted: str, within_seconds: float = 60.0) -> None:
        """Wait for it. Raises TimeoutError, with how everything stands."""
        if not processes.until(condition, within_seconds, every_seconds=0.1):
            raise TimeoutError("\n".join([f"not so within {within_seconds:g} s: {wanted}", *self.fleet.fallen(), *self._standing()]))

    def _standing(self) -> Iterator[str]:
        """How processor, disk, broker, database and workers stand."""
        for what in ("cpu", "io", "memory"):
            yield f"pressure on {what}: {last_lines(Path('/proc/pressure') / what, 1)}"
        yield last_lines(Path("/proc/meminfo"), 60)
        state = self._settings.state_dir
        broker, database = kafka.pid_of(state), timescale.pid_of(state)
        yield f"broker {broker} on {kafka.running(state)}, database {database}, they answer: {self._answers()}"
        yield from (last_lines(state / "kafka" / name) for name in ("broker.log", "console.log"))
        yield last_lines(state / "database" / "server.log", 20)
        with suppress(psycopg.Error), psycopg.connect(parts.find(self._settings).dsn, connect_timeout=5) as connection:
            query = "select pid, application_name, state, wait_event_type, wait_event, now() - state_change, left(query, 100) from pg_stat_activity"
            yield from map(str, connection.execute(query).fetchall())
        logs = self.demo.folder / "logs"
        workers = [name for name, process in self.fleet.processes.items() if name.startswith("worker") and process.poll() is None]
        for name in workers:
            self.fleet.processes[name].send_signal(signal.SIGUSR1)
        processes.until(lambda: all("\ntask " in (logs / f"{name}.log").read_text(errors="replace") for name in workers), 3)
        for path in sorted(logs.glob("*.log")):
            yield f"--- {path.stem}\n{last_lines(path, 200 if path.stem.startswith('worker') else 3)}"

    def _answers(self) -> list[str]:
        found = []
        for what, ask in (("broker", self._workers), ("database", self._received)):
            began = time.monotonic()
            try:
                said = str(ask())
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            found.append(f"{what} {said} after {time.monotonic() - began:.1f} s")
        return found

    def _wait_for_all(self) -> int:
        wanted = self._required()
        left, moved = len(wanted), time.monotonic()
        while wanted and time.monotonic() - moved < PATIENCE_SECONDS:
            with suppress(psycopg.Error):
                wanted -= {(department, id) for department, ids in self._settled.ids().items() for id in ids}
            if len(wanted) < left:
                left, moved = len(wanted), time.monotonic()
            elif wanted:
                wanted &= self._required()  # a status of a payment that was overtaken before anyone asked for it
                time.sleep(0.3)
        return len(wanted)

    def _required(self) -> set[tuple[str, str]]:
        """(department, id) of every fact that was issued by now and has to arrive. Of a payment the last status: the list has it at
        once, while notices of earlier ones may wait in the bank."""
        lines = [*read(self.demo.truth)]
        tax = [line for line in lines if isinstance(line, TaxLine)]
        telehealth = [line for line in lines if isinstance(line, TelehealthLine)]
        banks = [replace(line, way="list") for line in lines if isinstance(line, BankLine)]
        required = {
            "einvoice": judge_einvoice.ids(tax)[0],
            "telehealth": judge_telehealth.ids(telehealth)[0],
            "payment": judge_payment.ids(banks)[0],
            "telequality": judge_video.ids([line for line in lines if isinstance(line, VideoLine)])[0],
            "visit": judge_visit.ids(line for line in lines if isinstance(line, VisitLine))[0],
        }
        return {(department, self._id(department, name)) for department, names in required.items() for name in names}

    def _id(self, department: str, name: str) -> str:
        if (department, name) not in self._ids:
            domain, what = judge.HASHED[department]
            self._ids[department, name] = judge.pseudonym(self._keys[domain], what, name)
        return self._ids[department, name]

    @cached_property
    def _keys(self) -> dict[str, Any]:
        held: dict[str, Any] = json.loads((self._settings.state_dir / "secrets" / "keys.json").read_text())
        return held

    def _received(self) -> int:
        with self._settled.connected() as rows:
            return sum(row[1] for row in rows)

    def _workers(self) -> int:
        """Members of the workers' group, 0 while it is being shared out."""
        options = kafka_python_options(self._settings, parts.find(self._settings).bootstrap)
        group = f"ioc.{self._settings.space}.ingest"
        try:
            admin = KafkaAdminClient(**options)
        except KafkaError:
            return 0
        try:
            (found,) = admin.describe_groups([group]).values()
            return len(found["members"]) if found["group_state"] == "Stable" else 0
        except (KafkaError, KeyError):
            return 0
        finally:
            admin.close()


def state_of(pid: int) -> str:
    """A process's state in one letter: R, S, T when it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
