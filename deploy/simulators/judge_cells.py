"""Counting for the judge: facts by total, day, unit, and day with unit, and the figures of each such cell."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

Value = int | None
GROUPS = ("total", "day", "unit", "day,unit", "pair")
Place = tuple[str | None, ...]


@dataclass(frozen=True)
class Fact:
    """What one fact adds to the cells it lies in. distinct: (figure, what is counted once). seconds: a sample for percentiles.
    supporting: the other unit of a pair."""

    day: str
    unit: str | None
    adds: Mapping[str, int] = field(default_factory=dict)
    distinct: tuple[tuple[str, str], ...] = ()
    seconds: int | None = None
    supporting: str | None = None

    def place(self, group: str) -> Place:
        """Its cell in that group."""
        pair = f"{self.unit or ''}>{self.supporting}" if self.supporting else None
        return {"total": (), "day": (self.day,), "unit": (self.unit,), "day,unit": (self.day, self.unit), "pair": (pair,)}[group]


@dataclass
class Cell:
    """What was counted in one cell."""

    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: list[int] = field(default_factory=list)

    def take(self, fact: Fact) -> None:
        """One more fact."""
        for name, value in fact.adds.items():
            self.sums[name] += value
        for name, what in fact.distinct:
            self.seen[name].add(what)
        if fact.seconds is not None:
            self.seconds.append(fact.seconds)

    def figure(self, name: str) -> Value:
        """A figure by its name in doors.md."""
        if name.startswith("code_seconds_p"):
            return nearest_rank(self.seconds, int(name.removeprefix("code_seconds_p")))
        if name == "minutes":
            return self.sums["seconds"] // 60
        return len(self.seen[name]) if name in ("sellers", "sites", "hospitals") else self.sums[name]


def nearest_rank(samples: Iterable[int], percent: int) -> Value:
    """The sample at rank ceil(percent / 100 x n); None when there is none."""
    ordered = sorted(samples)
    return ordered[max(0, ceil(percent * len(ordered) / 100) - 1)] if ordered else None


def cells(facts: Iterable[Fact]) -> dict[str, dict[Place, Cell]]:
    """By group and place."""
    counted: dict[str, dict[Place, Cell]] = {group: defaultdict(Cell) for group in GROUPS}
    for fact in facts:
        for group in GROUPS:
            counted[group][fact.place(group)].take(fact)
    return counted
