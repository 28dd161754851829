"""Laws of lives: order, repeats and how the stream is cut into batches change nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.department import department
from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice, Verdict
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.event import vietnam_day
from streams.lives import advance, bound, middle

T0 = 1_795_000_000_000_000
DAY = 86_400_000_000


def hex32(word: str) -> str:
    return word.encode().hex().ljust(32, "0")[:32]


class World:
    """States in a dict instead of a database: what the figures' transaction does, without one."""

    def __init__(self, name: str, units: Mapping[str, str] | None = None) -> None:
        self.life = department(name).life
        self.measures = department(name).measures
        self.states: dict[tuple[str, str], Any] = {}
        self.cells: Counter[tuple[int, str, str, str]] = Counter()
        self.spreads: Counter[tuple[int, str, str, int]] = Counter()
        self.units = units or {}

    def take(self, events: Sequence[Any]) -> None:
        changes = advance(
            self.life, events, self.units, lambda table, keys: {k: self.states[table, k] for k in keys if (table, k) in self.states}
        )
        self.states |= changes.states
        for (minute, _, unit, kind), values in changes.cells.items():
            for measure, value in zip(self.measures, values, strict=True):
                self.cells[minute, unit, kind, measure] += value
        for ((minute, _, unit, kind), b), n in changes.spreads.items():
            self.spreads[minute, unit, kind, b] += n

    def figures(self) -> dict[Any, int]:
        return {k: v for k, v in self.cells.items() if v} | {("spread", *k): v for k, v in self.spreads.items() if v}

    def total(self, measure: str) -> int:
        return sum(v for (_, _, _, m), v in self.cells.items() if m == measure)


def invoice(number: int, **more: Any) -> Invoice:
    held: dict[str, Any] = {"value_vnd": 108 * number, "tax_vnd": 8 * number, "signed_at_us": T0} | more
    return Invoice(key=hex32(f"inv{number}"), seller=hex32("seller"), form="1", series="C26TAA", day=vietnam_day(T0), **held)


def message(id: str, kind: str, at: int = 0, question: str | None = None, **facts: Any) -> Einvoice:
    return Einvoice(
        id=hex32(id), body="0" * 16, source="tax", event_time_us=T0 + at, known_at_us=T0 + at + 1, kind=kind, seller=hex32("seller"),
        question=hex32(question) if question else None, facts=Facts(**facts),
    )  # fmt: skip


LIFE_OF_EVERYTHING = [
    message("q1", "200", 0, invoices=(invoice(1),)),
    message("a1", "999", 1_000_000, "q1", acknowledged_at_us=T0 + 1_000_000),
    message("r1", "202", 4_000_000, "q1", invoices=(invoice(1, coded_at_us=T0 + 4_000_000, accepted=True),)),
    message("q2", "203", 0, invoices=(invoice(2), invoice(3), invoice(4))),
    message("v2", "204", 5_000_000, "q2", verdict=Verdict(package="accepted_but", refused=(hex32("inv3"),))),
    message("q5", "200", 6_000_000, invoices=(invoice(5, replaces=(hex32("inv1"),)),)),
    message("r5", "202", 7_000_000, "q5", invoices=(invoice(5, coded_at_us=T0 + 7_000_000, accepted=True, replaces=(hex32("inv1"),)),)),
    message("q6", "206", 0, invoices=(invoice(6), invoice(7))),
    message("v6", "204", 1_000_000, "q6", verdict=Verdict(package="refused")),
    message("n4", "300", 8_000_000, notices=(Notice(part=1, cancels=(hex32("inv4"),)), Notice(part=2, cancels=(hex32("inv2"),)))),
    message("m4", "301", 9_000_000, "n4", answers=(Answer(part=1), Answer(part=2, refused=(hex32("inv2"),)))),
    message("q8", "200", 2 * DAY, invoices=(invoice(8, signed_at_us=T0 + 2 * DAY),)),
    message("v8", "204", 2 * DAY, "q8", verdict=Verdict(refused=(hex32("inv8"),))),
    # refused, sent again, coded: the latency is that of the second try
    message("q9", "200", 0, invoices=(invoice(9),)),
    message("a9", "999", 1_000_000, "q9", acknowledged_at_us=T0 + 1_000_000),
    message("v9", "204", 2_000_000, "q9", verdict=Verdict(refused=(hex32("inv9"),))),
    message("p9", "200", 60_000_000, invoices=(invoice(9, signed_at_us=T0 + 60_000_000),)),
    message("b9", "999", 62_000_000, "p9", acknowledged_at_us=T0 + 62_000_000),
    message(
        "r9", "202", 69_000_000, "p9", invoices=(invoice(9, coded_at_us=T0 + 69_000_000, accepted=True, signed_at_us=T0 + 60_000_000),)
    ),
]


def test_an_invoice_is_one_of_accepted_rejected_pending_cancelled_replaced() -> None:
    world = World("einvoice")
    world.take(LIFE_OF_EVERYTHING)
    assert {m: world.total(m) for m in world.measures} == {
        "messages": 19, "invoices": 9, "accepted": 3, "rejected": 4, "pending": 0, "cancelled": 1, "replaced": 1,
        "value_vnd": 108 * (2 + 5 + 9), "tax_vnd": 8 * (2 + 5 + 9),
    }  # fmt: skip


@given(st.permutations(LIFE_OF_EVERYTHING), st.lists(st.integers(1, 5), min_size=19, max_size=19))
def test_order_and_batches_change_no_figure(order: list[Einvoice], cuts: list[int]) -> None:
    once = World("einvoice")
    once.take(LIFE_OF_EVERYTHING)
    world, rest = World("einvoice"), order
    for cut in cuts:
        if rest:
            world.take(rest[:cut])
            rest = rest[cut:]
    world.take(rest)
    assert world.figures() == once.figures()


@given(st.lists(st.sampled_from(LIFE_OF_EVERYTHING), max_size=30))
def test_a_state_told_again_is_the_same_state(again: list[Einvoice]) -> None:
    world = World("einvoice")
    world.take(LIFE_OF_EVERYTHING)
    invoices = {k: v for k, v in world.figures().items() if k[-1] != "messages"}
    world.take(again)
    assert {k: v for k, v in world.figures().items() if k[-1] != "messages"} == invoices


def test_a_verdict_before_its_question_waits_and_counts_nothing() -> None:
    world = World("einvoice")
    world.take([LIFE_OF_EVERYTHING[4]])
    assert world.total("invoices") == world.total("rejected") == 0
    world.take([LIFE_OF_EVERYTHING[3]])
    assert (world.total("invoices"), world.total("accepted"), world.total("rejected")) == (3, 2, 1)


def test_code_latency_runs_from_the_acknowledgement() -> None:
    world = World("einvoice")
    world.take(LIFE_OF_EVERYTHING[:3])
    assert [(b, n) for (_, _, _, b), n in world.spreads.items() if n] == [(bound(3), 1)]
    world.take(LIFE_OF_EVERYTHING[-6:])
    assert sorted((b, n) for (_, _, _, b), n in world.spreads.items() if n) == [(bound(3), 1), (bound(7), 1)]


def test_an_invoice_signed_on_another_day_stands_at_midnight_of_its_own() -> None:
    world = World("einvoice")
    world.take([message("q", "200", invoices=(invoice(1, signed_at_us=T0 + 3 * DAY),))])
    (minute,) = {k[0] for k, v in world.cells.items() if v and k[3] == "invoices"}
    assert vietnam_day(minute) == vietnam_day(T0)
    assert vietnam_day(minute - 1) == vietnam_day(T0) - 1


def session(version: int, status: str, kind: str = "VR") -> Telehealth:
    return Telehealth(
        id=hex32(f"s/{version}"), body="0" * 16, source="th", event_time_us=T0, known_at_us=T0 + version, kind=kind, unit="38001", session=hex32("s"),
        status=status, updated_at_us=T0 + version, revision=version, started_at_us=T0, ended_at_us=T0 + 1_800_000_000,
    )  # fmt: skip


@given(st.permutations([session(1, "planned"), session(2, "arrived"), session(3, "finished"), session(4, "entered-in-error")]))
def test_the_newest_version_of_a_session_holds(order: list[Telehealth]) -> None:
    world = World("telehealth")
    world.take(order[:2])
    world.take(order[2:])
    assert world.figures() == {}
    world.take([session(5, "finished")])
    assert (world.total("sessions"), world.total("finished"), world.total("seconds")) == (1, 1, 1800)


def test_other_classes_are_seen_and_left_out() -> None:
    world = World("telehealth")
    world.take([session(1, "finished", "HH")])
    assert (world.total("sessions"), world.total("not_telehealth")) == (0, 1)


def notice(status: str, at: int, paid: int = 0) -> Payment:
    return Payment(
        id=hex32(status), body="0" * 16, source="bank", event_time_us=T0 + at, known_at_us=T0 + at, kind="hdbank", unit="38001",
        transaction=hex32("t"), status=status, paid_vnd=paid, paid_at_us=T0 + at if paid else None,
    )  # fmt: skip


@given(st.permutations([notice("unknown", 0), notice("failed", 1), notice("mismatched", 2, 90), notice("paid", 3, 100)]))
def test_a_transaction_is_the_strongest_that_was_said_of_it(order: list[Payment]) -> None:
    world = World("payment")
    for one in order:
        world.take([one])
    assert {m: world.total(m) for m in world.measures} == {"receipts": 1, "paid_vnd": 100, "mismatched": 0, "failed": 0, "unknown": 0}


@given(st.integers(1, 10_000_000))
def test_a_histogram_is_off_by_five_per_cent_at_most(value: int) -> None:
    assert abs(middle(bound(value)) - value) <= 0.05 * value
