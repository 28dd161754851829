"""The events of one day of the three departments: deterministic, in order of arrival, with what has to come out of them."""

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streams.departments.einvoice import Einvoice, Facts, Invoice, Verdict
from streams.departments.payment import Payment
from streams.departments.telehealth import TOOK_PLACE, Telehealth
from streams.event import Event, micros, moment, vietnam_day

DAY_START_US = micros(moment(1_794_848_400_000_000))  # 17 Nov 2026, 00:00 in Viet Nam
SECOND_US = 1_000_000
DAY_SECONDS = 86_400
SELLERS = 3000
COMMUNES = 166
HOSPITALS = 27
SHARES = {"einvoice": 0.70, "payment": 0.20, "telehealth": 0.10}
REPEATS = 0.02
LATE = 0.10


@dataclass
class Truth:
    """What was made: kept while making, compared with the database after each run."""

    events: int = 0
    repeats: int = 0
    late: int = 0
    by_department: dict[str, int] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)


def sellers() -> dict[str, str]:
    """The seller registry: pseudonym -> commune."""
    chance = random.Random("sellers")
    return {_hex(chance): f"{14_000 + chance.randrange(COMMUNES):05d}" for _ in range(SELLERS)}


def events(total: int, truth: Truth, seed: int = 1, days: int = 1) -> Iterator[tuple[str, Event]]:
    """Exactly `total` (department, event) of so many days, in order of arrival; `truth` is complete when they are exhausted."""
    chance = random.Random(seed)
    registry = [*sellers()]
    waiting: list[tuple[int, int, str, Event]] = []
    number = itertools.count()
    made = dict.fromkeys(SHARES, 0)
    seen = _Seen(truth)
    while (so_far := sum(made.values())) < total:
        at_us = DAY_START_US + so_far * days * DAY_SECONDS * SECOND_US // total
        while waiting and waiting[0][0] <= at_us:
            _, _, name, event = heapq.heappop(waiting)
            yield name, seen.take(name, event)
        name = min(SHARES, key=lambda n: made[n] / SHARES[n])  # whoever is furthest behind its share
        story = [*_with_repeats(_story(name, chance, registry, at_us), chance)][: total - so_far]
        made[name] += len(story)
        for event in story:
            heapq.heappush(waiting, (event.known_at_us, next(number), name, event))
    while waiting:
        _, _, name, event = heapq.heappop(waiting)
        yield name, seen.take(name, event)
    seen.close()


def _story(name: str, chance: random.Random, registry: list[str], at_us: int) -> Iterable[Event]:
    if name == "payment":
        return [_payment(chance, at_us)]
    if name == "telehealth":
        return _sessions(chance, at_us)
    seller = registry[int(len(registry) * chance.random() ** 2)]  # few sellers send much
    return _package(chance, seller, at_us) if chance.random() < 0.06 else _coded(chance, seller, at_us)


def _coded(chance: random.Random, seller: str, at_us: int) -> Iterator[Event]:
    """An invoice that asks for a code: 200, its receipt 999, and the code 202."""
    question, invoice = _hex(chance), _invoice(chance, seller, at_us)
    asked, receipt, answered = at_us, at_us + _seconds(chance, 1, 4), at_us + _seconds(chance, 5, 90)
    yield _message(chance, "200", asked, question, None, seller, Facts(invoices=(invoice,)))
    yield _message(chance, "999", receipt, _hex(chance), question, seller, Facts(acknowledged_at_us=receipt))
    coded = {name: getattr(invoice, name) for name in invoice.__struct_fields__} | {"coded_at_us": answered, "accepted": True}
    yield _message(chance, "202", answered, _hex(chance), question, seller, Facts(invoices=(Invoice(**coded),)))


def _package(chance: random.Random, seller: str, at_us: int) -> Iterator[Event]:
    """Invoices without a code, one (203) or several (206), and the verdict 204 on them."""
    several = chance.random() < 0.3
    invoices = tuple(_invoice(chance, seller, at_us) for _ in range(chance.randint(2, 5) if several else 1))
    question, answered = _hex(chance), at_us + _seconds(chance, 10, 600)
    refused = tuple(i.key for i in invoices if chance.random() < 0.05)
    verdict = Verdict(package="accepted_but" if refused else "accepted", refused=refused)
    yield _message(chance, "206" if several else "203", at_us, question, None, seller, Facts(invoices=invoices))
    yield _message(chance, "204", answered, _hex(chance), question, seller, Facts(verdict=verdict))


def _message(chance: random.Random, kind: str, at_us: int, id: str, question: str | None, seller: str, facts: Facts) -> Einvoice:
    known, body = _known(chance, at_us), f"{chance.getrandbits(64):016x}"
    return Einvoice(
        id=id,
        body=body,
        source="tax-feed",
        event_time_us=at_us,
        known_at_us=known,
        kind=kind,
        seller=seller,
        question=question,
        facts=facts,
    )


def _invoice(chance: random.Random, seller: str, at_us: int) -> Invoice:
    value = chance.randrange(20_000, 90_000_000)
    return Invoice(
        key=_hex(chance), seller=seller, form="1", series="C26TAA", day=vietnam_day(at_us), value_vnd=value, tax_vnd=value * 8 // 108,
        signed_at_us=at_us,
    )  # fmt: skip


def _payment(chance: random.Random, at_us: int) -> Payment:
    status = chance.choices(("paid", "failed", "mismatched", "unknown"), (94, 4, 1, 1))[0]
    bank = chance.choice(("hdbank", "vnpay", "payos"))
    return Payment(
        id=_hex(chance), body=f"{chance.getrandbits(64):016x}", source=f"bank-{bank}", event_time_us=at_us, known_at_us=_known(chance, at_us),
        kind=bank, unit=_hospital(chance), transaction=_hex(chance), status=status, paid_at_us=at_us if status in ("paid", "mismatched") else None,
        paid_vnd=chance.randrange(50_000, 9_000_000) if status in ("paid", "mismatched") else 0,
    )  # fmt: skip


def _sessions(chance: random.Random, at_us: int) -> Iterator[Event]:
    """One encounter through its life: planned, in progress, finished or cancelled."""
    session, kind, unit = _hex(chance), chance.choices(("VR", "AMB"), (8, 2))[0], _hospital(chance)
    last = "cancelled" if chance.random() < 0.05 else "finished"
    ended = at_us + _seconds(chance, 600, 1800)
    for revision, (status, at) in enumerate((("planned", at_us - 60 * SECOND_US), ("in-progress", at_us), (last, ended)), 1):
        yield Telehealth(
            id=_hex(chance), body=f"{chance.getrandbits(64):016x}", source="telehealth", event_time_us=at, known_at_us=_known(chance, at), kind=kind,
            unit=unit, session=session, status=status, updated_at_us=at, revision=revision, started_at_us=at_us if revision > 1 else None,
            ended_at_us=at if status == "finished" else None,
        )  # fmt: skip


def _with_repeats(story: Iterable[Event], chance: random.Random) -> Iterator[Event]:
    for event in story:
        yield event
        if chance.random() < REPEATS:
            held = {name: getattr(event, name) for name in event.__struct_fields__}
            yield type(event)(**held | {"known_at_us": event.known_at_us + _seconds(chance, 1, 600)})


def _known(chance: random.Random, at_us: int) -> int:
    return at_us + (_seconds(chance, 1000, 7200) if chance.random() < LATE else _seconds(chance, 1, 5))


def _seconds(chance: random.Random, least: int, most: int) -> int:
    return chance.randrange(least * SECOND_US, most * SECOND_US)


def _hospital(chance: random.Random) -> str:
    return f"38{chance.randint(1, HOSPITALS):03d}"


def _hex(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


class _Seen:
    """Counts as a person would: sets of ids, the newest version of each session."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._ids: set[int] = set()
        self._invoices: set[int] = set()
        self._sums: dict[str, int] = {"messages": 0, "receipts": 0, "paid_vnd": 0}
        self._sessions: dict[int, tuple[int, str]] = {}

    def take(self, name: str, event: Event) -> Event:
        truth = self._truth
        truth.events += 1
        if (id := int(event.id, 16)) in self._ids:
            truth.repeats += 1
            return event
        self._ids.add(id)
        truth.by_department[name] = truth.by_department.get(name, 0) + 1
        truth.late += event.known_at_us - event.event_time_us > 900 * SECOND_US
        if isinstance(event, Einvoice):
            self._sums["messages"] += 1
            self._invoices.update(int(invoice.key, 16) for invoice in event.facts.invoices)
        elif isinstance(event, Payment):
            if event.status == "paid":
                self._sums["receipts"] += 1
                self._sums["paid_vnd"] += event.paid_vnd
        elif isinstance(event, Telehealth) and event.kind == "VR":
            session = int(event.session, 16)
            self._sessions[session] = max(self._sessions.get(session, (0, "")), (event.revision, event.status))
        return event

    def close(self) -> None:
        took_place = sum(status in TOOK_PLACE for _, status in self._sessions.values())
        self._truth.figures = self._sums | {"invoices": len(self._invoices), "sessions": took_place}
