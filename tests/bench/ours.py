"""Our worker, started as a user starts it: `ioc work` from an emptied database to the last figure."""

import sys
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from sinks.migrations import schema
from tests.bench.measure import Seen, cpu_seconds, end, peak_mb, postgres_seconds, start, watch
from tests.bench.stage import Stage

WORK = (sys.executable, "-c", "from deploy.cli import main; main()", "work")


@dataclass(frozen=True)
class Run:
    """One run. followed_rate: until all figures were there; lag: committed -> followed, by event, in seconds."""

    committed: Seen
    followed_rate: float
    behind_seconds: float
    lag_p50: float
    lag_p99: float
    peak_mb: float
    worker_cpu: float
    postgres_cpu: float
    wrong: tuple[str, ...]


def run(stage: Stage) -> Run:
    """Consume the whole topics into emptied tables; compare what is there then with what was made."""
    stage.empty()
    total, before = stage.truth.events, postgres_seconds(stage.state_dir)
    started = time.monotonic()
    worker = start(WORK, stage.state_dir / "bench-worker.log", IOC_STATE_DIR=str(stage.state_dir))
    try:
        with stage.connect() as connection:
            connection.execute(f"set search_path = {schema(stage.settings.space)}, public")
            committed = watch(worker, started, lambda: _one(connection, "select coalesce(sum(received), 0) from ledger"), total, 0.02)
            followed = watch(
                worker,
                started,
                lambda: _one(connection, "select 1 where not exists (select from owed) and exists (select from batch)"),
                1,
                0.05,
            )
            cpu, memory = cpu_seconds(worker.pid), peak_mb(worker.pid)
            postgres = postgres_seconds(stage.state_dir) - before
            lags = connection.execute(
                "with lag as (select extract(epoch from followed_at - committed_at) as s, sum(events) over (order by followed_at - committed_at, batch) "
                "as upto, sum(events) over () as n from batch) select min(s) filter (where upto >= n * 0.5), min(s) filter (where upto >= n * 0.99) from lag"
            ).fetchone() or (0, 0)
            wrong = tuple(_differences(stage, connection))
    finally:
        end(worker)
    rate = (total - committed.first_rows) / (followed.last - committed.first)
    behind = followed.last - committed.last
    return Run(committed, rate, behind, float(lags[0]), float(lags[1]), memory, cpu / total * 1e6, postgres / total * 1e6, wrong)


def _differences(stage: Stage, connection: psycopg.Connection[Any]) -> list[str]:
    truth = stage.truth
    unique = truth.events - truth.repeats
    wanted = {
        "select sum(received) from ledger": truth.events,
        "select sum(duplicate) from ledger": truth.repeats,
        "select sum(on_time + late) from ledger": unique,
        "select sum(late) from ledger": truth.late,
        "select sum(conflict + quarantined) from ledger": 0,
        "select sum(events) from batch where followed_at is not null": unique,
        "select sum(messages) from einvoice_1m": truth.figures["messages"],
        "select sum(messages) from einvoice_10m": truth.figures["messages"],
        "select sum(invoices) from einvoice_1m": truth.figures["invoices"],
        "select sum(invoices) from einvoice_1d": truth.figures["invoices"],
        "select sum(receipts) from payment_1m": truth.figures["receipts"],
        "select sum(paid_vnd) from payment_1d": truth.figures["paid_vnd"],
        "select sum(sessions) from telehealth_1m": truth.figures["sessions"],
    }
    for name, count in truth.by_department.items():
        wanted |= {f"select count(*) from {name}_{what}": count for what in ("event", "identity")}  # our own names
    found = {query: _one(connection, query) for query in wanted}
    return [f"{query}: {found[query]}, not {value}" for query, value in wanted.items() if found[query] != value]


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0
