"""Laws of scenarios: the same every time, in order, within the contract; and what each change does."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.department import department
from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice, Verdict
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.errors import Misconfigured
from streams.event import Asked, Event, Rejected, encode, micros, vietnam_day
from streams.rules.reading import Wrong
from streams.scenarios import scenario
from streams.scenarios.laying import Laid
from streams.scenarios.scenario import Change, Scenario
from tests.contracts.test_lives import World

T0 = 1_795_000_000_000_000 - 1_795_000_000_000_000 % 86_400_000_000 + 3 * 3_600_000_000  # 10:00 in Viet Nam
MINUTE = 60_000_000
HOUR = 60 * MINUTE


def name(word: object) -> str:
    return str(word).encode().hex().ljust(32, "0")[:32]


def payment(n: int, minute: float = 0.0, **more: Any) -> Payment:
    at = T0 + round(minute * MINUTE)
    held: dict[str, Any] = {
        "id": name(f"p{n}"), "body": f"{n:016x}", "source": "bank", "event_time_us": at, "known_at_us": at + 2_000_000, "kind": "vnpay", "unit": "38001",
        "transaction": name(f"t{n}"), "status": "paid", "paid_vnd": 1000 + n, "paid_at_us": at,
    }  # fmt: skip
    return Payment(**(held | more))


def message(n: int, kind: str, minute: float, question: object = None, **facts: Any) -> Einvoice:
    at = T0 + round(minute * MINUTE)
    return Einvoice(
        id=name(n), body=f"{n:016x}", source="tax", event_time_us=at, known_at_us=at + 2_000_000, kind=kind, seller=name("seller"),
        question=None if question is None else name(question), facts=Facts(**facts),
    )  # fmt: skip


def invoice(n: int, **more: Any) -> Invoice:
    return Invoice(
        key=name(f"i{n}"), seller=name("seller"), form="1", series="C26TAA", day=vietnam_day(T0), value_vnd=108 * n, tax_vnd=8 * n, **more
    )


def conversation() -> list[Event]:
    """Invoices accepted, refused, replaced and cancelled, by messages that answer one another."""
    return [
        message(1, "203", 0, invoices=tuple(invoice(n) for n in (1, 2, 3))),
        message(2, "203", 1, invoices=(invoice(4, replaces=(name("i1"),)), invoice(5))),
        message(3, "204", 2, 1, verdict=Verdict(package="accepted_but", refused=(name("i2"),))),
        message(4, "204", 3, 2, verdict=Verdict(package="accepted")),
        message(5, "300", 4, notices=(Notice(part=1, cancels=(name("i3"),)),)),
        message(6, "301", 5, 5, answers=(Answer(part=1),)),
    ]


def laid(*changes: dict[str, Any], follows: Any = "event_time", owner: str = "payment") -> Laid:
    made = Scenario(scenario="tried", label="Thử", changes=tuple(Change.model_validate(each) for each in changes))
    return Laid(made, department(owner), follows)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    does: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"drop": True},
                {"scale": 0.3},
                {"scale": 1000},
                {"surge": 3},
                {"delay_minutes": 7},
                *({"fault": each} for each in ("duplicate", "conflict", "reject")),
            ]
        )
    )
    more: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "units": st.just(["38001"]), "sources": st.just(["other"]), "kinds": st.just(["vnpay"]), "departments": st.just(["payment"]),
                "from": st.just("10:02"), "to": st.just("10:20"),
            },
        )
    )  # fmt: skip
    share = {} if "surge" in does else draw(st.fixed_dictionaries({}, optional={"share": st.floats(0.05, 1)}))
    return does | more | share


EVENTS = st.lists(
    st.tuples(st.floats(0, 30), st.floats(0, 40), st.sampled_from(["38001", "38002"]), st.sampled_from(["bank", "other"])), max_size=30
)


def payments(drawn: list[tuple[float, float, str, str]], follows: str) -> list[Event]:
    made: list[Event] = [
        payment(n, minute, unit=unit, source=source, known_at_us=T0 + round((minute + late) * MINUTE))
        for n, (minute, late, unit, source) in enumerate(drawn)
    ]
    return sorted(made, key=lambda e: e.event_time_us if follows == "event_time" else e.known_at_us)


@given(drawn=EVENTS, said=st.lists(changes(), min_size=1, max_size=4), follows=st.sampled_from(["event_time", "known_at"]))
def test_it_is_the_same_every_time_in_order_and_keeps_the_contract(drawn: Any, said: list[dict[str, Any]], follows: str) -> None:
    events = payments(drawn, follows)
    made = [*laid(*said, follows=follows).apply(events)]
    assert made == [*laid(*said, follows=follows).apply(iter(events))]
    kept = [each for each in made if isinstance(each, Event)]
    times = [each.event_time_us if follows == "event_time" else each.known_at_us for each in kept]
    assert times == sorted(times)
    for each in kept:
        assert msgspec.json.decode(encode(each), type=Payment) == each
    for reject in made:
        if isinstance(reject, Rejected):
            assert msgspec.json.decode(encode(reject), type=Rejected) == reject
    last = max((each.event_time_us for each in events), default=0)
    assert all(each.event_time_us <= last - last % MINUTE + MINUTE for each in kept)


@given(drawn=EVENTS, more=st.lists(changes(), max_size=2))
def test_what_is_dropped_is_gone_altogether(drawn: Any, more: list[dict[str, Any]]) -> None:
    made = laid({"drop": True, "units": ["38001"]}, *more).apply(payments(drawn, "event_time"))
    assert not [each for each in made if isinstance(each, Event) and each.unit == "38001"]


@pytest.mark.parametrize("surge", [2, 3, 7])
def test_a_surge_multiplies_every_figure_of_a_conversation_and_no_seller(surge: int) -> None:
    once, many = World("einvoice"), World("einvoice")
    once.take(conversation())
    made = [each for each in laid({"surge": surge}, owner="einvoice").apply(conversation()) if isinstance(each, Einvoice)]
    many.take(made)
    assert len(made) == surge * 6 == len({each.id for each in made})
    for measure in ("messages", "invoices", "accepted", "rejected", "cancelled", "replaced", "value_vnd", "tax_vnd"):
        assert once.total(measure) > 0, measure
        assert many.total(measure) == surge * once.total(measure), measure
    assert {each.seller for each in made} == {name("seller")}
    assert {i.seller for each in made for i in each.facts.invoices} == {name("seller")}
    assert Counter(each.event_time_us // MINUTE for each in made) == Counter(
        {each.event_time_us // MINUTE: surge for each in conversation()}
    )


def test_a_surge_of_sessions_and_payments_makes_sessions_and_payments_of_their_own() -> None:
    session = Telehealth(
        id=name("s1v1"), body="0" * 16, source="fhir", event_time_us=T0, known_at_us=T0 + 1, kind="VR", unit="38001", session=name("s1"),
        status="finished", started_at_us=T0, ended_at_us=T0 + HOUR,
    )  # fmt: skip
    for owner, event, measure in (("telehealth", session, "sessions"), ("payment", payment(1), "receipts")):
        world = World(owner)
        world.take([each for each in laid({"surge": 4}, owner=owner).apply([event]) if isinstance(each, Event)])
        assert world.total(measure) == 4


def test_scaled_money_is_scaled_wherever_it_stands() -> None:
    once, scaled = World("einvoice"), World("einvoice")
    once.take(conversation())
    scaled.take([each for each in laid({"scale": 2.5}, owner="einvoice").apply(conversation()) if isinstance(each, Event)])
    assert scaled.total("value_vnd") == round(2.5 * once.total("value_vnd"))
    assert scaled.total("invoices") == once.total("invoices")
    (large,) = laid({"scale": 1000}).apply([payment(1, paid_vnd=10**14)])
    assert isinstance(large, Payment)
    assert large.paid_vnd == 10**15  # what a contract takes at most


def test_a_delay_moves_arrivals_and_the_order_of_a_replay_by_arrival() -> None:
    events = [payment(1, 0, source="slow"), payment(2, 1), payment(3, 9)]
    change = {"delay_minutes": 5, "sources": ["slow"]}
    by_arrival = [e for e in laid(change, follows="known_at").apply(events) if isinstance(e, Payment)]
    assert [e.id for e in by_arrival] == [name("p2"), name("p1"), name("p3")]
    assert by_arrival[1].known_at_us == events[0].known_at_us + 5 * MINUTE
    by_event = [e for e in laid(change).apply(events) if isinstance(e, Payment)]
    assert [e.id for e in by_event] == [name("p1"), name("p2"), name("p3")]
    assert by_event[0].known_at_us == events[0].known_at_us + 5 * MINUTE


def test_faults_come_again_come_with_another_body_or_cannot_be_read() -> None:
    one = payment(1)
    first, again = laid({"fault": "duplicate"}).apply([one])
    assert isinstance(again, Payment)
    assert first == one
    assert (again.id, again.body) == (one.id, one.body)
    assert again.known_at_us >= one.known_at_us
    first, other = laid({"fault": "conflict"}).apply([one])
    assert isinstance(other, Payment)
    assert (first, other.id) == (one, one.id)
    assert other.body != one.body
    (reject,) = laid({"fault": "reject"}).apply([one])
    assert isinstance(reject, Rejected)
    assert (reject.source, reject.department, reject.known_at_us, reject.cause) == ("bank", "payment", one.known_at_us, "scenario")


def test_a_share_is_about_as_large_as_it_says_and_always_the_same_events() -> None:
    events = [payment(n, n / 100) for n in range(2000)]
    made = [each for each in laid({"drop": True, "share": 0.25}).apply(events) if isinstance(each, Event)]
    assert 1400 < len(made) < 1600
    shuffled = [each for each in laid({"drop": True, "share": 0.25}, follows="known_at").apply(events[500:]) if isinstance(each, Event)]
    assert {each.id for each in shuffled} == {each.id for each in made} & {each.id for each in events[500:]}


@pytest.mark.parametrize(
    ("bounds", "minutes"),
    [
        ({"from": "10:05", "to": "10:07"}, {5, 6}),
        ({"from": "10:05"}, set(range(5, 10))),
        ({"to": "10:02"}, {0, 1}),
        ({"from": "23:00", "to": "10:02"}, {0, 1}),
    ],
)
def test_clock_times_are_of_every_vietnamese_day_and_the_end_is_not_included(bounds: Any, minutes: set[int]) -> None:
    events = [payment(10 * day + n, day * 1440 + n) for day in range(2) for n in range(10)]
    gone = {e.id for e in events} - {e.id for e in laid({"drop": True} | bounds).apply(events) if isinstance(e, Event)}
    assert gone == {name(f"p{10 * day + n}") for day in range(2) for n in minutes}


def test_moments_are_vietnamese_where_they_do_not_say() -> None:
    change = Change.model_validate({"drop": True, "from": "2026-11-18T10:00", "to": "2026-11-18T11:00"})
    assert change.within(micros(change.since))  # type: ignore[arg-type]  # a moment, as said
    assert str(change.since) == "2026-11-18 10:00:00+07:00"
    assert not change.within(micros(change.until))  # type: ignore[arg-type]  # a moment, as said


def test_where_an_invoice_belongs_is_asked_of_the_registry() -> None:
    made = Scenario(scenario="tried", label="Thử", changes=(Change.model_validate({"drop": True, "units": ["14758"]}),))
    of = Laid(made, department("einvoice"), unit_of=lambda event: {name("seller"): "14758"}.get(event.seller))
    assert [*of.apply(conversation())] == []


def test_a_source_that_is_dropped_as_a_whole_does_not_answer_either() -> None:
    sign = Asked(source="bank", department="payment", at_us=T0, every_seconds=1, answered=True)
    assert not laid({"drop": True, "sources": ["bank"]}).asked(sign).answered
    for other in ({"sources": ["tax"]}, {"units": ["38001"]}, {"share": 0.5}, {"from": "12:00"}, {"departments": ["einvoice"]}):
        assert laid({"drop": True} | other).asked(sign).answered
    reject = Rejected(id=name(1), source="bank", department="payment", known_at_us=T0, cause="x", wrong="x", sealed="", size_bytes=1)
    assert laid({"drop": True}).rejected(reject) is None
    assert laid({"scale": 2}).rejected(reject) == reject


def test_what_is_held_in_memory_does_not_grow_with_the_replay() -> None:
    pulled = 0

    def endless() -> Iterator[Event]:
        nonlocal pulled
        while True:
            pulled += 1
            yield payment(pulled, pulled)

    stream = laid({"surge": 3}, {"delay_minutes": 30}).apply(endless())
    for taken in range(1, 3000):
        next(stream)
        assert pulled <= taken / 3 + 5


@pytest.mark.parametrize("ready", scenario.ready())
def test_every_ready_scenario_can_be_read_and_changes_something(ready: str) -> None:
    found = scenario.load(scenario.text_of(ready))
    assert (found.scenario, found.label.isascii()) == (ready, False)
    day = [payment(n, (n - 300) * 1.0) for n in range(900)]
    told = [message(n, "203", n - 300.0, invoices=(invoice(n),)) for n in range(900)]
    assert any([*Laid(found, department(d), "known_at").apply(e)] != e for d, e in (("payment", day), ("einvoice", told)))


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("scenario: a\nlabel: Thử\nchanges:\n  - {dropp: true}\n", (4, 6), "did you mean 'drop'"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {drop: true, scale: 2}\n", (4, 5), "one thing"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {units: [x]}\n", (4, 5), "one thing"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {drop: true, departments: [tax]}\n", (4, 31), "no department 'tax'"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {drop: true, from: noon}\n", (4, 24), "write 2026"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {drop: true, from: 09:00, to: 2026-11-22T09:00}\n", (4, 5), "both"),
        ("scenario: a\nlabel: Thử\nchanges:\n  - {surge: 3, share: 0.5}\n", (4, 5), "share"),
        ("scenario: a\nlabel: Thử\nlabel: Thử\nchanges:\n  - {drop: true}\n", (3, 1), "twice"),
        ("scenario: a\nchanges:\n  - {drop: true}\n", (1, 1), "'label' is missing"),
        ("- drop\n", (1, 1), "scenario is a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(text: str, where: tuple[int, int], what: str) -> None:
    found = scenario.read(text)
    assert isinstance(found, list)
    assert isinstance(found[0], Wrong)
    assert (found[0].line, found[0].column) == where
    assert what in found[0].what


def test_a_scenario_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(Misconfigured) as said:
        scenario.text_of("no-such")
    assert "busy-day" in said.value.mend
