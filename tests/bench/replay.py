"""A day replayed as fast as it goes, in order and once, from a full live; every derived row compared."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from tests.bench.figures import Figure, median
from tests.bench.stage import Stage

DAY_EVENTS, DAY_SECONDS = 600_000, 30.0


@dataclass(frozen=True)
class Run:
    """One replay. seconds: until all figures had followed, the worker's start included; compared_seconds: for the comparison."""

    events: int
    seconds: float
    compared_seconds: float
    differences: int


def run(stage: Stage, until: str = "now") -> Run:
    """Replay what live holds, in order and once, as `ioc replay verify --in-order` does."""
    command = (sys.executable, "-m", "deploy", "replay", "verify", "--from", "2000-01-01", "--to", until, "--in-order", "--json")
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | {"IOC_STATE_DIR": str(stage.state_dir)}, check=False)
    told = json.loads(done.stdout.splitlines()[-1])
    return Run(told["events"], told["played_seconds"], told["compared_seconds"], told["differences"])


def of(runs: list[Run], total: int) -> list[Figure]:
    """The figures of several."""
    return [
        median("replay: a day as fast as it goes", "s", [r.seconds for r in runs], below=DAY_SECONDS if total >= DAY_EVENTS else None),
        median("replay: played and followed", "events/s", [r.events / r.seconds for r in runs]),
        median("replay: comparison with live", "s", [r.compared_seconds for r in runs]),
        median("replay: rows that differ", "", [float(r.differences) for r in runs], below=1),
    ]
