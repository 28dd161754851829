"""Migrations: numbered SQL files and the departments' derived tables, one transaction each, checked by hash."""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from sinks import derive, growth, hindsight, roles
from sinks.idle import give_way
from streams.department import departments
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from streams.topics import LIVE

Connection = psycopg.Connection[tuple[object, ...]]
Statement = sql.SQL | sql.Composed
Step = tuple[str, str, Callable[[Connection], None]]
"""(name, hash, what it runs)."""

_SQL = Path(__file__).parent / "sql"
_DEFINED = sql.SQL("security definer set search_path = pg_catalog, pg_temp ")
"""A function that does more than who calls it may."""
_HIDDEN = ("stream_offset", "outbox", "silence", "beat", "alias", "quarantine_audit")
"""Tables of live that no replay has any use for."""
_LOCKS: tuple[tuple[str, LiteralString, LiteralString], ...] = (
    ("await_lock", "void", "pg_advisory_xact_lock"), ("try_lock", "bool", "pg_try_advisory_xact_lock"),
    ("keep_lock", "void", "pg_advisory_lock"), ("free_lock", "bool", "pg_advisory_unlock"),
)  # fmt: skip
_SHARED = ""
"""What all spaces share, in the list of migrations."""


def schema(space: str) -> str:
    """The schema of a space's tables: `live`, `drill_01`."""
    return space.replace("-", "_")


def board(space: str) -> str:
    """The schema of a space's views: `board`, `board_drill_01`."""
    return "board" if space == LIVE else f"board_{schema(space)}"


def board_at(space: str) -> str:
    """The schema whose views have the names of `board`'s and show what was known at the session's `ioc.at`."""
    return "board_at" if space == LIVE else f"board_at_{schema(space)}"


def migrate(dsn: str, settings: Settings, chunked: bool = True) -> list[str]:
    """Bring the database of `dsn` (a login that may create roles) up to this code, for `settings.space`; the names of the steps that ran.
    chunked: tables of events and minutes are hypertables, where the server has them.

    Raises Misconfigured when a step that ran before reads differently now, or the database knows steps that this code does not;
    Retry when the server cannot be reached.
    """
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            give_way(connection)
            connection.execute("select set_config('ioc.chunked', %s, false)", ["on" if chunked else "off"])
            connection.execute("select pg_advisory_xact_lock(7241)")
            _prepare(connection, settings)
            connection.commit()
            shared = [*_steps_due(connection, _SHARED, "ioc", [*_shared(), _shared_grants()])]
            return [*shared, *_steps_due(connection, settings.space, schema(settings.space), _steps(settings.space))]
    except psycopg.OperationalError as error:
        raise Retry(f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`, or check IOC_DATABASE__DSN") from error


def _prepare(connection: Connection, settings: Settings) -> None:
    roles.create(connection, settings)
    if connection.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone():
        connection.execute("create extension if not exists timescaledb")
    owner = sql.Identifier(roles.OWNER)
    connection.execute(sql.SQL("grant {} to current_user").format(owner))
    for name in ("ioc", schema(settings.space), board(settings.space), board_at(settings.space)):
        connection.execute(sql.SQL("create schema if not exists {} authorization {}").format(sql.Identifier(name), owner))
    connection.execute(
        "create table if not exists ioc.migration (space text, name text, hash text not null, applied_at timestamptz not null default now(), primary key (space, name))"
    )
    connection.execute(sql.SQL("alter table ioc.migration owner to {}").format(owner))


def _steps(space: str) -> list[Step]:
    return [*_files(space), *_derived(space), _clock(space), _locks(space), _grants(space)]


def _steps_due(connection: Connection, space: str, search: str, steps: Sequence[Step]) -> Iterator[str]:
    done = dict(
        cast(list[tuple[str, str]], connection.execute("select name, hash from ioc.migration where space = %s", [space]).fetchall())
    )
    unknown = sorted(set(done) - {name for name, _, _ in steps})
    if unknown:
        raise Misconfigured(
            f"the database is newer than this code: it has {', '.join(unknown)}", "install the version that wrote it, or a newer one"
        )
    for name, digest, run in steps:
        if done.get(name) == digest:
            continue
        if name in done and not name.startswith("grants"):
            raise Misconfigured(f"migration {name} has changed since it ran here", "restore it and write the change as a new migration")
        with connection.transaction():
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(roles.OWNER)))
            connection.execute(sql.SQL("set local search_path = {}, public").format(sql.Identifier(search)))
            run(connection)
            connection.execute(
                "insert into ioc.migration (space, name, hash) values (%s, %s, %s) on conflict (space, name) do update set hash = excluded.hash, applied_at = now()",
                [space, name, digest],
            )
        yield name


def _files(space: str) -> Iterator[Step]:
    for path in sorted(_SQL.glob("[0-9]*.sql")):
        text = path.read_text()
        statement: Statement = sql.SQL(text)  # our own file, not input
        if "{board}" in text:
            names = {"board": board(space), "board_at": board_at(space), "space": schema(space)}
            statement = sql.SQL(text).format(**{key: sql.Identifier(name) for key, name in names.items()})
        yield path.stem, _hash(text), partial(_run, [statement])


def _shared() -> Iterator[Step]:
    for path in sorted((_SQL / "ioc").glob("[0-9]*.sql")):
        text = path.read_text()
        yield path.stem, _hash(text), partial(_run, [sql.SQL(text)])  # our own file, not input


def _shared_grants() -> Step:
    reader, duty, ingest, replay = (sql.Identifier(role) for role in (roles.READER, roles.DUTY, roles.INGEST, roles.REPLAY))
    statements: list[Statement] = [
        sql.SQL("grant usage on schema ioc to {}, {}, {}, {}").format(reader, duty, ingest, replay),
        sql.SQL("grant select on ioc.space, ioc.replay to {}, {}, {}, {}").format(reader, duty, ingest, replay),
        sql.SQL("grant update (wanted, speed, seek_to) on ioc.replay to {}").format(duty),
        sql.SQL("grant insert, update, delete on ioc.replay to {}").format(replay),
        sql.SQL("grant update (used_at) on ioc.space to {}").format(replay),
        sql.SQL("grant execute on function ioc.try_play(text) to {}").format(replay),
    ]
    return "grants", _hash("2" + "\n".join(name for name, _, _ in _shared())), partial(_run, statements)


def _clock(space: str) -> Step:
    """`clock()`: the time rules are decided at; and, for those who read a replay's boards, its own now(), found before pg_catalog's."""
    made = sql.SQL("create function {}.{}() returns timestamptz language sql stable {}as {}")

    def function(where: str, name: str, body: sql.Composable, guarded: sql.SQL = sql.SQL("")) -> sql.Composed:
        return made.format(sql.Identifier(where), sql.Identifier(name), guarded, sql.Literal(body.as_string(None)))

    if space == LIVE:
        return _step("clock", [function(schema(space), "clock", sql.SQL("select clock_timestamp()"))])
    name = sql.Literal(space)
    followed = sql.SQL("select coalesce((select followed from ioc.replay where space = {}), clock_timestamp())").format(name)
    # Up to there everything is in the figures: what comes after, nobody was asked for yet.
    shown = sql.SQL(
        "select coalesce((select least(followed, ioc.replayed(space)) from ioc.replay where space = {}), pg_catalog.now())"
    ).format(name)
    # How long it took from an arrival of long ago until today tells nothing.
    took = sql.SQL(
        "create or replace view {board}.followed as select f.department, f.known_at, "
        "case when not exists (select from ioc.replay where space = {name}) then f.followed_at end as followed_at "
        "from (select distinct department from {space}.heard) d "
        "cross join lateral (select * from {space}.followed f where f.department = d.department order by minute desc limit 1) f"
    ).format(board=sql.Identifier(board(space)), space=sql.Identifier(schema(space)), name=name)
    statements = [function(schema(space), "clock", followed, _DEFINED), function(board(space), "now", shown), took]
    return _step("clock", statements)


def _locks(space: str) -> Step:
    """Locks of a space by number: until the transaction's end (await_lock, try_lock), or the session's (keep_lock, free_lock). The role of a space
    may take no others: it could hold live's."""
    key: sql.Composable = sql.SQL("$1")
    guarded = sql.SQL("")
    if space != LIVE:
        key, guarded = sql.SQL("{}, hashint8($1)").format(zlib.crc32(space.encode()) - 2**31), _DEFINED
    made = sql.SQL("create function {}(key bigint) returns {} language sql volatile {}as {}")
    statements: list[Statement] = []
    for name, gives, does in _LOCKS:
        named, body = sql.Identifier(schema(space), name), sql.SQL("select {}({})").format(sql.SQL(does), key)
        statements.append(made.format(named, sql.SQL(gives), guarded, sql.Literal(body.as_string(None))))
        statements.append(sql.SQL("revoke execute on function {}(bigint) from public").format(named))
        statements.append(sql.SQL("grant execute on function {}(bigint) to {}").format(named, sql.Identifier(roles.writer(space))))
    return _step("locks", statements)


def _derived(space: str) -> Iterator[Step]:
    for grown in departments():
        department = growth.contract(grown, 1)
        statements: list[Statement] = [*derive.tables(department)]
        statements += [
            sql.SQL("select create_hypertable({}, {}, chunk_time_interval => {}::interval, create_default_indexes => false)").format(
                *map(sql.Literal, three)
            )
            for three in derive.hypertables(department)
        ]
        statements += derive.views(department, schema(space), board(space))
        yield _step(f"department_{department.name}_v1", statements)
        yield _step(f"department_{department.name}_slots", derive.slots(department, board(space)))
        known = [*hindsight.tables(department), *hindsight.views(department, schema(space), board(space), board_at(space))]
        yield _step(f"department_{department.name}_v2", known)
        yield _step(f"department_{department.name}_moments", hindsight.moments(department))
        yield _step(f"department_{department.name}_arrivals", hindsight.arrivals(department))
        yield _step(f"department_{department.name}_histories", derive.anew(department))
        yield _step(f"department_{department.name}_withdrawn", hindsight.withdrawn(department, board(space), board_at(space)))
        for name, added in growth.steps(grown, schema(space), board(space), board_at(space)):
            yield name, _step(name, added)[1], partial(_grow, department.name, space, added)


def _step(name: str, statements: Sequence[Statement]) -> Step:
    return name, _hash("\n".join(s.as_string(None) for s in statements)), partial(_run, [*statements])


def _grow(name: str, space: str, statements: Sequence[Statement], connection: Connection) -> None:
    growth.refuse_without_events(connection, name, space)
    _run([*statements], connection)


def _grants(space: str) -> Step:
    writer, reader, duty, replay = (sql.Identifier(role) for role in (roles.writer(space), roles.READER, roles.DUTY, roles.REPLAY))
    live, seen, past = (sql.Identifier(name) for name in (schema(space), board(space), board_at(space)))
    statements: list[Statement] = [
        sql.SQL("grant usage on schema {} to {}, {}").format(live, writer, replay),
        sql.SQL("grant select, insert, update, delete on all tables in schema {} to {}").format(live, writer),
        sql.SQL("grant usage on all sequences in schema {} to {}").format(live, writer),
        sql.SQL("grant select on all tables in schema {} to {}").format(live, replay),
        *(
            sql.SQL(text).format(where, writer, reader, replay)
            for where in (seen, past)
            for text in ("grant usage on schema {} to {}, {}, {}", "grant select on all tables in schema {} to {}, {}, {}")
        ),
        sql.SQL("grant usage on schema {} to {}").format(live, duty),
        sql.SQL(
            "grant select (id, closed_at, acknowledged_at), update (acknowledged_at, acknowledged_by, acknowledged_why) on {}.alarm to {}"
        ).format(live, duty),
        sql.SQL("grant select (id), insert (rule, unit, until, who, why) on {}.silence to {}").format(live, duty),
    ]
    noted = sql.Identifier(schema(space), "quarantine_audit")
    statements.append(sql.SQL("revoke update, delete on {} from {}").format(noted, writer))  # what was noted stays
    if space == LIVE:
        names = sql.SQL(", ").join(sql.Identifier(schema(space), name) for name in _HIDDEN)
        statements.append(sql.SQL("revoke select on {} from {}").format(names, replay))
    else:  # a replay that goes back empties it
        statements.append(sql.SQL("revoke all on schema {} from {}").format(live, sql.Identifier(roles.INGEST)))
        statements.append(sql.SQL("grant truncate on all tables in schema {} to {}").format(live, writer))
    known = "\n".join(name for name, _, _ in [*_files(space), *_derived(space), _clock(space), _locks(space)])
    return f"grants_{space}", _hash(known), partial(_run, statements)


def _run(statements: list[Statement], connection: Connection) -> None:
    chunked = connection.execute(
        "select from pg_extension where extname = 'timescaledb' and current_setting('ioc.chunked', true) = 'on'"
    ).fetchone()
    for statement in statements:
        if chunked is None and "create_hypertable" in statement.as_string(None):
            continue  # the same tables without chunks, as on plain PostgreSQL
        connection.execute(statement)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
