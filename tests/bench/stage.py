"""The stage of the benchmark: broker and database of its own, the events once in Kafka, tables emptied before each run."""

import asyncio
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from aiokafka import AIOKafkaProducer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from deploy import console
from deploy.embedded import parts
from deploy.embedded.topics import create_topics
from sinks.derive import columns
from sinks.lives import Figures
from sinks.migrations import board, board_at, migrate, schema
from sinks.roles import ingest_dsn
from streams.brokers import aiokafka_options
from streams.department import department, departments
from streams.event import encode
from streams.settings import Settings, load
from streams.topics import topic
from tests.bench.events import Truth, events, sellers

KEPT = ("seller", "unit", "succession")
BATCH_BYTES = 64 * 1024


@dataclass(frozen=True)
class Stage:
    """Where everything is, and what is in the topics."""

    settings: Settings
    bootstrap: str
    dsn: str
    truth: Truth
    topics: tuple[str, ...]

    @property
    def state_dir(self) -> Path:
        """The folder that IOC_STATE_DIR names for the worker."""
        return self.settings.state_dir.resolve()

    def connect(self) -> psycopg.Connection[Any]:
        """As one who may do everything."""
        return psycopg.connect(self.dsn, autocommit=True)

    def empty(self) -> None:
        """Empty the space's tables and those of the peers; checkpoint, so that no run writes another one's pages."""
        with self.connect() as connection:
            tables = connection.execute(
                "select schemaname, tablename from pg_tables where schemaname in (%s, 'bench') and tablename <> all(%s)",
                [schema(self.settings.space), [*KEPT]],
            ).fetchall()
            names = sql.SQL(", ").join(sql.Identifier(*row) for row in tables)
            connection.execute(sql.SQL("truncate {} restart identity").format(names))
            connection.execute("checkpoint")

    def settle(self) -> None:
        """Vacuum what was filled, as autovacuum would beside whatever is measured next; checkpoint, so that the database's log has files to use again, as
        that of a database has that was not made just now."""
        with self.connect() as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")

    def peer_tables(self, peer: str, key: str = "primary key (event_time, id)") -> dict[str, str]:
        """Department -> a table of the peer's own with the columns of our raw table and a unique key; made when absent."""
        made = {}
        with self.connect() as connection:
            connection.execute("create schema if not exists bench")
            for each in departments():
                name = made[each.name] = f"{peer}_{each.name}"
                if connection.execute("select to_regclass(%s)", [f"bench.{name}"]).fetchone() != (None,):
                    continue
                shape = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in columns(each.event))
                connection.execute(sql.SQL("create table bench.{} ({}, {})").format(sql.Identifier(name), shape, sql.SQL(key)))
                connection.execute(
                    "select create_hypertable(%s, 'event_time', chunk_time_interval => interval '7 days', create_default_indexes => false)",
                    [f"bench.{name}"],
                )
        return made

    def database(self) -> dict[str, Any]:
        """host, port, user, password, dbname."""
        return conninfo_to_dict(self.dsn)


@contextmanager
def stage(folder: Path, total: int, keep: bool, days: int = 1) -> Iterator[Stage]:
    """Start the parts in `folder`, put `total` events of so many days into Kafka unless they are there; ended, and deleted unless `keep`."""
    settings = load(state_dir=folder)
    found = parts.ensure(settings, console.say)
    try:
        _forget(found.dsn, settings)
        migrate(found.dsn, settings)
        create_topics(settings, found.bootstrap)
        figures = Figures(ingest_dsn(settings), settings.space, "einvoice")
        figures.reassign(sellers())
        figures.close()
        truth = _produced(settings, found.bootstrap, total, days)
        yield Stage(settings, found.bootstrap, found.dsn, truth, tuple(topic(d.name, settings.space) for d in departments()))
    finally:
        (parts.stop if keep else parts.wipe)(settings)


def _forget(dsn: str, settings: Settings) -> None:
    """A kept folder may hold the tables of an older program; nothing in them is needed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists bench cascade")
        for name in (board_at(settings.space), board(settings.space), schema(settings.space)):
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name)))
        if connection.execute("select to_regclass('ioc.migration')").fetchone() != (None,):
            connection.execute("delete from ioc.migration where space = %s", [settings.space])


def _produced(settings: Settings, bootstrap: str, total: int, days: int) -> Truth:
    held = settings.state_dir / "bench-events.json"
    if held.exists():
        truth = Truth(**json.loads(held.read_text()))
        if truth.events == total:
            return truth
        raise SystemExit(f"{held} says that there are {truth.events} events in the topics already: give another --state folder")
    truth = Truth()
    asyncio.run(_produce(settings, bootstrap, total, days, truth))
    held.write_text(json.dumps(asdict(truth)))
    return truth


async def _produce(settings: Settings, bootstrap: str, total: int, days: int, truth: Truth) -> None:
    producer = AIOKafkaProducer(**aiokafka_options(settings, bootstrap), acks="all", max_batch_size=BATCH_BYTES)
    await producer.start()
    batches: dict[tuple[str, int], Any] = {}
    sent: list[asyncio.Future[Any]] = []
    with console.progress("events into Kafka", total) as advance:
        for name, event in events(total, truth, days=days):
            key = department(name).subject(event).encode()
            place = (topic(name, settings.space), zlib.crc32(key) % settings.kafka.partitions)
            value = encode(event)
            batch = batches.get(place)
            if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                if batch is not None:
                    sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
                    advance(batch.record_count())
                batch = batches[place] = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        for place, batch in batches.items():
            sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
            advance(batch.record_count())
    await asyncio.gather(*sent)
    await producer.stop()
