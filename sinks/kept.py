"""Frames that the evaluator keeps between rounds: only minutes that changed are read again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from streams.rules.frame import Frame, spliced
from streams.rules.rule import Rule

Load = Callable[[Rule, int, int], Frame]
"""(rule, since, until) -> the frame of [since, until) as the database has it now."""


def key(rule: Rule) -> tuple[Any, ...]:
    """Rules with the same key are decided from the same frame."""
    return rule.department, rule.table, rule.across, rule.only, rule.columns, rule.heeds_silence, getattr(rule.measure, "percentile", None)


class Kept:
    """Frames by key. What they hold is what the database held when their minutes were last read: whoever learns that minutes changed
    says so (`begin`, `frame`), and drops all of it (`clear`) when somebody else may have learnt of changes instead."""

    def __init__(self, load: Load, slack: int) -> None:
        self._load = load
        self._slack = slack
        self._frames: dict[tuple[Any, ...], tuple[Rule, Frame]] = {}
        self._read: dict[tuple[Any, ...], int] = {}
        self._since: dict[tuple[Any, ...], int] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self._since.clear()

    def begin(self, late: Mapping[str, Sequence[int]]) -> None:
        """A new round. late: department -> minutes, ascending, that changed before what the round's `frame` will be told."""
        self._read.clear()
        for name, (rule, held) in self._frames.items():
            if (since := self._since.get(name, held.start)) - held.start > 2 * self._slack:
                held = held.part(since - self._slack, held.start + held.minutes)
            end = held.start + held.minutes
            for first, last in _clusters([m for m in late.get(rule.department, ()) if held.start <= m < end], self._slack):
                held = spliced(held, self._load(rule, first, last + 1))
            self._frames[name] = rule, held
        self._since.clear()

    def frame(self, rule: Rule, since: int, until: int, changed: int) -> Frame:
        """The frame of [since, until), its minutes from `changed` on read again, once a round."""
        name = key(rule)
        self._since[name] = min(since, self._since.get(name, since))
        held = self._frames[name][1] if name in self._frames else None
        if held is None or since < held.start:
            held = self._load(rule, since - self._slack, until)
            self._read[name] = held.start
        else:
            end = held.start + held.minutes
            if until < end:  # the clock was set back: what lies behind may change, and nobody says so
                held, end = held.part(held.start, until), until
            first = max(held.start, min(changed, end))
            if first < min(until, self._read.get(name, until)):
                held = spliced(held, self._load(rule, first, until))
                self._read[name] = first
        self._frames[name] = rule, held
        return held.part(since, until)


def _clusters(minutes: Sequence[int], gap: int) -> Iterator[tuple[int, int]]:
    """First and last of minutes that lie no farther than `gap` from one another."""
    first = 0
    for number, minute in enumerate(minutes):
        if number + 1 == len(minutes) or minutes[number + 1] - minute > gap:
            yield minutes[first], minute
            first = number + 1
