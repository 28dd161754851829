"""Explain: the events that are listed for a figure sum to the figure, for every kind of figure and any part of it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sinks import explain, figures
from sinks.migrations import board
from sinks.parts import Cell
from sinks.roles import reader_dsn
from streams.department import NAMES, department
from streams.errors import Misconfigured
from streams.event import VIETNAM, moment
from streams.figures import Figure
from streams.lives import bound, middle
from tests.bench import events as day
from tests.services.space import Space
from tests.world import arrivals

MIDNIGHT = moment(day.DAY_START_US)
SPANS = {"total": timedelta(days=40), "day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


def fill(space: Space, total: int, seed: int) -> None:
    """Everything arrives in small batches; sellers are registered, and some move, while it does."""
    registry = [*day.sellers().items()]
    found = arrivals(total, seed)
    step = len(found) // 10 + 1
    for turn in range(10):
        for name in (*NAMES, "rejects"):
            if some := [event for topic, event in found[turn * step : (turn + 1) * step] if topic == name]:
                space.take(name, *some)
        for name in NAMES:
            space.follow(name)
        members = dict(registry[turn::4]) if turn < 4 else {seller: "99999" for seller, _ in registry[turn::10]}
        space.register(members, found[: (turn + 1) * step][-1][1].known_at_us + 1)


def cells(space: Space, chance: random.Random, count: int) -> list[tuple[str, Figure, Cell, Any]]:
    """Random (department, figure, cell, what `ioc figures` says of it)."""
    chosen: list[tuple[str, Figure, Cell, Any]] = []
    with space.connect() as connection:
        while len(chosen) < count:
            name, by = chance.choice(NAMES), chance.choice(["total", "unit", "kind"])
            span = chance.choice([*SPANS])
            since = MIDNIGHT + chance.randrange(-1, 26) * SPANS["hour"] if span in ("hour", "minute") else MIDNIGHT
            since += chance.randrange(60) * SPANS["minute"] if span == "minute" else timedelta(0)
            since -= timedelta(days=20) if span == "total" else timedelta(0)
            until = since + SPANS[span]
            rows = figures.figures(connection, space.name, name, by, since, until)["rows"]  # type: ignore[arg-type]
            if by != "total":
                rows = [*chance.sample(rows, min(3, len(rows))), {by: "nowhere"}]
            for row in rows:
                place = {} if by == "total" else {by: row[by] or ""}
                glass = department(name).glass
                chosen += [(name, figure, Cell(since, until, **place), row.get(figure.name)) for figure in glass.figures]
    return chance.sample(chosen, count)


def test_a_figure_is_the_sum_of_the_events_that_explain_it(space: Space) -> None:
    fill(space, 3000, seed := 1)
    seen = {"null": 0, "zero": 0}
    with psycopg.connect(reader_dsn(space.settings), autocommit=True) as connection:
        for name, figure, cell, said in cells(space, random.Random(seed), 1000):
            owner, what = department(name), (name, figure.name, cell)
            with explain.snapshot(connection, board(space.name)):
                found = explain.about(connection, owner, figure, cell)
                assert found["value"] == said, what
                assert found["complete"], what
                assert found["equal"], what
                rows, following = explain.page(connection, owner, figure, cell, None, 40)
                while following is not None:
                    more, following = explain.page(connection, owner, figure, cell, following, 40)
                    rows += more
                assert len({row["event"] for row in rows}) == found["events"], what
                assert (0 if said is None else said) == (_sum(figure, rows) or 0), what
                assert sum({row["event"]: row["late"] for row in rows}.values()) == found["late"], what
            seen["null"] += said is None
            seen["zero"] += said == 0
    assert seen["null"] > 50
    assert seen["zero"] > 50


def _sum(figure: Figure, rows: list[dict[str, Any]]) -> float | None:
    """The figure of the rows as a reader of the CSV would make it: by hand, from their columns alone."""
    amounts = [row["amount"] for row in rows]
    if not amounts:
        return None
    by_hand = {
        "sellers": lambda: len({row["member"] for row in rows}),
        "sites": lambda: len({row["unit"] for row in rows}),
        "hospitals": lambda: len({row["unit"] for row in rows}),
        "minutes": lambda: sum(amounts) // 60,
    }
    if figure.name.startswith("code_seconds"):
        rank = -(-len(amounts) * (95 if figure.name.endswith("95") else 50) // 100)
        exact = sorted(amounts)[rank - 1]
        return round(middle(bound(exact)), 2)
    return by_hand.get(figure.name, lambda: sum(amounts))()


def test_every_figure_says_what_it_is_how_it_is_made_and_by_what_rule() -> None:
    for name in NAMES:
        glass = department(name).glass
        for figure in glass.figures:
            assert figure.definition
            assert figure.formula, figure.name
            assert figure.law or glass.law, figure.name


def test_only_whole_minutes_are_explained() -> None:
    at = datetime(2026, 11, 17, 9, 0, 30, tzinfo=UTC)
    with pytest.raises(Misconfigured):
        Cell(at, at + timedelta(hours=1))
    assert Cell(at.replace(second=0), at.replace(second=0).astimezone(VIETNAM) + timedelta(minutes=1))
