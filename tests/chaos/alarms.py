"""Kills of everything that decides and rings, while stories go on that must ring once each. `python -m tests.chaos.alarms --kills 220`."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psycopg
from kafka import KafkaProducer

from deploy import console
from deploy.embedded import kafka, parts, processes, timescale
from deploy.embedded.topics import create_topics
from deploy.fleet import Fleet
from sinks.migrations import migrate
from sinks.roles import ingest_dsn
from streams.brokers import kafka_python_options
from streams.event import encode
from streams.settings import Settings
from streams.topics import topic
from tests.bench.measure import children
from tests.services.space import paid, stand

PARTS = {"a child of the worker": 35, "receiver": 30, "database": 15, "worker": 15, "broker": 5}
"""What is killed, and how often of a hundred."""
WHOLE = (["firing", "resolved"], ["missed"])
"""What a story may ring, in this order: it began and ended, or was found when it had ended already."""
LAST_SECONDS = 300.0
_RULE = """rule: {name}
title: Chuyện {name}
text: "{{peak}} giao dịch lệch ở {{units}}"
why: để thử
department: payment
measure: {{sum: mismatched}}
window: 1m
by: unit
only: {{unit: ["{unit}"]}}
when: {{above: 2}}
missing: ok
owner: Phòng trực
runbook: không có
"""


@dataclass(frozen=True)
class Verdict:
    """stories: how many. wrong: those that rang otherwise than once, with what came of them. repeats: messages that came again with the key they had
    (the receiver was killed before it answered). kills: by part."""

    stories: int
    wrong: dict[str, list[str]]
    repeats: int
    kills: dict[str, int]
    seconds: float


class Drama:
    """A broker, a database, a worker and a receiver, and stories told through Kafka."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = Random(seed)
        self._port = processes.free_port()
        self._heard = folder / "heard.jsonl"
        self._heard.touch()
        config = folder / "ioc.toml"
        config.write_text(
            f'[[channels]]\nname = "duty"\nkind = "webhook"\nurl = "http://127.0.0.1:{self._port}/"\ncredential = "env:DUTY_KEY"\ntimeout_seconds = 2\n'
            '[[routes]]\nname = "default"\nchannels = ["duty"]\n[alerts]\nregroup_minutes = 1\n'
        )
        self._settings = Settings(state_dir=folder / "state")
        self._fleet = Fleet(
            folder, {"IOC_CONFIG": str(config), "IOC_STATE_DIR": str(self._settings.state_dir), "DUTY_KEY": "a key of the test"}
        )
        self._kills: Counter[str] = Counter()
        self._stories = 0
        self._bootstrap = ""

    def up(self, stories: int) -> None:
        """Everything runs, and there is a rule for each story."""
        found = parts.ensure(self._settings)
        migrate(found.dsn, self._settings)
        create_topics(self._settings, found.bootstrap)
        with self._connected() as connection:
            stand(connection, [_RULE.format(name=_name(number), unit=_unit(number)) for number in range(stories)], minutes_ago=180)
        self._fleet.start("receiver", "tests.chaos.receiver", str(self._port), str(self._heard))
        self._fleet.start("worker", "deploy", "work")
        self._producer = KafkaProducer(
            **kafka_python_options(self._settings, found.bootstrap), acks="all", delivery_timeout_ms=120_000, request_timeout_ms=10_000
        )

    def _connect(self, bootstrap: str) -> None:
        """A producer; on a busy machine a broker that comes back may have lost its port to somebody, and who knew it there has to be told."""
        if bootstrap != self._bootstrap:
            if self._bootstrap:
                self._producer.close(timeout=1)
                self._fleet.kill("worker")
                self._fleet.again("worker")
            self._bootstrap = bootstrap
            self._producer = KafkaProducer(
                **kafka_python_options(self._settings, bootstrap), acks="all", delivery_timeout_ms=120_000, request_timeout_ms=10_000
            )

    def down(self) -> None:
        """Nothing runs any more."""
        self._producer.close()
        self._fleet.end()
        parts.wipe(self._settings)

    def act(self) -> str:
        """One story and one kill, in any order and a moment apart; what was killed."""
        part = self._random.choices([*PARTS], [*PARTS.values()])[0]
        before = self._random.random() < 0.5
        if before:
            self._tell()
        time.sleep(self._random.uniform(0, 1.0))  # a kill strikes at any moment of the work, so no condition can be waited for
        self._kill(part)
        self._kills[part] += 1
        if not before:
            self._tell()
        if part in ("worker", "broker"):  # it takes their groups a while; killed again and again meanwhile, nothing would ever be told
            self._until(lambda: self._rang(_name(self._stories - 1)), 120.0)
        return part

    def verdict(self, began: float) -> Verdict:
        """When every story has rung to its end, or nothing more comes."""
        with suppress(TimeoutError):
            self._until(lambda: not self._wrong()[0], LAST_SECONDS)
        wrong, repeats = self._wrong()
        return Verdict(self._stories, wrong, repeats, dict(self._kills), round(time.monotonic() - began, 1))

    def _tell(self) -> None:
        """Three mismatches of a hospital, some of them twice; now, or late by forty minutes."""
        number, self._stories = self._stories, self._stories + 1
        at_us = time.time_ns() // 1000 - (40 * 60_000_000 if self._random.random() < 0.25 else 0)
        events = [
            encode(
                paid(
                    number * 10 + part, unit=_unit(number), status="mismatched", paid_at_us=at_us, event_time_us=at_us,
                    known_at_us=time.time_ns() // 1000,
                )
            )
            for part in range(3)
        ]  # fmt: skip
        for event in [*events, *self._random.sample(events, self._random.randrange(3))]:
            self._producer.send(topic("payment", "live"), event).get(timeout=120)

    def _kill(self, part: str) -> None:
        if part in ("receiver", "worker"):
            self._fleet.kill(part)
            self._fleet.again(part)
        elif part == "a child of the worker":
            held = children(self._fleet.processes["worker"].pid)
            if held:
                os.kill(self._random.choice(held), signal.SIGKILL)
        else:
            state = self._settings.state_dir
            pid = kafka.pid_of(state) if part == "broker" else timescale.pid_of(state)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                self._until(lambda: not processes.lives(pid), 20.0)
            self._connect(parts.ensure(self._settings).bootstrap)

    def _wrong(self) -> tuple[dict[str, list[str]], int]:
        keys: set[str] = set()
        words: dict[str, list[str]] = defaultdict(list)
        repeats = 0
        for line in self._heard.read_text().splitlines():
            heard = json.loads(line)
            if heard["key"] in keys:
                repeats += 1
                continue
            keys.add(heard["key"])
            words[heard["rule"]].append(heard["word"])
        names = [_name(number) for number in range(self._stories)]
        return {name: words[name] for name in names if words[name] not in WHOLE}, repeats

    def _rang(self, name: str) -> bool:
        try:
            with self._connected() as connection:
                return connection.execute("select 1 from alarm where rule = %s", [name]).fetchone() is not None
        except psycopg.OperationalError:
            return False

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(ingest_dsn(self._settings), autocommit=True, options="-c search_path=live,public")

    def _until(self, condition: Callable[[], bool], within_seconds: float) -> None:
        def supervised() -> bool:
            if self._fleet.processes["worker"].poll() is not None:  # as a supervisor does: it ends when it finds no Kafka as it starts
                self._fleet.again("worker")
            return condition()

        if not processes.until(supervised, within_seconds, every_seconds=0.2):
            raise TimeoutError(f"not so within {within_seconds:g} s")


def _name(number: int) -> str:
    return f"story-{number:04}"


def _unit(number: int) -> str:
    return f"u{number:04}"


def play(folder: Path, kills: int, seed: int) -> Verdict:
    """So many kills, a story beside each. Raises TimeoutError when the system does not come back."""
    drama, began = Drama(folder, seed), time.monotonic()
    try:
        drama.up(kills)
        for number in range(kills):
            console.say(f"kill {number + 1} of {kills}: {drama.act()}")
        return drama.verdict(began)
    finally:
        drama.down()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every story rang exactly once."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.alarms", description=__doc__)
    parser.add_argument("--kills", type=int, default=220)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="song-ma-alarms-", ignore_cleanup_errors=True) as folder:
        found = play(Path(folder), given.kills, given.seed)
    sys.stdout.write(json.dumps(found.__dict__) + "\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
