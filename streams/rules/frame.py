"""What rules are decided from: minutes in columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """Minutes of a department, from `start` (minutes since 1970) on.

    groups: units, kinds or sources, or just `` for the whole. columns: measure (or, of a histogram, its bound as text) -> what each
    minute holds, [groups, minutes]. signs: source -> the last sign of life within each minute, seconds since 1970, 0 for none, [minutes];
    the first minute holds the last one up to then, however early. limits: source -> for how many seconds it may be silent before what it
    feeds is not known. clock: the second up to which it is known what was heard; a minute that it has not passed is not over. active: whether
    a group had any row on one of the days that a group is remembered for, [groups, minutes]; None: all had, all the time.
    """

    start: int
    minutes: int
    groups: tuple[str, ...]
    columns: Mapping[str, Whole]
    signs: Mapping[str, Whole] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    clock: float = float("inf")
    active: Flags | None = None

    @property
    def over(self) -> int:
        """How many of its minutes are over."""
        return max(0, min(self.minutes, int(self.clock // 60) - self.start if self.clock != float("inf") else self.minutes))


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
    """Which groups there are to speak of, minute by minute: those active on the days before, and those with a row in the last `reach` minutes."""
    assert frame.active is not None  # noqa: S101  # who calls has looked
    some = np.zeros((len(frame.groups), frame.minutes), dtype=bool)
    for column in frame.columns.values():
        some |= column != 0
    return np.asarray(frame.active | (since(some) < reach))


def silence(frame: Frame, source: str) -> Whole:
    """At the end of each minute, how many seconds since the source's last sign of life within the frame."""
    ends = (np.arange(frame.start, frame.start + frame.minutes) + 1) * 60
    return ends - np.maximum.accumulate(frame.signs[source])


def unheard(frame: Frame) -> Flags:
    """The minutes at whose end some source had been silent for longer than it may."""
    silent = np.zeros(frame.minutes, dtype=bool)
    for source in frame.signs:
        silent |= silence(frame, source) > max(60.0, frame.limits.get(source, 60.0))
    return silent
