"""Rules 12 and 13 of the field: nothing of a person gets past the door, and names hold when keys change."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from connectors import formats
from connectors.intake import Intake, intake
from deploy.embedded.parts import Parts
from sinks import history
from sinks.history import Period
from streams import pseudonym, sealing
from streams.department import department
from streams.event import encode
from streams.pseudonym import DOMAINS, Keys, Named, Pseudonyms, also_known_as, names
from streams.settings import Settings, Source
from tests.format_cases import CASES, Case
from tests.samples import item, message
from tests.services.space import Space

OLD, NEW = Pseudonyms(b"o" * 32, "01"), Pseudonyms(b"n" * 32, "02")
BEFORE = Pseudonyms(b"b" * 32, "")
ARRIVAL_US = 1_795_000_000_000_000
MINUTE_US = 60_000_000


def door(*held: Pseudonyms) -> Intake:
    """The door of a source of e-invoices that holds these keys."""
    keys = Keys(dict.fromkeys(DOMAINS, held), sealing.pair()[0])
    return intake(Source(name="feed", department="einvoice", connector="files"), keys)


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    """A space of its own."""
    made = Space(settings, parts)
    yield made
    made.drop()


@pytest.fixture
def steady(settings: Settings, parts: Parts) -> Iterator[Space]:
    """A second space, in which no key ever changes."""
    made = Space(settings, parts)
    yield made
    made.drop()


def sent(chosen: Intake, raw: Sequence[bytes], minute: int) -> tuple[list[bytes], list[bytes]]:
    """(Events, rejects) that a door makes of records that arrive in a minute."""
    arrival = chosen.arrival(ARRIVAL_US + minute * MINUTE_US)
    messages = [found for record in raw for found in chosen.take(record, arrival)]
    return [m.value for m in messages if m.cause is None], [m.value for m in messages if m.cause is not None]


def invoice(number: int, day: int, kind: str = "200") -> bytes:
    """A message of one of 50 sellers (by number), on a day of November; a 202 tells of the same invoice, coded."""
    text = message(number).replace(b"2026-11-20", b"2026-11-%02d" % day)
    return text if kind == "200" else text.replace(b"<MLTDiep>200", b"<MLTDiep>202").replace(b"<MTDiep>V", b"<MTDiep>T")


STAGES = [  # what arrives before the switch, while both keys are held, and afterwards: (number, day, kind)
    [(n, 2 + n % 3, "200") for n in range(40)],
    [(n, 2 + n % 3, "202") for n in range(20)] + [(n, 2 + n % 3, "200") for n in range(10, 40)] + [(n, 9, "200") for n in range(40, 90)],
    [(n, 9, "202") for n in range(40, 90)] + [(n, 2 + n % 3, "200") for n in range(10, 30)] + [(n, 16, "200") for n in range(140, 200)],
]
BROKEN = [message(7)[:-200], message(8)[:-100]]


def feed(space: Space, doors: Sequence[Intake]) -> None:
    """The three stages, each through its door."""
    for number, (chosen, stage) in enumerate(zip(doors, STAGES, strict=True)):
        events, rejects = sent(chosen, [*(invoice(*each) for each in stage), *BROKEN], number)
        for start in range(0, len(events), 37):
            space.take("einvoice", *events[start : start + 37])
            space.follow("einvoice")
        space.take("rejects", *rejects)


@pytest.mark.parametrize("first", [OLD, BEFORE], ids=["hmac", "blake2b"])
def test_rule_13_key_rotation_keeps_counts_of_distinct_subjects_right_across_the_switch(
    space: Space, steady: Space, first: Pseudonyms
) -> None:
    feed(steady, [door(first)] * 3)
    feed(space, [door(first), door(first, NEW), door(NEW)])
    for by in ("total", "day", "unit", "kind"):
        assert space.figures("einvoice", by) == steady.figures("einvoice", by)
    month = "select count(distinct member) from einvoice_invoice where minute is not null"
    assert space.rows(month) == steady.rows(month) == [(50,)]
    ledger = space.ledger()
    assert ledger == steady.ledger()
    assert ledger["balanced"]
    assert [(row["duplicate"], row["conflict"], row["quarantined"]) for row in ledger["rows"]] == [(54, 0, 2)]
    assert shape(space) == shape(steady)


def shape(space: Space) -> dict[str, Any]:
    """All derived rows, without their names."""
    found = {}
    for table, rows in space.derived("einvoice").items():
        found[table] = Counter(re.sub(r"UUID\('[0-9a-f-]+'\)|b'.*'|b\".*\"", "name", repr(row)) for row in rows)
    return found


def test_rule_13_what_is_played_again_after_a_switch_is_what_live_made(space: Space, steady: Space) -> None:
    feed(space, [door(OLD), door(OLD, NEW), door(NEW)])
    period = Period(ARRIVAL_US, ARRIVAL_US + 60 * MINUTE_US, "known_at", ("einvoice",))
    with space.connect() as connection:
        played = [*history.records(connection, period, repeats=True)]
    for start in range(0, len(played), 41):
        for name in ("einvoice", "rejects"):
            if some := [record.value for record in played[start : start + 41] if record.topic == name]:
                steady.take(name, *some)
    steady.follow("einvoice")
    assert steady.derived("einvoice") == space.derived("einvoice")
    assert steady.ledger() == space.ledger()
    assert steady.rows("select count(*) from alias") == [(0,)]


def test_rule_13_a_second_switch_leads_to_the_oldest_name(space: Space, steady: Space) -> None:
    third = Pseudonyms(b"t" * 32, "03")
    everyone = [invoice(number, 5) for number in range(30)]
    for chosen in (door(OLD), door(OLD, NEW), door(NEW), door(NEW, third), door(third)):
        space.take("einvoice", *sent(chosen, everyone, 1)[0])
    for _ in range(5):
        steady.take("einvoice", *sent(door(OLD), everyone, 1)[0])
    assert space.figures("einvoice") == steady.figures("einvoice")
    assert space.ledger() == steady.ledger()
    assert space.rows("select id, seller from einvoice_event order by 1") == steady.rows("select id, seller from einvoice_event order by 1")


@pytest.mark.parametrize("case", [case for case in CASES if case.events], ids=lambda case: case.name)
def test_every_format_tells_both_names_while_a_key_takes_over(case: Case) -> None:
    form = formats.load(case.format)
    older, newer = (
        [event for record in form.split(case.raw) for event in form.parse(record, replace(case.arrival, pseudonyms=key))]
        for key in (OLD, NEW)
    )
    for one, other in zip(older, newer, strict=True):
        value = also_known_as(one, other)
        aka = msgspec.json.decode(value, type=Named).aka
        assert {*aka} == {*names(encode(other))}
        assert {*aka.values()} == {*names(encode(one))}
        assert msgspec.json.decode(value, type=type(one)) == one


def test_rule_13_the_same_person_through_two_domains_has_different_pseudonyms(settings: Settings, parts: Parts) -> None:
    keys = pseudonym.load(settings.state_dir)
    assert len({keys.domain(name)("patient", "GD4010123456789") for name in DOMAINS}) == len(DOMAINS)
    assert {department(name).domain for name in ("einvoice", "telehealth", "payment")} == {*DOMAINS}


def test_rule_13_no_name_that_a_patients_bhyt_record_tells_is_told_by_the_ipn_of_the_same_patient(settings: Settings, parts: Parts) -> None:
    card, keys = "GD4010123456789", pseudonym.load(settings.state_dir)
    file = f"<X><MA_LK>{card}</MA_LK><MA_BN>{card}</MA_BN><MA_THE_BHYT>{card}</MA_THE_BHYT><NGAY_VAO>202611100730</NGAY_VAO><MA_CSKCB>38001</MA_CSKCB></X>"
    notice = item(1) | {"transactionId": card, "invoiceId": card, "paidTime": "20261110020000", "additionalData": {"patientCode": card}}
    told = []
    for name, raw in (("visit", file), ("payment", json.dumps(notice))):
        own = intake(Source(name="same", department=name, connector="files"), keys)
        (made,) = own.take(raw.encode(), own.arrival(ARRIVAL_US))
        assert made.cause is None
        told.append({*names(made.value)})
    visit, payment = told
    assert len(visit) >= 4
    assert payment
    assert visit & payment == set()
    assert department("visit").domain != department("payment").domain
