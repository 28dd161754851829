"""The process of the figures: killed it comes again, its parent killed it goes, and it never says that it did what it did not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sinks.apart import Apart
from sinks.roles import ingest_dsn
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from tests.bench.measure import children
from tests.eventually import eventually
from tests.services.space import Space, paid


def _apart(pid: int) -> list[int]:
    return [child for child in children(pid) if b"sinks.apart" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_killed_process_of_figures_is_started_again_and_counts_once(space: Space) -> None:
    figures = Apart("figures", ingest_dsn(space.settings), space.settings)
    try:
        space.take("payment", paid(1), paid(2))
        touched = figures.catch_up("payment")
        assert touched is not None
        assert touched.stage == "figures"
        space.take("payment", paid(3))
        [child] = _apart(os.getpid())
        os.kill(child, signal.SIGKILL)
        with pytest.raises(Retry):
            figures.catch_up("payment")
        assert figures.catch_up("payment") is not None
        assert figures.catch_up("payment") is None
        assert [row["receipts"] for row in space.figures("payment")] == [3]
    finally:
        figures.close()
    assert not _apart(os.getpid())


def test_figures_wait_while_the_database_cannot_be_reached() -> None:
    figures = Apart("figures", "postgresql://nobody@127.0.0.1:1/nothing", Settings())
    try:
        with pytest.raises(Retry, match="the database is away"):
            figures.catch_up("payment")
        with pytest.raises(Retry, match="the database is away"):
            figures.catch_up("payment")
    finally:
        figures.close()


def test_the_process_of_figures_ends_with_the_worker_however_that_ends() -> None:
    hold = (
        "import sys; from sinks.apart import Apart; from streams.errors import Retry; from streams.settings import Settings; "
        "figures = Apart('figures', 'postgresql://n@127.0.0.1:1/n', Settings())\n"
        "try: figures.catch_up('payment')\nexcept Retry: print('asked', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"asked\n"
        [child] = _apart(worker.pid)
        worker.kill()
        eventually(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())


def test_a_defect_is_told_in_the_log_and_not_between_the_answers(space: Space) -> None:
    figures = Apart("figures", ingest_dsn(space.settings), space.settings)
    try:
        with pytest.raises(Misconfigured, match="no department"):
            figures.catch_up("weather")
        assert figures.catch_up("payment") is None
    finally:
        figures.close()
