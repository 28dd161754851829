"""Laws of rules: what is decided equals a plain reading of the words, however minutes are cut and however late events come."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import holidays
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import sinks.kept
from streams.rules.decide import Decided, decide
from streams.rules.firing import Change, Span, Stored, changes, joined, spans
from streams.rules.frame import Frame, unheard
from streams.rules.measure import ACTIVE_WITHIN
from streams.rules.rule import STATES, Rule

DAWN = 29_692_800  # 2026-06-16 00:00 UTC, a Tuesday: the first minute decided; before it there is nothing
LENGTH = 100
UNITS = ("38001", "38002", "38003")
SOURCES = ("one", "two")
LIMIT = 300

VN_HOLIDAYS = holidays.country_holidays("VN")


@dataclass
class World:
    """What was written down: (minute, unit) -> two measures; source -> minutes with a sign of life (at the minute's last second)."""

    rows: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    signs: dict[str, set[int]] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)

    def add(self, minute: int, unit: str, one: int, two: int) -> None:
        was = self.rows.get((minute, unit), (0, 0))
        self.rows[minute, unit] = (was[0] + one, was[1] + two)


def frame_of(world: World, rule: Rule, since: int, until: int, clock: float = float("inf")) -> Frame:
    """As sinks.frames reads it from the database: the same facts in columns, `rule.memory` minutes more."""
    start = since - rule.memory
    groups = ("",) if rule.across == "whole" else SOURCES if rule.across == "source" else UNITS
    columns = {name: np.zeros((len(groups), until - start), dtype=np.int64) for name in rule.columns}
    for (minute, unit), both in world.rows.items():
        for name, value in zip(("receipts", "mismatched"), both, strict=True):
            if name in columns and start <= minute < until:
                columns[name][0 if rule.across == "whole" else groups.index(unit), minute - start] += value
    signs = {}
    for source in SOURCES:
        signs[source] = np.zeros(until - start, dtype=np.int64)
        for minute in world.signs[source]:
            if minute < until:
                at = max(0, minute - start)
                signs[source][at] = max(signs[source][at], minute * 60 + 59)
    return Frame(start, until - start, groups, columns, signs, world.begun, limits=dict.fromkeys(SOURCES, float(LIMIT)), clock=clock)


class Plain:
    """The same states by reading the words aloud, one minute after the other."""

    def __init__(self, world: World, rule: Rule, clock: float = float("inf")) -> None:
        self.world, self.rule, self.clock = world, rule, clock
        self.groups = ("",) if rule.by == "whole" else SOURCES if rule.by == "source" else UNITS

    def total(self, which: int, units: Sequence[str], minute: int) -> int:
        window = range(minute - self.rule.window + 1, minute + 1)
        return sum(self.world.rows.get((m, unit), (0, 0))[which] for m in window for unit in units)

    def value(self, group: str, minute: int) -> float | None:
        units = UNITS if group == "" else (group,)
        kind, said = next(iter(self.rule.measure.model_dump().items()))
        which = 0 if said == "receipts" else 1
        if kind in ("sum", "count"):
            return self.total(which, units, minute)
        if kind == "rate":
            return self.total(which, units, minute) * 60 / self.rule.window
        if kind == "ratio":
            whole = self.total(1 - which, units, minute)
            return 100 * self.total(which, units, minute) / whole if whole >= self.rule.measure.at_least else None  # type: ignore[union-attr]
        if kind == "distinct":
            return sum(self.total(0, (unit,), minute) > 0 for unit in UNITS)
        if kind == "offline":
            return sum(self.ago(0, (unit,), minute) in range(self.rule.window, 14 * 1440) for unit in UNITS)
        if kind == "absence":
            return min(self.ago(which, units, minute), 2880)
        if kind == "change":
            was = self.total(which, units, minute - 10_080)
            return 100 * (self.total(which, units, minute) - was) / was if was >= 1 else None
        assert kind == "freshness"
        known = [self.silent(s, minute) for s in (SOURCES if group == "" else (group,))]
        return max((min(each, 86_400) for each in known if each is not None), default=None)

    def ago(self, which: int, units: Sequence[str], minute: int) -> int:
        there: dict[int, int] = {}
        for (m, unit), both in self.world.rows.items():
            if unit in units and m <= minute:
                there[m] = there.get(m, 0) + both[which]
        return min((minute - m for m, value in there.items() if value), default=10**6)

    def silent(self, source: str, minute: int) -> int | None:
        if minute < self.world.begun.get(source, 0):
            return None
        last = max((m for m in self.world.signs[source] if m <= minute), default=-(10**7))
        return (minute + 1) * 60 - (last * 60 + 59)

    def awake(self, minute: int) -> bool:
        calendar = self.rule.calendar
        local = datetime.fromtimestamp(minute * 60, UTC) + timedelta(hours=7)
        first, last = calendar.hours.split("-")
        now = f"{local:%H:%M}"
        day: date = local.date()
        if last < first:
            inside = now >= first or now < last
            day -= timedelta(days=1) if now < last else timedelta()
        else:
            inside = first <= now < last
        return inside and f"{day:%a}".lower() in calendar.days and (calendar.holidays or day not in VN_HOLIDAYS)

    def holds(self, group: str, minute: int) -> tuple[bool, bool, bool]:
        """(the condition holds, it is past its clear-threshold, nothing is proved)."""
        value, when, rule = self.value(group, minute), self.rule.when, self.rule
        if when.above is not None:
            hot = value is not None and value > when.above
            cool = value is None or value <= (when.above if when.clear is None else when.clear)
        else:
            assert when.below is not None
            hot = value is not None and value < when.below
            cool = value is None or value >= (when.below if when.clear is None else when.clear)
        unknown = False
        if "freshness" not in rule.measure.model_dump() and any((self.silent(s, minute) or 0) > LIMIT for s in SOURCES):
            if rule.missing == "ok":
                hot, cool = False, True
            elif rule.missing == "firing":
                hot, cool = True, False
            else:
                hot, cool = hot and rule.rises, False
                unknown = not hot
        return hot, cool and self.over(minute), unknown

    def over(self, minute: int) -> bool:
        return (minute + 1) * 60 <= self.clock

    def states(self, group: str, since: int, until: int, inhibited: Sequence[bool] | None = None) -> list[str]:
        """Of the minutes of [since, until) that can be decided, reading from long before."""
        out: list[str] = []
        lit, hot_for, cool_for = False, 0, 0
        begin = since - self.rule.for_ - self.rule.keep_firing_for - 2
        for minute in range(begin, until):
            if not self.over(minute) and not (self.rule.rises and self.over(minute - 1)):
                break
            hot, cool, unknown = self.holds(group, minute)
            awake = self.awake(minute)
            hot, cool = hot and awake, cool or not awake
            hot_for, cool_for = (hot_for + 1 if hot else 0), (cool_for + 1 if cool else 0)
            if hot_for > self.rule.for_:
                lit = True
            elif cool_for > self.rule.keep_firing_for or not awake:
                lit = False
            if minute == since - 1:
                lit = False  # nothing stood before the first minute
            state = "pending" if hot else "unknown" if unknown else "ok"
            if lit:
                state = "inhibited" if inhibited is not None and minute >= since and inhibited[minute - since] else "firing"
            if minute >= since:
                out.append(state if awake else "asleep")
        return out


MEASURES: list[tuple[dict[str, Any], str, tuple[float, ...]]] = [
    ({"sum": "receipts"}, "figures", (2, 5)), ({"count": "mismatched"}, "figures", (0, 1)), ({"rate": "receipts"}, "figures", (30, 120)),
    ({"ratio": "mismatched", "to": "receipts"}, "figures", (30, 50)), ({"ratio": "mismatched", "to": "receipts", "at_least": 3}, "figures", (30, 50)),
    ({"distinct": "unit", "of": "receipts"}, "units", (0.5, 1.5)), ({"offline": "receipts"}, "units", (0.5, 1.5)),
    ({"absence": "receipts"}, "figures", (5, 20)), ({"change": "receipts"}, "figures", (-50, 50)), ({"freshness": "source"}, "signs", (200, 400)),
]  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    measure, kind, levels = draw(st.sampled_from(MEASURES))
    by = draw(st.sampled_from({"figures": ("whole", "unit"), "units": ("whole",), "signs": ("whole", "source")}[kind]))
    low, high = levels
    above = draw(st.booleans())
    when: dict[str, Any] = {"above": high, **draw(st.sampled_from(({}, {"clear": low})))}
    if not above:
        when = {"below": low, **draw(st.sampled_from(({}, {"clear": high})))}
    calendar = draw(
        st.sampled_from(
            (
                {},
                {},
                {"hours": "07:20-08:10"},
                {"hours": "23:30-07:40"},
                {"days": ["mon", "wed"]},
                {"days": ["mon"], "hours": "22:00-07:30"},
            )
        )
    )
    minutes = st.integers(0, 4).map("{}m".format)
    return Rule.model_validate(
        {
            "rule": "it-holds", "title": "Thử", "text": "Thử", "why": "Thử", "owner": "Sở Y tế", "runbook": "Gọi", "department": "payment", "measure": measure,
            "by": by, "when": when, "window": draw(st.integers(1, 8).map("{}m".format)), "for": draw(minutes), "keep_firing_for": draw(minutes),
            "missing": draw(st.sampled_from(("hold", "hold", "ok", "firing"))), "calendar": calendar,
        }
    )  # fmt: skip


Added = tuple[int, str, int, int]
minutes_of_world = st.one_of(st.integers(-30, LENGTH - 1), st.integers(-10_080 - 20, -10_080 + LENGTH))
added = st.tuples(minutes_of_world, st.sampled_from(UNITS), st.integers(-1, 4), st.integers(0, 3))
bursts = st.tuples(st.integers(-20, LENGTH - 1), st.integers(1, 30), st.sampled_from(UNITS), st.integers(0, 3), st.integers(0, 2)).map(
    lambda b: [(b[0] + i, b[2], b[3], b[4]) for i in range(b[1])]
)
many = st.tuples(st.lists(added, max_size=25), st.lists(bursts, max_size=4)).map(
    lambda both: both[0] + [row for burst in both[1] for row in burst]
)
gaps = st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(-10, LENGTH), st.integers(1, 25)), max_size=3)
"""Silences of sources; one that would begin before the first minute has its source first heard of after it."""


def world_of(rows: Sequence[Added], silences: Sequence[tuple[str, int, int]]) -> World:
    world = World(signs={source: set(range(DAWN - 3000, DAWN + LENGTH)) for source in SOURCES})
    for minute, unit, one, two in rows:
        if minute < LENGTH:
            world.add(DAWN + minute, unit, one, two)
    for source, since, length in silences:
        world.signs[source] -= set(range(DAWN + (since if since >= 0 else -3000), DAWN + since + length))
        if since < 0:
            world.begun[source] = DAWN + since + length
    return world


def named(decided: Decided) -> dict[str, list[str]]:
    return {group: [STATES[s] for s in decided.states[number]] for number, group in enumerate(decided.groups)}


@settings(max_examples=150, deadline=None)
@given(rules(), many, gaps, st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH))
def test_a_minute_is_decided_as_the_words_say(rule: Rule, rows: list[Added], silences: Any, inhibited: list[bool]) -> None:
    world = world_of(rows, silences)
    decided = decide(rule, frame_of(world, rule, DAWN, DAWN + LENGTH), DAWN, inhibited=np.array(inhibited))
    plain = Plain(world, rule)
    assert named(decided) == {group: plain.states(group, DAWN, DAWN + LENGTH, inhibited) for group in plain.groups}


@settings(max_examples=80, deadline=None)
@given(rules(), many, gaps, st.integers(-3 * 60, LENGTH * 60))
def test_a_minute_that_is_not_over_is_decided_only_for_what_holds_already(rule: Rule, rows: list[Added], silences: Any, clock: int) -> None:
    world, now = world_of([row for row in rows if row[0] * 60 < clock], silences), DAWN * 60 + clock
    decided = decide(rule, frame_of(world, rule, DAWN, DAWN + LENGTH, now), DAWN)
    plain = Plain(world, rule, now)
    assert named(decided) == {group: plain.states(group, DAWN, DAWN + LENGTH) for group in plain.groups}


@settings(max_examples=80, deadline=None)
@given(rules(), many, gaps, st.lists(st.integers(1, LENGTH - 1), max_size=5))
def test_deciding_in_parts_equals_deciding_at_once(rule: Rule, rows: list[Added], silences: Any, cuts: list[int]) -> None:
    world = world_of(rows, silences)
    whole = decide(rule, frame_of(world, rule, DAWN, DAWN + LENGTH), DAWN)
    edges, before = sorted({0, *cuts, LENGTH}), None
    found: dict[str, list[str]] = {group: [] for group in whole.groups}
    for first, last in itertools.pairwise(edges):
        part = decide(rule, frame_of(world, rule, DAWN + first, DAWN + last), DAWN + first, before)
        before = part.lit[:, -1]
        for group, states in named(part).items():
            found[group] += states
    assert found == named(whole)


class Kept:
    """Spans as a database keeps them: numbered, changed, withdrawn; what the evaluator does with what it decided."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.spans, self.next = rule, dict[int, Span](), 1
        self.told: list[Change] = []

    def judge(self, world: World, since: int, clock: int) -> None:
        """Decide again from `since` to what the clock allows, and keep what follows."""
        frame = frame_of(world, self.rule, since, DAWN + LENGTH, clock)
        groups = ("",) if self.rule.by == "whole" else frame.groups
        stood = [any(s.group == group and s.since < since and _until(s) >= since for s in self.spans.values()) for group in groups]
        decided = decide(self.rule, frame, since, np.array(stood))
        stored = [Stored(id, span) for id, span in self.spans.items() if _until(span) >= since]
        for change in changes(stored, joined(stored, since, spans(self.rule, decided), self.rule)):
            self.told.append(change)
            if change.word == "withdrawn" or (change.word == "moved" and change.span.until == change.span.since):
                assert change.id is not None
                del self.spans[change.id]
            elif change.id is None:
                self.spans[self.next], self.next = change.span, self.next + 1
            else:
                self.spans[change.id] = change.span


def _until(span: Span) -> int:
    return 10**9 if span.until is None else span.until


def times(found: Sequence[Span]) -> list[tuple[str, int, int | None]]:
    return sorted((s.group, s.since, s.until) for s in found)


@settings(max_examples=100, deadline=None)
@given(rules(), many, gaps, st.lists(st.integers(0, LENGTH + 40), min_size=200, max_size=200), st.lists(st.integers(1, LENGTH), max_size=6))
def test_what_is_kept_minute_by_minute_with_late_events_is_what_is_true(
    rule: Rule, rows: list[Added], silences: Any, lateness: list[int], looks: list[int]
) -> None:
    rows = [row for row in rows if row[0] < LENGTH][:200]
    arrival = [max(row[0], 0) + 1 if late > LENGTH else max(row[0] + 1, late) for row, late in zip(rows, lateness, strict=False)]
    kept, seen, since = Kept(rule), 0, DAWN
    for look in sorted({*looks, LENGTH + 41}):
        clock = (DAWN + min(look, LENGTH)) * 60
        fresh = [row for row, at in zip(rows, arrival, strict=True) if seen < at <= look or (at <= look and seen == 0)]
        world = world_of([row for row, at in zip(rows, arrival, strict=True) if at <= look], silences)
        touched = min((DAWN + max(0, row[0]) for row in fresh), default=since)
        if any(row[0] < -100 for row in fresh):
            touched = DAWN  # a week ago: what is compared with it is decided again
        kept.judge(world, min(touched, since), clock)
        seen, since = look, DAWN + min(look, LENGTH)
    kept.judge(world, min(since, DAWN + LENGTH - 1), (DAWN + LENGTH) * 60)
    whole = decide(rule, frame_of(world, rule, DAWN, DAWN + LENGTH), DAWN)
    assert times([*kept.spans.values()]) == times([*spans(rule, whole)])


@given(rules(), st.lists(st.tuples(st.integers(1, LENGTH), st.sets(st.integers(0, LENGTH), max_size=4)), max_size=8))
def test_frames_that_are_kept_hold_what_is_there_though_the_clock_is_set_back(rule: Rule, looks: list[tuple[int, set[int]]]) -> None:
    there = np.zeros(LENGTH + 1, dtype=np.int64)

    def load(rule: Rule, since: int, until: int) -> Frame:
        signs = np.zeros(until - since, dtype=np.int64)
        for minute in range(max(since, DAWN), until):
            signs[minute - since] = there[minute - DAWN]
        return Frame(since, until - since, (), {}, {"one": signs})

    kept = sinks.kept.Kept(load, slack=2 * LENGTH)
    for number, (until, changed) in enumerate(looks, 1):
        there[[*changed]] = number
        kept.begin({})
        found = kept.frame(rule, DAWN, DAWN + until, DAWN + min(changed, default=until))
        assert [*found.signs["one"]] == [*there[:until]]


def test_a_source_that_was_not_heard_of_for_two_weeks_holds_nothing_any_more() -> None:
    minutes = ACTIVE_WITHIN + 60
    frame = Frame(0, minutes, ("",), {}, {"gone": np.zeros(minutes, dtype=np.int64)}, ended={"gone": 0})
    silent = unheard(frame)
    assert silent[1:ACTIVE_WITHIN].all()
    assert not silent[ACTIVE_WITHIN:].any()
