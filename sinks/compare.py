"""Two spaces held against each other, row by row: what live derived from a period's arrivals, and what a replay of them derived.

Live is seen in the snapshot that the replay was read from, so what arrives meanwhile does no harm; the replay's rows are brought into it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from sinks.history import Period
from sinks.lives import histories
from sinks.migrations import schema
from sinks.session import Connection
from streams.department import Department
from streams.event import moment
from streams.topics import LIVE

MOST_SHOWN = 1000


@dataclass(frozen=True)
class Difference:
    """One row that differs. key: its columns that say which; live, replay: the others on each side, None where the row is not there."""

    table: str
    key: Mapping[str, Any]
    live: Mapping[str, Any] | None
    replay: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """For scripts; times as ISO 8601."""
        sides = {"live": self.live, "replay": self.replay}
        told = {name: None if held is None else {k: _plain(v) for k, v in held.items()} for name, held in sides.items()}
        return {"table": self.table, **{k: _plain(v) for k, v in self.key.items()}, **told}


@dataclass(frozen=True)
class Table:
    """What is compared of a table. keys: the columns that say which row; values: those that must be equal; known: whether rows have a second time, so
    that only those of the period count; rows whose values are all 0 say nothing."""

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    known: str | None = None
    zeros: bool = True


def tables(chosen: Department) -> Iterator[Table]:
    """The rollups of two times of a department: everything a figure is made of."""
    cell = ("minute", "known", "unit", "kind")
    yield Table(f"{chosen.name}_1m", cell, chosen.measures, "known", zeros=False)
    if chosen.histogram:
        yield Table(f"{chosen.name}_{chosen.histogram}_1m", (*cell, "bound"), ("n",), "known", zeros=False)
    if chosen.members:
        yield Table(f"{chosen.name}_member_1d", ("day", "member", "known"), ("n",), "known", zeros=False)


ARRIVALS = (
    Table("ledger_1m", ("minute", "department", "source"), ("on_time", "late", "conflict", "quarantined"), "minute"),
    Table("heard_1m", ("department", "source", "minute"), ("known_at", "watermark"), "minute"),
    Table("asked_1m", ("minute", "department", "source"), ("asked_at", "failed_at", "every_seconds", "news_at"), "minute"),
)
"""What is compared of arrivals while every event of them is in the figures."""


def bring(replay: Connection, snapshot: Connection, space: str, name: str) -> None:
    """Copy a table of the replay into a temporary one of the snapshot's session."""
    snapshot.execute(
        sql.SQL("create temporary table {} (like {}) on commit drop").format(_brought(name), sql.Identifier(schema(LIVE), name))
    )
    columns = snapshot.execute(sql.SQL("select * from {} limit 0").format(_brought(name))).description or []
    told = _names([column.name for column in columns])
    out = sql.SQL("copy (select {} from {}) to stdout (format binary)").format(told, sql.Identifier(schema(space), name))
    into = sql.SQL("copy {} ({}) from stdin (format binary)").format(_brought(name), told)
    with replay.cursor() as reading, snapshot.cursor() as writing, reading.copy(out) as blocks, writing.copy(into) as copy:
        for block in blocks:
            copy.write(block)
    snapshot.execute(sql.SQL("analyze {}").format(_brought(name)))


def _brought(name: str) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"replay_{name}")


def rows(snapshot: Connection, table: Table, period: Period) -> Iterator[Difference]:
    """The rows of a table, brought before, that differ; in their order."""
    columns, bounds = (*table.keys, *table.values), {"since": moment(period.since_us), "until": moment(period.until_us)}
    live = _side(sql.Identifier(schema(LIVE), table.name), table, columns)
    return _differing(snapshot, table, live, _side(_brought(table.name), table, columns), bounds)


def _differing(
    snapshot: Connection, table: Table, live: sql.Composed, replay: sql.Composed, bounds: Mapping[str, Any]
) -> Iterator[Difference]:
    """The rows in which two selections of a table's columns, each with `there`, differ; in their order."""
    values = sql.SQL(", ").join(
        sql.SQL("l.{0} as {1}, r.{0} as {2}").format(*map(sql.Identifier, (v, f"live {v}", f"replay {v}"))) for v in table.values
    )
    query = sql.SQL(
        "select {keys}, l.there as live, r.there as replay, {values} from ({live}) l full join ({replay}) r using ({keys}) "
        "where row({left}) is distinct from row({right}) order by {keys} limit {most}"
    ).format(
        keys=_names(table.keys), values=values, most=sql.Literal(MOST_SHOWN), live=live, replay=replay,
        left=_names(("there", *table.values), "l"), right=_names(("there", *table.values), "r"),
    )  # fmt: skip
    with snapshot.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query, bounds):
            sides = [{v: row[f"{side} {v}"] for v in table.values} if row[side] else None for side in ("live", "replay")]
            yield Difference(table.name, {k: row[k] for k in table.keys}, *sides)


def count(snapshot: Connection, table: Table, period: Period) -> int:
    """How many rows of the replay are compared."""
    query = sql.SQL("select count(*) from ({}) t").format(_side(_brought(table.name), table, (*table.keys, *table.values)))
    row = snapshot.execute(query, {"since": moment(period.since_us), "until": moment(period.until_us)}).fetchone()
    return row[0] if row else 0


def _side(whole: sql.Identifier, table: Table, columns: Sequence[str]) -> sql.Composed:
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if table.known:
        conditions.append(sql.SQL("{0} >= %(since)s and {0} < %(until)s").format(sql.Identifier(table.known)))
    if not table.zeros:
        some = sql.SQL(" or ").join(sql.SQL("{} <> 0").format(sql.Identifier(v)) for v in table.values)
        conditions.append(sql.SQL("({})").format(some))
    return sql.SQL("select {}, true as there from {} where {}").format(_names(columns), whole, sql.SQL(" and ").join(conditions))


def _names(columns: Sequence[str], side: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(side, c) if side else sql.Identifier(c) for c in columns)


def sums(connection: Connection, chosen: Department) -> Iterator[Difference]:
    """The days and slots of live that are not the sum of its minutes."""
    for name, keys, of_minute in (
        (f"{chosen.name}_1d", ("day", "unit", "kind"), sql.SQL("(minute at time zone 'Asia/Ho_Chi_Minh')::date")),
        (f"{chosen.name}_10m", ("slot", "unit"), sql.SQL("date_bin('10 minutes', minute, timestamptz '2020-01-01Z')")),
    ):
        table = Table(name, keys, chosen.measures, zeros=False)
        summed = sql.SQL("select {of_minute} as {first}, {rest}, {sums}, true as there from {minutes} group by 1, {rest} having {some}").format(
            of_minute=of_minute, first=sql.Identifier(keys[0]), rest=_names(keys[1:]), minutes=sql.Identifier(schema(LIVE), f"{chosen.name}_1m"),
            sums=sql.SQL(", ").join(sql.SQL("sum({0})::bigint as {0}").format(sql.Identifier(m)) for m in chosen.measures),
            some=sql.SQL(" or ").join(sql.SQL("sum({}) <> 0").format(sql.Identifier(m)) for m in chosen.measures),
        )  # fmt: skip
        whole = _side(sql.Identifier(schema(LIVE), name), table, (*keys, *chosen.measures))
        yield from _differing(connection, table, whole, summed, {})


def lives(snapshot: Connection, chosen: Department, table: str, period: Period, whole: bool) -> Iterator[Difference]:
    """The histories of a kind of subject, brought before, that differ in what was known before the period's end. whole: the period has all that live was
    ever told, so that live may have no others."""
    name, until_us, decode = f"{chosen.name}_{table}", period.until_us, histories(chosen, table)
    query = sql.SQL(
        "select uuid_send(key), l.state, r.state from {} l {} join {} r using (key) where l.state is distinct from r.state"
    ).format(sql.Identifier(schema(LIVE), name), sql.SQL("full" if whole else "right"), _brought(name))
    for key, held, replayed in snapshot.execute(query, binary=True):
        live = tuple(state for state in decode(held) if state.known_us < until_us) if held is not None else ()
        again = decode(replayed) if replayed is not None else ()
        if live != again:
            yield Difference(name, {"key": key.hex()}, _last(live), _last(again))


def lives_count(snapshot: Connection, chosen: Department, table: str) -> int:
    """How many histories of the replay are compared."""
    row = snapshot.execute(sql.SQL("select count(*) from {}").format(_brought(f"{chosen.name}_{table}"))).fetchone()
    return row[0] if row else 0


def _last(states: Sequence[Any]) -> Mapping[str, Any] | None:
    """What a history comes to, and in how many steps."""
    return {"state": msgspec.to_builtins(states[-1]), "changes": len(states)} if states else None


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value.hex if hasattr(value, "int") and hasattr(value, "hex") else value
