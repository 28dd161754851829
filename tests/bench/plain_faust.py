"""A plain Faust worker: an agent per topic, `stream.take`, psycopg executemany. `python -m tests.bench.plain_faust take|each`, told by BENCH_*."""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any

import faust
import psycopg

COLUMNS: dict[str, dict[str, str]] = json.loads(os.environ["BENCH_COLUMNS"])
"""table -> field of the event -> its column's kind."""
TOPICS: dict[str, str] = json.loads(os.environ["BENCH_TOPICS"])
"""topic -> table."""


def build() -> faust.App:
    """The app a user would write from the documentation."""
    app = faust.App(
        os.environ["BENCH_GROUP"],
        broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
        broker_credentials=faust.SASLCredentials(
            username=os.environ["BENCH_USER"], password=os.environ["BENCH_PASSWORD"], mechanism="PLAIN"
        ),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        datadir=os.environ["BENCH_DATADIR"],
    )
    for topic, table in TOPICS.items():
        _agent(app, topic, table)
    return app


def _agent(app: faust.App, topic: str, table: str) -> None:
    query = _query(table)

    async def take(stream: Any) -> None:
        connection = await psycopg.AsyncConnection.connect(os.environ["BENCH_DSN"], autocommit=True)
        async for batch in stream.take(500, within=0.25):
            rows = [_row(table, event) for event in batch]
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(query, rows)

    async def each(stream: Any) -> None:
        connection = await psycopg.AsyncConnection.connect(os.environ["BENCH_DSN"], autocommit=True)
        async for event in stream:
            await connection.execute(query, _row(table, event))

    app.agent(app.topic(topic, value_serializer="json"), name=table)(take if sys.argv[1] == "take" else each)


def _query(table: str) -> str:
    names = ", ".join(column.removesuffix("_us") if kind == "timestamptz" else column for column, kind in COLUMNS[table].items())
    marks = ", ".join(["%s"] * len(COLUMNS[table]))
    return f"insert into bench.{table} ({names}) values ({marks}) on conflict do nothing"  # our own names


def _row(table: str, event: dict[str, Any]) -> list[Any]:
    return [_value(kind, event.get(name)) for name, kind in COLUMNS[table].items()]


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "timestamptz":
        return datetime.fromtimestamp(value / 1e6, UTC)
    if kind == "hash":
        return int.from_bytes(bytes.fromhex(value), "big", signed=True)
    return json.dumps(value) if kind == "json" else value


async def _run(app: faust.App) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    app.finalize()
    await app.start()
    await ended.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(_run(build()))
