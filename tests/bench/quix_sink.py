"""Quix Streams with its own PostgreSQL sink; runs in an environment of its own, so it imports nothing of ours. Told by BENCH_*."""

import json
import os
from datetime import UTC, datetime
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # in its own environment only
from quixstreams.kafka.configuration import ConnectionConfig  # type: ignore[import-not-found]  # the same
from quixstreams.sinks.community.postgresql import PostgreSQLSink  # type: ignore[import-not-found]  # the same

COLUMNS: dict[str, dict[str, str]] = json.loads(os.environ["BENCH_COLUMNS"])
DATABASE: dict[str, str] = json.loads(os.environ["BENCH_DATABASE"])

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The sink takes its columns from a batch's first row and leaves nulls out: a null there would make the column null in all rows.
NOTHING = {"timestamptz": EPOCH, "uuid": "0" * 32, "bigint": 0, "json": "", "text": ""}


def main() -> None:
    """Read every topic to its table until ended."""
    app = Application(
        broker_address=ConnectionConfig(
            bootstrap_servers=os.environ["BENCH_BOOTSTRAP"],
            security_protocol="sasl_plaintext",
            sasl_mechanism="PLAIN",
            sasl_username=os.environ["BENCH_USER"],
            sasl_password=os.environ["BENCH_PASSWORD"],
        ),
        consumer_group=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        commit_every=10_000,
        commit_interval=1.0,
        auto_create_topics=False,
        consumer_extra_config={"session.timeout.ms": 6000},
        loglevel="WARNING",
    )
    for topic, table in json.loads(os.environ["BENCH_TOPICS"]).items():
        sink = PostgreSQLSink(
            host=DATABASE["host"], port=int(DATABASE["port"]), dbname=DATABASE["dbname"], user=DATABASE["user"], password=DATABASE["password"],
            table_name=table, schema_name="bench", schema_auto_update=False, on_conflict_do_nothing=True, include_metadata=False,
        )  # fmt: skip
        app.dataframe(app.topic(topic, value_deserializer="json")).apply(_rows_of(table)).sink(sink)
    app.run()


def _rows_of(table: str) -> Any:
    columns = [(name, name.removesuffix("_us") if kind == "timestamptz" else name, kind) for name, kind in COLUMNS[table].items()]

    def row(event: dict[str, Any]) -> dict[str, Any]:
        return {column: _value(kind, event.get(name)) for name, column, kind in columns}

    return row


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return NOTHING.get(kind)
    if kind == "timestamptz":
        return datetime.fromtimestamp(value / 1e6, UTC)
    if kind == "hash":
        return int.from_bytes(bytes.fromhex(value), "big", signed=True)
    return json.dumps(value) if kind == "json" else value


if __name__ == "__main__":
    main()
