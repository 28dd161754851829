"""What a space received, record by record, in time order: what a replay plays. Slices of time are read, so memory is flat in the length of the period."""

import heapq
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from sinks.derive import READ, Column, columns, maker
from sinks.session import Connection
from streams.department import Department, department
from streams.event import Asked, Rejected, encode, micros, moment

Follows = Literal["event_time", "known_at"]

SLICE_FEWEST, SLICE_MOST = 4_000, 16_000
"""Records a slice of time should hold."""
FIRST_SLICE_US, SHORTEST_US, LONGEST_US = 60_000_000, 1_000_000, 3_600_000_000  # after a quiet stretch a busy slice is read whole


class Record(NamedTuple):
    """One record to produce. at_us: its place in the replay; topic: without prefix; key: what decides its partition."""

    at_us: int
    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Period:
    """What is played: [since, until) by event time or by arrival (microseconds since 1970); of which departments, of which units (None: all).
    settled: only events that are in the figures already. first_us: where the replay began, if this is what is left of it."""

    since_us: int
    until_us: int
    follows: Follows
    departments: tuple[str, ...]
    units: tuple[str, ...] | None = None
    settled: bool = False
    first_us: int | None = None

    @property
    def first(self) -> datetime:
        """What lies before it was never played."""
        return moment(self.since_us if self.first_us is None else self.first_us)


Read = Callable[[Connection, Department, Period], Iterator[Record]]
"""As `events`."""


def records(connection: Connection, period: Period, repeats: bool, read: "Read | None" = None) -> Iterator[Record]:
    """Events, signs of life and rejects of the period, in its time's order; with `repeats`, duplicates and conflicts too, each after its first.

    `connection` sees the tables of the space (search_path); it is read slice by slice, so nothing else may use it meanwhile unless it is in no
    transaction. read: what gives a department's events (None: `events`, which reads the table). Raises psycopg's errors.
    """
    streams = [(read or events)(connection, department(name), period) for name in period.departments]
    streams += [_asked(connection, period), _rejects(connection, period)]
    if repeats:
        streams += [again(connection, period)]
    return heapq.merge(*streams, key=_at)


def again(connection: Connection, period: Period) -> Iterator[Record]:
    """Duplicates and conflicts of events and rejects that are in the period themselves, in its time's order, none before its first: what is the first
    was decided by the order in which records came, not by when they reached our door."""
    conflicts = [_conflicts(connection, department(name), period) for name in period.departments]
    return heapq.merge(_repeats(connection, period), *conflicts, key=_at)


_at = attrgetter("at_us")


def _slices(period: Period, read: Callable[[int, int], list[Record]]) -> Iterator[Record]:
    """Records of slice after slice; how long a slice is follows from how many records the last one held."""
    start, length = period.since_us, FIRST_SLICE_US
    while start < period.until_us:
        end = min(start + length, period.until_us)
        found = read(start, end)
        yield from found
        start = end
        if len(found) > SLICE_MOST:
            length = max(length // 2, SHORTEST_US)
        elif len(found) < SLICE_FEWEST:
            length = min(length * 2, LONGEST_US)


def _after(period: Period, read: Callable[[int, int], list[Record]]) -> Iterator[Record]:
    """As `_slices`, where a record read of a slice may have its place in a later one; without those whose place lies behind the period."""
    held: list[Record] = []

    def due(since_us: int, until_us: int) -> list[Record]:
        nonlocal held
        found = held + read(since_us, until_us)
        held = [record for record in found if record.at_us >= until_us]
        return sorted((record for record in found if record.at_us < until_us), key=_at)

    return _slices(period, due)


def bounds(since_us: int, until_us: int) -> dict[str, Any]:
    """The values `since` and `until` of a slice."""
    return {"since": moment(since_us), "until": moment(until_us)}


def where(chosen: Department, period: Period) -> tuple[sql.Composable, dict[str, Any]]:
    """The condition of a department's events in a slice, and its values but for `bounds`."""
    slice_of = sql.SQL("{0} >= %(since)s and {0} < %(until)s").format(sql.Identifier(period.follows))
    if period.settled:
        slice_of += sql.SQL(" and batch not in (select batch from owed where department = {})").format(sql.Literal(chosen.name))
    if period.units is None:
        return slice_of, {}
    of_member = " or seller is null or seller in (select seller from seller where unit = any(%(units)s))" if chosen.members else ""
    return slice_of + sql.SQL(" and (unit = any(%(units)s)" + of_member + ")"), {"units": [*period.units]}


def events(connection: Connection, chosen: Department, period: Period) -> Iterator[Record]:
    """The events a department's table holds of the period, in its time's order."""
    held, make = reading(chosen.event)
    condition, values = where(chosen, period)
    query = sql.SQL("select {} from {} where {} order by {}, id").format(
        sql.SQL(", ").join(sql.SQL(READ.get(c.kind, "{}")).format(sql.Identifier(c.name)) for c in held),
        sql.Identifier(f"{chosen.name}_event"),
        condition,
        sql.Identifier(period.follows),
    )
    place = "event_time_us" if period.follows == "event_time" else "known_at_us"
    name, subject, pack = chosen.name, chosen.subject, msgspec.json.Encoder().encode

    def read(since_us: int, until_us: int) -> list[Record]:
        rows = connection.execute(query, values | bounds(since_us, until_us), binary=True).fetchall()
        events = map(make, rows)
        return [Record(getattr(e, place), name, subject(e).encode(), pack(e)) for e in events]

    return _slices(period, read)


def _asked(connection: Connection, period: Period) -> Iterator[Record]:
    """Signs of life, of a source and minute the last of each kind, as they are kept."""
    query = (
        "select department, source, at, answered, every_seconds, news_at from asked_1m, lateral (values (asked_at, true), (failed_at, false)) s(at, answered) "
        "where at >= %(since)s and at < %(until)s and minute >= %(since)s - interval '1 minute' and minute < %(until)s and department = any(%(names)s) order by at"
    )

    def read(since_us: int, until_us: int) -> list[Record]:
        rows = connection.execute(query, bounds(since_us, until_us) | {"names": [*period.departments]})
        return [
            Record(
                micros(at),
                "asked",
                source.encode(),
                encode(
                    Asked(
                        source=source,
                        department=name,
                        at_us=micros(at),
                        every_seconds=every,
                        answered=answered,
                        news_us=micros(news) if news else 0,
                    )
                ),
            )
            for name, source, at, answered, every, news in rows
        ]

    return _slices(period, read)


def _rejects(connection: Connection, period: Period) -> Iterator[Record]:
    return _slices(
        period,
        lambda since_us, until_us: _rejected(
            connection.execute(
                "select id, department, source, known_at, cause, wrong, sealed, size_bytes, known_at from quarantine "
                "where known_at >= %(since)s and known_at < %(until)s and department = any(%(names)s) order by known_at, id",
                bounds(since_us, until_us) | {"names": [*period.departments, "unknown"]},
            )
        ),
    )


def _rejected(rows: psycopg.Cursor[Any]) -> list[Record]:
    return [
        Record(
            micros(at),
            "rejects",
            source.encode(),
            encode(
                Rejected(
                    id=id.hex,
                    source=source,
                    department=name,
                    known_at_us=micros(known),
                    cause=cause,
                    wrong=wrong,
                    sealed=sealed,
                    size_bytes=size,
                )
            ),
        )
        for id, name, source, known, cause, wrong, sealed, size, at in rows
    ]


def _repeats(connection: Connection, period: Period) -> Iterator[Record]:
    """What came again, after its first in any case: at its arrival, or where a replay by event time has the event itself."""

    def read(since_us: int, until_us: int) -> list[Record]:
        of = bounds(since_us, until_us)
        found = _rejected(
            connection.execute(
                "select q.id, q.department, r.source, r.known_at, q.cause, q.wrong, q.sealed, q.size_bytes, greatest(r.known_at, q.known_at) "
                "from repeat r join quarantine q using (id) "
                "where r.rejected and r.known_at >= %(since)s and r.known_at < %(until)s and r.department = any(%(names)s) and q.known_at >= %(first)s",
                of | {"names": [*period.departments, "unknown"], "first": period.first},
            )
        )
        for name in period.departments:
            found += _again(connection, department(name), period, of)
        return found

    return _after(replace(period, units=None), read)


def _again(connection: Connection, chosen: Department, period: Period, of: dict[str, Any]) -> Iterator[Record]:
    held, make = reading(chosen.event)
    repeated = "r" if period.follows == "known_at" else "e"
    query = sql.SQL(
        "select r.source, r.known_at, {} from repeat r join {} i on i.id = r.id join {} e on e.id = r.id and e.event_time = i.event_time "
        "where not r.rejected and r.body is null and r.department = %(name)s and {}.{} >= %(since)s and {}.{} < %(until)s and e.{} >= %(first)s"
    ).format(
        sql.SQL(", ").join(sql.SQL(READ.get(c.kind, "{}")).format(sql.Identifier("e", c.name)) for c in held),
        sql.Identifier(f"{chosen.name}_identity"),
        sql.Identifier(f"{chosen.name}_event"),
        *[sql.Identifier(repeated), sql.Identifier(period.follows)] * 2,
        sql.Identifier(period.follows),
    )
    for source, known, *row in connection.execute(query, of | {"name": chosen.name, "first": period.first}, binary=True):
        event = make(row)
        at_us = max(event.known_at_us, micros(known)) if period.follows == "known_at" else event.event_time_us
        event.source, event.known_at_us = source, micros(known)
        yield Record(at_us, chosen.name, chosen.subject(event).encode(), encode(event))


def _conflicts(connection: Connection, chosen: Department, period: Period) -> Iterator[Record]:
    """Second bodies, as often as they came, at their arrival and after their first: they have no place of their own in event time."""
    decode = msgspec.json.Decoder(chosen.event).decode
    query = sql.SQL(
        "select c.event, c.source, c.known_at, e.known_at from (select department, id, event, source, known_at from conflict "
        "union all select department, id, c.event, r.source, r.known_at from repeat r join conflict c using (department, id, body)) c "
        "join {} i using (id) join {} e on e.id = i.id and e.event_time = i.event_time "
        "where c.department = %(name)s and c.known_at >= %(since)s and c.known_at < %(until)s and e.{} >= %(first)s"
    ).format(*map(sql.Identifier, (f"{chosen.name}_identity", f"{chosen.name}_event", period.follows)))

    def read(since_us: int, until_us: int) -> list[Record]:
        values = bounds(since_us, until_us) | {"name": chosen.name, "first": period.first}
        found = []
        for text, source, known, first in connection.execute(query, values):
            event = msgspec.structs.replace(decode(text), source=source, known_at_us=micros(known))
            found.append(Record(max(event.known_at_us, micros(first)), chosen.name, chosen.subject(event).encode(), encode(event)))
        return found

    return _after(period, read)


@cache
def reading(event: type[Any]) -> tuple[list[Column], Callable[[Any], Any]]:
    """The columns of a contract, and what makes the event of a row of them, read as `READ` says; nested facts stay JSON."""
    held = [*columns(event)]
    fields: list[Any] = []
    names: dict[str, Any] = {"raw": msgspec.Raw, "unset": msgspec.UNSET}
    for number, (column, info) in enumerate(zip(held, msgspec.structs.fields(event), strict=True)):
        if column.kind == "json":  # one that says nothing is left out, as the contract itself does
            names[f"nothing{number}"] = None if info.required else msgspec.json.encode(info.default)
            fields.append((info.name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET))
        else:
            fields.append((info.name, info.type) if info.required else (info.name, info.type, info.default))
    made = msgspec.defstruct(event.__name__ + "Record", fields, kw_only=True, omit_defaults=True, gc=False)
    return held, maker(held, made, lambda number, value: f"(unset if {value} == nothing{number} else raw({value}))", names)


def partition(key: bytes, partitions: int) -> int:
    """The partition of a key: the same for the same subject, so that all about one subject stays in order."""
    return zlib.crc32(key) % partitions
