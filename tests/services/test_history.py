"""What a space received can be told again: the same records, in the order of the time that is asked for."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
import pytest

from deploy.embedded.parts import Parts
from sinks import history
from sinks.history import Follows, Period, Record
from streams.department import NAMES, department
from streams.event import Asked, Event, Rejected, encode
from streams.settings import Settings
from tests.bench.events import DAY_SECONDS, DAY_START_US, Truth, events
from tests.services.space import Space

FOLLOWS: tuple[Follows, ...] = ("event_time", "known_at")
LEDGER = "select department, source, minute, received, on_time, late, duplicate, conflict, quarantined from ledger_1m order by 1, 2, 3"
HEARD = "select department, source, minute, known_at, watermark from heard_1m order by 1, 2, 3"
ASKED = "select department, source, minute, asked_at, failed_at, every_seconds, news_at from asked_1m order by 1, 2, 3"


@pytest.fixture(scope="module")
def day(settings: Settings, parts: Parts) -> Iterator[Space]:
    """A day with late and repeated events, a conflict, a reject that came twice, and signs of life."""
    space = Space(settings, parts)
    made = [*events(600, Truth())]
    for name in NAMES:
        space.take(name, *(event for told, event in made if told == name))
    name, event = made[-1]
    space.take(name, msgspec.structs.replace(event, body="f" * 16, known_at_us=event.known_at_us + 1))
    reject = Rejected(
        id="ab" * 16,
        source="bank",
        department="payment",
        known_at_us=DAY_START_US + 77,
        cause="signature",
        wrong="no",
        sealed="c2Vh",
        size_bytes=3,
    )
    space.take("rejects", reject, msgspec.structs.replace(reject, known_at_us=DAY_START_US + 99))
    signs = [
        Asked(
            source="bank",
            department="payment",
            at_us=DAY_START_US + at,
            every_seconds=5.0,
            answered=bool(at % 2),
            news_us=at and DAY_START_US,
        )
        for at in (0, 1_000_001, 70_000_000)
    ]
    space.take("asked", *signs)
    yield space
    space.drop()


def told(space: Space, follows: Follows, repeats: bool, units: tuple[str, ...] | None = None) -> list[Record]:
    period = Period(DAY_START_US - DAY_SECONDS * 10**6, DAY_START_US + 40 * DAY_SECONDS * 10**6, follows, NAMES, units)
    with space.connect() as connection:
        return [*history.records(connection, period, repeats)]


def decoded(records: Iterable[Record]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {name: [] for name in NAMES}
    for record in records:
        if record.topic in found:
            found[record.topic].append(msgspec.json.decode(record.value, type=department(record.topic).event))
    return found


@pytest.mark.parametrize("follows", FOLLOWS)
def test_every_event_is_told_once_and_as_it_was_sent(day: Space, follows: Follows) -> None:
    sent: dict[str, Event] = {}
    for _, event in events(600, Truth()):
        sent.setdefault(event.id, event)
    found = {event.id: event for held in decoded(told(day, follows, repeats=False)).values() for event in held}
    assert found == sent


@pytest.mark.parametrize("follows", FOLLOWS)
@pytest.mark.parametrize("repeats", [False, True])
def test_records_of_all_departments_come_in_the_order_of_the_time_asked_for(day: Space, follows: Follows, repeats: bool) -> None:
    found = told(day, follows, repeats)
    assert len(found) > 500
    assert all(first.at_us <= second.at_us for first, second in pairwise(found))


def test_told_again_by_arrival_the_ledger_and_the_signs_of_life_are_the_same(day: Space, space: Space) -> None:
    for record in told(day, "known_at", repeats=True):
        space.take(record.topic, record.value)
    for query in (LEDGER, HEARD, ASKED):
        assert space.rows(query) == day.rows(query)
    assert sum(row[6] for row in space.rows(LEDGER)) > 5  # repeats were among them
    again = decoded(told(space, "known_at", repeats=True))
    assert again == decoded(told(day, "known_at", repeats=True))


def test_only_what_is_of_the_units_asked_for_is_told(day: Space) -> None:
    chosen = day.rows("select unit from payment_event group by 1 order by count(*) desc limit 1")[0][0]
    found = decoded(told(day, "event_time", repeats=False, units=(chosen,)))
    assert {event.unit for event in found["payment"]} == {chosen}
    assert len(found["payment"]) == day.rows(f"select count(*) from payment_event where unit = '{chosen}'")[0][0]


def test_a_record_is_encoded_like_the_one_that_was_sent(day: Space) -> None:
    sent = {event.id: encode(event) for _, event in reversed([*events(600, Truth())])}
    for record in told(day, "event_time", repeats=False):
        if record.topic in NAMES:
            assert record.value == sent[msgspec.json.decode(record.value)["id"]]
