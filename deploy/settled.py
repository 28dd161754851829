"""Waiting until all that was sent has arrived, and reading what the comparison needs through the documented doors."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from kafka import KafkaConsumer, TopicPartition
from psycopg import sql

from deploy.embedded import parts
from sinks import figures as read
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.event import VIETNAM
from streams.settings import Settings
from streams.topics import topic

QUIET_SECONDS = 4.0


class Settled:
    """The system as seen from outside, once it is quiet. ports: of the simulators' control doors. files: the folder that is read for them."""

    def __init__(self, settings: Settings, ports: Sequence[int], files: Path | None = None) -> None:
        self._settings = settings
        self._ports = ports
        self._files = files

    def wait(self, patience_seconds: float) -> bool:
        """Until the departments have nothing pending, nothing more arrives and all figures have followed; False when nothing moves
        for `patience_seconds` before that, or it takes ten times as long."""
        last, begun = None, time.monotonic()
        moved = quiet = begun
        while time.monotonic() - moved < patience_seconds and time.monotonic() - begun < 10 * patience_seconds:
            pending = self._pending()
            now = (self._received(), pending)
            if now != last:
                last, moved, quiet = now, time.monotonic(), time.monotonic()
            elif pending != 0 or self._owed():
                quiet = time.monotonic()
            elif time.monotonic() - quiet > QUIET_SECONDS:
                return True
            time.sleep(0.3)
        return False

    def figures(self) -> Mapping[str, Mapping[str, list[dict[str, Any]]]]:
        """department -> group -> rows, in total, by day, by unit, by pair, and by unit within each day."""
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        with self._connect() as connection:
            for name in NAMES:
                groups = {
                    by: read.figures(connection, self._settings.space, name, by, None, None)["rows"]
                    for by in ("total", "day", "unit", "pair")
                }
                groups["day,unit"] = []
                for row in groups["day"]:
                    start = datetime.combine(date.fromisoformat(row["day"]), datetime.min.time(), VIETNAM)
                    within = read.figures(connection, self._settings.space, name, "unit", start, start + timedelta(days=1))
                    groups["day,unit"] += [{"day": row["day"]} | unit for unit in within["rows"]]
                found[name] = groups
        return found

    def ids(self) -> Mapping[str, list[str]]:
        """department -> the ids of its raw events, repeats included if there were any."""
        with self._connect() as connection:
            return {
                name: [row[0].hex for row in connection.execute(sql.SQL("select id from {}").format(sql.Identifier(f"{name}_event")))]
                for name in NAMES
            }

    def ledger(self) -> dict[str, Any]:
        """As `ioc ledger` gives it, and held against Kafka: every record there must have been received once."""
        with self._connect() as connection:
            found = read.ledger(connection, self._settings.space, None, None, "source")
        received, there = sum(row["received"] for row in found["rows"]), self._in_kafka()
        if received != there:
            found["wrong"].append(f"Kafka holds {there} records, the ledger received {received}")
        return found | {"balanced": not found["wrong"]}

    def latency_ms(self) -> dict[str, float | None]:
        """From an event's arrival at our door to its figures committed, over events that came in time, in milliseconds."""
        query = sql.SQL(" union all ").join(
            sql.SQL("select extract(epoch from b.followed_at - e.known_at) * 1000 as ms from {} e join batch b using (batch) ").format(
                sql.Identifier(f"{name}_event")
            )
            + sql.SQL("where e.known_at - e.event_time < interval '10 seconds' and b.followed_at is not null")
            for name in NAMES
        )
        with self._connect() as connection:
            found = connection.execute(
                sql.SQL("select percentile_cont(array[0.5, 0.99]) within group (order by ms) from ({}) l").format(query)
            ).fetchone()
        p50, p99 = (found and found[0]) or (None, None)
        return {"p50": p50 and round(p50, 1), "p99": p99 and round(p99, 1)}

    def has_figures(self) -> bool:
        """Whether any department shows a figure."""
        with contextlib.suppress(psycopg.Error), self._connect() as connection:
            tables = sql.SQL(" union all ").join(
                sql.SQL("(select 1 from {} limit 1)").format(sql.Identifier(f"{name}_1d")) for name in NAMES
            )
            return connection.execute(tables).fetchone() is not None
        return False

    @contextlib.contextmanager
    def connected(self) -> Iterator[list[tuple[Any, ...]]]:
        """A ledger row per department, for a status line; none while the database is away."""
        rows: list[tuple[Any, ...]] = []
        with contextlib.suppress(psycopg.Error), self._connect() as connection:
            rows = connection.execute(
                "select department, sum(received)::bigint, sum(on_time)::bigint, sum(late)::bigint, sum(duplicate)::bigint, sum(conflict)::bigint, "
                "sum(quarantined)::bigint from ledger group by 1 order by 1"
            ).fetchall()
        yield rows

    def _received(self) -> int | None:
        with contextlib.suppress(psycopg.Error), self._connect() as connection:
            found = connection.execute("select sum(received)::bigint from ledger").fetchone()
            return found[0] if found else None
        return None

    def _in_kafka(self) -> int:
        """How many records were ever produced to the topics that the worker reads."""
        topics = [topic(name, self._settings.space) for name in (*NAMES, "rejects")]
        consumer = KafkaConsumer(enable_auto_commit=False, **kafka_python_options(self._settings, parts.find(self._settings).bootstrap))
        try:
            places = [TopicPartition(name, number) for name in topics for number in consumer.partitions_for_topic(name) or ()]
            return sum(consumer.end_offsets(places).values())
        finally:
            consumer.close(autocommit=False)

    def _owed(self) -> bool:
        with contextlib.suppress(psycopg.Error), self._connect() as connection:
            return connection.execute("select 1 from owed limit 1").fetchone() is not None
        return True

    def _pending(self) -> int | None:
        """What the departments still have to hand over; None when one does not answer."""
        try:
            pending = sum(int(httpx.get(f"http://127.0.0.1:{port}/control/state", timeout=5).json()["pending"]) for port in self._ports)
            return pending + self._unread()
        except (httpx.HTTPError, KeyError, ValueError):
            return None

    def _unread(self) -> int:
        """Files that no connector has on its list of what it read to the end."""
        if self._files is None:
            return 0
        read = {digest for listed in (self._settings.state_dir / "files").glob("*.read") for digest in listed.read_text().split()}
        return sum(hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() not in read for file in self._files.glob("[!.]*"))

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(ingest_dsn(self._settings), connect_timeout=5, autocommit=True)
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(self._settings.space))))
        return connection
