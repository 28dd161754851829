"""A day replayed as fast as it goes, in order and once, from a full live; every derived row compared."""

from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.replay import verifying
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


def run(stage: Stage) -> Run:
    """Replay what live holds."""
    found = verifying.verify(stage.settings, datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC), True, "bench")
    assert found is not None  # live was filled before
    return Run(found.events, found.played_seconds, found.compared_seconds, len(found.differences))


def of(runs: list[Run], total: int) -> list[Figure]:
    """The figures of several."""
    return [
        median("replay: a day as fast as it goes", "s", [r.seconds for r in runs], below=DAY_SECONDS if total >= DAY_EVENTS else None),
        median("replay: played and followed", "events/s", [r.events / r.seconds for r in runs]),
        median("replay: comparison with live", "s", [r.compared_seconds for r in runs]),
        median("replay: rows that differ", "", [float(r.differences) for r in runs], below=1),
    ]
