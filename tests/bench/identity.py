"""What it costs to know every id for ever: the identity table alone, at a million rows and at twenty."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from rich.table import Table

from deploy import console
from deploy.embedded import parts
from sinks import copy
from streams.settings import load
from tests.bench.measure import cpu_seconds

BATCH = 5000
TIMED_BATCHES = 60
FILL_ROWS = 500_000
T0_US = 1_794_848_400_000_000


@dataclass(frozen=True)
class Way:
    """One way to keep identity. key: the column's type; None keeps none and only inserts the raw row."""

    name: str
    key: str | None
    ordered: bool = False
    raw: bool = False


WAYS = (
    Way("uuid primary key, as they come", "uuid"),
    Way("uuid primary key, sorted by id", "uuid", ordered=True),
    Way("int8 of a hash, as they come", "bigint"),
    Way("int8 of a hash, sorted by id", "bigint", ordered=True),
    Way("raw row without identity", None, raw=True),
    Way("raw row and uuid identity, sorted", "uuid", ordered=True, raw=True),
)


def main(
    rows: Annotated[int, typer.Option(help="Ids that are known already when the timing starts.")] = 1_000_000,
    most_seconds: Annotated[float, typer.Option(help="Timing of one way ends after this long.")] = 30.0,
) -> None:
    """The cost of identity: COPY -> temporary table -> insert on conflict do nothing, 5000 a batch, on a table that holds ROWS ids."""
    with tempfile.TemporaryDirectory(prefix="song-ma-bench-", ignore_cleanup_errors=True) as folder:
        settings = load(state_dir=Path(folder))
        found = parts.ensure(settings, console.say)
        try:
            with psycopg.connect(found.dsn, autocommit=True) as connection:
                _show(rows, [(way, *_measured(connection, way, rows, most_seconds)) for way in WAYS])
        finally:
            parts.wipe(settings)


def _measured(connection: psycopg.Connection[Any], way: Way, rows: int, most_seconds: float) -> tuple[float, float, float]:
    """(rows per second, microseconds of PostgreSQL's CPU a row, megabytes of the identity table)."""
    for table in ("identity", "incoming", "event"):
        connection.execute(f"drop table if exists {table}")
    kind = way.key or "uuid"
    connection.execute(f"create temporary table incoming (id {kind}, body bigint, event_time timestamptz) on commit delete rows")
    connection.execute(f"create table identity (id {kind} primary key, body bigint not null, event_time timestamptz not null)")
    connection.execute("create table event (id uuid, body bigint, event_time timestamptz, facts text)")
    connection.execute("select create_hypertable('event', 'event_time')")
    if way.key is not None:
        console.say(f"{way.name}: filling {rows:,} ids")
        _fill(connection, kind, rows)
    connection.execute("checkpoint")
    batches = _batches(way, random.Random(2))
    done, started = 0, time.monotonic()
    spent, cpu = 0.0, cpu_seconds(connection.info.backend_pid)
    while done < TIMED_BATCHES and time.monotonic() - started < most_seconds:
        identities, events = next(batches)
        since = time.monotonic()
        _write(connection, way, identities, events)
        spent += time.monotonic() - since
        done += 1
    size = connection.execute("select pg_total_relation_size('identity') / 1e6").fetchone()
    cpu = cpu_seconds(connection.info.backend_pid) - cpu
    return done * BATCH / spent, cpu / (done * BATCH) * 1e6, float(size[0]) if size and way.key is not None else 0.0


def _fill(connection: psycopg.Connection[Any], kind: str, rows: int) -> None:
    fresh = "gen_random_uuid()" if kind == "uuid" else "hashint8extended(n, 1)"
    for first in range(0, rows, FILL_ROWS):
        last = min(rows, first + FILL_ROWS) - 1
        connection.execute(
            f"insert into identity select {fresh}, n, to_timestamp(n) from generate_series({first}, {last}) n order by 1 on conflict do nothing"  # our own words
        )


def _batches(way: Way, chance: random.Random) -> Iterator[tuple[bytes, bytes]]:
    encode: Callable[[int], bytes] = (lambda id: b"\0\0\0\x08" + id.to_bytes(16, "big")[:8]) if way.key == "bigint" else _uuid
    facts = copy.text("x" * 280)
    while True:
        ids = [chance.getrandbits(128) for _ in range(BATCH)]
        tail = copy.bigint(1) + copy.timestamptz(T0_US)
        identities = copy.block(b"\0\x03" + encode(id) + tail for id in ids)
        yield identities, copy.block(b"\0\x04" + _uuid(id) + tail + facts for id in ids)


def _uuid(id: int) -> bytes:
    return b"\0\0\0\x10" + id.to_bytes(16, "big")


def _write(connection: psycopg.Connection[Any], way: Way, identities: bytes, events: bytes) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        if way.key is not None:
            with cursor.copy("copy incoming from stdin (format binary)") as into:
                into.write(identities)
            order = "order by id" if way.ordered else ""
            cursor.execute(f"insert into identity select * from incoming {order} on conflict (id) do nothing")  # our own words
        if way.raw:
            with cursor.copy("copy event from stdin (format binary)") as into:
                into.write(events)


def _show(rows: int, found: list[tuple[Way, float, float, float]]) -> None:
    table = Table(title=f"identity for ever, {rows:,} ids known, batches of {BATCH}", title_justify="left", header_style="bold")
    for name in ("way", "rows/s", "us a row", "us of CPU", "MB"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, rate, cpu, size in found:
        table.add_row(way.name, f"{rate:,.0f}", f"{1e6 / rate:.1f}", f"{cpu:.1f}", f"{size:,.0f}" if size else "")
    console.people.print(table)
