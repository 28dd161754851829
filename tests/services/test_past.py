"""As of: what the boards and `ioc figures` say of a moment gone by is what they said at that moment."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from grafana.wall import library, past, state
from grafana.wall.hub import Hub
from grafana.wall.library import BOARDS, Board
from grafana.wall.reader import Reader
from sinks import communes, figures, units
from sinks.migrations import board, board_at
from sinks.roles import reader_dsn
from streams.department import NAMES
from streams.departments.telehealth import Telehealth
from streams.errors import Misconfigured
from streams.event import moment
from tests.bench import events as day
from tests.services.space import Space
from tests.world import arrivals

MIDNIGHT = moment(day.DAY_START_US)
MOMENTS = [MIDNIGHT + timedelta(hours=6), MIDNIGHT + timedelta(hours=9, minutes=17), MIDNIGHT + timedelta(hours=14, minutes=31),
           MIDNIGHT + timedelta(hours=24, minutes=40), MIDNIGHT + timedelta(hours=30)]  # fmt: skip


def arrive(space: Space, some: list[tuple[str, Any]]) -> None:
    """In several batches, as they come."""
    for start in range(0, len(some), 300):
        for name in (*NAMES, "rejects"):
            if chosen := [event for topic, event in some[start : start + 300] if topic == name]:
                space.take(name, *chosen)
        for name in NAMES:
            space.follow(name)


@contextmanager
def clock(space: Space, at: datetime) -> Iterator[str]:
    """A schema whose now() stands at a moment: the live boards' SQL is run as if on that day."""
    name = f"clock_{space.name}"
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
        made = sql.SQL("create function {}.now() returns timestamptz language sql stable as {}")
        connection.execute(made.format(sql.Identifier(name), sql.Literal(f"select timestamptz '{at.isoformat()}'")))
        connection.execute(sql.SQL("grant usage on schema {} to ioc_reader").format(sql.Identifier(name)))
        yield f"{name},pg_catalog,{board(space.name)},public"
        connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))


async def every_panel(boards: dict[str, Board], reader: Reader, now: datetime, at: datetime | None) -> dict[str, Any]:
    """Each panel's answer, and the state of the sources."""
    await reader.open()
    hub = Hub(boards, reader)
    found: dict[str, Any] = {"heard": await state.heard(reader, at)}
    for uid, each in boards.items():
        if uid == "ioc-operations":  # it shows the work's own clock, when batches were committed, not what was known
            continue
        for panel, targets in each.panels.items():
            found[f"{uid} {panel}"] = await hub.answer(targets, each.start, each.end, now, {}, dict.fromkeys(_names(each), "38001"), at)
    await reader.close()
    return found


def _names(each: Board) -> list[str]:
    return [variable.name for variable in each.variables]


def test_the_boards_show_a_moment_as_they_showed_it_then(space: Space) -> None:
    boards, dsn, waiting = library.load(BOARDS), reader_dsn(space.settings), arrivals(2500, seed=3)
    with space.connect() as connection:
        units.load(connection, space.name, communes.hospitals())
    seen: list[dict[str, Any]] = []
    said: list[Any] = []
    for at in MOMENTS:
        arrive(space, [pair for pair in waiting if moment(pair[1].known_at_us) < at])
        waiting = [pair for pair in waiting if moment(pair[1].known_at_us) >= at]
        with clock(space, at) as live:
            seen.append(asyncio.run(every_panel(boards, Reader(dsn, live), at, None)))
        with space.connect() as connection:
            said.append(
                [figures.figures(connection, space.name, name, by, None, None)["rows"] for name in NAMES for by in ("total", "unit")]
            )
    arrive(space, waiting)
    assert seen[0] != seen[1] != seen[2] != seen[3]
    _without_sellers_by_unit(said)
    for at, then, rows in zip(MOMENTS, seen, said, strict=True):
        reader = Reader(dsn, board(space.name), past=board_at(space.name))
        now = asyncio.run(every_panel(boards, reader, at, at))
        assert [(name, then[name], now[name]) for name in then if json.dumps(then[name]) != json.dumps(now[name])] == [], at
        with space.connect() as connection:
            again = [
                figures.figures(connection, space.name, name, by, None, None, at)["rows"]  # type: ignore[arg-type]
                for name in NAMES
                for by in ("total", "unit")
            ]
        _without_sellers_by_unit([again])
        assert again == rows, at


def _without_sellers_by_unit(said: list[list[list[dict[str, Any]]]]) -> None:
    """They are known of the present only."""
    for row in (row for told in said for rows in told for row in rows if "unit" in row):
        row.pop("sellers", None)


def test_every_view_of_the_boards_has_its_past(space: Space) -> None:
    explaining = {
        "member_unit",
        "quarantined",
        "conflict",
        *(f"{name}_{view}" for name in NAMES for view in ("event", "identity", "counted")),
    }
    deciding = {"ledger_1m", "sign", "source", "standing", "rule_change", "outbox", "incident"}  # no board shows them
    with psycopg.connect(space.dsn) as connection:
        query = "select table_name, array_agg(column_name::text order by ordinal_position) from information_schema.columns where table_schema = %s group by 1"
        now, then = (dict(connection.execute(query, [name]).fetchall()) for name in (board(space.name), board_at(space.name)))
    assert {name: columns for name, columns in now.items() if name not in explaining | deciding} == then


def test_what_was_counted_and_taken_back_is_nothing_then_as_it_was_live(space: Space) -> None:
    began = day.DAY_START_US + 9 * 3600 * 10**6

    def session(revision: int, status: str, known: timedelta) -> Telehealth:
        known_us = began + known // timedelta(microseconds=1)
        return Telehealth(
            id=f"{revision:032x}", body="0" * 16, source="telehealth", event_time_us=began, known_at_us=known_us, kind="VR", unit="38001",
            session="a" * 32, status=status, updated_at_us=known_us, revision=revision, started_at_us=began, ended_at_us=began + 60 * 10**6,
        )  # fmt: skip

    live = "select * from telehealth_1d"
    seen = []
    for revision, (status, known) in enumerate(
        [("finished", timedelta(minutes=5)), ("entered-in-error", timedelta(days=2)), ("finished", timedelta(days=4))], 1
    ):
        space.take("telehealth", session(revision, status, known))
        space.follow("telehealth")
        with psycopg.connect(space.dsn, options=f"-c search_path={board(space.name)}") as connection:
            seen.append(connection.execute(live).fetchall())
    assert [[row[3] for row in rows] for rows in seen] == [[1], [0], [1]]
    for table in ("1d", "10m"):
        for at, sessions in ((1, [1]), (3, [0]), (5, [1]), (-1, [])):
            with psycopg.connect(space.dsn, options=f"-c search_path={board_at(space.name)},pg_catalog,public") as connection:
                connection.execute("select set_config('ioc.at', %s, true)", [(MIDNIGHT + timedelta(days=at)).isoformat()])
                found = connection.execute(sql.SQL("select sessions from {}").format(sql.Identifier(f"telehealth_{table}"))).fetchall()
            assert [n for (n,) in found] == sessions, (table, at)


def test_only_minutes_gone_by_are_looked_back_at() -> None:
    now = datetime(2026, 10, 3, 9, 17, 30, tzinfo=UTC)
    assert past.moment("2026-10-03T09:17", now) == datetime(2026, 10, 3, 2, 17, tzinfo=UTC)
    for wrong in ("2026-10-03T09:18+00:00", "2020-01-01", "yesterday", "'; select 1"):
        with pytest.raises(Misconfigured):
            past.moment(wrong, now)
