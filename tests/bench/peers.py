"""The peers, run and watched: a plain Faust agent, and Quix Streams in an environment of its own."""

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy import console
from deploy.embedded.places import cache_dir, locked
from sinks.derive import columns
from streams.brokers import ADMIN, passwords
from streams.department import department
from streams.errors import Retry
from streams.topics import topic
from tests.bench.measure import Seen, cpu_seconds, end, peak_mb, postgres_seconds, start, watch
from tests.bench.stage import Stage

QUIX = ("quixstreams==3.28.1", "psycopg2-binary==2.9.11")
LOOK_SECONDS = 0.25
INSTALL_SECONDS = 300.0


@dataclass(frozen=True)
class Run:
    """One run of a peer over `rows` rows."""

    seen: Seen
    peak_mb: float
    peer_cpu: float
    postgres_cpu: float


def plain_faust(stage: Stage, rows: int, how: str) -> Run:
    """`take` (500 or 0.25 s, executemany) or `each` (one await per event) until `rows` rows are there."""
    return _run(stage, "faust", [sys.executable, "-m", "tests.bench.plain_faust", how], rows)


def quix(stage: Stage, python: Path, rows: int) -> Run:
    """Quix Streams with its PostgreSQL sink until `rows` rows are there."""
    return _run(stage, "quix", [str(python), str(Path(__file__).parent / "quix_sink.py")], rows)


def quix_python() -> Path | None:
    """The interpreter of Quix's own environment, made on the first call; None, with a line that says why, where it cannot be."""
    home = cache_dir() / "bench" / "quix-3.28.1"
    python = home / "bin" / "python"
    if python.exists():
        return python
    console.say(f"making an environment for Quix Streams in {home}")
    try:
        with locked(home.with_suffix(".lock"), INSTALL_SECONDS):
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True)
            subprocess.run(
                [str(python), "-m", "pip", "install", "--quiet", *QUIX], check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS
            )
    except (subprocess.SubprocessError, OSError, Retry) as error:
        shutil.rmtree(home, ignore_errors=True)
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        console.say(f"Quix Streams is left out, it cannot be installed: {said[-1] if said else type(error).__name__}")
        return None
    return python


def _run(stage: Stage, peer: str, command: Sequence[str], rows: int) -> Run:
    tables = stage.peer_tables(peer)
    stage.empty()
    before = postgres_seconds(stage.state_dir)
    kinds = {table: {c.field: c.kind for c in columns(department(name).event)} for name, table in tables.items()}
    environment = {
        "BENCH_BOOTSTRAP": stage.bootstrap,
        "BENCH_USER": ADMIN,
        "BENCH_PASSWORD": passwords(stage.state_dir)[ADMIN],
        "BENCH_DSN": stage.dsn,
        "BENCH_DATABASE": json.dumps(stage.database()),
        "BENCH_GROUP": f"bench-{secrets.token_hex(4)}",
        "BENCH_DATADIR": str(stage.state_dir / "bench-faust"),
        "BENCH_COLUMNS": json.dumps(kinds),
        "BENCH_TOPICS": json.dumps({topic(name, stage.settings.space): table for name, table in tables.items()}),
    }
    query = "select " + " + ".join(f"(select count(*) from bench.{table})" for table in tables.values())  # our own names
    started = time.monotonic()
    process = start(command, stage.state_dir / f"bench-{peer}.log", **environment)
    try:
        with stage.connect() as connection:
            seen = watch(process, started, lambda: int(connection.execute(query).fetchone()[0]), rows, LOOK_SECONDS)  # type: ignore[index]  # a count always has its row
        cpu, memory, postgres = cpu_seconds(process.pid), peak_mb(process.pid), postgres_seconds(stage.state_dir) - before
    finally:
        end(process)
    return Run(seen, memory, cpu / seen.last_rows * 1e6, postgres / seen.last_rows * 1e6)
