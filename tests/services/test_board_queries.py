"""`ioc boards test` on a real TimescaleDB with ninety days in it: every query of ours works, and what only running shows is caught."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy import filling
from deploy.embedded import timescale
from deploy.embedded.places import silent
from grafana import build, sql, timing
from grafana.macros import expand, period
from sinks import figures
from sinks.migrations import board
from sinks.roles import reader_dsn
from streams.department import NAMES, department
from streams.figures import Percentile
from streams.settings import Settings
from tests.services.space import Space

EVENTS = 30_000


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder whose database for measuring is filled once for this file, and gone afterwards."""
    state = tmp_path_factory.mktemp("boards-test")
    yield state
    timescale.wipe((state / "boards").resolve())


def command(state: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    call = [sys.executable, "-m", "deploy", "boards", "test", "--events", str(EVENTS), "--runs", "2", "--json", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, timeout=240, env={**os.environ, "IOC_STATE_DIR": str(state)}, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_every_query_of_every_board_works_for_the_reader(state: Path) -> None:
    code, said = command(state, "--bar-ms", "2000")
    assert said["failures"] == []
    assert (code, said["ok"], said["boards"], said["events"]) == (0, True, len(build.emitted()), EVENTS)
    assert said["panels"] <= said["queries"] + 5
    assert said["p95_ms"] == said["slowest"][0]["p95_ms"] > 0


def test_every_query_works_as_of_a_moment_of_the_past(state: Path) -> None:
    code, said = command(state, "--at", "-2d")
    assert said["failures"] == []
    assert (code, said["boards_ms"].keys()) == (0, {Path(name).stem for name in build.emitted()})


def test_a_panel_over_the_bar_is_named(state: Path) -> None:
    code, said = command(state, "--bar-ms", "0.001")
    assert code == 1
    assert {failure["rule"] for failure in said["failures"]} == {"slow"}
    assert said["slowest"][0]["board"] in {failure["where"].split(":")[0] for failure in said["failures"]}


WRONG = [
    ("no such view", "time_series", "SELECT minute AS time, n FROM nothing ORDER BY 1", "does not exist"),
    ("a raw table", "time_series", "SELECT event_time AS time, 1 AS n FROM live.payment_event ORDER BY 1", "permission denied"),
    (
        "not sorted",
        "time_series",
        "SELECT now() - i * interval '1 hour' AS time, i AS n FROM generate_series(1, 9) AS i",
        "not sorted",
    ),
    ("texts", "time_series", "SELECT now() AS time, 'one' AS n ORDER BY 1", "texts is not drawn"),
    ("two names", "table", "SELECT 1 AS n, 2 AS n", "two columns have one name"),
    ("an American time", "table", "SELECT now() AS seen", "American"),
    ("writes", "table", "UPDATE unit SET name = 'x'", "permission denied"),
    ("a macro nobody knows", "table", "SELECT $__nothing(x)", "unknown macro"),
]


def test_what_only_running_shows_is_caught(state: Path) -> None:
    panels = [
        {
            "id": i,
            "type": "table" if form == "table" else "timeseries",
            "title": title,
            "targets": [{"refId": "A", "format": form, "rawSql": text}],
        }
        for i, (title, form, text, _) in enumerate(WRONG)
    ]
    raw = {"uid": "x", "time": {"from": "now/d", "to": "now/d"}, "templating": {"list": []}, "panels": panels}
    with filling.database(state, silent) as (_, own):
        timed = timing.measure(reader_dsn(own), board(own.space), [raw], 1, lambda n: None)
    said = {each.asked.title: each.wrong or "" for each in timed}
    assert [title for title, _, _, part in WRONG if part not in said[title]] == [], said


def test_the_ninety_days_are_made_once(state: Path) -> None:
    with filling.database(state, silent) as (dsn, own):
        filling.fill(dsn, own, EVENTS, lambda n: None)
        steps: list[int] = []
        assert not filling.fill(dsn, own, EVENTS, steps.append)
        assert steps == []
        with psycopg.connect(dsn) as connection:
            for name in NAMES:
                found = connection.execute(f"select count(distinct day), sum(n) from live.{name}_1d, lateral (select 1 as n) x").fetchone()
                assert found is not None
                assert found[0] == filling.DAYS
    assert timescale.pid_of((state / "boards").resolve()) is None, "ended, since it was started for this"
    assert Settings(state_dir=state).database.dsn is None


@pytest.mark.parametrize(
    "spread",
    [{-1: 5}, {-1: 95, 0: 5}, {-1: 94, 0: 1, 7: 5}, {-1: 3, 2: 40, 31: 9}, {0: 1}],
    ids=["zeros", "at its rank", "above", "mixed", "one"],
)
def test_a_board_shows_the_percentile_that_ioc_figures_says(space: Space, spread: dict[int, int]) -> None:
    with space.connect() as connection, connection.cursor() as cursor:
        rows = list(spread.items())
        cursor.executemany(
            "insert into einvoice_code_seconds_1m values (date_trunc('minute', now()), date_trunc('minute', now()), '', 'x', %s, %s)", rows
        )
        said = figures.figures(connection, space.name, "einvoice", "total", None, None)["rows"][0]
    over = period("now-2h", "now", datetime.now(UTC))
    with psycopg.connect(reader_dsn(space.settings), options=f"-c search_path={board(space.name)}") as connection:
        for figure in department("einvoice").glass.figures:
            if isinstance(figure.measured, Percentile):
                whole = connection.execute(expand(sql.percentile_of_day(figure), over).encode()).fetchone()
                assert whole is not None
                assert round(float(whole[0]), 2) == said[figure.name], figure.name
                hours = connection.execute(expand(sql.percentile_by_hour(figure), over).encode()).fetchall()
                assert [round(float(value), 2) for _, value in hours] == [said[figure.name]], figure.name
