"""Whole chunks of events leave the table once every event in them is in the archive."""

from datetime import date, datetime
from typing import NamedTuple

import psycopg
import structlog
from psycopg import sql

from sinks.archive.chain import Line
from sinks.migrations import schema
from sinks.session import Connection
from streams.department import Department
from streams.errors import Misconfigured

log = structlog.get_logger()


class Chunk(NamedTuple):
    """One chunk of a table: event times [since, until)."""

    schema: str
    name: str
    since: datetime
    until: datetime


def drop(connection: Connection, space: str, chosen: Department, name: str, lines: list[Line], before: datetime) -> int:
    """Drop the chunks that end before `before`; how many events went. A chunk with an event that is not archived, or whose figures still have
    to follow, stays. `connection`: the owner's. Raises Misconfigured where the tables have no chunks."""
    if connection.execute("select from pg_extension where extname = 'timescaledb'").fetchone() is None:
        raise Misconfigured("this database has no chunks to drop", "take TimescaleDB, or leave archive.drop_after_days out")
    archived: dict[date, int] = {}
    for line in lines:
        for day, events in line.days.items():
            archived[date.fromisoformat(day)] = archived.get(date.fromisoformat(day), 0) + events
    dropped = 0
    for chunk in _chunks(connection, space, chosen, before):
        held = sum(events for day, events in archived.items() if chunk.since.date() <= day < chunk.until.date())
        try:
            dropped += _dropped(connection, space, chosen, name, chunk, held)
        except psycopg.errors.LockNotAvailable:
            log.warning(
                f"events of {chosen.name} from {chunk.since:%Y-%m-%d} stay: somebody is at work there", mend="the next run tries again"
            )
    return dropped


def _chunks(connection: Connection, space: str, chosen: Department, before: datetime) -> list[Chunk]:
    rows = connection.execute(
        "select chunk_schema, chunk_name, range_start, range_end from timescaledb_information.chunks "
        "where hypertable_schema = %s and hypertable_name = %s and range_end <= %s order by range_start",
        [schema(space), f"{chosen.name}_event", before],
    ).fetchall()
    return [Chunk(*row) for row in rows]


def _dropped(connection: Connection, space: str, chosen: Department, name: str, chunk: Chunk, archived: int) -> int:
    """Nobody writes into the chunk while it is counted: the archive holds nothing the table did not, so equal numbers mean equal events."""
    place = sql.Identifier(chunk.schema, chunk.name)
    with connection.transaction():
        connection.execute("set local lock_timeout = '5s'")
        connection.execute(sql.SQL("lock table {} in share mode").format(place))
        row = connection.execute(sql.SQL("select count(*) from {}").format(place)).fetchone()
        held = row[0] if row else 0
        owed = connection.execute(
            sql.SQL("select from {} o join {} b using (batch) where o.department = %s and b.first_time < %s limit 1").format(
                sql.Identifier(schema(space), "owed"), sql.Identifier(schema(space), "batch")
            ),
            [chosen.name, chunk.until],
        ).fetchone()
        if held != archived or owed is not None:
            why = "figures still have to follow them" if owed is not None else f"{held} are in the table, {archived} in the archive"
            log.warning(f"events of {chosen.name} from {chunk.since:%Y-%m-%d} stay: {why}")
            return 0
        connection.execute(
            "select drop_chunks(%s::regclass, older_than => %s::timestamptz, newer_than => %s::timestamptz)",
            [f"{schema(space)}.{chosen.name}_event", chunk.until, chunk.since],
        )
        connection.execute(
            "update archived set dropped_before = greatest(dropped_before, %s), dropped = dropped + %s where chain = %s",
            [chunk.until, held, name],
        )
    return int(held)
