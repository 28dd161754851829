"""Events that left the table come back into it from the archive: figures are counted anew from the table only."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec
from psycopg import sql

from sinks import growth
from sinks.archive import chain, packing
from sinks.archive import store as at
from sinks.archive.store import Store
from sinks.batch import encode_of
from sinks.derive import columns, row_type
from sinks.session import Connection
from sinks.timescale import stored
from streams.department import Department
from streams.errors import Misconfigured
from streams.event import micros, moment

BATCH_EVENTS = 5_000


def restore(
    connection: Connection, store: Store, space: str, chosen: Department, shown: Callable[[int], None] = lambda events: None
) -> int:
    """Put back what left the table of a department; how many. A transaction for each batch, so it is safe to end and to repeat. Their figures are
    not counted again: they were. `connection`: the owner's, seeing the tables of the space.

    Raises Misconfigured when the archive is not what was written or lacks events that left the table, Retry when the store is away.
    """
    name = chain.events_name(chosen.name, space)
    gone = connection.execute("select dropped_before from archived where chain = %s and dropped_before is not null", [name]).fetchone()
    if gone is None:
        return 0
    before_us = micros(gone[0])
    now = _as_the_table_is(connection, chosen)
    decode, encode = msgspec.json.Decoder(row_type(chosen.event)).decode, encode_of(now)
    restored = 0
    for line in at.whole(store, name):
        if line.first_us < before_us:
            lost = (event for event in map(decode, packing.lines_of(store, name, line)) if event.event_time_us < before_us)
            while part := [*islice(lost, BATCH_EVENTS)]:
                with connection.transaction():
                    done = _put(connection, now, name, part, encode)
                restored += done
                shown(done)
    row = connection.execute(
        "update archived set dropped_before = case when dropped > 0 then dropped_before end where chain = %s returning dropped", [name]
    ).fetchone()
    if row is not None and row[0]:
        raise Misconfigured(
            f"{row[0]} events of {chosen.name} that left the table are not in the archive", "`ioc archive verify` says more"
        )
    return restored


def _as_the_table_is(connection: Connection, chosen: Department) -> Department:
    """The department by the newest contract whose columns its table has: a table may still wait for what has grown."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped", [f"{chosen.name}_event"]
    ).fetchall()
    there = {name for (name,) in rows}
    versions = [growth.contract(chosen, number) for number in range(len(chosen.grown) + 1, 0, -1)]
    return next(each for each in versions if {column.name for column in columns(each.event)} <= there)


def _put(connection: Connection, now: Department, chain_name: str, events: Sequence[Any], encode: Any) -> int:
    """Those that are not in the table, as a batch whose figures have followed."""
    times = [event.event_time_us for event in events]
    known = connection.execute(
        sql.SQL("select id from {} where event_time between %s and %s and id = any(%s::uuid[])").format(
            sql.Identifier(f"{now.name}_event")
        ),
        [moment(min(times)), moment(max(times)), [event.id for event in events]],
    ).fetchall()
    there = {id.hex for (id,) in known}
    fresh = [event for event in events if event.id not in there]
    if not fresh:
        return 0
    batch = stored(connection, now, [encode(event)[-1] for event in fresh], [event.event_time_us for event in fresh])
    connection.execute("update batch set followed_at = clock_timestamp() where batch = %s", [batch])
    connection.execute("update archived set dropped = dropped - %s where chain = %s", [len(fresh), chain_name])
    return len(fresh)
