"""A backtest of ninety days of minutes, 27 hospitals, in a database as 20 M events leave it: from the command's connection to the firings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from deploy import console, filling
from sinks import backtest
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from streams.department import department
from streams.rules.measure import DAY
from streams.rules.rule import Rule
from tests.bench import figures
from tests.bench.figures import Figure, median
from tests.bench.measure import postgres_seconds

EVENTS = 20_000_000
NAME = "payment"
BAR_SECONDS = 2.0
RULES: dict[str, dict[str, Any]] = {
    "sum": {"measure": {"sum": "mismatched"}, "when": {"above": 20}},
    "ratio": {"measure": {"ratio": "mismatched", "to": "receipts"}, "when": {"above": 60}},
    "absence": {"measure": {"absence": "receipts"}, "when": {"above": 60}},
}
_SIGNS = """
insert into {} select %(name)s, %(name)s || '-' || s, m, {} from generate_series(1, 4) s,
  generate_series(date_trunc('minute', now()) - interval '91 days', now(), interval '1 minute') m on conflict do nothing"""


def main(
    runs: Annotated[int, typer.Option(help="Runs of each rule; medians are shown.")] = 3,
    events: Annotated[int, typer.Option(help="How many events of all departments the ninety days stand for.")] = EVENTS,
    state: Annotated[Path, typer.Option(help="Where the database is kept for the next time.")] = Path(".run/bench"),
) -> None:
    """A backtest of ninety days, alone."""
    found = measure(state, runs, events)
    figures.show(found, f"backtest, {events:,} events, median of {runs}")
    if any(f.met is False for f in found):
        raise typer.Exit(1)


def measure(folder: Path, runs: int, events: int = EVENTS) -> list[Figure]:
    """Seconds from asking to the firings, for three rules; and PostgreSQL's and our own CPU of the slowest."""
    with _filled(folder, events) as (connection, beside):
        until = int(datetime.now(UTC).timestamp()) // 60
        found, spent = list[Figure](), list[float]()
        for name, said in RULES.items():
            rule, seconds = _rule(said), list[float]()
            for number in range(runs + 1):
                begun, cpu = time.monotonic(), time.process_time() + postgres_seconds(folder / "boards")
                groups = len(backtest.run(connection, "live", rule, until - filling.DAYS * DAY, until, {}, beside).decided.groups)
                if number:  # the first one warms the cache
                    seconds.append(time.monotonic() - begun)
                    spent.append(time.process_time() + postgres_seconds(folder / "boards") - cpu)
            console.say(f"  backtest of a {name}: {groups} groups, {seconds[-1]:.2f} s")
            found.append(median(f"backtest: 90 days, {groups} groups, {name}", "s", seconds, below=BAR_SECONDS))
        return [*found, median("backtest: CPU of one, PostgreSQL's and ours", "s", spent)]


def _rule(said: dict[str, Any]) -> Rule:
    words = dict.fromkeys(("title", "text", "why", "owner", "runbook"), "bench")
    return Rule.model_validate(
        {"rule": "a-bench", **words, "department": NAME, "by": "unit", "window": "15m", "for": "5m", "keep_firing_for": "5m", **said}
    )


@contextmanager
def _filled(folder: Path, events: int) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """Two connections as `ioc rules backtest` opens them, to a database with the department's ninety days and every minute's signs of four sources."""
    with filling.database(folder, console.say) as (dsn, own):
        with console.progress(f"ninety days of {events:,} events, {department(NAME).name}", filling.steps([NAME])) as step:
            fresh = filling.fill(dsn, own, events, step, names=[NAME])
        if fresh:
            with psycopg.connect(dsn, autocommit=True, options=f"-c search_path={schema(own.space)},public") as owner:
                owner.execute("truncate heard_1m, asked_1m")
                owner.execute(_SIGNS.format("heard_1m", "m + interval '50 s', m, m"), {"name": NAME})
                owner.execute(_SIGNS.format("asked_1m", "m + interval '58 s', null, 2, null"), {"name": NAME})
                owner.execute("vacuum analyze heard_1m, asked_1m")
        options = f"-c search_path={schema(own.space)},public {backtest.OPTIONS}"
        with (
            psycopg.connect(ingest_dsn(own), autocommit=True, options=options) as found,
            psycopg.connect(ingest_dsn(own), autocommit=True, options=options) as beside,
        ):
            yield found, beside
