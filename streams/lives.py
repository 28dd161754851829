"""Lives: what held of a subject (an invoice, a session, a transaction), minute of arrival by minute, after all that was said of it.

A department tells facts about subjects; a subject's state is a merge that is commutative, associative and idempotent, and what a state counts
for is a pure function of it. A subject's history holds its state after each minute of arrival in which it changed, so that figures of both times,
now and as of any minute, are a function of the set of facts: order, repeats, lateness and how the stream is cut cannot change them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, attrgetter, neg
from typing import Any, NamedTuple

from msgspec.structs import replace

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


History = tuple[Any, ...]
"""The states of one subject, ascending: each is all that was known when the minute of arrival had passed that its `known_us` begins, and
differs from the one before it."""


class Registry:
    """Where members (sellers) are registered. units: now."""

    def __init__(self) -> None:
        self.units: dict[str, str] = {}
        self._was: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def add(self, member: str, since_us: int, unit: str) -> None:
        """From then on; a member's moves come in order."""
        self.units[member] = unit
        self._was[member].append((since_us, unit))

    def then(self, member: str, at_us: int) -> str:
        """Where the member was registered at an instant; "" where it was not yet."""
        for since_us, unit in reversed(self._was.get(member, ())):
            if since_us <= at_us:
                return unit
        return ""


@dataclass(frozen=True)
class Life:
    """The pure functions of a department's subjects.

    states: table -> Struct of its states, whose first field is `known_us`; the first table is the one that counts. tell(event): the facts of
    an event. merge(table, state or None, known_us, fact): the state with the fact, as of that minute (a new object), or the very same state
    where the fact adds nothing. Whatever the order, the same facts make equal states.
    follows(subject, state): facts about other subjects that follow from it; monotone: what followed from less is among what follows from more,
    or adds nothing to it. counts(state, units): what it counts for, units: member -> unit now.
    also(event, registered): what the event itself counts for, beside the subjects, where its member was registered when it arrived:
    registered(member, instant) -> unit. also_counts: the measures that only it counts.
    stands_on(state): the id of the event that a counting state stands on.
    """

    states: Mapping[str, type]
    tell: Callable[[Any], Iterable[tuple[Subject, int, Any]]]
    merge: Callable[[str, Any, int, Any], Any]
    counts: Callable[[Any, Mapping[str, str]], Count | None]
    stands_on: Callable[[Any], str]
    follows: Callable[[Subject, Any], Iterable[tuple[Subject, int, Any]]] = lambda subject, state: ()
    also: Callable[[Any, Callable[[str, int], str]], Count | None] = lambda event, registered: None
    also_counts: tuple[str, ...] = ()


Cell = tuple[int, int, str, str]
"""(minute_us, known_minute_us, unit, kind) of a rollup of two times."""


@dataclass
class Changes:
    """What a batch of events changed: new histories and what their subjects count for now, figures moved, histogram counts moved, members moved:
    (day, known minute, member) -> how many more of its subjects count."""

    histories: dict[Subject, History] = field(default_factory=dict)
    counted: dict[str, Count | None] = field(default_factory=dict)
    cells: dict[Cell, tuple[int, ...]] = field(default_factory=dict)
    spreads: dict[tuple[Cell, int], int] = field(default_factory=lambda: defaultdict(int))
    members: dict[tuple[int, int, str], int] = field(default_factory=lambda: defaultdict(int))

    def move(self, count: Count, known_us: int, sign: int) -> None:
        """Add (+1) or take out (-1) what a subject counts for, as it became known at `known_us`."""
        minute_us, unit, kind, measures, spread, member = count
        known_us -= known_us % MINUTE_US
        cell = (minute_us, known_us, unit, kind)
        if sign < 0:
            measures = tuple(map(neg, measures))
        held = self.cells.get(cell)
        self.cells[cell] = measures if held is None else tuple(map(add, held, measures))
        if spread is not None:
            self.spreads[cell, bound(spread)] += sign
        if member is not None:
            self.members[vietnam_day(minute_us), known_us, member] += sign

    def recount(self, life: Life, units: Mapping[str, str], states: History, sign: int, was: Count | None = None) -> Count | None:
        """Add (+1) or take out (-1) what a subject counted for in these states, as each became known; was: in the state before them. What it
        counts for in the last."""
        for state in states:
            now = life.counts(state, units)
            if now != was:
                if was is not None:
                    self.move(was, state.known_us, -sign)
                if now is not None:
                    self.move(now, state.known_us, sign)
            was = now
        return was


Load = Callable[[str, Sequence[str]], Mapping[str, History]]


def advance(life: Life, events: Iterable[Any], registry: Registry, load: Load) -> Changes:
    """What `events` change, given the histories that `load(table, keys)` finds."""
    changes = Changes()
    before: dict[Subject, History] = {}
    inbox: dict[Subject, list[tuple[int, Any]]] = defaultdict(list)
    tell, also, then, move, histories = life.tell, life.also, registry.then, changes.move, changes.histories
    for event in events:
        for subject, known_us, fact in tell(event):
            inbox[subject].append((known_us, fact))
        count = also(event, then)
        if count is not None:
            move(count, event.known_at_us, 1)
    follows = life.follows
    while inbox:
        _read(inbox, before, life, load)
        outbox: dict[Subject, list[tuple[int, Any]]] = defaultdict(list)
        for subject, facts in inbox.items():
            old = new = histories.get(subject) or before[subject]
            table = subject[0]
            for known_us, fact in facts:
                new = told(life, table, new, known_us - known_us % MINUTE_US, fact)
            if new is old:
                continue
            histories[subject] = new
            for state in new[_shared(old, new) :] if old else new:
                for other, known_us, fact in follows(subject, state):
                    outbox[other].append((known_us, fact))
        inbox = outbox
    counting, counts, units, recount = next(iter(life.states)), life.counts, registry.units, changes.recount
    for subject, new in histories.items():
        if subject[0] == counting:
            was, old = None, before[subject]
            if old:
                since = _shared(old, new)
                was = counts(new[since - 1], units) if since else None
                recount(life, units, old[since:], -1, was)
                new = new[since:]
            changes.counted[subject[1]] = recount(life, units, new, 1, was)
    return changes


def told(life: Life, table: str, history: History, minute_us: int, fact: Any) -> History:
    """The history with a fact that became known in a minute; the very same history where it adds nothing."""
    if not history:
        return (life.merge(table, None, minute_us, fact),)
    place = len(history)
    if history[-1].known_us > minute_us:  # seldom: something newer is known already
        place = bisect_right(history, minute_us, key=_known_us)
    before = history[place - 1] if place else None
    state = life.merge(table, before, minute_us, fact)
    if state is before:
        return history  # whatever is known later holds it too
    kept = place - 1 if before is not None and before.known_us == minute_us else place
    if place == len(history):
        return (*history[:kept], state)
    states = [*history[:kept], state]
    for later in history[place:]:
        state = life.merge(table, later, later.known_us, fact)
        if replace(states[-1], known_us=state.known_us) != state:  # what was news in that minute may be none any more
            states.append(state)
    return tuple(states)


_known_us = attrgetter("known_us")


def _shared(old: History, new: History) -> int:
    """How many states both begin with."""
    shared = 0
    for a, b in zip(old, new, strict=False):
        if a is not b:
            break
        shared += 1
    return shared


def _read(inbox: Mapping[Subject, Any], before: dict[Subject, History], life: Life, load: Load) -> None:
    fresh = [subject for subject in inbox if subject not in before]
    before.update(dict.fromkeys(fresh, ()))
    wanted: dict[str, list[str]] = defaultdict(list)
    for table, key in fresh:
        wanted[table].append(key)
    for table, keys in wanted.items():
        for key, history in load(table, keys).items():
            before[table, key] = history


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
