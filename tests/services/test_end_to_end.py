"""`ioc demo` as a newcomer runs it: its verdict is yes, it leaves nothing running, and a figure that was tampered with is noticed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deploy.embedded import kafka, parts, timescale
from deploy.settled import Settled
from deploy.simulators import judge
from sinks.roles import owner_dsn
from streams.department import NAMES
from streams.settings import Settings, Web

SECONDS = 8
PROMISED = {
    "ok", "seconds", "first_figure_seconds", "departments", "figures_equal_truth", "balanced", "latency_ms", "wall",
}  # fmt: skip
COUNTED = {"sent", "received", "on_time", "late", "duplicate", "conflict", "quarantined", "lost", "doubled"}

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Ran:
    """A demo that has ended. left: what still ran after it."""

    settings: Settings
    code: int
    stdout: str
    stderr: str
    left: list[str]

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    settings = Settings(state_dir=tmp_path_factory.mktemp("demo"), web=Web(port=0))
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "demo", "--seconds", str(SECONDS), "--seed", "11", "--json"],
        env=os.environ | {"IOC_STATE_DIR": str(settings.state_dir)},
        capture_output=True,
        text=True,
    )
    yield Ran(settings, done.returncode, done.stdout, done.stderr, _running(settings.state_dir))
    parts.wipe(settings)


def _running(state: Path) -> list[str]:
    """Processes whose command line or environment names the state folder, and broker and database."""
    found = [name for name, pid in (("broker", kafka.pid_of(state)), ("database", timescale.pid_of(state))) if pid is not None]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it ended meanwhile, or is somebody else's
            continue
        if str(state).encode() in said:
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.fixture(scope="module")
def again(ran: Ran) -> Iterator[str]:
    """The same broker and database, running once more; the DSN of the tables' owner."""
    running = parts.ensure(ran.settings)
    yield owner_dsn(running.dsn, ran.settings)
    parts.stop(ran.settings)


@contextmanager
def tampered(dsn: str, table: str, statement: str) -> Iterator[None]:
    """The table as the statement leaves it; afterwards as it was before."""
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=live,public") as connection:
        of = sql.Identifier(table)
        connection.execute(sql.SQL("create table kept as table {}").format(of))
        try:
            assert connection.execute(sql.SQL(statement).format(of)).rowcount == 1
            yield
        finally:
            for undo in ("truncate {}", "insert into {} table kept", "drop table kept"):
                connection.execute(sql.SQL(undo).format(of))


def test_the_demo_says_that_every_figure_is_true(ran: Ran) -> None:
    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("\n") == 1
    assert ran.verdict.keys() >= PROMISED
    assert all(ran.verdict[said] is True for said in ("ok", "figures_equal_truth", "balanced"))
    assert ran.verdict["departments"].keys() == set(NAMES)
    for counted in ran.verdict["departments"].values():
        assert counted.keys() >= COUNTED
        assert counted["lost"] == counted["doubled"] == 0
        assert counted["received"] == sum(counted[part] for part in ("on_time", "late", "duplicate", "conflict", "quarantined"))


def test_the_demo_had_faults_to_stand(ran: Ran) -> None:
    counted = ran.verdict["departments"].values()
    for fault in ("late", "duplicate", "conflict", "quarantined"):
        assert sum(department[fault] for department in counted) > 0, fault


def test_the_demo_speaks_every_format_of_payments(ran: Ran) -> None:
    folder = ran.settings.state_dir / "demo"
    taken = {
        row["source"]: row["on_time"] + row["late"]
        for row in json.loads((folder / "verdict.json").read_text())["ledger"]["rows"]
        if row["department"] == "payment"
    }
    assert all(taken[f"bank-{bank}"] > 0 for bank in ("hdbank", "vnpay", "payos", "momo", "sepay"))
    assert all(taken[f"list-{bank}"] > 0 for bank in ("hdbank", "vnpay", "payos"))
    assert taken["files-banks"] > 0
    assert {file.name.partition("-")[0] for file in (folder / "files").iterdir()} == {"camt.053.001.08", "camt.054.001.08", "momo", "sepay"}


def test_the_demo_leaves_nothing_running(ran: Ran) -> None:
    assert ran.left == []


TAMPERING = {
    "a figure": (
        "einvoice_1m",
        "update {0} set value_vnd = value_vnd + 1 where (tableoid, ctid) = (select tableoid, ctid from {0} where invoices > 0 limit 1)",
        {"ok": False, "lost": 0, "doubled": 0, "balanced": True},
    ),
    "an event deleted": (
        "payment_event",
        "delete from {0} where id = (select id from {0} where status = 'paid' limit 1)",
        {"ok": False, "lost": 1, "doubled": 0, "differing": 0, "balanced": False},
    ),
    "an event twice": (
        "telehealth_event",
        "insert into {0} select * from {0} where id = (select id from {0} limit 1)",
        {"ok": False, "lost": 0, "doubled": 1, "differing": 0, "balanced": False},
    ),
    "the ledger": (
        "ledger",
        "update {0} set received = received + 1, duplicate = duplicate + 1 where (tableoid, ctid) = (select tableoid, ctid from {0} limit 1)",
        {"ok": True, "lost": 0, "doubled": 0, "differing": 0, "balanced": False},
    ),
}


def test_the_comparison_says_the_same_after_broker_and_database_were_stopped_and_started(ran: Ran, again: str) -> None:
    assert compared(ran) == {"ok": True, "lost": 0, "doubled": 0, "differing": 0, "balanced": True}


@pytest.mark.parametrize("what", TAMPERING)
def test_the_comparison_notices_tampering(ran: Ran, again: str, what: str) -> None:
    table, statement, noticed = TAMPERING[what]
    with tampered(again, table, statement):
        found = compared(ran)
    assert found | noticed == found
    assert (found["differing"] > 0) == (what == "a figure")


def compared(ran: Ran) -> dict[str, Any]:
    """What the comparison says now."""
    settled = Settled(ran.settings, [])
    truth = sorted((ran.settings.state_dir / "demo").glob("truth-*.jsonl"))
    keys = json.loads((ran.settings.state_dir / "secrets" / "keys.json").read_text())
    report = judge.judge(truth, settled.figures(), settled.ids(), keys)
    return {
        "ok": report.ok,
        "differing": report.differing,
        "lost": sum(tally.lost for tally in report.departments.values()),
        "doubled": sum(tally.doubled for tally in report.departments.values()),
        "balanced": settled.ledger()["balanced"],
    }
