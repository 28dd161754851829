"""Plans: loaded from a file, and what part of them a year has reached."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from grafana import sql
from grafana.macros import expand, period
from sinks.migrations import board
from sinks.roles import reader_dsn
from streams.department import department
from tests.services.space import Space

YEAR = datetime.now(UTC).year


def plans(space: Space, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "IOC_STATE_DIR": str(space.settings.state_dir), "IOC_SPACE": space.name}
    call = [sys.executable, "-m", "deploy", "plans", *arguments]
    return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120, check=False)


def shown(space: Space) -> tuple[object, object]:
    """(this year so far, its plan) as the tile of the month asks for them on the last day of June."""
    glass = department("payment").glass
    over = period(f"{YEAR}-06-30T00:00+07:00", f"{YEAR}-06-30T23:59+07:00", datetime.now(UTC))
    with psycopg.connect(reader_dsn(space.settings), options=f"-c search_path={board(space.name)}") as connection:
        row = connection.execute(expand(sql.month_so_far(glass, glass.figure("paid_vnd")), over).encode()).fetchone()
    assert row is not None
    return row[-2], row[-1]


def test_a_year_is_shown_beside_its_plan_once_there_is_one(space: Space, tmp_path: Path) -> None:
    with space.connect() as connection:
        day = "insert into payment_1d (day, unit, kind, receipts, paid_vnd, mismatched, failed, unknown) values (%s, 'H', 'x', 1, %s, 0, 0, 0)"
        for at, amount in ((f"{YEAR}-01-01", 100), (f"{YEAR}-06-30", 200), (f"{YEAR - 1}-12-31", 5000), (f"{YEAR}-07-01", 7000)):
            connection.execute(day, [at, amount])  # type: ignore[arg-type]  # this file's own text
    assert shown(space) == (None, None)
    file = tmp_path / "plans.csv"
    file.write_text(f"department,figure,year,value\npayment,paid_vnd,{YEAR},500\npayment,paid_vnd,{YEAR - 1},1\n")
    assert json.loads(plans(space, "load", str(file), "--json").stdout) == {"plans": 2}
    assert shown(space) == (300, 500)
    file.write_text(f"department,figure,year,value\npayment,paid_vnd,{YEAR},600\n")
    assert plans(space, "load", str(file)).returncode == 0
    assert shown(space) == (300, 600)
    rows = json.loads(plans(space, "list", "--json").stdout)["rows"]
    assert [(row["year"], row["value"]) for row in rows] == [(YEAR - 1, 1), (YEAR, 600)]
    with space.connect() as connection:
        connection.execute(f"delete from payment_1d where day = '{YEAR}-01-01'".encode())
    assert shown(space)[1] is None, "a year that was not watched from its first day is not held against its plan"


@pytest.mark.parametrize(
    "line",
    ["payment,paid_vnd,2026,0", "payment,nothing,2026,5", "payment,hospitals,2026,5", "payment,paid_vnd,26,5", "nobody,x,2026,5", "a,b"],
)
def test_a_file_with_a_plan_that_cannot_be_is_refused_whole(space: Space, tmp_path: Path, line: str) -> None:
    file = tmp_path / "plans.csv"
    file.write_text(f"department,figure,year,value\npayment,receipts,2026,10\n{line}\n")
    said = plans(space, "load", str(file))
    assert said.returncode == 2
    assert "line 3" in " ".join(said.stderr.split())
    assert json.loads(plans(space, "list", "--json").stdout) == {"rows": []}
