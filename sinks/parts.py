"""The events that a figure is made of, one by one, and what each adds to it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from sinks.derive import columns
from sinks.lives import histories
from streams.department import Department
from streams.errors import Misconfigured
from streams.event import micros, moment
from streams.figures import Daily, Figure, Held, Measured, Percentile, Share, Sum, Units
from streams.lives import MINUTE_US, Count, Registry

Connection = psycopg.Connection[Any]
Position = tuple[datetime, str]
"""Where a page ends: (minute, event time or arrival; 32 hex digits). What follows goes on after it."""

STEP = 2000  # records read at a time


@dataclass(frozen=True)
class Cell:
    """A part of a figure: its minutes (`until` is not in it), and its unit or kind (None: all; "": where it is not known)."""

    since: datetime
    until: datetime
    unit: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.since >= self.until or micros(self.since) % MINUTE_US or micros(self.until) % MINUTE_US:
            raise Misconfigured("a figure is explained over whole minutes, the first before the last", "ask for a day, an hour or a minute")


class Part(NamedTuple):
    """What one event adds to a figure. subject: what it is about, None where it counts for itself. amount: as `Figure.measured` counts.
    settled_at: the minute of arrival in which what holds of the subject last changed."""

    at: datetime
    key: str
    event: str
    amount: int
    unit: str
    kind: str
    subject: str | None = None
    member: str | None = None
    settled_at: datetime | None = None


class Where:
    """A cell as a condition on minute, unit and kind, with its values."""

    def __init__(self, cell: Cell) -> None:
        self.values: dict[str, Any] = {"since": cell.since, "until": cell.until, "unit": cell.unit, "kind": cell.kind}
        text: LiteralString = "minute >= %(since)s and minute < %(until)s"
        if cell.unit is not None:
            text += " and unit = %(unit)s" if cell.unit else " and unit is null"
        if cell.kind is not None:
            text += " and kind = %(kind)s"
        self.condition = sql.SQL(text)

    def of(self, start: LiteralString, table: sql.Composable, end: LiteralString = "", *more: sql.Composable) -> sql.Composed:
        """`start` where this cell `end`; {0} is the table, {1} and on the others."""
        return sql.SQL(start + " where {cell} " + end).format(table, *more, cell=self.condition)


def steps(
    connection: Connection, owner: Department, figure: Figure, cell: Cell, after: Position | None = None, first: int = STEP
) -> Iterator[tuple[list[Part], Position]]:
    """Every event that the figure is made of, in order of (time, key), from after a position: what was found in some records, and the
    last of those records. first: how many records the first step reads."""
    measured = figure.measured
    take: Callable[[Position, int], tuple[list[Any], list[Part]]]
    if isinstance(measured, Held):
        take = _Held(connection, owner, measured, cell)
    elif isinstance(measured, Sum) and measured.measure in owner.life.also_counts:
        take = _Events(connection, owner, measured, cell)
    else:
        take = _Subjects(connection, owner, measured, cell)
    position, size = after or (cell.since - timedelta(minutes=1), "0" * 32), first
    while True:
        records, found = take(position, size)
        if records:
            position = (records[-1][0], records[-1][1].hex)
            yield found, position
        if len(records) < size:
            return
        size = STEP


class _Subjects:
    """What each counting subject adds: its state says, by the department's own pure functions."""

    def __init__(self, connection: Connection, owner: Department, measured: Measured, cell: Cell) -> None:
        self._connection, self._life, self._where = connection, owner.life, Where(cell)
        self._query = self._where.of(
            "select minute, key, state, unit, kind, member from {0}",
            sql.Identifier(f"{owner.name}_counted"),
            "and (minute, key) > (%(at)s, %(key)s::uuid) order by minute, key limit %(size)s",
        )
        self._decode = histories(owner, next(iter(owner.life.states)))
        self._amount = _amount(owner, measured)

    def __call__(self, after: Position, size: int) -> tuple[list[Any], list[Part]]:
        records = self._connection.execute(self._query, self._where.values | {"at": after[0], "key": after[1], "size": size}).fetchall()
        found = []
        for minute, key, packed, unit, kind, member in records:
            state = self._decode(packed)[-1]
            count = self._life.counts(state, {member.hex: unit or ""} if member else {})
            amount = self._amount(count) if count is not None else None
            if amount is not None:
                event, who = self._life.stands_on(state), member.hex if member else None
                found.append(Part(minute, key.hex, event, amount, unit or "", kind, key.hex, who, moment(state.known_us)))
        return records, found


class _Events:
    """What each event counts for by itself, where its member was registered when it arrived."""

    def __init__(self, connection: Connection, owner: Department, measured: Sum, cell: Cell) -> None:
        self._connection, self._owner, self._cell = connection, owner, cell
        self._columns = [c for c in columns(owner.event) if c.kind not in ("json", "hash")]
        self._query = sql.SQL(
            "select event_time, id, {} from {} where event_time >= %(since)s and event_time < %(until)s and followed_at is not null "
            "and (event_time, id) > (%(at)s, %(key)s::uuid) order by event_time, id limit %(size)s"
        ).format(sql.SQL(", ").join(sql.Identifier(c.name) for c in self._columns), sql.Identifier(f"{owner.name}_event"))
        self._amount = _amount(owner, measured)

    def __call__(self, after: Position, size: int) -> tuple[list[Any], list[Part]]:
        values = {"since": self._cell.since, "until": self._cell.until, "at": after[0], "key": after[1], "size": size}
        records = self._connection.execute(self._query, values).fetchall()
        was = self._registered(records)
        found = []
        for at, id, *told in records:
            event = self._owner.event(body="0" * 16, **{c.field: _plain(v) for c, v in zip(self._columns, told, strict=True)})
            count = self._owner.life.also(event, was.then)
            amount = self._amount(count) if count is not None else None
            if count is None or amount is None or self._cell.unit not in (None, count.unit) or self._cell.kind not in (None, count.kind):
                continue
            found.append(Part(at, id.hex, id.hex, amount, count.unit, count.kind))
        return records, found

    def _registered(self, records: Sequence[Any]) -> Registry:
        was = Registry()
        if self._owner.members:
            ids = {v for record in records for v in record[2:] if isinstance(v, UUID)}
            query = "select member, unit, loaded_at from member_unit where member = any(%s) order by loaded_at"
            for member, unit, loaded_at in self._connection.execute(query, [[*ids]]):
                was.add(member.hex, micros(loaded_at), unit)
        return was


class _Held:
    """Quarantined records: they stand at their arrival and without unit or kind, since nothing in them can be trusted."""

    def __init__(self, connection: Connection, owner: Department, measured: Held, cell: Cell) -> None:
        self._connection, self._placed = connection, bool(cell.unit or cell.kind)
        self._values = {"department": owner.name, "cause": measured.cause, "since": cell.since, "until": cell.until}

    def __call__(self, after: Position, size: int) -> tuple[list[Any], list[Part]]:
        if self._placed:
            return [], []
        records = self._connection.execute(
            "select known_at, id from quarantined where department = %(department)s and cause = %(cause)s and known_at >= %(since)s "
            "and known_at < %(until)s and (known_at, id) > (%(at)s, %(key)s::uuid) order by known_at, id limit %(size)s",
            self._values | {"at": after[0], "key": after[1], "size": size},
        ).fetchall()
        return records, [Part(at, id.hex, id.hex, 1, "", "") for at, id in records]


def _amount(owner: Department, measured: Measured) -> Callable[[Count], int | None]:
    """What a count adds to the figure; None where it is no part of it."""
    if isinstance(measured, Percentile):
        return lambda count: count.spread
    if isinstance(measured, Daily):
        return lambda count: 1 if count.member is not None else None
    if isinstance(measured, Held | Share):
        return lambda count: None
    place = owner.measures.index(measured.measure)
    if isinstance(measured, Units):
        return lambda count: count.measures[place] if count.unit and count.measures[place] > 0 else None
    return lambda count: count.measures[place] or None


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, UUID) else micros(value) if isinstance(value, datetime) else value
