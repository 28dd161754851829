"""Tables and views of a department, derived from its contract."""

import struct
import types
import typing
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import sql

from sinks.copy import PG_EPOCH_US
from streams.department import Department
from streams.event import Event

_PLAIN = {str: "text", int: "bigint", bool: "boolean", float: "double precision"}


@dataclass(frozen=True)
class Column:
    """One column of a raw table. field: the contract's field; kind: PostgreSQL type, `hash` for 16 hex digits in a bigint, `json` for nested."""

    name: str
    field: str
    kind: str
    null: bool

    @property
    def type(self) -> str:
        """The PostgreSQL type."""
        return {"hash": "bigint", "json": "text"}.get(self.kind, self.kind)


def columns(event: type[Event]) -> tuple[Column, ...]:
    """The columns of a department's raw table, in the contract's order; times lose their `_us`, nested parts are JSON text."""
    return tuple(_column(name, annotation) for name, annotation in typing.get_type_hints(event, include_extras=True).items())


def _column(name: str, annotation: Any) -> Column:
    null = False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        null = True
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    kind = None
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, meta = typing.get_args(annotation)
        kind = (meta.extra or {}).get("column")
    if typing.get_origin(annotation) is typing.Literal:
        annotation = str
    kind = kind or _PLAIN.get(annotation, "json")
    short = name.removesuffix("_us") if kind == "timestamptz" else name
    return Column(short, name, kind, null)


def row_type(event: type[Event]) -> type[Any]:
    """The contract with its nested fields left as raw JSON: what the hot path decodes."""
    fields: list[Any] = []
    for column, info in zip(columns(event), msgspec.structs.fields(event), strict=True):
        kind = msgspec.Raw if column.kind == "json" else info.type
        if info.default is not msgspec.NODEFAULT:
            fields.append((info.name, kind, msgspec.Raw(msgspec.json.encode(info.default)) if column.kind == "json" else info.default))
        elif info.default_factory is not msgspec.NODEFAULT:
            fields.append((info.name, kind, msgspec.field(default_factory=info.default_factory)))
        else:
            fields.append((info.name, kind))
    return msgspec.defstruct(event.__name__ + "Row", fields, kw_only=True, gc=False)


def tables(department: Department) -> list[sql.Composed]:
    """The statements that make a department's tables: events, identity, one per kind of subject, rollups of two times, days, histogram."""
    d = department.name
    raw = sql.SQL(", ").join(
        sql.SQL("{} {} {}").format(sql.Identifier(c.name), sql.SQL(c.type), sql.SQL("" if c.null else "not null"))
        for c in columns(department.event)
    )
    measures = sql.SQL(", ").join(sql.SQL("{} bigint not null").format(sql.Identifier(m)) for m in department.measures)
    cell = sql.SQL("minute timestamptz not null, known timestamptz not null, unit text not null, kind text not null")
    out = [
        _sql("create table {} ({}, batch bigint not null)", f"{d}_event", raw),
        _sql("create index {} on {} (event_time)", f"{d}_event_time", f"{d}_event"),
        _sql("create index {} on {} (batch)", f"{d}_event_batch", f"{d}_event"),
        _sql("create table {} (id uuid primary key, body bigint not null, event_time timestamptz not null)", f"{d}_identity"),
        _sql("create table {} ({}, {}, primary key (minute, known, unit, kind)) with (fillfactor = 80)", f"{d}_1m", cell, measures),
        _sql(
            "create table {} (day date not null, unit text not null, kind text not null, {}, primary key (day, unit, kind)) with (fillfactor = 50)",
            f"{d}_1d",
            measures,
        ),
    ]
    for position, table in enumerate(department.life.states):
        out.append(state_table(department, table))
        if position == 0 and department.members:
            out.append(_sql("create index {} on {} (minute, member) where minute is not null", f"{d}_{table}_minute", f"{d}_{table}"))
    if department.histogram:
        out.append(
            _sql(
                "create table {} ({}, bound int not null, n bigint not null, primary key (minute, known, unit, kind, bound))",
                f"{d}_{department.histogram}_1m",
                cell,
            )
        )
    return out


def state_table(department: Department, table: str) -> sql.Composed:
    """The statement that makes the table of a kind of subject."""
    counts = table == next(iter(department.life.states))
    counted = sql.SQL(", minute timestamptz, unit text, kind text, member uuid") if counts else sql.SQL("")
    return _sql(
        "create table {} (key uuid primary key, state bytea not null{}) with (fillfactor = 70)", f"{department.name}_{table}", counted
    )


def hypertables(department: Department) -> list[tuple[str, str, str]]:
    """(table, time column, chunk interval) of those that become hypertables."""
    d, days = department.name, department.chunk_days
    found = [(f"{d}_event", "event_time", f"{days} days"), (f"{d}_1m", "minute", f"{4 * days} days")]
    return [*found, (f"{d}_{department.histogram}_1m", "minute", f"{4 * days} days")] if department.histogram else found


def anew(department: Department) -> list[sql.Composed]:
    """The statements that empty what is derived of a department's events and put all of them back on the list of what is owed. Lag keeps its
    history: `batch.followed_at` and `followed` stay."""
    d, name = department.name, sql.Literal(department.name)
    tables = [f"{d}_1m", f"{d}_10m", f"{d}_1d", *(f"{d}_{table}" for table in department.life.states)]
    tables += [f"{d}_{department.histogram}_1m"] if department.histogram else []
    tables += [f"{d}_member_1d"] if department.members else []
    return [
        sql.SQL("truncate {}").format(sql.SQL(", ").join(map(sql.Identifier, tables))),
        sql.SQL("delete from owed where department = {}").format(name),
        sql.SQL("insert into owed select department, batch from batch where department = {} order by batch").format(name),
    ]


def slots(department: Department, board: str) -> list[sql.Composed]:
    """The rollup of ten minutes, for curves through a day, with what the minutes hold already; and its view."""
    d = department.name
    measures = sql.SQL(", ").join(sql.SQL("{} bigint not null").format(sql.Identifier(m)) for m in department.measures)
    shown = sql.SQL(", ").join(sql.Identifier(m) for m in department.measures)
    return [
        _sql(
            "create table {} (slot timestamptz not null, unit text not null, {}, primary key (slot, unit)) with (fillfactor = 50)",
            f"{d}_10m",
            measures,
        ),
        add_slots(department, f"{d}_1m"),
        view(board, f"{d}_10m", sql.SQL("select slot, nullif(unit, '') as unit, {} from {}").format(shown, sql.Identifier(f"{d}_10m"))),
    ]


def add_slots(department: Department, minutes: str) -> sql.Composed:
    """The statement that adds the rows of a table of minutes to the rollup of ten minutes."""
    names = [*map(sql.Identifier, department.measures)]
    return sql.SQL(
        "insert into {} as t select date_bin('10 minutes', minute, timestamptz '2020-01-01Z') as slot, unit, {} from {} group by 1, 2 order by 1, 2 "
        "on conflict (slot, unit) do update set {}"
    ).format(
        sql.Identifier(f"{department.name}_10m"),
        sql.SQL(", ").join(sql.SQL("sum({})").format(name) for name in names),
        sql.Identifier(minutes),
        sql.SQL(", ").join(sql.SQL("{0} = t.{0} + excluded.{0}").format(name) for name in names),
    )


def views(department: Department, space: str, board: str) -> list[sql.Composed]:
    """The views that readers see of a department, in the schema `board`."""
    d = department.name
    measures = sql.SQL(", ").join(sql.Identifier(m) for m in department.measures)
    place = sql.SQL("nullif(unit, '') as unit, kind")
    out = [
        view(board, f"{d}_1m", sql.SQL("select minute, known, {}, {} from {}").format(place, measures, sql.Identifier(space, f"{d}_1m"))),
        view(board, f"{d}_1d", sql.SQL("select day, {}, {} from {}").format(place, measures, sql.Identifier(space, f"{d}_1d"))),
    ]
    if department.histogram:
        table = f"{d}_{department.histogram}_1m"
        out.append(
            view(
                board,
                f"{department.histogram}_1m",
                sql.SQL("select minute, known, {}, bound, n from {}").format(place, sql.Identifier(space, table)),
            )
        )
    if department.members:
        table = f"{d}_{next(iter(department.life.states))}"
        day = sql.SQL("(minute at time zone 'Asia/Ho_Chi_Minh')::date")
        body = sql.SQL("select {day} as day, count(distinct member) as {name} from {table} where minute is not null group by 1")
        out.append(
            view(
                board,
                f"{d}_{department.distinct}",
                body.format(day=day, name=sql.Identifier(department.distinct), table=sql.Identifier(space, table)),
            )
        )
    return out


def view(schema: str, name: str, body: sql.Composable, replace: bool = False) -> sql.Composed:
    """The statement that makes a view."""
    start = sql.SQL("create or replace view") if replace else sql.SQL("create view")
    return sql.SQL("{} {} as {}").format(start, sql.Identifier(schema, name), body)


def replaced(made: sql.Composed) -> sql.Composed:
    """The statement `made` of a view, for a view that is there and gets more columns behind those it has."""
    text = made.as_string(None)
    return made if text.startswith("create or replace ") else sql.SQL("create or replace {}").format(sql.SQL(text.removeprefix("create ")))


def _sql(text: typing.LiteralString, *parts: str | sql.Composable) -> sql.Composed:
    return sql.SQL(text).format(*(sql.Identifier(p) if isinstance(p, str) else p for p in parts))


READ = {"uuid": "uuid_send({})", "hash": "int8send({})", "timestamptz": "timestamptz_send({})", "json": "textsend({})"}
"""How a column is read, so that it arrives as bytes that are quickly made what the event has."""


def maker(held: typing.Sequence[Column], make: type[Any], nested: typing.Callable[[int, str], str], names: dict[str, Any]) -> Any:
    """What makes a `make` of a row of columns, read as `READ` says. nested(number, value): the expression of a nested fact; names: what it uses, and
    fields that no column has."""
    given = [f"{name}={name}" for name in names if name in make.__struct_fields__]
    for number, column in enumerate(held):
        value = f"r[{number}]"
        if column.kind in ("uuid", "hash"):
            value += ".hex()"
        elif column.kind == "timestamptz":
            value = f"whole({value})[0] + epoch"
        elif column.kind == "json":
            value = nested(number, value)
        given.append(f"{column.field}=" + (f"None if r[{number}] is None else {value}" if column.null else value))
    known = {"make": make, "whole": struct.Struct("!q").unpack, "epoch": PG_EPOCH_US}
    # Compiled once for each contract, as the encoders are: reading field by field would cost three times as much.
    return eval(f"lambda r: make({', '.join(given)})", known | names)  # noqa: S307  # field names of our own contracts
