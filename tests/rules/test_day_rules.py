"""Rule 7 of the field, of every department's figures: a day is from Vietnamese midnight to Vietnamese midnight."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.intake import intake
from deploy.embedded.parts import Parts
from streams.department import NAMES
from streams.event import VIETNAM
from streams.settings import Settings, Source
from tests.samples import encounter, item
from tests.services.space import NOW, Space
from tests.tvan_writer import Doc, Message, write

MIDNIGHT = datetime(2026, 11, 10, tzinfo=VIETNAM)
MOMENTS = [
    MIDNIGHT - timedelta(minutes=1),
    MIDNIGHT,
    MIDNIGHT + timedelta(hours=23, minutes=59),
]  # UTC has the second in another day than the third


def einvoice(at: datetime) -> bytes:
    return write(Message("200", f"Q{at}", (Doc("3800000011", "C26TAA", int(at.timestamp()) % 10**8, day=at.date(), signed=at),))).encode()


def telehealth(at: datetime) -> bytes:
    held = json.loads(encounter(int(at.timestamp()), updated=at.isoformat()))
    return json.dumps(held | {"period": {"start": at.isoformat()}, "status": "in-progress"}).encode()


def telequality(at: datetime) -> bytes:
    return json.dumps({"session": "vr-1", "site": "38280", "measured_at": at.isoformat(), "in_kbps": 5200, "in_loss_percent": 0.3}).encode()


def payment(at: datetime) -> bytes:
    return json.dumps(item(int(at.timestamp())) | {"paidTime": f"{at.astimezone(UTC):%Y%m%d%H%M%S}"}).encode()


def visit(at: datetime) -> bytes:
    return f"<X><MA_LK>{at:%d%H}</MA_LK><NGAY_VAO>{at:%Y%m%d%H%M}</NGAY_VAO><MA_CSKCB>38001</MA_CSKCB></X>".encode()


RECORDS: dict[str, tuple[Callable[[datetime], bytes], str]] = {
    "einvoice": (einvoice, "invoices"),
    "telehealth": (telehealth, "sessions"),
    "telequality": (telequality, "measured_minutes"),
    "payment": (payment, "receipts"),
    "visit": (visit, "visits"),
}


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.drop()


@pytest.mark.parametrize("name", NAMES)
def test_rule_07_the_day_of_every_figure_begins_at_vietnamese_midnight(name: str, space: Space) -> None:
    record, figure = RECORDS[name]
    door = intake(Source(name=f"files-{name}", department=name, connector="files"), space.keys)
    made = [message for at in MOMENTS for message in door.take(record(at), door.arrival(NOW))]
    assert [message.cause for message in made] == [None] * len(MOMENTS)
    space.take(name, *(message.value for message in made))
    assert {row["day"]: row[figure] for row in space.figures(name, "day") if row[figure]} == {"2026-11-09": 1, "2026-11-10": 2}
