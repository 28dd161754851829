"""Random events of a department about a handful of subjects, so that facts meet: any kind, any order of the two times."""

import random
from functools import partial
from typing import Any

import msgspec

from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice, Verdict
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.departments.telequality import Telequality
from streams.departments.visit import Visit
from streams.event import vietnam_day
from tests.format_cases import events

T0 = 1_795_000_000_000_000
SECOND_US = 1_000_000
KINDS = ("200", "203", "206", "202", "204", "999", "300", "301", "HDon")
OUTCOMES = ("accepted", "accepted_but", "refused", None)
STATUSES = ("planned", "arrived", "in-progress", "finished", "cancelled", "entered-in-error")


def hex32(word: str) -> str:
    """32 hex digits that mean the word."""
    return word.encode().hex().ljust(32, "0")[:32]


def registry(chance: random.Random) -> list[tuple[int, str, str]]:
    """(since, seller, commune): some sellers, some of whom move, ascending."""
    return sorted((T0 + chance.randrange(-300, 400) * SECOND_US, hex32(f"seller{n}"), f"1{chance.randrange(3)}") for n in (0, 0, 1, 1, 2))


def story(name: str, chance: random.Random, count: int) -> list[Any]:
    """Events of a department with ids of their own, in no order."""
    return [_MAKE.get(name, partial(_of_cases, name))(chance, number) for number in range(count)]


def _header(chance: random.Random, number: int) -> dict[str, Any]:
    at_us = T0 + chance.randrange(-600, 600) * SECOND_US
    known_us = T0 + chance.randrange(360) * SECOND_US
    return {"id": hex32(f"event{number}"), "body": f"{number:016x}", "source": "test", "event_time_us": at_us, "known_at_us": known_us}


def _einvoice(chance: random.Random, number: int) -> Einvoice:
    kind = chance.choice(KINDS)
    header = _header(chance, number) | {"kind": kind, "seller": hex32(f"seller{chance.randrange(4)}")}
    keys = [hex32(f"invoice{chance.randrange(5)}") for _ in range(chance.randrange(1, 4))]
    question = hex32(f"event{chance.randrange(6)}")
    facts = Facts()
    if kind in ("200", "203", "206", "202", "HDon"):
        facts = Facts(invoices=tuple(_invoice(chance, key, kind) for key in keys))
    elif kind == "204":
        facts = Facts(verdict=Verdict(package=chance.choice(OUTCOMES), refused=tuple(keys[1:])))  # type: ignore[arg-type]  # one of them
    elif kind == "999":
        facts = Facts(acknowledged_at_us=header["event_time_us"])
    elif kind == "300":
        facts = Facts(notices=tuple(Notice(part=part, cancels=(key,)) for part, key in enumerate(keys, 1)))
    else:
        facts = Facts(
            answers=tuple(Answer(part=chance.randrange(1, 3), refused_all=chance.random() < 0.2, refused=tuple(keys[1:])) for _ in keys)
        )
    asks = kind in ("200", "203", "206", "300", "HDon")
    return Einvoice(**header, question=None if asks else question, facts=facts)


def _invoice(chance: random.Random, key: str, kind: str) -> Invoice:
    coded = kind == "202"
    seller = hex32(f"seller{int(key, 16) % 3}")  # part of the invoice's key
    return Invoice(
        key=key, seller=seller, form=chance.choice("12"), series="C26TAA", day=vietnam_day(T0), tax_vnd=8,
        value_vnd=chance.randrange(1000), signed_at_us=T0 + chance.randrange(-100, 100) * SECOND_US, accepted=coded or chance.random() < 0.1,
        coded_at_us=T0 + chance.randrange(100, 300) * SECOND_US if coded else None,
        replaces=(hex32(f"invoice{chance.randrange(5)}"),) if chance.random() < 0.3 else (),
    )  # fmt: skip


def _telehealth(chance: random.Random, number: int) -> Telehealth:
    started = T0 + chance.randrange(-5, 5) * 60 * SECOND_US
    kind = chance.choice(("VR", "VR", "AMB", "Appointment", "ServiceRequest"))
    asks = kind == "ServiceRequest"
    planned = not asks and chance.random() < 0.06  # more would take the place of all
    return Telehealth(
        **_header(chance, number), kind=kind, unit=chance.choice(("38001", "38002", None)),
        session=hex32(f"{'request' if asks else 'session'}{chance.randrange(4)}"), status=chance.choice(STATUSES),
        updated_at_us=T0 + chance.randrange(5) * SECOND_US, revision=chance.randrange(4), started_at_us=chance.choice((None, started)),
        ended_at_us=started + 900 * SECOND_US, supporting=chance.choice(("01901", "01902", None)) if asks else None,
        appointments=(hex32(f"session{chance.randrange(9)}"),) if planned else (), requests=() if asks else (hex32(f"request{chance.randrange(9)}"),),
    )  # fmt: skip


def _payment(chance: random.Random, number: int) -> Payment:
    status = chance.choice(("unknown", "failed", "mismatched", "paid", "refunded", "credited", "returned"))
    moved = status in ("paid", "refunded", "credited", "returned")
    return Payment(
        **_header(chance, number), kind="hdbank", unit=chance.choice(("38001", None)), transaction=hex32(f"transaction{chance.randrange(4)}"),
        status=status, paid_vnd=chance.randrange(1, 100), paid_at_us=T0 + chance.randrange(600) * SECOND_US if moved else None,
        line=chance.choice(("", "2")) if status in ("credited", "returned") else "",
    )  # fmt: skip


def _telequality(chance: random.Random, number: int) -> Telequality:
    return Telequality(
        **_header(chance, number), kind="heartbeat", unit=chance.choice(("38001", "38002", None)), session=hex32("session"),
        endpoint=hex32(f"end{chance.randrange(2)}"), kbps=chance.choice((900, 3999, 4000, 9000)), loss_e4=chance.choice((0, 200, 201, 900)),
        peer=chance.choice(("01901", None)),
    )  # fmt: skip


def _visit(chance: random.Random, number: int) -> Visit:
    header, who = _header(chance, number), chance.randrange(4)
    paid_us = chance.choice((None, T0 + chance.randrange(-600, 600) * SECOND_US))
    return Visit(
        **header, kind=chance.choice(("01", "03")), unit=chance.choice(("38001", "38002", None)), visit=hex32(f"visit{who}"),
        settlement=hex32(f"settlement{who}"), record=chance.choice(("checkin", "totals")), arrived_at_us=T0 + chance.randrange(-5, 5) * SECOND_US,
        settled_at_us=paid_us, filed_at_us=chance.choice((None, T0, T0 + 86_400 * SECOND_US)), insured=chance.random() < 0.5,
        cost_vnd=chance.randrange(1000), patient_vnd=chance.randrange(3) * 100, insurance_vnd=chance.randrange(1000),
    )  # fmt: skip


def _of_cases(name: str, chance: random.Random, number: int) -> Any:
    """Of a department without a story here: what one of its cases says, at other times and under another id."""
    return msgspec.structs.replace(chance.choice(events(name)), **_header(chance, number))


_MAKE = {"einvoice": _einvoice, "telehealth": _telehealth, "payment": _payment, "telequality": _telequality, "visit": _visit}
