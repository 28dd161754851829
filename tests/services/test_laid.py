"""A scenario laid over what a real database gives a replay."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec
import pytest

from deploy.embedded.parts import Parts
from sinks import history
from sinks.history import Follows, Period, Record
from sinks.laid import laid
from streams.department import NAMES, department
from streams.event import Asked, Rejected
from streams.scenarios import laying, scenario
from streams.settings import Settings
from tests.bench.events import DAY_SECONDS, DAY_START_US, SHARES, Truth, events
from tests.services.space import Space

MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def day(settings: Settings, parts: Parts) -> Iterator[Space]:
    """A day of three departments, a reject, a sign of life, and where a seller is registered."""
    space = Space(settings, parts)
    made = [*events(600, Truth())]
    for name in NAMES:
        space.take(name, *(event for told, event in made if told == name))
    source = next(event.source for told, event in made if told == "payment")
    held: dict[str, Any] = {"department": "payment", "known_at_us": DAY_START_US + MINUTE_US, "cause": "cut", "wrong": "cut"}
    space.take("rejects", Rejected(id="ab" * 16, source=source, sealed="", size_bytes=1, **held))
    space.take("asked", Asked(source=source, department="payment", at_us=DAY_START_US + MINUTE_US, every_seconds=5.0, answered=True))
    seller = next(event.seller for told, event in made if told == "einvoice" and event.seller)
    space.rows(f"insert into seller (seller, unit) values ('{seller}', '14758') returning unit")
    yield space
    space.drop()


def played(space: Space, changes: str | None, follows: Follows, since_us: int | None = None) -> list[Record]:
    first = DAY_START_US - 3 * DAY_SECONDS * 10**6
    period = Period(first if since_us is None else since_us, DAY_START_US + 9 * DAY_SECONDS * 10**6, follows, NAMES)
    with space.connect() as connection:
        if changes is None:
            return [*history.records(connection, period, follows == "known_at")]
        told = scenario.load(f"scenario: tried\nlabel: Thử\nchanges:\n{changes}")
        wide = Period(period.since_us - laying.reach_us(told, follows), period.until_us, follows, NAMES)
        return [*laid(connection, told, period, history.records(connection, wide, follows == "known_at"))]


def topics(records: list[Record]) -> dict[str, int]:
    return {name: len([*group]) for name, group in groupby(sorted(record.topic for record in records))}


@pytest.mark.parametrize("follows", ["event_time", "known_at"])
def test_a_replay_that_goes_on_in_the_middle_plays_the_rest_of_the_same(day: Space, follows: Follows) -> None:
    changes = "  - {delay_minutes: 30, share: 0.5}\n  - {surge: 3}\n  - {fault: reject, share: 0.1}\n  - {fault: duplicate, share: 0.1}\n"
    whole = played(day, changes, follows)
    assert [record.at_us for record in whole] == sorted(record.at_us for record in whole)
    assert len(whole) > 3 * 600
    for part in (0.1, 0.5, 0.9):
        since_us = whole[int(part * len(whole))].at_us
        rest = played(day, changes, follows, since_us)
        assert sorted(rest) == sorted(record for record in whole if record.at_us >= since_us)


def test_a_department_that_is_dropped_sends_nothing_and_does_not_answer(day: Space) -> None:
    before, after = played(day, None, "known_at"), played(day, "  - {departments: [payment], drop: true}\n", "known_at")
    had, has = topics(before), topics(after)
    assert had.pop("payment") > 0
    assert had.pop("rejects") == 1
    assert has == had
    (sign,) = [msgspec.json.decode(record.value, type=Asked) for record in after if record.topic == "asked"]
    assert not sign.answered


def test_an_invoice_is_dropped_with_the_commune_of_its_seller(day: Space) -> None:
    before, after = (topics(played(day, text, "event_time")) for text in (None, '  - {units: ["14758"], drop: true}\n'))
    assert 0 < after["einvoice"] < before["einvoice"]
    assert after["payment"] == before["payment"]


def test_a_surge_into_a_space_multiplies_its_figures(day: Space, settings: Settings, parts: Parts) -> None:
    drill = Space(settings, parts)
    try:
        for record in played(day, "  - {surge: 2}\n", "event_time"):
            if record.topic in NAMES:
                drill.take(record.topic, record.value)
        for name in SHARES:  # of the others the day has nothing
            once, twice = day.figures(name)[0], drill.figures(name)[0]
            counted = [figure for figure in department(name).measures if figure in once]
            assert counted
            assert {figure: twice[figure] for figure in counted} == {figure: 2 * once[figure] for figure in counted}
        assert drill.ledger()["balanced"]
    finally:
        drill.drop()
