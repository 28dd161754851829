"""Archived events in time order, for replays: each file is read once and from its beginning, and only while it is needed."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from sinks import history
from sinks.archive import chain, packing
from sinks.archive import store as at
from sinks.archive.chain import Line
from sinks.archive.store import Store
from sinks.derive import row_type
from sinks.history import Period, Record
from sinks.session import Connection
from streams.department import Department
from streams.event import DAY_US, micros
from streams.settings import Settings

Placed = tuple[int, str, Record]
"""(its place in time, its id, the record): what the order follows from."""


def reader(settings: Settings) -> history.Read:
    """What `history.records` reads events of `settings.space` with, archived ones included. The archive is not touched while the table has all."""
    return lambda connection, chosen, period: events(connection, lambda: at.opened(settings), settings.space, chosen, period)


def events(connection: Connection, opened: Callable[[], Store], space: str, chosen: Department, period: Period) -> Iterator[Record]:
    """The events of a department in the period, in its time's order: those of the table and those that are in the archive only, each once.

    `connection` sees the tables of the space; it is used as `history.events` does. Memory does not grow with the period: by event time a file is
    open (and unpacked piece by piece) from its first event to its last, by arrival one file is held at a time. Raises Misconfigured when a file or
    the chain is not what was written, Retry when the store is away.
    """
    name = chain.events_name(chosen.name, space)
    row = connection.execute("select dropped_before from archived where chain = %s", [name]).fetchone()
    before: datetime | None = row[0] if row else None
    table = history.events(connection, chosen, period)
    if before is None or (period.follows == "event_time" and micros(before) <= period.since_us):
        return table
    units = None if period.units is None else frozenset(period.units)
    sellers = _members(connection, chosen, period)
    held = archived(opened(), name, chosen, period, units, sellers)
    return _once(heapq.merge(held, _placed(table), key=lambda each: each[:2]))


def archived(
    store: Store, name: str, chosen: Department, period: Period, units: frozenset[str] | None = None, members: frozenset[str] = frozenset()
) -> Iterator[Placed]:
    """What a chain holds of the period. units: only theirs, and with `members` the events of those sellers."""
    lines = at.whole(store, name)
    by_event = period.follows == "event_time"
    waiting = deque(
        sorted(((_first(line, by_event), n, line) for n, line in enumerate(lines) if _touches(line, period)), key=lambda w: w[:2])
    )
    decoder = msgspec.json.Decoder(row_type(chosen.event))
    open_: list[tuple[int, str, int, Record, Iterator[Placed]]] = []

    def push(number: int, rest: Iterator[Placed]) -> None:
        placed = next(rest, None)
        if placed is not None:
            heapq.heappush(open_, (placed[0], placed[1], number, placed[2], rest))

    def wanted(event: Any) -> bool:
        if units is None or event.unit in units:
            return True
        return chosen.members and (event.seller is None or event.seller in members)

    while waiting or open_:
        while waiting and (not open_ or waiting[0][0] <= open_[0][0]):
            _, number, line = waiting.popleft()
            push(number, _file(store, name, line, period, chosen, decoder, wanted))
        if open_:
            at_us, id, number, record, rest = heapq.heappop(open_)
            yield at_us, id, record
            push(number, rest)


def _file(
    store: Store, name: str, line: Line, period: Period, chosen: Department, decoder: msgspec.json.Decoder[Any], wanted: Any
) -> Iterator[Placed]:
    """What a file holds of the period, in the period's order."""
    place = "event_time_us" if period.follows == "event_time" else "known_at_us"

    def read() -> Iterator[Placed]:
        for value in packing.lines_of(store, name, line):
            event = decoder.decode(value)
            at_us = getattr(event, place)
            if period.since_us <= at_us < period.until_us and wanted(event):
                yield at_us, event.id, Record(at_us, chosen.name, chosen.subject(event).encode(), value)

    return read() if period.follows == "event_time" else iter(sorted(read(), key=lambda placed: placed[:2]))


def _first(line: Line, by_event: bool) -> int:
    return line.first_us if by_event else line.first_known_us


def _touches(line: Line, period: Period) -> bool:
    first, last = (line.first_us, line.last_us) if period.follows == "event_time" else (line.first_known_us, line.last_known_us)
    return first < period.until_us and last >= period.since_us


class _Id(msgspec.Struct, gc=False):
    id: str


def _placed(records: Iterator[Record]) -> Iterator[Placed]:
    decode = msgspec.json.Decoder(_Id).decode
    return ((record.at_us, decode(record.value).id, record) for record in records)


def _once(merged: Iterator[Placed]) -> Iterator[Record]:
    """Events that are in the archive and still in the table stand beside each other."""
    last: tuple[int, str] | None = None
    for at_us, id, record in merged:
        if (at_us, id) != last:
            yield record
        last = (at_us, id)


def _members(connection: Connection, chosen: Department, period: Period) -> frozenset[str]:
    if period.units is None or not chosen.members:
        return frozenset()
    rows = connection.execute("select seller from seller where unit = any(%s)", [[*period.units]]).fetchall()
    return frozenset(seller.hex for (seller,) in rows)


def dropped(connection: Connection, settings: Settings, period: Period) -> tuple[int, int, int]:
    """Of what may be in the archive only: how many events of the period (about: whole days, all units), and the first and last of all their times;
    (0, 0, 0) where the table has everything. Raises Retry, Misconfigured."""
    rows = connection.execute("select chain, dropped_before from archived where dropped_before is not null").fetchall()
    before: dict[str, int] = {name: micros(at_) for name, at_ in rows}
    by_event = period.follows == "event_time"
    count, times = 0, list[int]()
    for name in period.departments:
        gone = before.get(chain.events_name(name, settings.space))
        for line in at.load(at.opened(settings), chain.events_name(name, settings.space))[0] if gone else ():
            times += (line.first_us, line.last_us) if by_event else (line.first_known_us, line.last_known_us)
            if _touches(line, period):
                days = {micros(datetime.fromisoformat(day).replace(tzinfo=UTC)): events for day, events in line.days.items()}
                meant = {day: n for day, n in days.items() if not by_event or (day < period.until_us and day + DAY_US > period.since_us)}
                count += sum(n for day, n in meant.items() if gone is not None and day < gone)
    return (count, min(times), max(times)) if times else (0, 0, 0)
