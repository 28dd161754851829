"""Every query of every board, run as the reader role on a real database: does it work, is it sorted, and how long does it take."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg

from grafana.macros import Range, expand, period
from streams.errors import Misconfigured

_OPTIONS = "-c default_transaction_read_only=on -c statement_timeout=60000 -c timezone=UTC"

RawBoard = Mapping[str, Any]
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Asked:
    """One query of a board. panel: its id, or None for a template variable. dated: columns of a table that say how their times are written,
    None where the panel is no table."""

    board: str
    panel: int | None
    title: str
    ref: str
    sql: str
    form: str
    dated: frozenset[str] | None = None


@dataclass(frozen=True)
class Timed:
    """How one query did. ms: one per run, in order of running; wrong: why it does not work, None when it does."""

    asked: Asked
    ms: tuple[float, ...]
    rows: int
    wrong: str | None = None

    @property
    def p50(self) -> float:
        return round(statistics.median(self.ms), 1) if self.ms else 0.0

    @property
    def p95(self) -> float:
        """The nearest-rank 95th percentile."""
        return round(sorted(self.ms)[-(-len(self.ms) * 95 // 100) - 1], 1) if self.ms else 0.0


def asked(boards: Sequence[RawBoard]) -> list[Asked]:
    """Every query there is: those of variables first."""
    out = []
    for board in boards:
        for variable in board.get("templating", {}).get("list", []):
            if variable["type"] == "query":
                out.append(Asked(board["uid"], None, f"variable {variable['name']}", variable["name"], written(variable), "table"))
        for panel in board["panels"]:
            dated = _dated(panel) if panel["type"] == "table" else None
            for target in panel.get("targets", []):
                form = target.get("format", "")
                out.append(Asked(board["uid"], panel["id"], panel.get("title", ""), target["refId"], target["rawSql"], form, dated))
    return out


def _dated(panel: Mapping[str, Any]) -> frozenset[str]:
    overrides = (panel.get("fieldConfig") or {}).get("overrides", [])
    return frozenset(
        each["matcher"]["options"]
        for each in overrides
        if any(p["id"] == "unit" and str(p["value"]).startswith("time:") for p in each["properties"])
    )


def written(variable: Mapping[str, Any]) -> str:
    """The SQL of a query variable."""
    query = variable["query"]
    return str(query if isinstance(query, str) else query["rawSql"])


def measure(
    dsn: str, schema: str, boards: Sequence[RawBoard], runs: int, told: Callable[[int], None], at: datetime | None = None
) -> list[Timed]:
    """Every query `runs` times on a connection that is warm; `told` after each query. at: a moment of the past that `schema`'s views show."""
    now = at or datetime.now(UTC)
    out = []
    seen = f"-c search_path={schema}" if at is None else f"-c search_path={schema},pg_catalog,public -c ioc.at={at.isoformat()}"
    with psycopg.connect(dsn, autocommit=True, options=f"{_OPTIONS} {seen}", connect_timeout=5) as connection:
        connection.prepare_threshold = None
        for board in boards:
            over = period(board["time"]["from"], board["time"]["to"], now)
            chosen: dict[str, str] = {}
            for each in asked([board]):
                timed, first = _run(connection, each, over, chosen, runs)
                out.append(timed)
                if each.panel is None:
                    chosen[each.ref] = first
                told(1)
    return out


def _run(connection: Connection, each: Asked, over: Range, chosen: Mapping[str, str], runs: int) -> tuple[Timed, str]:
    took: list[float] = []
    try:
        text = expand(each.sql, over, chosen).encode()
        rows, names = _fetched(connection, text)
        for _ in range(runs):
            begun = time.perf_counter()
            _fetched(connection, text)
            took.append((time.perf_counter() - begun) * 1000)
    except (psycopg.Error, Misconfigured) as error:
        said = error.wrong if isinstance(error, Misconfigured) else str(error).strip().splitlines()[0]
        return Timed(each, tuple(took), 0, said), ""
    wrong = next(_unfit(each, names, rows), None)
    return Timed(each, tuple(took), len(rows), wrong), str(
        rows[0][names.index("__value")]
    ) if each.panel is None and rows and not wrong else ""


def _fetched(connection: Connection, text: bytes) -> tuple[list[tuple[Any, ...]], list[str]]:
    cursor = connection.execute(text)
    return cursor.fetchall(), [column.name for column in cursor.description or []]


def _unfit(each: Asked, names: list[str], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    """What Grafana could not draw although the SQL is right."""
    if len(set(names)) != len(names):
        yield "two columns have one name"
    if each.panel is None:
        if "__value" not in names:
            yield "a variable needs a column __value"
        return
    if each.dated is not None and "time" not in each.dated:
        bare = [name for at, name in enumerate(names) if name not in each.dated and any(isinstance(row[at], datetime) for row in rows[:50])]
        if bare:
            yield f"the times of {', '.join(bare)} would be written the American way: give them a unit such as time:DD/MM HH:mm"
    if each.form != "time_series":
        return
    if "time" not in names:
        yield "a time series needs a column named time"
        return
    at = names.index("time")
    if any(not isinstance(row[at], datetime) for row in rows):
        yield "the column time holds something else than times"
    elif any(before[at] > after[at] for before, after in pairwise(rows)):
        yield "the rows are not sorted by time"
    if any(isinstance(value, str) for row in rows for value in row[at + 1 :]) and not any(
        isinstance(value, int | float) or hasattr(value, "as_tuple") for row in rows[:1] for value in row
    ):
        yield "a time series of texts is not drawn: give a number and map it to a text"
