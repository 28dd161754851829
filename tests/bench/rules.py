"""A thousand rules of fifty groups each beside a steady stream of events: what a round costs, and how soon a firing follows its event."""

import itertools
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.embedded import parts
from sinks.apart import RulesApart
from sinks.roles import ingest_dsn
from streams.app import RULES_REST_SECONDS
from streams.settings import Settings
from tests.bench.figures import Figure, median
from tests.bench.measure import children, cpu_seconds, peak_mb, postgres_seconds
from tests.eventually import eventually
from tests.services.space import Space, paid, stand

RULES, GROUPS, EVENTS_PER_SECOND, SECONDS = 1_000, 50, 1_500, 40.0
COMMITS_PER_SECOND = 4
FIRING_SECONDS = 2.0
_KINDS = (
    ("{sum: mismatched}", "{above: 100000, clear: 50000}"),
    ("{ratio: failed, to: receipts, at_least: 20}", "{above: 90}"),
    ("{count: failed}", "{above: 100000}"),
    ("{rate: receipts}", "{above: 10000000}"),
    ("{ratio: mismatched, to: receipts, at_least: 20}", "{above: 99, clear: 80}"),
)
_BODY = """rule: {name}
title: Luật số {name}
text: "{{value}} trong {{window}}"
why: đo giá của một nghìn luật
department: payment
measure: {measure}
window: {window}m
by: unit
when: {when}
for: {hold}m
owner: Sở Y tế
runbook: không có
"""


@dataclass
class Run:
    """One run. rounds: how long each took; delays: from an event's arrival until its firing was committed; seconds of CPU of the rules' process and of
    PostgreSQL, and of PostgreSQL without rules, each a second."""

    rounds: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    cpu: float = 0.0
    postgres: float = 0.0
    postgres_without: float = 0.0
    peak_mb: float = 0.0


def run(settings: Settings, rules: int = RULES, seconds: float = SECONDS) -> Run:
    """In a space of its own, dropped at the end."""
    space = Space(settings, parts.find(settings))
    apart = RulesApart(ingest_dsn(space.settings), space.settings)
    result, stream = Run(), _Stream(space)
    try:
        before = postgres_seconds(settings.state_dir)
        spent = stream.flow(10.0)
        result.postgres_without = (postgres_seconds(settings.state_dir) - before) / spent
        _stand_many(space, rules)
        with _deciding(space, apart, stream, result):
            stream.flow(5.0)
            result.rounds.clear()
            [child] = children(os.getpid())
            cpu, before = cpu_seconds(child), postgres_seconds(settings.state_dir)
            spent = stream.flow(seconds, fresh=True)
            result.cpu = (cpu_seconds(child) - cpu) / spent
            result.postgres = (postgres_seconds(settings.state_dir) - before) / spent
            result.peak_mb = peak_mb(child)
            eventually(lambda: not stream.awaited, within_seconds=30)
        return result
    finally:
        apart.close()
        space.drop()


class _Stream:
    """Payments of fifty hospitals, a quarter of a second's at a time. awaited: hospitals that had their first mismatch, and when it was sent."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._numbers = itertools.count(1)
        self._fresh = iter(range(GROUPS))
        self.awaited: dict[str, float] = {}

    def flow(self, seconds: float, fresh: bool = False) -> float:
        """For so many seconds; how many it took. fresh: every second one more hospital has its first mismatch."""
        began = time.monotonic()
        for tick in range(int(seconds * COMMITS_PER_SECOND)):
            time.sleep(max(0.0, began + tick / COMMITS_PER_SECOND - time.monotonic()))  # a steady stream is a matter of the clock
            self._commit(next(self._fresh, None) if fresh and tick % COMMITS_PER_SECOND == 1 else None)
        return time.monotonic() - began

    def _commit(self, fresh: int | None) -> None:
        us = time.time_ns() // 1000
        events = [
            paid(number, unit=f"38{number % GROUPS:03}", paid_at_us=us, event_time_us=us, known_at_us=us)
            for number in itertools.islice(self._numbers, EVENTS_PER_SECOND // COMMITS_PER_SECOND)
        ]
        if fresh is not None:
            unit = f"38{fresh:03}"
            events.append(paid(10**9 + fresh, unit=unit, status="mismatched", paid_at_us=us, event_time_us=us, known_at_us=us))
            self.awaited[unit] = time.monotonic()
        self._space.take("payment", *events)
        self._space.follow("payment")


@contextmanager
def _deciding(space: Space, apart: RulesApart, stream: _Stream, result: Run) -> Iterator[None]:
    """Rounds as a worker makes them, beside the stream."""
    ended = threading.Event()

    def decide() -> None:
        with space.connect() as connection:
            while not ended.wait(RULES_REST_SECONDS):
                began = time.monotonic()
                apart.evaluate()
                done = time.monotonic()
                result.rounds.append(done - began)
                for (unit,) in connection.execute(
                    "select unit from firing where rule = 'rule-canary' and unit = any(%s)", [[*stream.awaited]]
                ):
                    result.delays.append(done - stream.awaited.pop(unit))

    deciding = threading.Thread(target=decide)
    deciding.start()
    try:
        yield
    finally:
        ended.set()
        deciding.join()


def _stand_many(space: Space, count: int) -> None:
    with space.connect() as connection:
        bodies = [_BODY.format(name="rule-canary", measure="{sum: mismatched}", when="{above: 0}", window=5, hold=0)]
        for number in range(count - 1):
            measure, when = _KINDS[number % len(_KINDS)]
            bodies.append(
                _BODY.format(
                    name=f"rule-{number:04}", measure=measure, when=when, window=(5, 15, 60)[number % 3], hold=(0, 2, 5)[number // 3 % 3]
                )
            )
        stand(connection, bodies)


def of(runs: list[Run], rules: int = RULES) -> list[Figure]:
    """The figures of several runs."""
    name = f"{rules} rules x {GROUPS} groups, {EVENTS_PER_SECOND} events/s"
    return [
        median(f"{name}: a round", "ms", [1000 * statistics.median(r.rounds) for r in runs]),
        median(f"{name}: event to firing, p50", "s", [statistics.median(r.delays) for r in runs]),
        median(f"{name}: event to firing, longest", "s", [max(r.delays) for r in runs], below=FIRING_SECONDS),
        median(f"{name}: CPU of the rules", "s/s", [r.cpu for r in runs]),
        median(f"{name}: CPU of PostgreSQL", "s/s", [r.postgres for r in runs]),
        median("the same without rules: CPU of PostgreSQL", "s/s", [r.postgres_without for r in runs]),
        median(f"{name}: peak memory of the rules", "MB", [r.peak_mb for r in runs]),
    ]
