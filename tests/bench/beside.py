"""Live beside a replay as fast as it goes: how long events take to their figures, alone, beside a verification and beside a drill, in one run."""

import statistics
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from connectors.producing import producer
from sinks.migrations import schema
from streams.brokers import kafka_python_options
from streams.departments.payment import Payment
from streams.event import encode, moment
from streams.topics import topic
from tests.bench import replay
from tests.bench.events import DAY_START_US
from tests.bench.figures import Figure, median
from tests.bench.measure import end, start
from tests.bench.ours import WORK
from tests.bench.stage import Stage

PER_SECOND, ALONE_SECONDS, MOVES = 200, 30.0, 1.10
UNTIL = (moment(DAY_START_US) + timedelta(hours=9)).isoformat()
"""What the bench's day has until then, 220,000 of 600,000 events, is replayed: beside live that takes two minutes on two processors."""


@dataclass(frozen=True)
class Run:
    """p99 from arrival to figures in milliseconds, alone, beside `ioc replay verify` and beside `ioc replay start --speed max`."""

    alone_ms: float
    beside_ms: float
    drill_ms: float


def run(stage: Stage) -> Run:
    """Live takes PER_SECOND payments a second; after a while a part of what it holds from before is replayed."""
    worker = start(WORK, stage.state_dir / "bench-worker.log", IOC_STATE_DIR=str(stage.state_dir))
    ended = threading.Event()
    sending = threading.Thread(target=_send, args=(stage, ended))
    sending.start()
    try:
        time.sleep(2 * ALONE_SECONDS)  # the first half is the worker's start
        alone = datetime.now(UTC)
        replay.run(stage, UNTIL)
        beside = datetime.now(UTC)
        time.sleep(ALONE_SECONDS)  # live catches up with what the verification held up, and its space's files are gone from the disk
        drill = datetime.now(UTC)
        replay.drill(stage, UNTIL)
        drilled = datetime.now(UTC)
    finally:
        ended.set()
        sending.join()
        end(worker)
    periods = [(alone - timedelta(seconds=ALONE_SECONDS), alone), (alone, beside), (drill, drilled)]
    return Run(*(_p99(stage, first.timestamp(), last.timestamp()) for first, last in periods))


def _send(stage: Stage, ended: threading.Event) -> None:
    into = producer(kafka_python_options(stage.settings, stage.bootstrap))
    due, number = time.monotonic(), 0
    while not ended.is_set():
        now_us = time.time_ns() // 1000
        event = Payment(
            id=uuid.uuid4().hex, body=f"{number:016x}", source="bench", event_time_us=now_us, known_at_us=now_us, kind="hdbank", unit="38001",
            transaction=uuid.uuid4().hex, status="paid", paid_vnd=1000, paid_at_us=now_us,
        )  # fmt: skip
        into.send(topic("payment"), key=event.transaction.encode(), value=encode(event))
        number, due = number + 1, due + 1 / PER_SECOND
        time.sleep(max(0.0, due - time.monotonic()))  # the pace of the bank
    into.close()


def _p99(stage: Stage, since: float, until: float) -> float:
    with psycopg.connect(stage.dsn, options=f"-c search_path={schema(stage.settings.space)},public") as connection:
        rows = connection.execute(
            "select extract(epoch from followed_at - known_at) * 1000 from payment_event join batch using (batch) "
            "where source = 'bench' and known_at between %s and %s and followed_at is not null",
            [moment(round(since * 1e6)), moment(round(until * 1e6))],
        ).fetchall()
    return statistics.quantiles([float(row[0]) for row in rows], n=100)[98] if len(rows) > 100 else float("nan")


def of(runs: list[Run]) -> list[Figure]:
    """The figures of several."""
    return [
        median("live alone: arrival to figures, p99", "ms", [r.alone_ms for r in runs]),
        median("live beside a replay: arrival to figures, p99", "ms", [r.beside_ms for r in runs]),
        median("live beside a replay x alone", "x", [r.beside_ms / r.alone_ms for r in runs], below=MOVES),
        median("live beside a drill: arrival to figures, p99", "ms", [r.drill_ms for r in runs]),
        median("live beside a drill x alone", "x", [r.drill_ms / r.alone_ms for r in runs], below=MOVES),
    ]
