"""Random events as they arrive at the doors of all departments, with everything that moves a figure after it was shown."""

import random
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from streams.department import NAMES
from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.departments.visit import Visit
from streams.event import Rejected
from tests.bench import events as day
from tests.stories import story

SECOND_US = 1_000_000


def arrivals(total: int, seed: int = 1) -> list[tuple[str, Any]]:
    """(topic, event or reject) in order of arrival: repeats, late ones, conflicts, cancellations, replacements, withdrawn sessions,
    bare documents, payments whose status grows, hospitals that are not known, bad signatures."""
    chance = random.Random(seed)
    found: list[tuple[str, Any]] = []
    for name, event in day.events(total, day.Truth(), seed):
        found.append((name, event))
        found += [(told, more) for told, more in _after(event, chance) if chance.random() < 0.12]
    for name in sorted({*NAMES} - {*day.SHARES}):
        found += [(name, event) for event in _others(name, chance, total // 10)]
    return sorted(found, key=lambda pair: int(pair[1].known_at_us))


def _others(name: str, chance: random.Random, count: int) -> Iterator[Any]:
    """Of a department that the day of the bench leaves out: its story, spread over that day."""
    for event in story(name, chance, count):
        known = day.DAY_START_US + chance.randrange(day.DAY_SECONDS) * SECOND_US
        yield replace(
            event, id=f"{chance.getrandbits(128):032x}", known_at_us=known, event_time_us=known - chance.randrange(900) * SECOND_US
        )


def _after(event: Any, chance: random.Random) -> Iterator[tuple[str, Any]]:
    later = event.known_at_us + chance.randrange(1, 7200) * SECOND_US
    fresh: dict[str, Any] = {"id": f"{chance.getrandbits(128):032x}", "body": f"{chance.getrandbits(64):016x}", "known_at_us": later}
    if isinstance(event, Einvoice):
        yield "einvoice", replace(event, body=fresh["body"], known_at_us=later)
        for invoice in event.facts.invoices:
            yield from _about(event, invoice, fresh, chance)
    elif isinstance(event, Telehealth):
        yield "telehealth", replace(event, **fresh, status="entered-in-error", updated_at_us=later, revision=9)
        yield "telehealth", replace(event, **fresh | {"id": f"{chance.getrandbits(128):032x}"}, unit=None, session=fresh["id"])
    elif isinstance(event, Payment):
        yield "payment", replace(event, **fresh, status="paid", paid_vnd=chance.randrange(1, 10**7), paid_at_us=event.event_time_us)
        yield "payment", replace(event, body=fresh["body"], known_at_us=later, paid_vnd=7)
        yield "rejects", _refused(fresh, later)
        yield from (("visit", visit) for visit in _visits(event, fresh, chance))


def _visits(event: Payment, fresh: dict[str, Any], chance: random.Random) -> Iterator[Visit]:
    """Whoever paid was checked in, and what the visit cost is filed twice: before and after the payment."""
    visit, settlement = (f"{chance.getrandbits(128):032x}" for _ in range(2))
    header = fresh | {"source": "hospitals", "event_time_us": event.event_time_us, "kind": "01", "unit": event.unit}
    about = {
        "visit": visit,
        "settlement": settlement,
        "arrived_at_us": event.event_time_us - 3600 * SECOND_US,
        "insured": chance.random() < 0.8,
    }
    money = {"cost_vnd": event.paid_vnd + 90_000, "patient_vnd": event.paid_vnd, "insurance_vnd": 90_000}
    yield Visit(**header, **about, record="checkin")
    yield Visit(**header | {"id": visit[::-1]}, **about, **money, record="totals")
    yield Visit(**header | {"id": settlement[::-1]}, **about, **money, record="totals", settled_at_us=event.event_time_us)


def _about(event: Einvoice, invoice: Invoice, fresh: dict[str, Any], chance: random.Random) -> Iterator[tuple[str, Any]]:
    notice = replace(event, **fresh, kind="300", question=None, facts=Facts(notices=(Notice(part=1, cancels=(invoice.key,)),)))
    answer = replace(notice, id=f"{chance.getrandbits(128):032x}", kind="301", question=notice.id, facts=Facts(answers=(Answer(part=1),)))
    if chance.random() < 0.5:
        yield "einvoice", notice
        yield "einvoice", answer
    other = replace(invoice, key=f"{chance.getrandbits(128):032x}", replaces=(invoice.key,), accepted=True, value_vnd=-invoice.value_vnd)
    id = f"{chance.getrandbits(128):032x}"
    yield "einvoice", replace(event, **fresh | {"id": id}, kind="HDon", question=None, facts=Facts(invoices=(other,)))


def _refused(fresh: dict[str, Any], known_at_us: int) -> Rejected:
    told: dict[str, Any] = {
        "source": "bank-vnpay",
        "department": "payment",
        "cause": "signature",
        "wrong": "bad",
        "sealed": "x",
        "size_bytes": 1,
    }
    return Rejected(id=fresh["id"], known_at_us=known_at_us, **told)
