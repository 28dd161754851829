"""Firings: from states to spans of time, and from what stood to what stands now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from streams.rules.decide import FIRING, INHIBITED, Decided
from streams.rules.frame import Flags
from streams.rules.rule import Rule


class Span(NamedTuple):
    """A stretch of minutes in which a rule fired for a group, or would have, were it not inhibited. since, until: minutes since 1970, until is
    the first one without; None: not ended yet. peak: the farthest value from the threshold, None when it had none."""

    group: str
    inhibited: bool
    since: int
    until: int | None
    peak: float | None


class Stored(NamedTuple):
    """A span that was written down, with its number."""

    id: int
    span: Span


Word = Literal["fired", "cleared", "again", "missed", "withdrawn", "moved"]
"""fired: began, and lasts. cleared: ended. again: was said to have ended, and lasts. missed: late data show one that began and ended already.
withdrawn: never was, as is known now. moved: other times or another peak; nobody is told."""


@dataclass(frozen=True)
class Change:
    """What became of a firing. id: of the span it was, None for a new one. span: as it is now (as it was, when withdrawn)."""

    word: Word
    id: int | None
    span: Span


def spans(rule: Rule, decided: Decided) -> Iterator[Span]:
    """The stretches of FIRING and of INHIBITED, by group and time; one that reaches the last decided minute is not ended."""
    farthest = np.fmax if rule.when.above is not None else np.fmin
    length = decided.states.shape[1]
    held = (decided.states == FIRING) | (decided.states == INHIBITED)
    for number in np.flatnonzero(held.any(axis=1)):
        group, states = decided.groups[number], decided.states[number]
        edges = np.flatnonzero(np.diff(states)) + 1
        for first, last in zip([0, *edges], [*edges, length], strict=True):
            if first == last or states[first] not in (FIRING, INHIBITED):
                continue
            peak = float(farthest.reduce(decided.values[number, first:last]))
            yield Span(
                group,
                bool(states[first] == INHIBITED),
                decided.start + int(first),
                None if last == length else decided.start + int(last),
                None if np.isnan(peak) else peak,
            )


def reaches(span: Span, minute: int) -> bool:
    """Whether it lasts to the minute, or ends just before it."""
    return span.until is None or span.until >= minute


def stood(groups: Sequence[str], found: Iterable[Span], since: int) -> Flags:
    """Per group whether one of the spans holds in the minute before `since`: what `decide` goes on from."""
    lit = {span.group for span in found if span.since < since and reaches(span, since)}
    return np.array([group in lit for group in groups], dtype=bool)


def firing(found: Iterable[Span], since: int, until: int) -> Flags:
    """The minutes of [since, until) in which a rule fired for any group: what it inhibits."""
    flags = np.zeros(until - since, dtype=bool)
    for span in found:
        if not span.inhibited:
            flags[max(0, span.since - since) : None if span.until is None else max(0, span.until - since)] = True
    return flags


def joined(stored: Iterable[Stored], since: int, found: Iterable[Span], rule: Rule) -> list[Span]:
    """Spans decided from `since` on, each that goes on from a stored one before it joined to that."""
    before = {(each.span.group, each.span.inhibited): each.span for each in stored if each.span.since < since and reaches(each.span, since)}
    out = []
    for span in found:
        earlier = before.get((span.group, span.inhibited)) if span.since == since else None
        if earlier is not None:
            out.append(span._replace(since=earlier.since, peak=_farther(rule, earlier.peak, span.peak)))
        else:
            out.append(span)
    begun = {(span.group, span.inhibited, span.since) for span in out}
    ended = [s._replace(until=since) for key, s in before.items() if (*key, s.since) not in begun]
    return sorted(out + ended, key=lambda s: (s.group, s.since))


def _farther(rule: Rule, one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other) if rule.when.above is not None else min(one, other)


def changes(stored: Sequence[Stored], now: Sequence[Span]) -> list[Change]:
    """What turns the stored spans into those that are true now. A span that overlaps or touches a stored one of its group is that one, moved."""
    out: list[Change] = []
    left = sorted(stored, key=lambda each: (each.span.since, each.id))
    for span in sorted(now, key=lambda each: (each.since, each.group)):
        was = next((each for each in left if _same(each.span, span)), None)
        if was is None:
            word: Word = "moved" if span.inhibited else "fired" if span.until is None else "missed"
            out.append(Change(word, None, span))
            continue
        left.remove(was)
        if was.span != span:
            out.append(Change(_word(was.span, span), was.id, span))
    out += [Change("moved" if each.span.inhibited else "withdrawn", each.id, each.span._replace(until=each.span.since)) for each in left]
    return out


def _same(was: Span, now: Span) -> bool:
    if (was.group, was.inhibited) != (now.group, now.inhibited):
        return False
    return was.since <= (now.until if now.until is not None else was.since) and now.since <= (
        was.until if was.until is not None else now.since
    )


def _word(was: Span, now: Span) -> Word:
    if now.inhibited:
        return "moved"
    if was.until is None and now.until is not None:
        return "cleared"
    if was.until is not None and now.until is None:
        return "again"
    return "moved"
