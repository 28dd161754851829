"""The tests inside a rule: rows in, states by minute out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streams.department import department
from streams.lives import bound
from streams.rules.decide import decide
from streams.rules.frame import Frame, Whole
from streams.rules.measure import DAY, Percentile
from streams.rules.rule import STATES, Case, Row, Rule, Silence, State, clock

SOURCE = "test-source"
"""The source that a test has when none of its rows or silences names one."""


@dataclass(frozen=True)
class Failure:
    """The first minute of a group that is not in the state the test expects. expected, found: states."""

    test: str
    group: str
    minute: str
    expected: str
    found: str

    def __str__(self) -> str:
        group = f" of {self.group!r}" if self.group else ""
        return f"{self.test!r}: at {self.minute}{group} it should be {self.expected} and is {self.found}"


class Wrongly(NamedTuple):
    """A test that cannot be run: what is wrong with it."""

    test: str
    what: str

    def __str__(self) -> str:
        return f"{self.test!r}: {self.what}"


def run(rule: Rule) -> list[Failure | Wrongly]:
    """What the rule's own tests say against it; empty when all hold."""
    out: list[Failure | Wrongly] = []
    for case in rule.tests:
        wrong = _wrong(rule, case)
        out += [Wrongly(case.name, wrong)] if wrong else _failures(rule, case)
    return out


def _wrong(rule: Rule, case: Case) -> str | None:
    chosen = department(rule.department)
    known = ["n"] if isinstance(rule.measure, Percentile) else [*rule.columns]
    if isinstance(rule.measure, Percentile):
        known = ["seconds", "n"]
    for row in case.rows:
        for name in row.measures:
            if name not in known and name not in chosen.measures:
                return f"the rule {rule.rule} measures no {name!r}, but {', '.join(known) or 'signs of life'}"
        if rule.by in ("unit", "kind") and not getattr(row, rule.by):
            return f"every row needs its {rule.by}"
    if rule.by == "whole" and {*case.expect} != {"whole"}:
        return "expect: a rule for the whole department has the one group `whole`"
    return None


def _failures(rule: Rule, case: Case) -> list[Failure | Wrongly]:
    frame = _frame(rule, case)
    skip = case.start - frame.start
    decided = decide(rule, frame, case.start, inhibited=_flags(case.inhibited)[: frame.minutes - skip])
    out: list[Failure | Wrongly] = []
    for name, expected in case.expect.items():
        group = "" if name == "whole" else name
        if group not in decided.groups:
            out.append(Wrongly(case.name, f"expect: no row is of {name!r}"))
            continue
        states = decided.states[decided.groups.index(group)]
        wanted = _wanted(expected, len(states))
        differs = np.flatnonzero(states != wanted)
        if differs.size:
            at = int(differs[0])
            out.append(Failure(case.name, group, f"{at // 60:02}:{at % 60:02}", STATES[wanted[at]], STATES[states[at]]))
    return out


def _wanted(expected: Mapping[str, State], length: int) -> Whole:
    wanted = np.zeros(length, dtype=np.int64)
    for moment, state in sorted(expected.items()):
        wanted[clock(moment) :] = STATES.index(state)
    return wanted


def _flags(silences: tuple[Silence, ...]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    flags = np.zeros(DAY, dtype=bool)
    for each in silences:
        flags[clock(each.since) : clock(each.until)] = True
    return flags


def _frame(rule: Rule, case: Case) -> Frame:
    sources = sorted({r.source for r in case.rows if r.source} | {s.source for s in case.silent}) or [SOURCE]
    start = case.start - rule.memory
    length = rule.memory + clock(case.until)
    chosen = department(rule.department)
    across = rule.across
    groups = (
        ("",) if across == "whole" else tuple(sources) if across == "source" else tuple(sorted({getattr(r, across) for r in case.rows}))
    )
    names = [str(bound(int(r.measures.get("seconds", 0)))) for r in case.rows] if isinstance(rule.measure, Percentile) else rule.columns
    columns = {name: np.zeros((len(groups), length), dtype=np.int64) for name in names}
    for row in case.rows:
        if (rule.only.unit and row.unit not in rule.only.unit) or (rule.only.kind and row.kind not in rule.only.kind):
            continue
        place = groups.index(row.source or sources[0] if across == "source" else getattr(row, across) if across != "whole" else "")
        for minute in _minutes(row):
            for name, value in _counted(rule, row):
                if name in columns and 0 <= rule.memory + minute < length:
                    columns[name][place, rule.memory + minute] += value
    signs = {source: (start + np.arange(length)) * 60 + 59 for source in sources}
    for silence in case.silent:
        signs[silence.source][rule.memory + clock(silence.since) : rule.memory + clock(silence.until)] = 0
    return Frame(start, length, groups, columns, signs, limits=dict.fromkeys(sources, float(chosen.glass.silent_after_seconds)))


def _minutes(row: Row) -> range:
    """Counted from the test's midnight; of days before it below 0."""
    first, day = clock(row.at), row.days_ago * DAY
    return range(first - day, (clock(row.until) if row.until else first + 1) - day, row.every)


def _counted(rule: Rule, row: Row) -> list[tuple[str, int]]:
    if isinstance(rule.measure, Percentile):
        return [(str(bound(row.measures.get("seconds", 0))), row.measures.get("n", 1))]
    return [*row.measures.items()]
