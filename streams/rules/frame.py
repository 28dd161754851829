"""What rules are decided from: minutes in columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streams.event import VIETNAM_OFFSET_US
from streams.rules.measure import ACTIVE_WITHIN, DAY, SILENT_MOST

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """Minutes of a department, from `start` (minutes since 1970) on.

    groups: units, kinds or sources, or just `` for the whole. columns: measure (or, of a histogram, its bound as text) -> what each
    minute holds, [groups, minutes]. signs: source -> the last sign of life within each minute, seconds since 1970, 0 for none, [minutes].
    begun, ended: source -> the minutes it was first and last heard of (none given: always). limits: source -> for how many seconds it may be silent before
    what it feeds is not known. clock: the second up to which it is known what was heard; a minute that it has not passed is not over.
    days: group -> the Vietnamese days, since 1970, on which it had any row, from as long ago as groups are remembered; None: that plays no part.
    """

    start: int
    minutes: int
    groups: tuple[str, ...]
    columns: Mapping[str, Whole]
    signs: Mapping[str, Whole] = field(default_factory=dict)
    begun: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    clock: float = float("inf")
    days: Mapping[str, frozenset[int]] | None = None

    @property
    def over(self) -> int:
        """How many of its minutes are over."""
        return max(0, min(self.minutes, int(self.clock // 60) - self.start if self.clock != float("inf") else self.minutes))

    def part(self, since: int, until: int) -> "Frame":
        """The minutes of [since, until) alone."""
        cut = slice(since - self.start, until - self.start)
        columns = {name: column[:, cut] for name, column in self.columns.items()}
        signs = {source: sign[cut] for source, sign in self.signs.items()}
        return replace(self, start=since, minutes=until - since, columns=columns, signs=signs)

    def among(self, groups: Iterable[str]) -> "Frame":
        """With those groups as well: nothing was counted of them."""
        wider = tuple(sorted({*self.groups, *groups}))
        if wider == self.groups:
            return self
        place = [wider.index(group) for group in self.groups]
        columns = {}
        for name, column in self.columns.items():
            columns[name] = np.zeros((len(wider), self.minutes), dtype=np.int64)
            columns[name][place] = column
        return replace(self, groups=wider, columns=columns)


def spliced(held: Frame, new: Frame) -> Frame:
    """The held minutes with the new ones in their place; groups, columns and sources of both. The new ones begin inside the held ones or just behind."""
    place = slice(new.start - held.start, new.start - held.start + new.minutes)
    minutes = max(held.minutes, place.stop)
    held, new = held.among(new.groups), new.among(held.groups)
    columns = {name: np.zeros((len(held.groups), minutes), dtype=np.int64) for name in {**held.columns, **new.columns}}
    signs = {source: np.zeros(minutes, dtype=np.int64) for source in sorted({**held.signs, **new.signs})}
    for frame, where in ((held, slice(0, held.minutes)), (new, place)):
        for name, column in columns.items():
            column[:, where] = frame.columns.get(name, 0)
        for source, sign in signs.items():
            sign[where] = frame.signs.get(source, 0)
    days = None
    if held.days is not None and new.days is not None:
        days = {group: held.days.get(group, frozenset()) | new.days.get(group, frozenset()) for group in {**held.days, **new.days}}
    return replace(new, start=held.start, minutes=minutes, groups=held.groups, columns=columns, signs=signs, days=days)


def windowed(column: Whole, window: int) -> Whole:
    """At each minute the sum of the last `window` minutes, that minute included; what lies before the first counts as 0."""
    total = np.cumsum(column, axis=-1)
    if window < column.shape[-1]:
        total[..., window:] = total[..., window:] - total[..., :-window].copy()
    return total


def since(flags: Flags) -> Whole:
    """At each minute how many minutes ago the flag last was true: 0 there and then, and longer than the frame when never."""
    at = np.arange(flags.shape[-1])
    last = np.maximum.accumulate(np.where(flags, at, -(10**9)), axis=-1)
    return at - last


def run(flags: Flags) -> Whole:
    """At each minute for how many minutes without a break the flag has been true; the frame's first break is before its first minute."""
    at = np.arange(1, flags.shape[-1] + 1)
    return at - np.maximum.accumulate(np.where(flags, 0, at), axis=-1)


def there(frame: Frame, reach: int) -> Flags:
    """Which groups there are to speak of: those with a row on one of the days before, as many as they are remembered for, or in the last `reach` minutes."""
    some = np.zeros((len(frame.groups), frame.minutes), dtype=bool)
    for column in frame.columns.values():
        some |= column != 0
    day = (np.arange(frame.start, frame.start + frame.minutes) + VIETNAM_OFFSET_US // 60_000_000) // DAY
    lately = np.zeros((len(frame.groups), int(day[-1] - day[0]) + 1), dtype=bool)
    for number, group in enumerate(frame.groups):
        for seen in (frame.days or {}).get(group, ()):
            first = seen + 1 - int(day[0])
            lately[number, max(0, first) : max(0, first + ACTIVE_WITHIN // DAY)] = True
    return np.asarray(lately[:, day - day[0]] | (since(some) < reach))


def silence(frame: Frame, source: str) -> Real:
    """At the end of each minute, how many seconds since the source's last sign of life within the frame; NaN before it was first heard of, and from two
    weeks after the last time: it is no source any more."""
    ends = (np.arange(frame.start, frame.start + frame.minutes) + 1) * 60
    silent = (ends - np.maximum.accumulate(frame.signs[source])).astype(np.float64)
    silent[: max(0, frame.begun.get(source, frame.start) - frame.start)] = np.nan
    silent[max(0, frame.ended.get(source, frame.start + frame.minutes) + ACTIVE_WITHIN - frame.start) :] = np.nan
    return silent


def unheard(frame: Frame) -> Flags:
    """The minutes at whose end some source had been silent for longer than it may: a minute at least, two hours at most."""
    silent = np.zeros(frame.minutes, dtype=bool)
    for source in frame.signs:
        silent |= silence(frame, source) > min(max(60.0, frame.limits.get(source, 60.0)), SILENT_MOST * 60)
    return silent
