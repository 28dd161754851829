"""What the firings of a backtest amount to: calls, flapping, by day and by unit, against another rule and against what really happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streams.event import VIETNAM_OFFSET_US
from streams.rules.firing import Span
from streams.rules.measure import DAY, WEEK

FLAP_MINUTES = 15
_OFFSET = VIETNAM_OFFSET_US // 60_000_000


class Incident(NamedTuple):
    """What really happened, as somebody labelled it: unit '' is the whole department. Minutes since 1970; until is the first one without."""

    unit: str
    since: int
    until: int


class Score(NamedTuple):
    """right: the share of firings that an incident explains; found: the share of incidents that a firing met; None without any to judge by."""

    precision: float | None
    recall: float | None
    firings_right: int
    incidents_found: int
    incidents: int


def calls(spans: Iterable[Span], until: int) -> list[tuple[int, int]]:
    """How often people are called: firings of one rule that overlap or touch are one call, from the first to the last."""
    out: list[tuple[int, int]] = []
    for span in sorted((each for each in spans if not each.inhibited), key=lambda each: each.since):
        end = until if span.until is None else span.until
        if out and span.since <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], end)
        else:
            out.append((span.since, end))
    return out


def calls_per_week(spans: Iterable[Span], since: int, until: int) -> float:
    """How many calls a week of such minutes brings; less than a week is not blown up to one."""
    return round(len(calls(spans, until)) * WEEK / max(WEEK, until - since), 2)


def flapping(spans: Sequence[Span]) -> list[Span]:
    """Firings that begin less than a quarter of an hour after the last one of their group ended."""
    out, ended = list[Span](), dict[str, int]()
    for span in sorted(spans, key=lambda each: each.since):
        if not span.inhibited:
            if span.since - ended.get(span.group, -DAY) < FLAP_MINUTES:
                out.append(span)
            ended[span.group] = DAY * 10**6 if span.until is None else span.until
    return out


def by_day(spans: Iterable[Span], since: int, until: int) -> dict[int, int]:
    """Vietnamese day, since 1970 -> how many firings begin on it; every day of the time looked at."""
    found = Counter((span.since + _OFFSET) // DAY for span in spans if not span.inhibited)
    return {day: found[day] for day in range((since + _OFFSET) // DAY, (until - 1 + _OFFSET) // DAY + 1)}


def by_group(spans: Iterable[Span], until: int) -> dict[str, tuple[int, int]]:
    """Group -> (firings, minutes firing), most minutes first."""
    times, minutes = Counter[str](), Counter[str]()
    for span in spans:
        if not span.inhibited:
            times[span.group] += 1
            minutes[span.group] += (until if span.until is None else span.until) - span.since
    return {group: (times[group], total) for group, total in minutes.most_common()}


def beyond(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The firings that overlap none of the others' of their group: what a change adds, or (the other way about) removes."""
    there = [each for each in others if not each.inhibited]
    return [span for span in spans if not span.inhibited and not any(_meet(span, each) for each in there if each.group == span.group)]


def score(spans: Sequence[Span], incidents: Sequence[Incident]) -> Score:
    """Precision and recall. An incident of the whole department explains a firing of any unit, and one of any unit that of the whole."""
    firings = [span for span in spans if not span.inhibited]

    def explains(incident: Incident, span: Span) -> bool:
        same = incident.unit in ("", span.group) or span.group == ""
        return (
            same
            and incident.since < (span.until if span.until is not None else incident.until + span.since)
            and span.since < incident.until
        )

    right = sum(any(explains(incident, span) for incident in incidents) for span in firings)
    found = sum(any(explains(incident, span) for span in firings) for incident in incidents)
    judged = bool(incidents)
    precision = right / len(firings) if judged and firings else None
    return Score(precision, found / len(incidents) if judged else None, right, found, len(incidents))


def _meet(one: Span, other: Span) -> bool:
    return (other.until is None or one.since < other.until) and (one.until is None or other.since < one.until)
