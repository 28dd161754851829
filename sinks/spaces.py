"""Spaces beside live: made, listed, emptied, dropped; what each may hold."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.errors import DeadlockDetected, LockNotAvailable
from psycopg.rows import class_row

from sinks import evaluator, lives, roles
from sinks.idle import give_way
from sinks.migrations import board, board_at, migrate, schema
from streams.department import NAMES
from streams.errors import Misconfigured
from streams.settings import Settings, space_name
from streams.store import Partition
from streams.topics import LIVE

Connection = psycopg.Connection[Any]

FRESH_SECONDS = 10
"""A replay whose player gave no sign of life for longer is dead."""
ENDED = ("done", "stopped", "failed")
_REGISTRY = ("unit", "succession", "seller", "seller_was", "plan")
_LASTING = (*_REGISTRY, "rule", "rule_change", "incident", "silence", "stream_offset")
"""What a space keeps when its replay goes back."""
_LOOKED_THROUGH = ("event_time", "event_arrived", "listed", "1m_known", "1m_when")
"""Ends of the names of indexes that only boards, lists and replays of a space read by."""
_WAITS = (*(["100ms"] * 4), *(["400ms"] * 6), "2s", "5s")

# Chunks of a hypertable are its children.
_BYTES = """
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from (
  select c.oid from pg_class c where c.relnamespace = to_regnamespace(%(schema)s) and c.relkind = 'r'
  union all select i.inhrelid from pg_inherits i join pg_class c on c.oid = i.inhparent where c.relnamespace = to_regnamespace(%(schema)s)) t"""
_LISTED = """
select m.space as name, coalesce(s.label, '') as label, coalesce(s.made_at, m.made_at) as made_at, coalesce(s.made_by, '') as made_by,
  coalesce(s.used_at, m.made_at) as used_at, coalesce(s.kept, true) as kept, s.most_rows, s.most_bytes, s.most_hours, r.state as replay,
  coalesce(r.state <> all(%(ended)s) and coalesce(r.beat_at, r.begun_at) > clock_timestamp() - make_interval(secs => %(fresh)s), false) as plays
from (select space, min(applied_at) as made_at from ioc.migration where space not in ('', 'live') group by 1) m
left join ioc.space s on s.name = m.space left join ioc.replay r on r.space = m.space order by 3, 1"""
_OLD = "select name from ioc.space where not kept and used_at < clock_timestamp() - make_interval(hours => most_hours) order by 1"


class Listed(NamedTuple):
    """A space. replay: the state of its replay, None where it has none; plays: its player is at work. What it may hold is None where nobody said so."""

    name: str
    label: str
    made_at: Any
    made_by: str
    used_at: Any
    kept: bool
    most_rows: int | None
    most_bytes: int | None
    most_hours: int | None
    replay: str | None
    plays: bool


def within(settings: Settings, name: str) -> Settings:
    """The same settings, at work in the space of that name. Raises Misconfigured for what is no name of a space."""
    try:
        return settings.model_copy(update={"space": space_name(name)})
    except ValueError as error:
        raise Misconfigured(f"no space can be called {name!r}: {error}", "name it like drill-01") from error


def make(
    dsn: str, settings: Settings, name: str, by: str, label: str = "", rules: Literal["none", "live"] = "none",
    migrating: Callable[[str, Settings], object] = migrate,
) -> Settings:  # fmt: skip
    """A new space with its tables and its role, who is where as live knows it, and (`rules`) the rules that stand in live; its settings.

    dsn: of a login that may create roles and schemas. migrating: makes the tables. Raises Misconfigured when there is such a space, or there are too many.
    """
    own = within(settings, name)
    if name == LIVE:
        raise Misconfigured("live is no replay's space", "name it like drill-01")
    with psycopg.connect(dsn) as connection:
        held = [row[0] for row in connection.execute("select name from ioc.space")]
    if name in held:
        raise Misconfigured(f"there is a space {name} already", f"choose another name, or `ioc spaces drop {name}`")
    if len(held) >= settings.spaces.most:
        raise Misconfigured(f"there are {len(held)} spaces, as many as there may be", "`ioc spaces drop` one, or raise spaces.most")
    migrating(dsn, own)
    most = settings.spaces
    with psycopg.connect(dsn) as connection:
        give_way(connection)
        connection.execute(
            "insert into ioc.space (name, label, made_by, most_rows, most_bytes, most_hours) values (%s, %s, %s, %s, %s, %s)",
            [name, label, by, most.most_rows, most.most_bytes, most.most_hours],
        )
        copied = (*_REGISTRY, "rule", "rule_change") if rules == "live" else _REGISTRY
        for table in copied:
            into, of = sql.Identifier(schema(name), table), sql.Identifier(schema(LIVE), table)
            connection.execute(sql.SQL("insert into {} overriding system value select * from {} on conflict do nothing").format(into, of))
        highest = sql.SQL("select setval(pg_get_serial_sequence(%s, 'id'), coalesce(max(id), 0) + 1, false) from {}")
        connection.execute(highest.format(sql.Identifier(schema(name), "rule_change")), [f"{schema(name)}.rule_change"])
    return own


def fleeting(connection: Connection, name: str) -> None:
    """Let a new space live no longer than the server that runs, watched by nobody: its tables, but for hypertables, which cannot, are not written to the
    server's log; those of departments, which hardly a row leaves, are not vacuumed and have no indexes but those that its worker uses. What a replay
    writes then costs half, and live waits less for the disk."""
    lasting: list[str] = []
    if connection.execute("select to_regclass('timescaledb_information.hypertables')").fetchone() != (None,):
        query = "select hypertable_name from timescaledb_information.hypertables where hypertable_schema = %s"
        lasting = [table for (table,) in connection.execute(query, [schema(name)])]
    tables = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r' and not relname = any(%s)",
        [schema(name), lasting],
    ).fetchall()
    for (table,) in tables:
        vacuum = sql.SQL(", set (autovacuum_enabled = off)" if table.partition("_")[0] in NAMES else "")
        connection.execute(sql.SQL("alter table {} set unlogged{}").format(sql.Identifier(schema(name), table), vacuum))
    unread = connection.execute(
        "select indexname from pg_indexes where schemaname = %s and indexname like any(%s)",
        [schema(name), [rf"%\_{end}" for end in _LOOKED_THROUGH]],
    ).fetchall()
    for (index,) in unread:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(schema(name), index)))


def drop(dsn: str, settings: Settings, name: str) -> None:
    """Remove a space's tables, views, role and all that is noted of it. Its topics are the caller's. Raises Misconfigured when `why_not` says so."""
    own = within(settings, name)
    with psycopg.connect(dsn) as connection:
        give_way(connection)
        wrong = why_not(connection, name)
        if wrong:
            raise Misconfigured(wrong, "`ioc spaces list` shows what there is")
        connection.execute("select pg_advisory_xact_lock(7241)")  # as migrations do
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [roles.writer(name)])
        for held in (board_at(name), board(name), schema(name)):
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(held)))
        connection.execute("delete from ioc.space where name = %s", [name])
        connection.execute("delete from ioc.migration where space = %s", [name])
        roles.forget(connection, own)


def why_not(connection: Connection, name: str) -> str | None:
    """Why a space cannot be dropped, None when it can."""
    if name == LIVE:
        return "live is never dropped"
    for each in listed(connection):
        if each.name == name:
            return f"the replay in {name} plays; stop it first: `ioc replay stop {name}`" if each.plays else None
    return f"there is no space {name}"


def listed(connection: Connection) -> list[Listed]:
    """Every space but live, the oldest first."""
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(_LISTED, {"ended": [*ENDED], "fresh": FRESH_SECONDS}).fetchall()


def held(connection: Connection, name: str) -> tuple[int, int]:
    """(events, bytes on disk) of a space; nothing where it is just being made or dropped."""
    space = schema(name)
    there = connection.execute("select to_regclass(%s)", [f"{space}.batch"]).fetchone()
    if there is None or there[0] is None:
        return 0, 0
    rows = connection.execute(sql.SQL("select coalesce(sum(events), 0)::bigint from {}").format(sql.Identifier(space, "batch"))).fetchone()
    size = connection.execute(_BYTES, {"schema": space}).fetchone()
    assert rows is not None  # noqa: S101  # an aggregate has one row
    assert size is not None  # noqa: S101
    return rows[0], size[0]


def over_quota(connection: Connection, name: str) -> str | None:
    """What a space has too much of, None when it may go on. For the player, every few seconds; it notes that the space is used."""
    row = connection.execute(
        "update ioc.space set used_at = clock_timestamp() where name = %s returning most_rows, most_bytes", [name]
    ).fetchone()
    if row is None:
        return f"the space {name} is gone"
    (events, size), (most_rows, most_bytes) = held(connection, name), row
    if events > most_rows:
        return f"the space {name} holds {events:,} events, more than the {most_rows:,} it may"
    if size > most_bytes:
        return f"the space {name} holds {size / 1e9:,.1f} GB, more than the {most_bytes / 1e9:,.1f} it may"
    return None


def keep(connection: Connection, name: str, kept: bool) -> bool:
    """Whether a space is never cleaned up. False when there is no such space. The connection's login is the owner's."""
    return connection.execute("update ioc.space set kept = %s where name = %s", [kept, name]).rowcount == 1


def old(connection: Connection) -> list[str]:
    """The spaces past their age that nobody keeps and no replay plays in."""
    busy = {each.name for each in listed(connection) if each.plays}
    return [name for (name,) in connection.execute(_OLD) if name not in busy]


def empty(connection: Connection, name: str, ends: Mapping[Partition, int]) -> None:
    """Take out of a space, beside its working worker, whatever followed from events; what its topics hold before `ends` is not read again.

    The batch in hand is written before, or fenced: the ingest service then seeks to `ends`, which must name every partition of the space.
    Raises psycopg.Error; then all is as it was. The connection is of the space's role.
    """
    if name == LIVE:
        raise ValueError("live is never emptied")
    tables = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r' and relname <> all(%s) order by 1",
        [schema(name), [*_LASTING]],
    ).fetchall()
    emptied = sql.SQL("truncate {}").format(sql.SQL(", ").join(sql.Identifier(schema(name), table) for (table,) in tables))
    with connection.transaction():
        _stand_at(connection, name, ends)
        for number in [*(lives.lock(name, department) for department in NAMES), evaluator.lock(name)]:
            connection.execute(sql.SQL("select {}(%s)").format(sql.Identifier(schema(name), "await_lock")), [number])
        _patiently(connection, emptied)


def _stand_at(connection: Connection, name: str, ends: Mapping[Partition, int]) -> None:
    """Move where the space's partitions stand; waits for the batch in hand and holds back the next."""
    upsert = sql.SQL(
        "insert into {} (topic_id, partition, topic, next_offset) values (%s, %s, %s, %s) "
        "on conflict (topic_id, partition) do update set next_offset = excluded.next_offset"
    ).format(sql.Identifier(schema(name), "stream_offset"))
    for row in sorted((p.topic_id, p.number, p.name, end) for p, end in ends.items()):
        connection.execute(upsert, row)


def _patiently(connection: Connection, statement: sql.Composed) -> None:
    """Those who read the space's views take its tables in another order. Who waits shortly and lets go fails none of them; who waits for longer
    ends an autovacuum that is in the way."""
    for tried, wait in enumerate(_WAITS, 1):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("set local lock_timeout = {}").format(wait))
                connection.execute(statement)
                return
        except (LockNotAvailable, DeadlockDetected):
            if tried == len(_WAITS):
                raise
