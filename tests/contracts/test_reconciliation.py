"""What notices and statements say of one transaction together: refunds, and whether both say the same, in whatever order they come."""

import itertools
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from streams.department import department
from streams.departments.payment import Payment, ReceiptState, Status
from streams.event import day_start_us, vietnam_day
from streams.lives import MINUTE_US, History, Registry, advance

PAYMENT = department("payment")
T0 = 1_795_140_000_000_000
MIDNIGHT_US = day_start_us(vietnam_day(T0) + 1)


def said(
    status: Status, vnd: int, minute: int = 0, number: int = 1, known: int = 0, line: str = "", batch: tuple[int, int] | None = None
) -> Payment:
    """One word about a transaction, by `number`. batch: number and sum of what it is a part of."""
    at_us = T0 + minute * MINUTE_US
    words = f"{number}|{status}|{vnd}|{minute}|{line}"
    booking, booking_vnd = (f"{batch[0]:032x}", batch[1]) if batch else (None, 0)
    return Payment(
        id=f"{zlib.crc32(words.encode()):032x}", body="0" * 16, source="bank", event_time_us=at_us, known_at_us=T0 + known * MINUTE_US, kind="hdbank",
        unit="38001", transaction=f"{number:032x}", status=status, paid_vnd=vnd, paid_at_us=at_us,
        line=line, booking=booking, booking_vnd=booking_vnd,
    )  # fmt: skip


def counted(batches: list[list[Payment]]) -> tuple[dict[str, int], dict[Any, Any]]:
    """The figures' sums after these batches, and every cell of both times."""
    histories: dict[Any, History] = {}
    cells: Counter[Any] = Counter()

    def load(table: str, keys: Sequence[str]) -> dict[str, History]:
        return {key: histories[table, key] for key in keys if (table, key) in histories}

    for batch in batches:
        changes = advance(PAYMENT.life, batch, Registry(), load)
        histories.update(changes.histories)
        for cell, values in changes.cells.items():
            for name, value in zip(PAYMENT.measures, values, strict=True):
                cells[*cell, name] += value
    sums: Counter[str] = Counter()
    for (*_, name), value in cells.items():
        sums[name] += value
    return {name: value for name, value in sums.items() if value}, {cell: value for cell, value in cells.items() if value}


def sums(*events: Payment) -> dict[str, int]:
    return counted([[event] for event in events])[0]


def test_a_refund_takes_its_amount_out_on_its_own_day_and_leaves_the_receipt() -> None:
    paid, given_back = said("paid", 150_000), said("refunded", 50_000, minute=3000, number=2)
    assert sums(paid, given_back) == {"receipts": 1, "paid_vnd": 100_000, "refunds": 1, "refunded_vnd": 50_000, "unstated": 1}
    days = {cell[0]: value for cell, value in counted([[paid, given_back]])[1].items() if cell[-1] == "paid_vnd"}
    assert days == {T0: 150_000, T0 + 3000 * MINUTE_US: -50_000}


@pytest.mark.parametrize("told", [("refunded", "refunded"), ("refunded", "returned"), ("returned", "returned"), ("unknown", "returned")])
def test_a_refund_told_twice_is_one(told: tuple[Status, Status]) -> None:
    found = sums(said(told[0], 50_000 * (told[0] != "unknown")), said(told[1], 50_000, minute=5))
    assert found == {"paid_vnd": -50_000, "refunds": 1, "refunded_vnd": 50_000} | ({"unknown": 1} if told[0] == "unknown" else {})


def test_two_refunds_of_one_number_on_a_statement_are_two_and_told_by_a_notice_they_are_what_it_says() -> None:
    parts = [said("returned", 20_000), said("returned", 30_000), said("returned", 30_000, line="2")]
    assert sums(*parts, *parts) == {"paid_vnd": -80_000, "refunds": 3, "refunded_vnd": 80_000}
    assert sums(*parts, said("refunded", 80_000)) == {"paid_vnd": -80_000, "refunds": 1, "refunded_vnd": 80_000}


def test_a_notice_that_the_statement_has_too_is_matched() -> None:
    assert sums(said("paid", 150_000), said("credited", 150_000, minute=9)) == {
        "receipts": 1,
        "paid_vnd": 150_000,
        "matched": 1,
        "stated_vnd": 150_000,
    }


def test_a_notice_that_no_statement_has_is_unstated() -> None:
    assert sums(said("paid", 150_000)) == {"receipts": 1, "paid_vnd": 150_000, "unstated": 1}


def test_a_credit_that_nobody_told_of_is_unnotified_and_is_no_receipt() -> None:
    assert sums(said("credited", 150_000)) == {"unnotified": 1, "stated_vnd": 150_000}
    assert sums(said("credited", 150_000), said("failed", 0)) == {"unnotified": 1, "stated_vnd": 150_000, "failed": 1}


def test_a_credit_of_another_amount_differs() -> None:
    told = sums(said("paid", 150_000), said("credited", 140_000))
    assert told == {"receipts": 1, "paid_vnd": 150_000, "differs": 1, "stated_vnd": 140_000}


def test_two_credits_under_one_number_are_two_and_one_that_is_dated_twice_is_one() -> None:
    told = [said("credited", 150_000), said("credited", 150_000, line="2"), said("credited", 50_000, minute=1)]
    assert sums(*told) == {"unnotified": 1, "stated_vnd": 350_000}
    again = [said("credited", 150_000, minute=9), said("credited", 150_000, minute=9, line="2")]
    assert sums(*told, *again) == {"unnotified": 1, "stated_vnd": 350_000}


def test_a_notice_matches_what_its_credits_come_to() -> None:
    halves = [said("credited", 75_000), said("credited", 75_000, line="2")]
    assert sums(said("paid", 150_000), *halves) == {"receipts": 1, "paid_vnd": 150_000, "matched": 1, "stated_vnd": 150_000}
    assert sums(said("paid", 75_000), *halves) == {"receipts": 1, "paid_vnd": 75_000, "differs": 1, "stated_vnd": 150_000}


@pytest.mark.parametrize(
    ("way", "money"),
    [("credited", {"unnotified": 2, "stated_vnd": 150_000}), ("returned", {"refunds": 2, "refunded_vnd": 150_000, "paid_vnd": -150_000})],
)
def test_a_batch_told_as_a_sum_and_in_parts_is_its_parts_whichever_comes_first(way: Status, money: dict[str, int]) -> None:
    whole = said(way, 150_000, number=9)
    parts = [said(way, 100_000, minute=1, batch=(9, 150_000)), said(way, 50_000, minute=1, number=2, batch=(9, 150_000))]
    assert sums(whole, *parts) == sums(*parts, whole) == sums(*parts) == money
    other = said(way, 70_000, number=9)  # stands under the same number and is no part of it
    assert sum(sums(whole, *parts, other)[name] - sums(*parts)[name] for name in ("stated_vnd", "refunded_vnd") if name in money) == 70_000


def test_a_batch_whose_parts_stand_under_its_own_number_is_its_parts_too() -> None:
    parts = [said("credited", vnd, batch=(1, 200_000), line=line) for vnd, line in [(75_000, ""), (75_000, "2"), (50_000, "")]]
    whole = said("credited", 200_000)
    assert sums(whole, *parts) == sums(*parts, whole) == {"unnotified": 1, "stated_vnd": 200_000}
    assert sums(whole, *parts, said("paid", 200_000)) == {"receipts": 1, "paid_vnd": 200_000, "matched": 1, "stated_vnd": 200_000}


def test_of_one_day_the_telling_that_has_a_time_says_when_money_was_given_back() -> None:
    midnight = (MIDNIGHT_US - T0) // MINUTE_US
    dated, timed, next_day = (said("returned", 50_000, minute=midnight + later) for later in (0, 600, 1440))
    for order in itertools.permutations([dated, timed, next_day]):
        assert {cell[0] for cell in counted([[event] for event in order])[1]} == {MIDNIGHT_US + 600 * MINUTE_US}
    assert {cell[0] for cell in counted([[dated, next_day]])[1]} == {MIDNIGHT_US}


def test_a_mismatched_notice_is_held_against_what_was_really_paid() -> None:
    assert sums(said("mismatched", 140_000), said("credited", 140_000)) == {"mismatched": 1, "matched": 1, "stated_vnd": 140_000}


def test_what_was_stored_before_statements_were_read_is_still_read() -> None:
    old = msgpack.encode([[T0, 3, T0, "hdbank", "38001", 150_000, "ab" * 16]])
    (state,) = msgpack.decode(old, type=tuple[ReceiptState, ...])
    assert state.lines == state.returns == ()


WORDS = st.lists(
    st.builds(
        said, st.sampled_from(["paid", "mismatched", "failed", "unknown", "credited", "refunded", "returned"]), st.sampled_from([1000, 2000]),
        st.integers(0, 3), st.integers(1, 2), st.integers(0, 3), st.sampled_from(["", "2"]), st.sampled_from([None, (1, 2000), (2, 2000)]),
    ),
    max_size=7,
)  # fmt: skip


@given(events=WORDS, order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 7), max_size=3))
def test_order_repeats_and_cuts_change_nothing(events: list[Payment], order: Any, cuts: list[int]) -> None:
    shuffled = [*events, *events[:2]]
    order.shuffle(shuffled)
    edges = sorted({0, len(shuffled), *(cut for cut in cuts if cut <= len(shuffled))})
    assert counted([shuffled[a:b] for a, b in itertools.pairwise(edges)]) == counted([events])
