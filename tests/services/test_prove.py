"""Live == replay as a law: whatever arrives, however it is cut, whoever dies in the middle, a replay makes the same rollups, lives, ledger and firings."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from psycopg import sql

from deploy.embedded.parts import Parts
from deploy.replay.verifying import shuffled
from sinks import history, proof
from sinks.evaluator import Evaluator
from sinks.history import Period, Record
from sinks.lives import Figures
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from sinks.round import MINUTE_US, Standing
from sinks.session import Connection
from streams.department import NAMES
from streams.errors import Retry
from streams.event import Asked, Rejected, encode, moment
from streams.rules.firing import Change
from streams.settings import Settings
from tests.services.space import Space
from tests.stories import SECOND_US, T0, hex32, story

EXAMPLES = 400 if hypothesis_settings.get_current_profile_name() == "prove" else 15
"""`make prove` asks for more."""
SINCE = T0 // MINUTE_US - 20
HOUR_US = 3600 * SECOND_US
WORDS = "title: Thử xem\ntext: thử xem\nwhy: để thử\nowner: Trực ban\nrunbook: gọi\n"
RULES = {
    "payment-many": "department: payment\nmeasure: {sum: receipts}\nwindow: 3m\nby: unit\nwhen: {above: 0}\nkeep_firing_for: 2m\nmissing: ok\n",
    "payment-held": "department: payment\nmeasure: {sum: paid_vnd}\nwindow: 5m\nwhen: {above: 60, clear: 20}\nfor: 2m\n",
    "payment-absent": "department: payment\nmeasure: {absence: receipts}\nby: unit\nwhen: {above: 7}\nmissing: ok\n",
    "payment-units": "department: payment\nmeasure: {distinct: unit, of: receipts}\nwindow: 4m\nwhen: {above: 0}\ninhibited_by: [payment-held]\n",
    "payment-silent": "department: payment\nmeasure: {freshness: source}\nby: source\nwhen: {above: 120}\nmissing: firing\n",
    "telehealth-any": "department: telehealth\nmeasure: {count: sessions}\nby: kind\nwhen: {above: 0}\nmissing: ok\n",
    "telehealth-off": "department: telehealth\nmeasure: {offline: sessions}\nwindow: 3m\nwhen: {above: 0}\nmissing: ok\n",
    "einvoice-share": "department: einvoice\nmeasure: {ratio: rejected, to: invoices}\nwindow: 9m\nby: unit\nwhen: {above: 20}\nmissing: ok\n",
    "einvoice-slow": "department: einvoice\nmeasure: {percentile: code_seconds, at: 50}\nwindow: 20m\nwhen: {above: 30}\nmissing: ok\n",
    "einvoice-few": "department: einvoice\nmeasure: {sum: messages}\nwindow: 2m\nwhen: {below: 2}\nfor: 1m\nkeep_firing_for: 1m\nmissing: firing\n",
    "payment-late": "department: payment\nmeasure: {sum: late}\nwindow: 10m\nby: source\nwhen: {above: 0}\nmissing: ok\n",
    "payment-again": "department: payment\nmeasure: {sum: duplicate}\nwindow: 5m\nwhen: {above: 0}\nmissing: ok\n",
}
INGEST = ("{}_event", "{}_identity", "ledger_1m", "batch", "owed", "heard_1m")
FIGURES = ("{}_1m", "{}_10m", "{}_1d", "owed", "followed", "owed_minute")
ROUND = ("firing", "judged", "standing", "beat")
"""Tables whose first write of a transaction kills it, by what the transaction does."""
LASTING = ("rule", "rule_change", "stream_offset", "unit")
ARRIVED = (
    "select minute, department, source, received, on_time, late, duplicate, conflict, quarantined from ledger_1m order by 1, 2, 3",
    "select minute, department, source, known_at, watermark from heard_1m order by 1, 2, 3",
    "select minute, department, source, asked_at, failed_at, every_seconds, news_at from asked_1m order by 1, 2, 3",
)
Told = tuple[str, Any]
"""(topic, event)."""


def silent(connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
    """Nobody is told."""


class Side:
    """A space at work: batches in, figures and rounds after them, each of which may be killed at any of its writes."""

    def __init__(self, space: Space, chance: random.Random, deaths: Counter[str]) -> None:
        self.space, self._chance, self._deaths = space, chance, deaths
        self._now = SINCE * 60.0
        self._figures = {name: Figures(ingest_dsn(space.settings), space.name, name) for name in NAMES}
        self._evaluator = self._another()

    def _another(self) -> Evaluator:
        return Evaluator(ingest_dsn(self.space.settings), self.space.name, silent, lambda: self._now)

    def take(self, some: Sequence[tuple[str, bytes]]) -> None:
        """One transaction of the ingest, with records of all topics."""
        told: dict[str, list[bytes]] = {}
        for name, value in some:
            told.setdefault(name, []).append(value)
        records = [self.space.records(name, values) for name, values in told.items()]

        def write() -> None:
            self.space.store.offsets([each.partition for each in records])
            self.space.store.write(self.space.store.prepare(records))

        self._surviving("ingest", write, self._chance.choice(INGEST).format(next((name for name in told if name in NAMES), "payment")))
        for name, each in zip(told, records, strict=True):
            self.space.next[name] = each.next

    def follow(self, name: str) -> None:
        """One transaction of the figures."""
        self._surviving("figures", self._figures[name].catch_up, self._chance.choice(FIGURES).format(name))

    def decide(self, at_us: int) -> None:
        """One round of the rules at that moment; now and then by another evaluator."""
        self._now = at_us / 1e6
        if self._chance.random() < 0.1:
            self._evaluator.close()
            self._evaluator = self._another()
        self._surviving("round", self._evaluator.evaluate, self._chance.choice(ROUND))

    def settle(self, until_us: int) -> None:
        """Everything follows from what was taken, up to that moment."""
        for name in NAMES:
            while self._figures[name].catch_up():
                pass
        self.decide(until_us)
        while self.space.rows("select 1 from owed_minute"):
            self._now += 20.0  # minutes long ago are looked at every fifteen seconds
            self._evaluator.evaluate()

    def close(self) -> None:
        for each in (*self._figures.values(), self._evaluator):
            each.close()

    def _surviving(self, what: str, work: Callable[[], object], table: str) -> None:
        """Do it; one time in five its transaction dies when it first writes that table, and it is done again, as the worker does."""
        if self._chance.random() < 0.2:
            with deadly(self.space, table):
                try:
                    work()
                    return
                except Retry:
                    self._deaths[what] += 1
        work()


@contextmanager
def deadly(space: Space, table: str) -> Iterator[None]:
    """Who writes that table loses the connection."""
    where = sql.Identifier(schema(space.name), table)
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        dies = sql.SQL("create trigger dies before insert or update or delete on {} execute function {}()")
        connection.execute(dies.format(where, sql.Identifier(schema(space.name), "die")))
        try:
            yield
        finally:
            connection.execute(sql.SQL("drop trigger dies on {}").format(where))


@pytest.fixture(scope="module")
def sides(settings: Settings, parts: Parts) -> Iterator[tuple[Space, Space]]:
    """Live and a replay, with the same rules."""
    made = (Space(settings, parts), Space(settings, parts))
    for space in made:
        with space.connect() as connection:
            for name, said in RULES.items():
                body, of = f"rule: {name}\n{WORDS}{said}", said.split("\n", 1)[0].removeprefix("department: ")
                connection.execute(
                    "insert into rule (name, version, body, department, since, changed_by) values (%s, 1, %s, %s, %s, 'test')",
                    [name, body, of, moment(SINCE * MINUTE_US)],
                )
                connection.execute(
                    "insert into rule_change (who, what, rule, version, body) values ('test', 'added', %s, 1, %s)", [name, body]
                )
        with psycopg.connect(space.dsn, autocommit=True) as connection:
            made_of = "begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(30); return null; end"
            connection.execute(
                sql.SQL("create function {}() returns trigger language plpgsql security definer as {}").format(
                    sql.Identifier(schema(space.name), "die"), sql.Literal(made_of)
                )
            )
    yield made
    for space in made:
        space.drop()


def forget(space: Space) -> None:
    """Nothing was ever told."""
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        tables = connection.execute(
            "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r' and relname <> all(%s)",
            [schema(space.name), [*LASTING]],
        ).fetchall()
        connection.execute(
            sql.SQL("truncate {}").format(sql.SQL(", ").join(sql.Identifier(schema(space.name), table) for (table,) in tables))
        )


def arriving(chance: random.Random, count: int) -> list[Told]:
    """Events, rejects and signs of life in the order in which they come, mostly that of their arrival: some again, some with another body, some
    a day later."""
    found: list[Told] = [(name, event) for name in NAMES for event in story(name, chance, count)]
    found = [(name, replace(event, known_at_us=event.known_at_us + _later(chance))) for name, event in found]
    found += [(name, replace(event, known_at_us=event.known_at_us + 60 * SECOND_US)) for name, event in chance.choices(found, k=count // 3)]
    found += [
        (name, replace(event, body="f" * 16, known_at_us=event.known_at_us + 90 * SECOND_US))
        for name, event in chance.choices(found, k=count // 5)
    ]
    for number in range(count // 4):
        name, at_us = chance.choice(NAMES), T0 + chance.randrange(1200) * SECOND_US
        reject = Rejected(
            id=hex32(f"r{name}{chance.randrange(3)}"), source="test", department=name, known_at_us=at_us, cause="signature", wrong="no",
            sealed="c2Vh", size_bytes=number,
        )  # fmt: skip
        asked = Asked(source="test", department=name, at_us=at_us, every_seconds=5.0, answered=chance.random() < 0.7, news_us=0)
        found += [("rejects", reject), ("asked", asked)]
    return sorted(found, key=lambda told: _at(told) + chance.randrange(200) * SECOND_US)


def _later(chance: random.Random) -> int:
    return chance.randrange(3, 30) * HOUR_US if chance.random() < 0.1 else 0


def _at(told: Told) -> int:
    at_us: int = told[1].at_us if told[0] == "asked" else told[1].known_at_us
    return at_us


def batches(some: Sequence[Any], chance: random.Random) -> Iterator[Sequence[Any]]:
    """The same, cut anywhere."""
    start = 0
    while start < len(some):
        end = start + chance.randrange(1, 60)
        yield some[start:end]
        start = end


def live(side: Side, chance: random.Random, count: int) -> int:
    """Everything arrives, sellers move, rules are decided as time goes by; the newest arrival."""
    now_us = T0
    for number, some in enumerate(batches(arriving(chance, count), chance)):
        side.take([(name, encode(event)) for name, event in some])
        now_us = max(now_us, *map(_at, some))
        for name in chance.sample(NAMES, 2):
            side.follow(name)
        if number % 3 == 0:
            side.decide(now_us + chance.randrange(90) * SECOND_US)
        if number % 4 == 2:
            now_us += SECOND_US
            side.space.register({hex32(f"seller{chance.randrange(4)}"): f"1{chance.randrange(3)}" for _ in range(2)}, now_us)
    return now_us


def replayed(side: Side, of: Space, chance: random.Random, until_us: int, how: str) -> None:
    """The same records, as a player reads them, in other batches at another pace."""
    with psycopg.connect(of.dsn, autocommit=True) as connection:
        for table in ("seller", "seller_was"):
            copied = sql.SQL("insert into {} select * from {}")
            connection.execute(copied.format(*(sql.Identifier(schema(space.name), table) for space in (side.space, of))))
    with of.connect() as connection:
        follows: history.Follows = "event_time" if how == "event time" else "known_at"
        period = Period(T0 - 24 * HOUR_US, until_us, follows, NAMES)
        told = history.records(connection, period, repeats=how == "arrival")
        if how == "shuffled and doubled":
            told = chain(shuffled(told, chance.randrange(10**6)), history.again(connection, period))
        records: list[Record] = [*told]
    for some in batches(records, chance):
        side.take([(record.topic, record.value) for record in some])
        if chance.random() < 0.5:
            side.follow(chance.choice(NAMES))
        if chance.random() < 0.3:
            side.decide(max(some[-1].at_us, T0 - HOUR_US))


SEEN: Counter[str] = Counter()


@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.integers(0, 10**9), st.integers(4, 16), st.sampled_from(["shuffled and doubled", "arrival", "event time"]))
def test_a_replay_makes_what_live_made(sides: tuple[Space, Space], seed: int, count: int, how: str) -> None:
    chance = random.Random(seed)
    for space in sides:
        forget(space)
    first, second = (Side(space, chance, SEEN) for space in sides)
    try:
        until_us = (live(first, chance, count) // MINUTE_US + 10) * MINUTE_US
        first.settle(until_us)
        replayed(second, first.space, chance, until_us, how)
        second.settle(until_us)
        for name in NAMES:
            assert second.space.derived(name) == first.space.derived(name), name
        if how == "arrival":
            for query in ARRIVED:
                ours, theirs = ({*side.space.rows(query)} for side in (first, second))
                assert (ours - theirs, theirs - ours) == (set(), set()), query
        if how != "event time":
            same_firings(first.space, second.space, until_us, twice=how != "arrival")
    finally:
        first.close()
        second.close()


def same_firings(live: Space, replay: Space, until_us: int, twice: bool) -> None:
    with live.connect() as ours, replay.connect() as theirs:
        count, differs = proof.same(ours, theirs, SINCE, until_us // MINUTE_US, proof.doubling(ours) if twice else ())
        assert differs == []
    SEEN["firings"] += count


def test_there_were_many_firings_and_every_kind_of_death() -> None:
    if not SEEN:
        pytest.skip("the law above was not tried")
    assert SEEN["firings"] > EXAMPLES
    assert all(SEEN[what] for what in ("ingest", "figures", "round"))
