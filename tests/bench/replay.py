"""A day replayed as fast as it goes, in order and once, from a full live; every derived row compared."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from deploy import console
from streams.event import moment
from tests.bench import figures, ours
from tests.bench.events import DAY_START_US
from tests.bench.figures import Figure, median
from tests.bench.measure import Peaks
from tests.bench.stage import Stage, stage
from tests.eventually import eventually

DAY_EVENTS, DAY_SECONDS, MONTH_DAYS, MONTH_SECONDS = 600_000, 30.0, 30, 900.0
FLAT = 1.10
PACED_MS = 50.0


@dataclass(frozen=True)
class Run:
    """One replay. seconds: until all figures had followed, the worker's start included; compared_seconds: for the comparison; peak_mb: the most memory
    that player, worker and figures had, added."""

    events: int
    seconds: float
    compared_seconds: float
    differences: int
    peak_mb: float


def run(stage: Stage, until: str = "2100-01-01") -> Run:
    """Replay what live holds (days of the bench may lie ahead), in order and once, as `ioc replay verify --in-order` does."""
    command = (sys.executable, "-m", "deploy", "replay", "verify", "--from", "2000-01-01", "--to", until, "--in-order", "--json")
    environment = os.environ | {"IOC_STATE_DIR": str(stage.state_dir)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True) as process, Peaks(process.pid) as peaks:
        answer, _ = process.communicate()
    told = json.loads(answer.splitlines()[-1])
    return Run(told["events"], told["played_seconds"], told["compared_seconds"], told["differences"], peaks.megabytes)


def paced(stage: Stage, speed: int = 60, seconds: float = 20.0) -> dict[str, float]:
    """How far from their time records were handed over in a replay of the day's noon at a speed, milliseconds: p50, p99, most."""
    since, space = moment(DAY_START_US) + timedelta(hours=11), "paced"
    period = ("--from", since.isoformat(), "--to", (since + timedelta(hours=6)).isoformat())
    _ioc(stage, space, "replay", "start", *period, "--speed", str(speed), "--detach", "--again", "--json")
    far = "select mark from ioc.replay where space = %s and followed > since + make_interval(secs => %s)"
    with stage.connect() as connection:
        [(mark,)] = eventually(lambda: connection.execute(far, [space, speed * seconds]).fetchall(), 10 * seconds, 0.5)
    _ioc(stage, space, "replay", "stop", space, "--json")
    ended = "select 1 from ioc.replay where space = %s and state = 'stopped'"
    with stage.connect() as connection:
        eventually(lambda: connection.execute(ended, [space]).fetchall(), 60)
    _ioc(stage, space, "spaces", "drop", space, "--yes", "--json")
    return dict(mark["pacing_ms"])


def drill(stage: Stage, until: str) -> None:
    """Replay what live holds into a space that stays, as fast as it goes, and wait for its end."""
    _ioc(stage, "drill", "replay", "start", "--from", "2000-01-01", "--to", until, "--speed", "max", "--again", "--json")


def _ioc(stage: Stage, space: str, *words: str) -> None:
    environment = os.environ | {"IOC_STATE_DIR": str(stage.state_dir), "IOC_SPACE": space}
    subprocess.run((sys.executable, "-m", "deploy", *words), check=True, env=environment, stdout=subprocess.DEVNULL)


def of(runs: list[Run], total: int, pacing: list[dict[str, float]]) -> list[Figure]:
    """The figures of several."""
    return [
        median("replay: a day as fast as it goes", "s", [r.seconds for r in runs], below=DAY_SECONDS if total >= DAY_EVENTS else None),
        median("replay: played and followed", "events/s", [r.events / r.seconds for r in runs]),
        median("replay: comparison with live", "s", [r.compared_seconds for r in runs]),
        median("replay: peak memory", "MB", [r.peak_mb for r in runs]),
        median("replay: rows that differ", "", [float(r.differences) for r in runs], below=1),
        median("replay: at 60 times, off its time, p50", "ms", [each["p50"] for each in pacing]),
        median("replay: at 60 times, off its time, p99", "ms", [each["p99"] for each in pacing], below=PACED_MS),
    ]


def main(
    days: Annotated[int, typer.Option(help="Days of events; 30 want 70 GB of disk.")] = 5,
    events: Annotated[int, typer.Option(help="Events a day.")] = DAY_EVENTS,
    out: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("bench.json"),
) -> None:
    """Measure whether a long replay is as fast by the day, and as small, as one of a day."""
    console.configure_logging(False)
    second = (moment(DAY_START_US) + timedelta(days=1)).isoformat()
    made = tempfile.TemporaryDirectory(prefix="song-ma-bench-", ignore_cleanup_errors=True)
    with made as folder, stage(Path(folder), days * events, keep=False, days=days) as there:
        ours.run(there)
        there.settle()
        first, whole = run(there, second), run(there)
    bar = MONTH_SECONDS / MONTH_DAYS if events >= DAY_EVENTS else None
    found = [
        median("replay: the first day", "s", [first.seconds], below=bar),
        median(f"replay: {days} days, each", "s", [whole.seconds / days], below=bar),
        median("replay: the first day, peak memory", "MB", [first.peak_mb]),
        median(f"replay: {days} days, peak memory", "MB", [whole.peak_mb]),
        median(f"replay: memory of {days} days x one", "x", [whole.peak_mb / first.peak_mb], below=FLAT),
        median("replay: rows that differ", "", [float(first.differences), float(whole.differences)], below=1),
    ]
    figures.show(found, f"{days} days of {events:,} events")
    figures.write(found, out)
    if any(f.met is False for f in found):
        raise typer.Exit(1)
