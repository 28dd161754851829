"""Replay == live: what one space made of a stream, with its lateness, repeats, conflicts and deaths, another makes of the same events."""

import random
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from deploy.embedded.parts import Parts
from sinks.lives import Figures
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from streams.department import NAMES
from streams.errors import Retry
from streams.event import encode
from streams.settings import Settings
from tests.eventually import eventually
from tests.services.space import Space
from tests.stories import SECOND_US, hex32, story


@pytest.fixture
def scratch(settings: Settings, parts: Parts) -> Iterator[Space]:
    """A second space."""
    made = Space(settings, parts)
    yield made
    made.drop()


@pytest.mark.parametrize("seed", range(3))
def test_what_a_replay_makes_is_what_live_made(space: Space, scratch: Space, seed: int) -> None:
    chance = random.Random(seed)
    events = {(name, event.id): event for name in NAMES for event in story(name, chance, 60)}
    stored = _live(space, chance, events)
    _copy_registry(space, scratch)
    again = [*stored, *chance.sample(stored, 30)]
    chance.shuffle(again)
    for some in _batches(again, chance):
        _take(scratch, some)
        if chance.random() < 0.5:
            _follow_a_little(scratch, chance)
    for name in NAMES:
        space.follow(name)
        scratch.follow(name)
        made = space.derived(name)
        assert all(made.values())
        assert scratch.derived(name) == made, name


def _live(space: Space, chance: random.Random, events: dict[tuple[str, str], Any]) -> list[tuple[str, Any]]:
    """Everything arrives, mostly in order, some of it again and some with another body; sellers move; figures die. What was kept of it."""
    arriving = [(name, event) for (name, _), event in events.items()]
    arriving += [(name, replace(event, known_at_us=event.known_at_us + 60 * SECOND_US)) for name, event in chance.sample(arriving, 20)]
    arriving += [
        (name, replace(event, body="f" * 16, known_at_us=event.known_at_us + 90 * SECOND_US)) for name, event in chance.sample(arriving, 9)
    ]
    arriving.sort(key=lambda pair: pair[1].known_at_us + chance.randrange(200) * SECOND_US)
    kept: dict[tuple[str, str], Any] = {}
    known_us = deaths = 0
    for number, some in enumerate(_batches(arriving, chance)):
        _take(space, some)
        for name, event in some:
            kept.setdefault((name, event.id), event)
            known_us = max(known_us, event.known_at_us)
        if number % 4 == 1:
            deaths += _die_in_the_middle(space, chance.choice(NAMES))
        _follow_a_little(space, chance)
        if number % 4 == 2:
            space.register({hex32(f"seller{chance.randrange(4)}"): f"1{chance.randrange(3)}" for _ in range(2)}, known_us + 1)
    assert deaths
    return [(name, event) for (name, _), event in kept.items()]


def _batches(some: list[tuple[str, Any]], chance: random.Random) -> Iterator[list[tuple[str, Any]]]:
    while some:
        cut = chance.randrange(1, 50)
        yield some[:cut]
        some = some[cut:]


def _take(space: Space, some: list[tuple[str, Any]]) -> None:
    """One transaction of the ingest, with records of all topics."""
    told: dict[str, list[bytes]] = {}
    for name, event in some:
        told.setdefault(name, []).append(encode(event))
    records = [space.records(name, values) for name, values in told.items()]
    space.store.offsets([each.partition for each in records])
    space.store.write(space.store.prepare(records))
    for name, each in zip(told, records, strict=True):
        space.next[name] = each.next


def _follow_a_little(space: Space, chance: random.Random) -> None:
    for name in chance.sample(NAMES, 2):
        figures = Figures(ingest_dsn(space.settings), space.name, name)
        figures.catch_up()
        figures.close()


def _die_in_the_middle(space: Space, name: str) -> bool:
    """Histories and minutes are written, the days wait for a lock: there the connection is cut. False when nothing was owed."""
    figures = Figures(ingest_dsn(space.settings), space.name, name)
    died: list[Retry] = []

    def work() -> None:
        try:
            while figures.catch_up() is not None:
                pass
        except Retry as retry:
            died.append(retry)

    with psycopg.connect(space.dsn, options=f"-c search_path={schema(space.name)},public") as blocking:
        blocking.execute(sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(f"{name}_1d")))
        thread = threading.Thread(target=work)
        thread.start()
        with psycopg.connect(space.dsn, autocommit=True) as other:
            waiting = "select pid from pg_locks join pg_stat_activity using (pid) where not granted and relation = %s::regclass and application_name = 'ioc-figures'"

            def blocked() -> bool:
                rows = other.execute(waiting, [f"{schema(space.name)}.{name}_1d"]).fetchall()
                for (pid,) in rows:
                    other.execute("select pg_terminate_backend(%s)", [pid])
                return bool(rows) or not thread.is_alive()

            eventually(blocked, 60)
        thread.join()
    figures.close()
    return bool(died)


def _copy_registry(space: Space, scratch: Space) -> None:
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        for table in ("seller", "seller_was"):
            query = sql.SQL("insert into {} select * from {}")
            connection.execute(query.format(sql.Identifier(schema(scratch.name), table), sql.Identifier(schema(space.name), table)))
