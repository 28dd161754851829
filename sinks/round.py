"""One round of the evaluator: each rule's owed minutes decided, what stands compared with what stood, the difference written."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np
import psycopg

from sinks.kept import Kept, Load
from sinks.session import Connection
from streams.event import moment
from streams.rules.decide import FIRING, PENDING, Decided, decide
from streams.rules.firing import Change, Span, Stored, changes, firing, joined, reaches, spans, stood
from streams.rules.frame import Flags
from streams.rules.measure import DAY
from streams.rules.rule import STATES, Rule
from streams.rules.values import groups

MINUTE_US = 60_000_000
LONGEST_PEAK = 2 * DAY
"""A firing is decided anew from its beginning, its peak with it, while that is no longer ago."""

States = dict[tuple[str, str], tuple[str, float | None]]
"""(rule, group) -> the state shown of it, and the value."""
Last = tuple[tuple[str, ...], bytes]
"""Groups of a rule, and the state each was shown in."""


@dataclass(frozen=True)
class Standing:
    """A rule that stands: its version, and the first minute it decides."""

    rule: Rule
    version: int
    since: int


@dataclass(frozen=True)
class Owed:
    """What a round has to look at. now: the minute that is not over. near: department -> the first of its lately changed minutes. late: department ->
    older changed minutes."""

    clock: float
    near: dict[str, int]
    late: dict[str, list[int]]

    @property
    def now(self) -> int:
        """The minute that is not over."""
        return int(self.clock // 60)


class Broken(Exception):
    """A rule could not be decided; the argument is its name. A defect: the others go on without it."""


class Ring(Protocol):
    """What a round's changes of a rule ring, written in the same transaction, after firings and states. Each change has the number of its firing."""

    def __call__(self, connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None: ...


class Round:
    """What one transaction of the evaluator does. states, last: what is shown now, group by group and rule by rule; kept up to date."""

    def __init__(
        self, connection: Connection, kept: Kept, load: Load, ring: Ring, owed: Owed, states: States, last: dict[str, Last]
    ) -> None:
        self._connection = connection
        self._kept = kept
        self._load = load
        self._ring = ring
        self._owed = owed
        self._states = states
        self._last = last
        self._stored: dict[str, list[Stored]] = defaultdict(list)
        self._disturbed: dict[str, int] = {}
        self._shown: States = {}
        self._told: list[tuple[Standing, list[Change]]] = []

    def run(self, rules: Sequence[Standing]) -> bool:
        """Whether any firing changed. rules: each after those that inhibit it."""
        judged = dict(self._connection.execute("select rule, extract(epoch from until)::bigint / 60 from judged").fetchall())
        untils = [max(judged.get(each.rule.rule, 0), each.since) for each in rules]
        self._read_stored(min([*untils, *self._owed.near.values(), *(minutes[0] for minutes in self._owed.late.values())]))
        decided = []
        for each, until in zip(rules, untils, strict=True):
            try:
                for since, end in self._stretches(each, until):
                    self._redecide(each, since, end)
            except psycopg.OperationalError:
                raise
            except Exception as error:
                raise Broken(each.rule.rule) from error
            if until < self._owed.now:
                decided.append(each)
        self._write_judged(decided)
        self._write_states()
        now = moment(round(self._owed.clock * 1e6))
        for each, told in self._told:
            self._ring(self._connection, each, told, now)
        return bool(self._told)

    def _read_stored(self, first: int) -> None:
        rows = self._connection.execute(
            "select rule, id, unit, inhibited, extract(epoch from since)::bigint / 60, extract(epoch from until)::bigint / 60, peak from firing "
            "where withdrawn_at is null and (until is null or until >= %s) order by since",
            [moment((first - LONGEST_PEAK) * MINUTE_US)],
        )
        for rule, number, unit, inhibited, since, until, peak in rows:
            self._stored[rule].append(Stored(number, Span(unit, inhibited, since, until, peak)))

    def _stretches(self, each: Standing, until: int) -> Iterator[tuple[int, int]]:
        """The stretches of minutes that a rule is owed; until: it is decided up to there."""
        rule, owed = each.rule, self._owed
        end = owed.now + 1
        disturbed = min((self._disturbed[name] for name in rule.inhibited_by if name in self._disturbed), default=end)
        since = max(each.since, min(until, owed.near.get(rule.department, end), disturbed))
        late = [minute for minute in owed.late.get(rule.department, []) if minute >= each.since - rule.reach]
        if late and late[0] < since:
            last = min(end, late[-1] + rule.memory + 1)
            yield max(each.since, late[0]), end if last >= since else last
            if last >= since:
                return
        if since < owed.now or (rule.rises and since < end):
            yield since, end

    def _redecide(self, each: Standing, since: int, until: int) -> None:
        rule, name = each.rule, each.rule.rule
        begun = [s.span.since for s in self._stored[name] if s.span.since < since and reaches(s.span, since)]
        since = min([since, *(b for b in begun if since - b <= LONGEST_PEAK and b >= each.since)])
        decided = self._decide(rule, since, until)
        if until <= self._owed.now and (decided.lit[:, -1:].any() or any(reaches(s.span, until) for s in self._stored[name])):
            self._redecide(each, since, self._owed.now + 1)  # what lies behind the stretch goes on from another state
            return
        stored = [s for s in self._stored[name] if reaches(s.span, since) and s.span.since < until]
        now = joined(stored, since, spans(rule, decided), rule)
        if until > self._owed.now:
            self._show(rule, decided)
        found = changes(stored, now)
        if found:
            self._write(each, found)

    def _decide(self, rule: Rule, since: int, until: int) -> Decided:
        start, near = since - rule.memory, self._owed.near.get(rule.department, until)
        late = until <= self._owed.now
        frame = self._load(rule, start, until) if late else self._kept.frame(rule, start, until, near)
        if rule.by != "whole":
            frame = frame.among(s.span.group for s in self._stored[rule.rule] if reaches(s.span, since))
        held = [s.span for s in self._stored[rule.rule]]
        before = stood(groups(rule, frame), held, since)
        return decide(rule, replace(frame, clock=self._owed.clock), since, before, self._inhibited(rule, since, until))

    def _inhibited(self, rule: Rule, since: int, until: int) -> Flags | None:
        if not rule.inhibited_by:
            return None
        return firing((s.span for name in rule.inhibited_by for s in self._stored[name]), since, until)

    def _write(self, each: Standing, found: Sequence[Change]) -> None:
        name = each.rule.rule
        told: list[Change] = []
        held = {s.id: s for s in self._stored[name]}
        for change in found:
            number = self._write_one(each, change)
            told.append(replace(change, id=number))
            was = held.pop(number, None)
            first = min(change.span.since, was.span.since if was else change.span.since)
            if change.word == "cleared" and was and was.span.since == change.span.since and change.span.until is not None:
                first = change.span.until
            self._disturbed[name] = min(self._disturbed.get(name, first), first)
            if change.word != "withdrawn" and change.span.until != change.span.since:
                held[number] = Stored(number, change.span)
        self._stored[name] = [*held.values()]
        self._told.append((each, told))

    def _write_one(self, each: Standing, change: Change) -> int:
        span = change.span
        since, until = moment(span.since * MINUTE_US), None if span.until is None else moment(span.until * MINUTE_US)
        now = moment(round(self._owed.clock * 1e6))  # of a replay, its own time
        if change.id is None:
            row = self._connection.execute(
                "insert into firing (rule, version, unit, inhibited, since, until, peak, decided_at) values (%s, %s, %s, %s, %s, %s, %s, %s) returning id",
                [each.rule.rule, each.version, span.group, span.inhibited, since, until, span.peak, now],
            ).fetchone()
            assert row is not None  # noqa: S101  # an insert returns its row
            return int(row[0])
        gone = change.word == "withdrawn" or span.until == span.since
        self._connection.execute(
            "update firing set since = %s, until = %s, peak = %s, decided_at = %s, withdrawn_at = %s where id = %s",
            [since, until, span.peak, now, now if gone else None, change.id],
        )
        return change.id

    def _show(self, rule: Rule, decided: Decided) -> None:
        if not decided.states.shape[1]:
            return
        last = decided.states[:, -1]
        before, self._last[rule.rule] = self._last.get(rule.rule), (decided.groups, last.tobytes())
        if before == self._last[rule.rule] and not ((last == PENDING) | (last == FIRING)).any():
            return
        for number, group in enumerate(decided.groups):
            value = float(decided.values[number, -1])
            shown = (STATES[decided.states[number, -1]], None if np.isnan(value) else value)
            was = self._states.get((rule.rule, group))
            if was is None or was[0] != shown[0] or (shown[0] in ("pending", "firing") and was[1] != shown[1]):
                self._states[rule.rule, group] = self._shown[rule.rule, group] = shown

    def _write_states(self) -> None:
        if self._shown:
            self._connection.execute(
                "insert into standing as s (rule, unit, state, since, value) select rule, unit, state, %s, value "
                "from unnest(%s::text[], %s::text[], %s::text[], %s::float8[]) n(rule, unit, state, value) order by 1, 2 on conflict (rule, unit) do update "
                "set state = excluded.state, value = excluded.value, since = case when s.state = excluded.state then s.since else excluded.since end",
                [
                    moment(self._owed.now * MINUTE_US),
                    [rule for rule, _ in self._shown],
                    [unit for _, unit in self._shown],
                    [state for state, _ in self._shown.values()],
                    [value for _, value in self._shown.values()],
                ],
            )

    def _write_judged(self, rules: Sequence[Standing]) -> None:
        if rules:
            self._connection.execute(
                "insert into judged (rule, version, until) select rule, version, %s from unnest(%s::text[], %s::int[]) n(rule, version) order by 1 "
                "on conflict (rule) do update set version = excluded.version, until = excluded.until",
                [moment(self._owed.now * MINUTE_US), [r.rule.rule for r in rules], [r.version for r in rules]],
            )
