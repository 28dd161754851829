"""Lives: what holds of a subject (an invoice, a session, a transaction) after all that was said of it, in whatever order and number.

A department tells facts about subjects; a subject's state is a merge that is commutative, associative and idempotent, so that
order, repeats and lateness cannot change it; what a state counts for is a pure function of it. Figures move by the difference
between what a subject counted for before and what it counts for now.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, neg
from typing import Any, NamedTuple

from streams.event import vietnam_day

MINUTE_US = 60_000_000

Subject = tuple[str, str]
"""(table, key): which kind of subject, and its 32 hex digits."""


class Count(NamedTuple):
    """What one state counts for. minute_us: start of its minute; measures: in the order of the department's `measures`;
    spread: values for the department's histogram, if it has one; member: whom a distinct count counts (a seller)."""

    minute_us: int
    unit: str
    kind: str
    measures: tuple[int, ...]
    spread: int | None = None
    member: str | None = None


class Told(NamedTuple):
    """One fact about one subject, known since `known_us`."""

    subject: Subject
    known_us: int
    fact: Any


@dataclass(frozen=True)
class Life:
    """The pure functions of a department's subjects.

    states: table -> Struct of its states; the first table is the one that counts. tell(event): the facts of an event.
    merge(table, state or None, [(known_us, fact)]): the new state (a new object; the old one is never changed).
    follows(subject, new): facts about other subjects that follow from the change. counts(state, units): what it counts for.
    also(event, units): what the event itself counts for, beside the subjects; also_counts: the measures that only it counts.
    stands_on(state): the id of the event that a counting state stands on.
    """

    states: Mapping[str, type]
    tell: Callable[[Any], Iterable[Told]]
    merge: Callable[[str, Any, list[tuple[int, Any]]], Any]
    counts: Callable[[Any, Mapping[str, str]], Count | None]
    stands_on: Callable[[Any], str]
    follows: Callable[[Subject, Any], Iterable[Told]] = lambda subject, new: ()
    also: Callable[[Any, Mapping[str, str]], Count | None] = lambda event, units: None
    also_counts: tuple[str, ...] = ()


Cell = tuple[int, int, str, str]
"""(minute_us, known_minute_us, unit, kind) of a rollup of two times."""


@dataclass
class Changes:
    """What a batch of events changed: new states, figures moved, histogram counts moved, members moved: (day, known minute, member) -> how
    many more of its subjects count."""

    states: dict[Subject, Any] = field(default_factory=dict)
    counted: dict[str, Count | None] = field(default_factory=dict)
    cells: dict[Cell, tuple[int, ...]] = field(default_factory=dict)
    spreads: dict[tuple[Cell, int], int] = field(default_factory=lambda: defaultdict(int))
    members: dict[tuple[int, int, str], int] = field(default_factory=lambda: defaultdict(int))

    def move(self, count: Count, known_us: int, sign: int) -> None:
        """Add (+1) or take out (-1) what a subject counts for, as it became known at `known_us`."""
        cell = (count.minute_us, known_us - known_us % MINUTE_US, count.unit, count.kind)
        measures = count.measures if sign > 0 else tuple(map(neg, count.measures))
        held = self.cells.get(cell)
        self.cells[cell] = measures if held is None else tuple(map(add, held, measures))
        if count.spread is not None:
            self.spreads[cell, bound(count.spread)] += sign
        if count.member is not None:
            self.members[vietnam_day(count.minute_us), cell[1], count.member] += sign


Load = Callable[[str, Sequence[str]], Mapping[str, Any]]


def advance(life: Life, events: Iterable[Any], units: Mapping[str, str], load: Load) -> Changes:
    """What `events` change, given the states that `load(table, keys)` finds. units: member -> unit (the seller registry)."""
    changes = Changes()
    before: dict[Subject, Any] = {}
    inbox: dict[Subject, list[tuple[int, Any]]] = defaultdict(list)
    for event in events:
        for subject, known_us, fact in life.tell(event):
            inbox[subject].append((known_us, fact))
        count = life.also(event, units)
        if count is not None:
            changes.move(count, event.known_at_us, 1)
    while inbox:
        _read(inbox, before, life, load)
        outbox: dict[Subject, list[tuple[int, Any]]] = defaultdict(list)
        for subject, facts in inbox.items():
            old = changes.states.get(subject, before[subject])
            new = life.merge(subject[0], old, facts)
            if new == old:
                continue
            changes.states[subject] = new
            for other, known_us, fact in life.follows(subject, new):
                outbox[other].append((known_us, fact))
        inbox = outbox
    _recount(changes, before, life, units)
    return changes


def _read(inbox: Mapping[Subject, Any], before: dict[Subject, Any], life: Life, load: Load) -> None:
    wanted: dict[str, list[str]] = defaultdict(list)
    for subject in inbox:
        if subject not in before:
            wanted[subject[0]].append(subject[1])
    for table, keys in wanted.items():
        found = load(table, keys)
        for key in keys:
            before[table, key] = found.get(key)


def _recount(changes: Changes, before: Mapping[Subject, Any], life: Life, units: Mapping[str, str]) -> None:
    counting = next(iter(life.states))
    for (table, key), new in changes.states.items():
        if table != counting:
            continue
        old = before[table, key]
        was = life.counts(old, units) if old is not None else None
        now = life.counts(new, units)
        changes.counted[key] = now
        if was != now:
            if was is not None:
                changes.move(was, new.known_us, -1)
            if now is not None:
                changes.move(now, new.known_us, 1)


GROWTH = 1.1


def bound(value: int) -> int:
    """The histogram bound of a whole value: b covers 1.1^(b-1) < value <= 1.1^b, -1 is exactly 0 (or less); the middle is off by 5 % at most."""
    if value <= 0:
        return -1
    return _BOUNDS[value] if value < len(_BOUNDS) else _bound(value)


def middle(b: int) -> float:
    """The value a histogram bound stands for."""
    return 0.0 if b < 0 else GROWTH ** (b - 0.5)


def _bound(value: int) -> int:
    b, top = 0, 1.0
    while top < value * (1 - 1e-12):
        top *= GROWTH
        b += 1
    return b


_BOUNDS = [_bound(value) for value in range(4096)]
