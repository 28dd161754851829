"""Rules decided live, on the real database: what arrives fires, what is late corrects, one evaluator at a time, nothing twice."""

import itertools
import time
from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sinks.evaluator import Evaluator, lock
from sinks.migrations import board
from sinks.proof import prove, verify
from sinks.roles import ingest_dsn
from sinks.round import MINUTE_US, Standing
from sinks.session import Connection
from streams.event import moment
from streams.rules.firing import Change
from tests.services.space import Space, paid
from tests.services.space import stand as stand_all

MISMATCH = """
rule: payment-mismatch
title: Nhiều giao dịch lệch
text: "{value} giao dịch lệch"
why: Phần mềm thu phí sai
department: payment
measure: {sum: mismatched}
window: 5m
by: unit
when: {above: 2}
owner: Sở Y tế
runbook: Gọi bệnh viện
"""


class Rang:
    """What the evaluator rang, in order."""

    def __init__(self) -> None:
        self.words: list[tuple[str, str, str]] = []

    def __call__(self, connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
        self.words += [(standing.rule.rule, change.word, change.span.group) for change in changed if change.word != "moved"]


@pytest.fixture
def rang() -> Rang:
    return Rang()


@pytest.fixture
def evaluator(space: Space, rang: Rang) -> Any:
    made = Evaluator(ingest_dsn(space.settings), space.name, rang)
    yield made
    made.close()


def stand(space: Space, body: str, minutes_ago: int = 60) -> None:
    with space.connect() as connection:
        stand_all(connection, [body], minutes_ago)


def spoken(space: Space, hours: int = 2) -> None:
    """The source gave a sign of life in each of the last hours' minutes."""
    with space.connect() as connection:
        connection.execute(
            "insert into heard_1m select 'payment', 'bank', m, m + interval '59 seconds', m, m "
            "from generate_series(date_trunc('minute', now()) - make_interval(hours => %s), now() - interval '1 minute', interval '1 minute') m",
            [hours],
        )


def now_us() -> int:
    return int(time.time()) * 1_000_000


def mismatched(space: Space, numbers: range, at_us: int, unit: str = "38001") -> None:
    held = [paid(n, unit=unit, status="mismatched", paid_at_us=at_us, event_time_us=at_us, known_at_us=now_us()) for n in numbers]
    space.take("payment", *held)
    space.follow("payment")


def firings(space: Space) -> list[tuple[Any, ...]]:
    return space.rows("select unit, since, until, peak from firing where withdrawn_at is null order by since, unit")


def test_what_arrives_fires_at_once_and_is_rung_once(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH)
    evaluator.evaluate()
    assert rang.words == []
    mismatched(space, range(3), now_us())
    touched = evaluator.evaluate()
    assert touched is not None
    assert touched.stage == "alarms"
    assert rang.words == [("payment-mismatch", "fired", "38001")]
    assert evaluator.evaluate() is None
    mismatched(space, range(3, 6), now_us())
    evaluator.evaluate()
    assert [word for _, word, _ in rang.words] == ["fired"]
    [(unit, _, until, peak)] = firings(space)
    assert (unit, until, peak) == ("38001", None, 6.0)


def test_a_late_event_shows_a_firing_that_was_missed(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH)
    spoken(space)
    evaluator.evaluate()
    at_us = now_us() - 30 * MINUTE_US
    mismatched(space, range(3), at_us)
    evaluator.evaluate()
    assert rang.words == [("payment-mismatch", "missed", "38001")]
    [(_, since, until, peak)] = firings(space)
    minute = at_us // MINUTE_US
    assert (since, until, peak) == (moment(minute * MINUTE_US), moment((minute + 5) * MINUTE_US), 3.0)


def test_what_changes_ahead_of_a_clock_that_was_set_back_is_decided_when_it_gets_there(space: Space, rang: Rang) -> None:
    stand(space, MISMATCH, minutes_ago=240)
    spoken(space, hours=5)
    arrived = now_us()
    times = [arrived / 1e6]
    evaluator = Evaluator(ingest_dsn(space.settings), space.name, rang, lambda: times[-1])
    evaluator.evaluate()
    times.append(times[0] - 3600)
    mismatched(space, range(3), arrived - 30 * MINUTE_US)
    mismatched(space, range(3, 6), arrived - 200 * MINUTE_US, "38002")
    mismatched(space, range(6, 9), arrived - 70 * MINUTE_US, "38003")
    evaluator.evaluate()
    assert {*rang.words} == {("payment-mismatch", "missed", "38002"), ("payment-mismatch", "missed", "38003")}
    times.append(times[0] + 20)
    evaluator.evaluate()
    evaluator.close()
    assert rang.words[2:] == [("payment-mismatch", "missed", "38001")]


def test_a_correction_withdraws_what_never_was(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH.replace("above: 2", "above: 2.5"))
    spoken(space)
    evaluator.evaluate()
    at_us = now_us() - 30 * MINUTE_US
    mismatched(space, range(3), at_us)
    evaluator.evaluate()
    # The strongest status of a transaction is what it is: one of the three was paid after all.
    space.take(
        "payment", paid(900, transaction=f"{2 + 2**64:032x}", status="paid", paid_at_us=at_us, event_time_us=at_us, known_at_us=now_us())
    )
    space.follow("payment")
    evaluator.evaluate()
    assert [word for _, word, _ in rang.words] == ["missed", "withdrawn"]
    assert firings(space) == []
    assert space.rows("select count(*) from firing where withdrawn_at is not null") == [(1,)]


def test_a_second_evaluator_goes_on_where_the_first_stood(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH)
    mismatched(space, range(3), now_us())
    evaluator.evaluate()
    other = Evaluator(ingest_dsn(space.settings), space.name, rang)
    mismatched(space, range(3, 5), now_us())
    assert other.evaluate() is not None  # the peak moved
    mismatched(space, range(5, 6), now_us(), "38002")
    evaluator.evaluate()
    other.close()
    assert [word for _, word, _ in rang.words] == ["fired"]
    assert [(unit, peak) for unit, _, _, peak in firings(space)] == [("38001", 5.0)]


def test_while_one_is_at_work_another_does_nothing(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH)
    mismatched(space, range(3), now_us())
    with space.connect() as holding, holding.transaction():
        holding.execute("select await_lock(%s)", [lock(space.name)])
        assert evaluator.evaluate() is None
        assert rang.words == []
    evaluator.evaluate()
    assert [word for _, word, _ in rang.words] == ["fired"]


def test_what_was_not_committed_is_rung_again(space: Space, rang: Rang) -> None:
    def fails(connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
        rang(connection, standing, changed, now)
        if len(rang.words) == 1:
            raise RuntimeError("the power goes")

    stand(space, MISMATCH)
    mismatched(space, range(3), now_us())
    made = Evaluator(ingest_dsn(space.settings), space.name, fails)
    with pytest.raises(RuntimeError):
        made.evaluate()
    assert firings(space) == []
    made.evaluate()
    made.close()
    assert [word for _, word, _ in rang.words] == ["fired", "fired"]
    assert len(firings(space)) == 1


def test_a_rule_is_held_while_one_that_inhibits_it_fires(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH.replace("payment-mismatch", "payment-any").replace("above: 2", "above: 0"))
    stand(space, MISMATCH + "inhibited_by: [payment-any]\n")
    mismatched(space, range(3), now_us())
    evaluator.evaluate()
    assert rang.words == [("payment-any", "fired", "38001")]
    assert space.rows("select rule, inhibited from firing order by 1") == [("payment-any", False), ("payment-mismatch", True)]
    assert space.rows("select rule, state from standing order by 1") == [("payment-any", "firing"), ("payment-mismatch", "inhibited")]


def test_a_rule_that_cannot_be_decided_does_not_stop_the_others(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH.replace("payment-mismatch", "a-broken-one").replace("sum: mismatched", "sum: failed"))
    stand(space, MISMATCH)
    mismatched(space, range(3), now_us())
    with psycopg.connect(space.dsn, autocommit=True) as owner:
        owner.execute(sql.SQL("alter view {}.payment_1m rename column failed to failed_no_more").format(sql.Identifier(board(space.name))))
    assert evaluator.evaluate() is None
    evaluator.evaluate()
    assert rang.words == [("payment-mismatch", "fired", "38001")]


def test_a_proof_counts_what_is_owed_and_keeps_nothing(space: Space, evaluator: Evaluator, rang: Rang) -> None:
    stand(space, MISMATCH)
    spoken(space)
    evaluator.evaluate()
    mismatched(space, range(3), now_us() - 30 * MINUTE_US)
    found = prove(ingest_dsn(space.settings), space.name)
    assert (found.differences, found.spans) == ((), 1)
    assert firings(space) == []
    evaluator.evaluate()
    assert rang.words == [("payment-mismatch", "missed", "38001")]


def test_no_minute_is_owed_while_there_is_no_rule(space: Space) -> None:
    mismatched(space, range(3), now_us())
    assert space.rows("select count(*) from owed_minute") == [(0,)]
    stand(space, MISMATCH)
    mismatched(space, range(3, 4), now_us())
    with space.connect() as connection:
        found = connection.execute(sql.SQL("select distinct department from owed_minute")).fetchall()
    assert found == [("payment",)]


class Story:
    """Three hours of a department, told in pieces to a live evaluator whose clock the test turns."""

    def __init__(self, space: Space, random: Random) -> None:
        self.space, self.random = space, random
        self.start = int(time.time()) // 60 - 400
        self.minute = self.start
        self.numbers = itertools.count(1)
        self.rang = Rang()
        self.evaluators = [self._evaluator(), self._evaluator()]
        self.sent: list[tuple[int, int]] = []

    def _evaluator(self) -> Evaluator:
        return Evaluator(ingest_dsn(self.space.settings), self.space.name, self.rang, lambda: self.minute * 60.0 + 37)

    def tell(self) -> None:
        """A few transactions, mostly of now, some late by hours, some corrections of earlier ones; the sources are heard or not."""
        random, events = self.random, []
        for _ in range(random.choice((0, 1, 4, 9))):
            late = random.choice((0, 0, 0, 1, 2, 45, 200))
            at = max(self.start - 30, self.minute - late)
            number = next(self.numbers)
            self.sent.append((number, at))
            events.append(self._event(number, at, random.choice(("paid", "mismatched", "mismatched", "failed"))))
        if self.sent and random.random() < 0.3:
            number, at = random.choice(self.sent)
            events.append(self._event(number, at, "paid", again=1))
        if events:
            self.space.take("payment", *events)
            self.space.follow("payment")

    def _event(self, number: int, at: int, status: str, again: int = 0) -> Any:
        us = at * MINUTE_US + 1_000_000
        return paid(
            number * 2 + again, transaction=f"{number:032x}", status=status, unit=f"3800{number % 3}", source=f"bank-{number % 2}",
            paid_at_us=us, event_time_us=us, known_at_us=self.minute * MINUTE_US + 30_000_000,
        )  # fmt: skip

    def live(self, minutes: int) -> None:
        for _ in range(minutes):
            if self.random.random() < 0.6:
                self.tell()
            if self.random.random() < 0.7:
                self.random.choice(self.evaluators).evaluate()
            self.minute += self.random.choice((0, 1, 1, 1, 7))
        self.minute += 1
        for _ in range(2):
            for each in self.evaluators:
                each._late_at = 0.0
                each.evaluate()
                self.minute += 1


def rules_of(random: Random) -> list[str]:
    """Rules of every kind that a department of transactions can have."""
    chosen = [
        ("{sum: mismatched}", "by: unit\nwhen: {above: 2, clear: 0}"),
        ("{ratio: mismatched, to: receipts, at_least: 2}", "by: whole\nwhen: {above: 50}"),
        ("{rate: receipts}", "by: unit\nwhen: {below: 20}"),
        ("{absence: receipts}", "by: unit\nwhen: {above: 9}"),
        ("{offline: receipts}", "when: {above: 0}"),
        ("{distinct: unit, of: mismatched}", "when: {above: 1}"),
        ("{freshness: source}", "by: source\nwhen: {above: 300}"),
        ("{completeness: source}", "by: source\nwhen: {below: 99}"),
        ("{count: duplicate}", "by: whole\nwhen: {above: 0}"),
    ]
    out = []
    for number, (measure, rest) in enumerate(chosen):
        body = MISMATCH.split("measure:", 1)[0].replace("payment-mismatch", f"rule-{number:02}")
        body += f"measure: {measure}\nwindow: {random.choice((1, 3, 15, 60))}m\n{rest}\n"
        body += f"for: {random.choice((0, 0, 2, 5))}m\nkeep_firing_for: {random.choice((0, 0, 3))}m\nmissing: {random.choice(('hold', 'ok', 'firing'))}\n"
        body += "owner: Sở Y tế\nrunbook: Gọi bệnh viện\n"
        if number and random.random() < 0.3:
            body += f"inhibited_by: [rule-{random.randrange(number):02}]\n"
        out.append(body)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_live_firings_are_those_of_a_backtest_whatever_comes_late_and_whoever_evaluates(space: Space, seed: int) -> None:
    random = Random(seed)
    story = Story(space, random)
    for body in rules_of(random):
        stand(space, body, minutes_ago=400)
    try:
        story.live(80)
    finally:
        for each in story.evaluators:
            each.close()
    with space.connect() as connection:
        proof = verify(connection, space.name)
        assert proof.differences == ()
        assert proof.rules == 9
        assert proof.spans > 3
        connection.execute(
            "update firing set until = until + interval '1 minute' where id = (select min(id) from firing where withdrawn_at is null and until is not null)"
        )
        assert len(verify(connection, space.name).differences) == 2  # a comparison that can fail
