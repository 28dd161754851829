"""What this machine could do at most: the database with rows made ready, and Kafka read and decoded with nothing done."""

import itertools
import time
from collections.abc import Iterator

import msgspec
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import sql

from sinks import copy
from sinks.batch import Preparer
from sinks.derive import Column, columns, row_type
from streams import pseudonym
from streams.brokers import aiokafka_options
from streams.department import department, departments
from streams.event import encode
from streams.store import Partition, Records
from streams.topics import topic
from tests.bench.events import Truth, events
from tests.bench.stage import Stage

BATCH = 5000
COPY_ROWS = 200_000


def ready(stage: Stage, rows: int = COPY_ROWS) -> list[bytes]:
    """COPY blocks of raw e-invoice rows, `BATCH` in each, encoded by our own preparer."""
    preparer = Preparer(pseudonym.load(stage.state_dir))
    made = (encode(event) for name, event in events(stage.truth.events, Truth()) if name == "einvoice")
    blocks = []
    for values in _chunks(itertools.islice(made, rows), BATCH):
        records = Records(Partition("einvoice", "0" * 32, 0), 0, len(values), values, [0] * len(values))
        part = preparer.prepare([records]).parts["einvoice"]
        blocks.append(copy.block(_without_batch(row) for row in part.rows.values()))
    return blocks


def copy_rate(stage: Stage, blocks: list[bytes]) -> float:
    """Rows per second: COPY binary -> temporary table -> insert on conflict do nothing, one transaction a block."""
    stage.empty()
    shape = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in _columns())
    with stage.connect() as connection:
        connection.execute(sql.SQL("create temporary table incoming ({}) on commit delete rows").format(shape))
        started = time.monotonic()
        for block in blocks:
            _write(connection, block)
        seconds = time.monotonic() - started
        row = connection.execute("select count(*) from bench.limit_einvoice").fetchone()
    return (row[0] if row else 0) / seconds


def _columns() -> list[Column]:
    return [*columns(department("einvoice").event)]


def _without_batch(row: bytes) -> bytes:
    """The worker adds a batch number at the end of each row; the peers' table has none, so the row says one column less."""
    return (int.from_bytes(row[:2], "big") - 1).to_bytes(2, "big") + row[2:]


def _write(connection: psycopg.Connection[tuple[int]], block: bytes) -> None:
    with connection.transaction():
        with connection.cursor() as cursor, cursor.copy("copy incoming from stdin (format binary)") as into:
            into.write(block)
        connection.execute("insert into bench.limit_einvoice select * from incoming on conflict do nothing")


def consume_rate(stage: Stage) -> float:
    """Records per second: aiokafka getmany, msgspec decode, nothing else."""
    return uvloop.run(_consume(stage))


async def _consume(stage: Stage) -> float:
    options = aiokafka_options(stage.settings, stage.bootstrap)
    consumer = AIOKafkaConsumer(
        **options, auto_offset_reset="earliest", enable_auto_commit=False, max_partition_fetch_bytes=4 * 1024 * 1024
    )
    await consumer.start()
    parts = [TopicPartition(t, n) for t in stage.topics for n in range(stage.settings.kafka.partitions)]
    consumer.assign(parts)
    decoders = {topic(d.name, stage.settings.space): msgspec.json.Decoder(row_type(d.event)).decode for d in departments()}
    count, started = 0, 0.0
    try:
        while count < stage.truth.events:
            found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            started = started or time.monotonic()
            for place, messages in found.items():
                decode = decoders[place.topic]
                for message in messages:
                    decode(message.value)
                count += len(messages)
        return count / (time.monotonic() - started)
    finally:
        await consumer.stop()


def _chunks(values: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while chunk := [*itertools.islice(values, size)]:
        yield chunk
