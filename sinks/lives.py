"""The figures' transaction: what follows from committed events (lives, rollups, days), caught up from the dirty log."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import add, itemgetter
from types import GenericAlias
from typing import Any

import msgspec
from psycopg import sql

from sinks import copy, rows_of
from sinks.derive import READ, Column, add_slots, columns, maker
from sinks.session import Connection, Session, copied, owe
from streams.collector import asleep
from streams.department import Department, department
from streams.event import Touched, micros, moment, vietnam_day
from streams.lives import Changes, History, Registry, advance

_MOST_EVENTS = 10_000
_UNREAD: dict[str, Any] = {"body": "", "source": "", "contract": 1, "unknown": ()}
"""What no life looks at: how the event was delivered, and the words in it that are on no list."""
_FOLLOWED = """
insert into followed as f (department, minute, known_at, followed_at) values (%(name)s, date_trunc('minute', %(known)s), %(known)s, clock_timestamp())
on conflict (department, minute) do update set known_at = excluded.known_at, followed_at = excluded.followed_at where f.known_at < excluded.known_at"""

_REGISTER = """
with at as (
  select greatest(clock_timestamp(), (select max(known_at) from followed where department = %(name)s) + interval '1 microsecond',
    (select max(loaded_at) from seller_was) + interval '1 microsecond') as loaded_at
), loaded as (
  insert into seller (seller, unit, loaded_at, estimated) select n.seller, n.unit, at.loaded_at, n.seller = any(%(estimated)s::uuid[])
  from unnest(%(members)s::uuid[], %(units)s::text[]) n(seller, unit), at
  order by 1 on conflict (seller) do update set unit = excluded.unit, loaded_at = excluded.loaded_at, estimated = excluded.estimated returning *
)
insert into seller_was select * from loaded order by seller"""


def histories(chosen: Department, table: str) -> Callable[[bytes], History]:
    """What reads the stored histories of a kind of subject."""
    decode: Callable[[bytes], History] = msgspec.msgpack.Decoder(GenericAlias(tuple, (chosen.life.states[table], ...))).decode
    return decode


class Figures(Session):
    """Keeps the figures of one department level with its events, over a connection of its own, of the ingest role."""

    def __init__(self, dsn: str, space: str, name: str) -> None:
        super().__init__(dsn, space, "ioc-figures")
        self._department = department(name)
        self._registry = Registry()
        self._registered_as_of = moment(0)

    def catch_up(self) -> Touched | None:
        """Take what one transaction can of the owed batches; what was touched, or None when nothing is owed or another worker is
        at it. Raises Retry while the database is away."""
        with self._reaching(), asleep():
            return self._caught_up()  # a frame of its own: nothing of the batch is left to be walked when the collector wakes

    def _caught_up(self) -> Touched | None:
        chosen, name = self._department, self._department.name
        connection = self._connected()
        with connection.transaction():
            if not self._locked(connection):
                return None
            owed = self._owed(connection, name)
            if not owed:
                return None
            self._read_registry(connection, chosen)
            events = self._events(connection, chosen, owed)
            changes = advance(chosen.life, events, self._registry, self._load_of(connection, chosen))
            self._write(connection, chosen, changes)
            connection.execute("delete from owed where department = %s and batch = any(%s)", [name, [b for b, _, _ in owed]])
            first = (
                "update batch set followed_at = clock_timestamp() where batch = any(%s) and followed_at is null"  # not when counted anew
            )
            connection.execute(first, [[b for b, _, _ in owed]])
            if events:
                newest = moment(max(event.known_at_us for event in events))
                connection.execute(_FOLLOWED, {"name": name, "known": newest})
        hours = tuple(sorted({cell[0] // 3_600_000_000 for cell in changes.cells}))
        return Touched(space=self._space, department=name, stage="figures", hours=hours)

    def reassign(self, members: Mapping[str, str], estimated: Collection[str] = ()) -> int:
        """Register members (sellers) with their unit: what they count for moves there. The number of members written. estimated: those of which
        only a likely unit is known.

        The department's messages that came before stay where they are: a message belongs to the registry of the moment it arrived at, and a
        move is later than every message that is counted.
        """
        chosen = self._department
        with self._reaching(), self._connected().transaction():
            connection = self._connected()
            connection.execute("select await_lock(%s)", [self._lock()])
            self._read_registry(connection, chosen)
            before = dict(self._registry.units)
            connection.execute(
                _REGISTER, {"name": chosen.name, "members": [*members], "units": [*members.values()], "estimated": [*estimated]}
            )
            moved = [m for m, unit in members.items() if before.get(m, "") != unit]
            self._move(connection, chosen, moved, before, before | dict(members))
        return len(members)

    def _move(
        self, connection: Connection, chosen: Department, members: list[str], before: Mapping[str, str], after: Mapping[str, str]
    ) -> None:
        table = next(iter(chosen.life.states))
        rows = connection.execute(
            sql.SQL("select uuid_send(key), state from {} where member = any(%s::uuid[])").format(sql.Identifier(f"{chosen.name}_{table}")),
            [members],
            binary=True,
        ).fetchall()
        changes = Changes()
        decode = histories(chosen, table)
        for key, packed in rows:
            history = decode(packed)
            changes.recount(chosen.life, before, history, -1)
            changes.histories[table, key.hex()] = history
            changes.counted[key.hex()] = changes.recount(chosen.life, after, history, 1)
        self._write(connection, chosen, changes)

    def _lock(self) -> int:
        return lock(self._space, self._department.name)

    def _locked(self, connection: Connection) -> bool:
        found = connection.execute("select try_lock(%s)", [self._lock()]).fetchone()
        return bool(found and found[0])

    def _owed(self, connection: Connection, name: str) -> list[tuple[int, Any, Any]]:
        rows = connection.execute(
            "select batch, first_time, last_time, events from owed join batch using (batch) where owed.department = %s order by batch limit 2000",
            [name],
        ).fetchall()
        total = 0
        taken: list[tuple[int, Any, Any]] = []
        for batch, first, last, events in rows:
            if taken and total + events > _MOST_EVENTS:
                break
            taken.append((batch, first, last))
            total += events
        return taken

    def _events(self, connection: Connection, chosen: Department, owed: Sequence[tuple[int, Any, Any]]) -> list[Any]:
        held, make = _reading(chosen.event)
        expressions = [sql.SQL(READ.get(c.kind, "{}")).format(sql.Identifier(c.name)) for c in held]
        query = sql.SQL("select {} from {} where batch = any(%s) and event_time between %s and %s").format(
            sql.SQL(", ").join(expressions), sql.Identifier(f"{chosen.name}_event")
        )
        rows = connection.execute(
            query, [[b for b, _, _ in owed], min(o[1] for o in owed), max(o[2] for o in owed)], binary=True
        ).fetchall()
        return [make(row) for row in rows]

    def _load_of(self, connection: Connection, chosen: Department) -> Callable[[str, Sequence[str]], Mapping[str, History]]:
        def load(table: str, keys: Sequence[str]) -> Mapping[str, History]:
            decode = histories(chosen, table)
            query = sql.SQL("select uuid_send(key), state from {} where key = any(%s::uuid[])").format(
                sql.Identifier(f"{chosen.name}_{table}")
            )
            wanted = "{" + ",".join(keys) + "}"  # an array as PostgreSQL writes it: keys are hex digits
            return {key.hex(): decode(state) for key, state in connection.execute(query, [wanted], binary=True)}

        return load

    def _read_registry(self, connection: Connection, chosen: Department) -> None:
        """Only what was loaded since the last look: loading takes the same lock as catching up, so `loaded_at` never runs backwards."""
        if chosen.members:
            query = "select uuid_send(seller), unit, loaded_at from seller_was where loaded_at > %s order by loaded_at"
            for key, unit, loaded_at in connection.execute(query, [self._registered_as_of], binary=True):
                self._registry.add(key.hex(), micros(loaded_at), unit)
                self._registered_as_of = loaded_at

    def _write(self, connection: Connection, chosen: Department, changes: Changes) -> None:
        tables: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        for (table, key), history in changes.histories.items():
            tables[table].append((key, history))
        for table, found in tables.items():
            self._write_histories(connection, chosen, table, found, changes)
        measures = chosen.measures
        cells = {cell: values for cell, values in changes.cells.items() if any(values)}
        self._add(connection, f"{chosen.name}_1m", ("minute", "known", "unit", "kind"), measures, rows_of.cells(cells))
        if cells:
            connection.execute(add_slots(chosen, f"new_{chosen.name}_1m"))
        days: dict[tuple[int, str, str], tuple[int, ...]] = {}
        for (minute, _, unit, kind), values in cells.items():
            day = (vietnam_day(minute), unit, kind)
            held = days.get(day)
            days[day] = values if held is None else tuple(map(add, held, values))
        self._add(connection, f"{chosen.name}_1d", ("day", "unit", "kind"), measures, rows_of.days(days))
        if chosen.histogram:
            spreads = {key: n for key, n in changes.spreads.items() if n}
            keys = ("minute", "known", "unit", "kind", "bound")
            self._add(connection, f"{chosen.name}_{chosen.histogram}_1m", keys, ("n",), rows_of.spreads(spreads))
        minutes = {cell[0] for cell in cells}
        if chosen.histogram:
            minutes |= {cell[0] for cell, _ in spreads}
        if minutes:
            owe(connection, [chosen.name] * len(minutes), [*map(moment, minutes)])
        if chosen.members:
            members = {key: n for key, n in changes.members.items() if n}
            self._add(connection, f"{chosen.name}_member_1d", ("day", "member", "known"), ("n",), rows_of.members(members))

    def _write_histories(
        self, connection: Connection, chosen: Department, table: str, found: Iterable[tuple[str, History]], changes: Changes
    ) -> None:
        counting = table == next(iter(chosen.life.states))
        kinds = ["uuid", "bytea", "timestamptz", "text", "text", "uuid"] if counting else ["uuid", "bytea"]
        names = ["key", "state", "minute", "unit", "kind", "member"][: len(kinds)]
        pack = msgspec.msgpack.Encoder().encode
        start = len(kinds).to_bytes(2, "big")
        rows = []
        for key, history in sorted(found, key=itemgetter(0)):
            row = start + copy.uuid(key) + copy.sized(pack(history))
            if counting:
                count = changes.counted.get(key)
                row += rows_of.NOTHING if count is None else rows_of.where(count)
            rows.append(row)
        self._upsert(connection, f"{chosen.name}_{table}", [*zip(names, kinds, strict=True)], 1, rows, "replace")

    def _add(self, connection: Connection, table: str, keys: Sequence[str], measures: Sequence[str], rows: list[bytes]) -> None:
        kinds = {
            "minute": "timestamptz",
            "known": "timestamptz",
            "day": "date",
            "unit": "text",
            "kind": "text",
            "bound": "int",
            "member": "uuid",
        }
        if rows:
            self._upsert(connection, table, [*((k, kinds[k]) for k in keys), *((m, "bigint") for m in measures)], len(keys), rows, "add")

    def _upsert(
        self, connection: Connection, table: str, named: Sequence[tuple[str, str]], keys: int, rows: Sequence[bytes], how: str
    ) -> None:
        new, into = sql.Identifier(f"new_{table}"), sql.Identifier(table)
        if table not in self._temporary:
            shape = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(k)) for n, k in named)
            connection.execute(sql.SQL("create temporary table if not exists {} ({}) on commit delete rows").format(new, shape))
            self._temporary.add(table)
        copied(connection, f"new_{table}", copy.block(rows))
        names = sql.SQL(", ").join(sql.Identifier(n) for n, _ in named)
        key = sql.SQL(", ").join(sql.Identifier(n) for n, _ in named[:keys])
        change = sql.SQL("{0} = excluded.{0}") if how == "replace" else sql.SQL("{0} = t.{0} + excluded.{0}")
        changes = sql.SQL(", ").join(change.format(sql.Identifier(n)) for n, _ in named[keys:])
        connection.execute(
            sql.SQL(
                "insert into {} as t ({names}) select {names} from {} order by {key} on conflict ({key}) do update set {changes}"
            ).format(into, new, names=names, key=key, changes=changes)
        )


def lock(space: str, name: str) -> int:
    """The number of the lock that is held while a department's figures follow, or members move."""
    return 7242 * 2**32 + zlib.crc32(f"{space}/{name}".encode())


@cache
def _reading(event: type[Any]) -> tuple[list[Column], Callable[[Any], Any]]:
    """The columns that lives need, and what makes the event of a row of them, read as `READ` says."""
    held = [c for c in columns(event) if c.field not in _UNREAD]
    hints = {f.name: f.type for f in msgspec.structs.fields(event)}
    names: dict[str, Any] = dict(_UNREAD)
    for number, column in enumerate(held):
        if column.kind == "json":
            names[f"decode{number}"] = msgspec.json.Decoder(hints[column.field]).decode
    return held, maker(held, event, lambda number, value: f"decode{number}({value})", names)
