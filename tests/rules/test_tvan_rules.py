"""The rules of the field that e-invoices are held to, from the messages to the figures."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import load
from connectors.formats.mst import kind
from streams.department import department
from streams.departments.einvoice import Einvoice
from streams.errors import Reject
from streams.event import VIETNAM, micros, vietnam_day
from streams.lives import History, Registry, advance
from tests.format_cases import CASES, pseudonym
from tests.tvan_writer import Doc, Message, notice, row, write

ARRIVAL = CASES[0].arrival
LAW = settings(deadline=None, database=None)
SELLER, OTHER = "3800000011", "3800000029"
AT = datetime(2026, 11, 20, 9, tzinfo=VIETNAM)
CODE = "00A1B2C3D4E5F60718293A4B5C6D7E8F90"
DOC = Doc(SELLER, "C26TAA", 7, signed=AT)
CODED = replace(DOC, code=CODE, coded=AT + timedelta(seconds=7))
ASK = Message("200", "Q", (DOC,), mst=SELLER)
HEARD = Message("999", "A", question="Q", inside="<TBao><MTDiep>Q</MTDiep><NNhan>2026-11-20T09:00:02</NNhan><TTTNhan>0</TTTNhan></TBao>")
NAMED = "<LCMa>" + row("1", "C26TAA", 7).removeprefix("<HDon>").removesuffix("</HDon>") + "</LCMa>"
RESULT = Message("202", "R", (CODED,), mst=SELLER, question="Q")


def refusal(id: str = "V", question: str = "Q", ltbao: str = "1", inside: str | None = None) -> Message:
    """A 204; of LTBao 1 about the invoice 7."""
    told = NAMED if inside is None else inside
    return Message(
        "204", id, question=question, inside=notice(SELLER, f"<LTBao>{ltbao}</LTBao>{told}", question, AT + timedelta(seconds=9))
    )


def read(*messages: Message) -> list[Einvoice]:
    """Their events, in the order given, each a minute after the one before."""
    reader = load("tvan")
    found = []
    for number, message in enumerate(messages):
        arrival = replace(ARRIVAL, known_at_us=ARRIVAL.known_at_us + number * 60_000_000)
        found += [event for event in reader.parse(write(message).encode(), arrival) if isinstance(event, Einvoice)]
    return found


def counted(events: Sequence[Einvoice], cut: int = 1) -> dict[str, int]:
    """Measures that are not 0, of events delivered `cut` at a time; an id counts once, as the identity table sees to it."""
    chosen = department("einvoice")
    held: dict[tuple[str, str], History] = {}
    sums = dict.fromkeys(chosen.measures, 0)
    fresh = list({event.id: event for event in reversed(events)}.values())[::-1]

    def load_held(table: str, keys: Sequence[str]) -> dict[str, History]:
        return {key: held[table, key] for key in keys if (table, key) in held}

    for start in range(0, len(fresh), cut):
        changes = advance(chosen.life, fresh[start : start + cut], Registry(), load_held)
        held.update(changes.histories)
        for values in changes.cells.values():
            for name, value in zip(chosen.measures, values, strict=True):
                sums[name] += value
    return {name: value for name, value in sums.items() if value}


def figures(*messages: Message) -> dict[str, int]:
    """What they count for, but for the messages themselves."""
    return {name: value for name, value in counted(read(*messages)).items() if name != "messages"}


PENDING = {"invoices": 1, "pending": 1, "value_vnd": 108_000, "tax_vnd": 8_000}
ACCEPTED = {"invoices": 1, "accepted": 1, "value_vnd": 108_000, "tax_vnd": 8_000}
REJECTED = {"invoices": 1, "rejected": 1}
AGAIN = Message("200", "Q2", (DOC,), mst=SELLER)
UNCODED = replace(ASK, kind="203")


@pytest.mark.parametrize(
    ("story", "verdict"),
    [
        ((ASK, HEARD), PENDING),
        ((ASK, HEARD, refusal()), REJECTED),
        ((ASK, HEARD, RESULT), ACCEPTED),
        ((ASK, HEARD, refusal(), AGAIN), REJECTED),
        ((ASK, HEARD, refusal(), AGAIN, replace(RESULT, question="Q2")), ACCEPTED),
    ],
)
@LAW
@given(data=st.data())
def test_rule_01_the_same_message_one_to_five_times_in_any_order_is_one_invoice_with_its_last_verdict(
    story: tuple[Message, ...], verdict: dict[str, int], data: st.DataObject
) -> None:
    delivered = data.draw(st.permutations([m for m in story for _ in range(data.draw(st.integers(1, 5)))]))
    assert counted(read(*delivered), data.draw(st.integers(1, 9))) == verdict | {"messages": len(story)}


@pytest.mark.parametrize(
    ("story", "verdict"),
    [
        ((ASK, HEARD, RESULT), ACCEPTED),
        ((ASK, refusal()), REJECTED),
        ((ASK, refusal(question="")), REJECTED),
        ((UNCODED, refusal(ltbao="2", inside="")), ACCEPTED),
        ((UNCODED, refusal(ltbao="9", inside="")), REJECTED),
    ],
)
def test_rule_02_an_answer_before_its_question_waits_for_it(story: tuple[Message, ...], verdict: dict[str, int]) -> None:
    assert [figures(*order) for order in permutations(story)] == [verdict] * len([*permutations(story)])


def test_rule_02_a_verdict_whose_question_never_comes_counts_nothing_and_a_code_result_is_enough_by_itself() -> None:
    assert figures(refusal()) == figures(refusal(ltbao="2", inside="")) == {}
    assert figures(RESULT) == ACCEPTED


@pytest.mark.parametrize("nature", ["1", "3"])
def test_rule_03_a_replacement_takes_the_old_invoice_out(nature: str) -> None:
    new = replace(CODED, number=8, net=200_000, tax=0, link=("1", "1", "C26TAA", 7))
    told = Message("202", "R8", (new,), mst=SELLER, question="Q8")
    if nature == "3":
        rows = "<TTTDChinh><KHMSHDon>1</KHMSHDon><KHHDon>C26TAA</KHHDon><SHDon>0000007</SHDon></TTTDChinh>"
        many = f"<BKe><NDBKe><TTChung><SBKe>B1</SBKe></TTChung><DSHHDVu><HHDVu>{rows}</HHDVu></DSHHDVu></NDBKe></BKe>"
        told = Message("208", "Q8", (replace(new, link=None),), mst=SELLER, inside=many)
        raw = write(told).replace(
            "</TTChung><NDHDon>", "<TTHDLQuan><TCHDon>3</TCHDon><SBKCLQuan>B1</SBKCLQuan></TTHDLQuan></TTChung><NDHDon>"
        )
        (event,) = load("tvan").parse(raw.encode(), ARRIVAL)
        assert isinstance(event, Einvoice)
        events = [*read(RESULT), event]
    else:
        events = read(RESULT, told)
    for order in permutations(events):
        found = counted(order)
        assert {name: found.get(name) for name in ("invoices", "accepted", "replaced", "value_vnd")} == {
            "invoices": 2, "accepted": 1, "replaced": 1, "value_vnd": 200_000,
        }  # fmt: skip


@pytest.mark.parametrize("nature", ["2", "4"])
def test_rule_03_an_adjustment_adds_its_signed_difference(nature: str) -> None:
    less = replace(CODED, number=9, net=-30_000, tax=-2_400, link=(nature, "1", "C26TAA", 7))
    found = figures(RESULT, Message("202", "R9", (less,), mst=SELLER, question="Q9"))
    assert found == {"invoices": 2, "accepted": 2, "value_vnd": 75_600, "tax_vnd": 5_600}


def cancelling(version: str, answer: str, number: int = 7) -> tuple[Message, Message]:
    """A 300 with TCTBao 1 and its 301."""
    asked = notice(SELLER, f"<DSHDon>{row('1', 'C26TAA', number, '<TCTBao>1</TCTBao>')}</DSHDon>", at=AT, signer="NNT")
    told = notice(SELLER, f"<STTThe>1</STTThe>{answer}", "N", AT)
    return Message("300", "N", version=version, mst=SELLER, inside=asked), Message("301", "N1", version=version, question="N", inside=told)


@pytest.mark.parametrize(
    ("version", "answer", "cancelled"),
    [
        ("2.0.1", f"<DSHDon>{row('1', 'C26TAA', 7, '<TTTNCCQT>1</TTTNCCQT>')}</DSHDon>", True),
        ("2.0.1", f"<DSHDon>{row('1', 'C26TAA', 7, '<TTTNCCQT>2</TTTNCCQT>')}</DSHDon>", False),
        ("2.1.0", "", True),
        ("2.1.0", f"<DSHDon>{row('1', 'C26TAA', 7)}</DSHDon>", False),
        ("2.1.0", "<DSLDKTNhan><LDo><MLoi>3001</MLoi></LDo></DSLDKTNhan>", False),
    ],
)
def test_rule_03_a_cancellation_counts_once_its_answer_accepts_it(version: str, answer: str, cancelled: bool) -> None:
    asked, told = cancelling(version, answer)
    assert figures(RESULT, asked).get("cancelled", 0) == 0
    for order in permutations((RESULT, asked, told)):
        assert figures(*order).get("cancelled", 0) == int(cancelled)


@pytest.mark.parametrize("pad", ["", " ", "\n\t\t", "\r\n  "])
@pytest.mark.parametrize("decimals", [0, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_rule_04_padded_values_six_decimals_negative_totals_and_absent_pban_and_buyer_are_accepted(
    pad: str, decimals: int, sign: int
) -> None:
    doc = replace(DOC, net=sign * 10_000_000, tax=0, decimals=decimals, version="")
    (event,) = read(Message("200", "Q", (doc,), version="", mst=SELLER, pad=pad))
    (invoice,) = event.facts.invoices
    assert (invoice.value_vnd, invoice.flags, event.unknown, event.facts.flags) == (sign * 10_000_000, (), (), ())


@pytest.mark.parametrize(("off_by", "flags"), [(0, ()), (1, ()), (-2, ("sum",)), (5_000_000, ("sum",))])
def test_rule_04_a_sum_that_is_off_is_flagged_and_never_rejected(off_by: int, flags: tuple[str, ...]) -> None:
    (event,) = read(replace(ASK, documents=(replace(DOC, off_by=off_by),)))
    assert event.facts.invoices[0].flags == flags
    assert counted([event]).get("flagged", 0) == len(flags)


@pytest.mark.parametrize(("total", "flags"), [(108_200, ()), (108_000, ("sum",)), (108_500, ("sum",)), (107_700, ("sum",))])
def test_rule_04_the_sum_is_tgtcthue_and_tgtthue_less_ttcktmai_with_fees(total: int, flags: tuple[str, ...]) -> None:
    more = "<TTCKTMai>300</TTCKTMai><DSLPhi><LPhi><TLPhi>x</TLPhi><TPhi>500</TPhi></LPhi></DSLPhi><TgTTTBSo>"
    raw = write(replace(ASK, documents=(replace(DOC, off_by=total - 108_000),))).replace("<TgTTTBSo>", more)
    (event,) = load("tvan").parse(raw.encode(), ARRIVAL)
    assert isinstance(event, Einvoice)
    assert [(invoice.value_vnd, invoice.flags) for invoice in event.facts.invoices] == [(total, flags)]


@pytest.mark.parametrize(
    ("mst", "seller_kind", "flags"),
    [
        (SELLER, "enterprise", ()), ("3800000011-001", "branch", ()), ("3800000011001", "branch", ()), ("001087123456", "person", ()),
        ("3800000012", "enterprise", ("mst_check",)), ("3800000012-001", "branch", ("mst_check",)), ("12AB", "other", ("mst_check",)),
    ],
)  # fmt: skip
def test_rule_05_mst_of_10_13_12_digits_accepted_wrong_check_digit_flagged(mst: str, seller_kind: str, flags: tuple[str, ...]) -> None:
    (event,) = read(replace(ASK, documents=(replace(DOC, mst=mst),)))
    (invoice,) = event.facts.invoices
    assert (invoice.seller_kind, invoice.flags) == (seller_kind, flags)
    assert invoice.seller == pseudonym("mst", mst.replace("-", ""))
    assert counted([event])["invoices"] == 1


def test_rule_05_the_dash_of_a_branch_does_not_matter() -> None:
    told = [replace(ASK, id=id, documents=(replace(DOC, mst=mst),)) for id, mst in (("Q", "3800000011-001"), ("Q2", "3800000011001"))]
    assert figures(*told) == PENDING
    assert kind("1234567") == "budget_unit"


@pytest.mark.parametrize(("code", "flags"), [(CODE, ()), ("M1-26-A1B2C-00000001234", ()), ("A1", ("code",)), ("M1-26-A1B2C-1", ("code",))])
def test_rule_05_mccqt_of_34_and_23_characters_accepted(code: str, flags: tuple[str, ...]) -> None:
    (event,) = read(replace(RESULT, documents=(replace(CODED, code=code),)))
    assert (event.facts.invoices[0].accepted, event.facts.invoices[0].flags) == (True, flags)


@pytest.mark.parametrize(
    ("message", "unknown"),
    [
        (replace(ASK, kind="999888"), ("MLTDiep",)),
        (replace(ASK, kind="217"), ("MLTDiep=217",)),
        (replace(ASK, version="9.9.9"), ("PBan=9.9.9",)),
        (refusal(ltbao="8", inside=""), ("LTBao=8",)),
        (refusal(inside=f"{NAMED}<MLoi>X</MLoi>"), ("MLoi",)),
        (Message("300", "N", mst=SELLER, inside=notice(SELLER, f"<DSHDon>{row('1', 'C26TAA', 7, '<TCTBao>9</TCTBao>')}</DSHDon>")), ("TCTBao=9",)),
    ],
)  # fmt: skip
def test_rule_05_codes_that_no_list_has_are_stored_as_unknown_and_counted(message: Message, unknown: tuple[str, ...]) -> None:
    (event,) = read(message)
    assert (event.unknown, counted([event])["unlisted"]) == (unknown, 1)


def test_rule_06_the_qr_code_of_an_invoice_is_accepted_and_marked_crc_unchecked() -> None:
    (event,) = read(replace(ASK, documents=(replace(DOC, qr=True),)))
    assert event.facts.invoices[0].flags == ("crc_unchecked",)
    assert counted([event]) == PENDING | {"messages": 1}


def test_rule_07_times_without_offset_are_vietnamese_and_days_begin_at_vietnamese_midnight() -> None:
    late = replace(DOC, signed=datetime(2026, 11, 20, 23, 59, 59, tzinfo=VIETNAM))
    (event,) = read(replace(ASK, documents=(late,)))
    assert (
        event.event_time_us
        == micros(datetime(2026, 11, 20, 23, 59, 59, tzinfo=VIETNAM))
        == micros(datetime.fromisoformat("2026-11-20T16:59:59Z"))
    )
    found = advance(department("einvoice").life, [event], Registry(), lambda table, keys: {}).cells
    assert {vietnam_day(minute) for minute, *_ in found} == {event.facts.invoices[0].day}


BILLION_LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><TDiep>&b;</TDiep>'
XXE = b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><TDiep/>'
LONG = write(replace(ASK, documents=(replace(DOC, net=10**40),))).encode()


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (BILLION_LAUGHS, "xml_dtd"),
        (XXE, "xml_dtd"),
        (b"<TDiep>" + b" " * (2 << 20) + b"</TDiep>", "too_large"),
        (b"<a>" * 99 + b"</a>" * 99, "xml_deep"),
        (LONG, "number"),
        (
            write(replace(ASK, documents=(replace(DOC, number=10**7),))).replace("<SHDon>10000000", "<SHDon>" + "9" * 1_000_000).encode(),
            None,
        ),
        (LONG.replace(b"0" * 39, b"0" * 1_000_000), "number"),
    ],
)
def test_rule_11_entities_networks_depth_size_and_long_numbers_are_refused_with_a_reason(raw: bytes, cause: str | None) -> None:
    if cause is None:  # a number of an invoice is a name: it is hashed, not computed with
        assert load("tvan").parse(raw, ARRIVAL)
        return
    with pytest.raises(Reject) as caught:
        load("tvan").parse(raw, ARRIVAL)
    assert caught.value.cause == cause


DOCS = st.builds(
    Doc,
    mst=st.sampled_from([SELLER, OTHER, "3800000011-001", "001087123456"]),
    series=st.sampled_from(["C26TAA", "K26TAB", "C26MYY", "C25TZZ"]),
    number=st.integers(1, 99_999_999),
    form=st.sampled_from("123456789"),
    width=st.integers(1, 8),
    day=st.dates(date(2022, 7, 1), AT.date()),
    net=st.integers(-(10**12), 10**12),
    tax=st.integers(-(10**10), 10**10),
    signed=st.integers(0, 10**8).map(lambda seconds: AT - timedelta(seconds=seconds)),
    decimals=st.integers(0, 6),
    qr=st.booleans(),
)


@LAW
@given(
    documents=st.lists(DOCS, min_size=1, max_size=6),
    kind=st.sampled_from(["200", "201", "203", "206", "208", "210", "207", "216", "299"]),
    version=st.sampled_from(["", "2.0.0", "2.0.1", "2.1.0"]),
    pad=st.sampled_from(["", " ", "\n\t"]),
    stated=st.none() | st.integers(0, 9),
)
def test_what_is_written_from_facts_is_read_as_those_facts(
    documents: list[Doc], kind: str, version: str, pad: str, stated: int | None
) -> None:
    message = Message(kind, f"V{random.Random(len(pad)).getrandbits(64)}", tuple(documents), version, SELLER, pad=pad, stated=stated)
    (event,) = read(message)
    told = [(i.key, i.form, i.series, i.day, i.value_vnd, i.tax_vnd, i.signed_at_us, i.flags) for i in event.facts.invoices]
    meant = []
    for doc in documents:
        seller = pseudonym("mst", doc.mst.replace("-", ""))
        signed = None if doc.signed is None else micros(doc.signed)
        day = (doc.day - date(1970, 1, 1)).days
        key = pseudonym("invoice", f"{seller}|{doc.form}|{doc.series}|{doc.number}")
        meant.append((key, doc.form, doc.series, day, doc.net + doc.tax, doc.tax, signed, ("crc_unchecked",) if doc.qr else ()))
    assert told == meant
    assert (event.kind, event.seller, event.id) == (kind, pseudonym("mst", SELLER), pseudonym("message", message.id))
    assert event.unknown == (("MLTDiep=299",) if kind == "299" else ())
    assert event.facts.flags == (("count",) if stated is not None and stated != len(documents) else ())
