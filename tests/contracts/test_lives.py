"""Laws of lives: order, repeats and how the stream is cut into batches change nothing, neither now nor as of any minute."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.department import NAMES, department
from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice, Verdict
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.event import vietnam_day
from streams.lives import MINUTE_US, History, Registry, advance, bound, middle
from tests.stories import T0, hex32, registry, story

DAY = 86_400_000_000


class World:
    """Histories in a dict instead of a database: what the figures' transaction does, without one."""

    def __init__(self, name: str, moves: Sequence[tuple[int, str, str]] = ()) -> None:
        self.life = department(name).life
        self.measures = department(name).measures
        self.histories: dict[tuple[str, str], History] = {}
        self.moved: Counter[Any] = Counter()
        self.registry = Registry()
        for since_us, member, unit in moves:
            self.registry.add(member, since_us, unit)

    def take(self, events: Sequence[Any]) -> None:
        def load(table: str, keys: Sequence[str]) -> dict[str, History]:
            return {k: self.histories[table, k] for k in keys if (table, k) in self.histories}

        changes = advance(self.life, events, self.registry, load)
        self.histories |= changes.histories
        for cell, values in changes.cells.items():
            for measure, value in zip(self.measures, values, strict=True):
                self.moved["cell", *cell, measure] += value
        for (cell, b), n in changes.spreads.items():
            self.moved["spread", *cell, b] += n
        for member, n in changes.members.items():
            self.moved["member", *member] += n

    def all(self) -> tuple[dict[Any, int], dict[Any, bytes]]:
        """Everything that is derived, of both times; and the stored bytes. What sums to nothing says nothing."""
        return {k: v for k, v in self.moved.items() if v}, {k: msgspec.msgpack.encode(h) for k, h in self.histories.items()}

    def figures(self) -> dict[Any, int]:
        """As they are now: (minute, unit, kind, measure or histogram bound)."""
        now: Counter[Any] = Counter()
        for (what, minute, _, *rest), n in self.moved.items():
            if what != "member":
                now[what, minute, *rest] += n
        return {k: v for k, v in now.items() if v}

    def total(self, measure: str) -> int:
        return sum(v for k, v in self.figures().items() if k[-1] == measure)


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
        "value_vnd": 108 * (2 + 5 + 9), "tax_vnd": 8 * (2 + 5 + 9), "unlisted": 0, "flagged": 0, "signed": 0, "unsigned": 0, "invalid": 0,
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
    assert world.all() == once.all()


@pytest.mark.parametrize("name", NAMES)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_what_is_derived_follows_from_the_set_of_facts_alone(name: str, chance: random.Random, count: int) -> None:
    events, moves = story(name, chance, count), registry(chance)
    once, world = World(name, moves), World(name, moves)
    once.take(events)
    chance.shuffle(events)
    while events:
        cut = chance.randrange(1, 8)
        world.take(events[:cut])
        events = events[cut:]
    assert world.all() == once.all()


@pytest.mark.parametrize("name", NAMES)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_as_of_a_minute_is_what_the_events_known_by_then_make(name: str, chance: random.Random, count: int) -> None:
    events, moves = story(name, chance, count), registry(chance)
    world, then = World(name, moves), World(name, moves)
    world.take(events)
    until = T0 + chance.randrange(8) * MINUTE_US
    then.take([event for event in events if event.known_at_us - event.known_at_us % MINUTE_US < until])
    assert {k: n for k, n in world.moved.items() if n and k[2] < until} == {k: n for k, n in then.moved.items() if n}


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_facts_told_again_in_another_batch_change_no_history(chance: random.Random, count: int) -> None:
    events = story("einvoice", chance, count)
    world = World("einvoice")
    world.take(events)
    held = dict(world.histories)
    world.take(chance.choices(events, k=10))
    assert all(world.histories[subject] is held[subject] for subject in held)


def test_two_answers_to_one_package_each_accept_what_they_do_not_list() -> None:
    package = message("q", "206", 0, invoices=(invoice(1), invoice(2)))
    some, all_ = (message(f"v{n}", "204", n, "q", verdict=v) for n, v in enumerate(
        (Verdict(package="accepted_but", refused=(hex32("inv1"),)), Verdict(package="accepted_but", refused=(hex32("inv2"),))), 1
    ))  # fmt: skip
    for order in ([package, some, all_], [all_, some, package]):
        world = World("einvoice")
        for event in order:
            world.take([event])
        assert (world.total("accepted"), world.total("rejected")) == (2, 0)


def test_a_message_belongs_to_the_commune_its_seller_was_registered_in_when_it_arrived() -> None:
    moves = [(T0 + 100, hex32("seller"), "14001"), (T0 + 200, hex32("seller"), "14002")]
    world = World("einvoice", moves)
    world.take([message(f"q{at}", "200", at, invoices=(invoice(at),)) for at in (250, 150, 50)])
    found = {(k[2], k[4]): n for k, n in world.figures().items() if k[0] == "cell" and k[4] in ("messages", "invoices")}
    assert found == {("", "messages"): 1, ("14001", "messages"): 1, ("14002", "messages"): 1, ("14002", "invoices"): 3}


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
    assert [(k[-1], n) for k, n in world.figures().items() if k[0] == "spread"] == [(bound(3), 1)]
    world.take(LIFE_OF_EVERYTHING[-6:])
    assert sorted((k[-1], n) for k, n in world.figures().items() if k[0] == "spread") == [(bound(3), 1), (bound(7), 1)]


def test_an_invoice_signed_on_another_day_stands_at_midnight_of_its_own() -> None:
    world = World("einvoice")
    world.take([message("q", "200", invoices=(invoice(1, signed_at_us=T0 + 3 * DAY),))])
    (minute,) = {k[1] for k in world.figures() if k[-1] == "invoices"}
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
    assert {m: n for m in world.measures if (n := world.total(m))} == {"receipts": 1, "paid_vnd": 100, "unstated": 1}


@given(st.integers(1, 10_000_000))
def test_a_histogram_is_off_by_five_per_cent_at_most(value: int) -> None:
    assert abs(middle(bound(value)) - value) <= 0.05 * value
