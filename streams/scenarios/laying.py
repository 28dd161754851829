"""A scenario laid over a stream of events: pure, and the same every time; the order of the stream is kept."""

import heapq
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from types import UnionType
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from streams.department import Department
from streams.event import Asked, Dong, Event, Id, Key, Rejected
from streams.scenarios.scenario import Change, Scenario

MINUTE_US = 60_000_000
MOST_DONG = 10**15
Follows = Literal["event_time", "known_at"]
Made = Event | Rejected
T = TypeVar("T")


def ordered(stream: Iterable[tuple[int, Iterable[tuple[int, T]]]]) -> Iterator[tuple[int, T]]:
    """What became of each part of an ordered stream, in order again. stream: (place, what became of it, with places that are not before it)."""
    waiting: list[tuple[int, int, T]] = []
    count = 0
    for at_us, became in stream:
        while waiting and waiting[0][0] <= at_us:
            place_us, _, made = heapq.heappop(waiting)
            yield place_us, made
        for place_us, made in became:
            count += 1
            heapq.heappush(waiting, (place_us, count, made))
    while waiting:
        place_us, _, made = heapq.heappop(waiting)
        yield place_us, made


def reach_us(scenario: Scenario, follows: Follows) -> int:
    """How much later than an event what becomes of it may stand: who begins in the middle of a stream begins to read so much before."""
    late = sum(change.delay_minutes or 0 for change in scenario.changes) if follows == "known_at" else 0
    return (late + sum(change.surge is not None or change.fault is not None for change in scenario.changes)) * MINUTE_US


@dataclass(frozen=True)
class Laid:
    """A scenario over one department's events. follows: what the stream is ordered by. unit_of: where an event belongs, for those that do not
    say it themselves (e-invoices: the commune of the seller)."""

    scenario: Scenario
    department: Department
    follows: Follows = "event_time"
    unit_of: Callable[[Any], str | None] = lambda event: event.unit

    def apply(self, events: Iterable[Event]) -> Iterator[Made]:
        """The events as the scenario has them, in the order of the stream; what could not be read as a reject, in its place.
        Held in memory: what is delayed, and what surges within a minute."""
        return (made for _, made in ordered((self.place(event), self.made(event)) for event in events))

    def asked(self, asked: Asked) -> Asked:
        """A sign of life as the scenario has it: a source that is dropped as a whole does not answer."""
        silent = any(change.silences(asked.department, asked.source, asked.at_us) for change in self.scenario.changes)
        return replace(asked, answered=False) if silent else asked

    def rejected(self, rejected: Rejected) -> Rejected | None:
        """A reject of history as the scenario has it: None from a source that is dropped as a whole."""
        silent = any(change.silences(rejected.department, rejected.source, rejected.known_at_us) for change in self.scenario.changes)
        return None if silent else rejected

    def place(self, event: Event) -> int:
        """Where an event stands in the stream."""
        return event.event_time_us if self.follows == "event_time" else event.known_at_us

    def made(self, event: Event) -> Iterator[tuple[int, Made]]:
        """What becomes of one event, with its place in the stream: never before the event's own."""
        unit = self.unit_of(event)
        held = [event]
        rejects: list[tuple[int, Made]] = []
        for number, change in enumerate(self.scenario.changes):
            after: list[Event] = []
            for each in held:
                salt = f"{self.scenario.scenario}:{number}:{each.id}"
                if not (change.chooses(self.department.name, each, unit) and _share(salt) < change.share):
                    after.append(each)
                elif change.fault == "reject":
                    rejects.append((self.place(each), self._reject(each)))
                else:
                    after += _changed(change, each, salt)
            held = after
        yield from ((self.place(each), each) for each in held)
        yield from rejects

    def _reject(self, event: Event) -> Rejected:
        return Rejected(
            id=_derived(f"{self.scenario.scenario}:reject", event.id),
            source=event.source,
            department=self.department.name,
            known_at_us=event.known_at_us,
            cause="scenario",
            wrong=f"made unreadable by the scenario {self.scenario.scenario}",
            sealed="",
            size_bytes=0,
        )


def _changed(change: Change, event: Event, salt: str) -> list[Event]:
    if change.drop:
        return []
    if change.scale is not None:
        return [_rewriter(type(event))(event, _Leaves(money=_scaled(change.scale)))]
    if change.delay_minutes is not None:
        return [replace(event, known_at_us=event.known_at_us + change.delay_minutes * MINUTE_US)]
    if change.surge is not None:
        return [event, *(_copy(event, f"{salt.rpartition(':')[0]}:{n}") for n in range(1, change.surge))]
    again = replace(event, known_at_us=event.known_at_us + _within_minute(event.known_at_us, salt))
    return [event, again if change.fault == "duplicate" else replace(again, body=_derived(salt, event.body)[:16])]


def _copy(event: Event, salt: str) -> Event:
    """Another event like it, within its minute, about things of its own: whatever one thing is called in history, it has one other name in all
    copies of the same number, so answers still meet their questions."""
    made: Event = _rewriter(type(event))(event, _Leaves(name=lambda name: _derived(salt, name)))
    later = _within_minute(event.event_time_us, f"{salt}:{event.id}")
    return replace(made, event_time_us=event.event_time_us + later, known_at_us=event.known_at_us + later)


def _within_minute(at_us: int, salt: str) -> int:
    """How much later, but still in the same minute."""
    return int(_share(salt) * (MINUTE_US - at_us % MINUTE_US))


def _share(salt: str) -> float:
    return int.from_bytes(blake2b(salt.encode(), digest_size=6).digest(), "big") / 2**48


def _derived(salt: str, name: str) -> str:
    return blake2b(f"{salt}:{name}".encode(), digest_size=16).hexdigest()


def _scaled(factor: float) -> Callable[[int], int]:
    return lambda dong: max(-MOST_DONG, min(MOST_DONG, round(dong * factor)))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class _Leaves:
    """What becomes of money, and of the names of things (not of people: `event.Party`)."""

    money: Callable[[int], int] = _same
    name: Callable[[str], str] = _same


Rewrite = Callable[[Any, _Leaves], Any]


@cache
def _rewriter(contract: type[msgspec.Struct]) -> Rewrite:
    """How money and names are changed wherever they stand in a contract, nested facts included."""
    found = _rewrite(contract)
    return found or (lambda value, leaves: value)


def _rewrite(kind: Any) -> Rewrite | None:
    if kind == Dong:
        return lambda value, leaves: leaves.money(value)
    if kind in (Id, Key):
        return lambda value, leaves: leaves.name(value)
    if typing.get_origin(kind) in (typing.Union, UnionType):
        return _inside(next(each for each in typing.get_args(kind) if each is not type(None)), _optional)
    if typing.get_origin(kind) is tuple:
        return _inside(typing.get_args(kind)[0], _each)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = [(name, made) for name, hint in hints.items() if (made := _rewrite(hint)) is not None]
        return lambda value, leaves: replace(value, **{name: made(getattr(value, name), leaves) for name, made in fields})
    return None


def _inside(kind: Any, around: Callable[[Rewrite], Rewrite]) -> Rewrite | None:
    inner = _rewrite(kind)
    return None if inner is None else around(inner)


def _optional(inner: Rewrite) -> Rewrite:
    return lambda value, leaves: None if value is None else inner(value, leaves)


def _each(inner: Rewrite) -> Rewrite:
    return lambda value, leaves: tuple(inner(each, leaves) for each in value)
