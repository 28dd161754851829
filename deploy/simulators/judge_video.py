"""The judge's own reading of what the video platform measured: minutes of endpoints, good and bad."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import VideoLine

FIGURES = ("measured_minutes", "bad_minutes", "slow_minutes", "lossy_minutes", "sites")
VIETNAM = timezone(timedelta(hours=7))


@dataclass
class _Minute:
    """Which of its parts of ten seconds were measured, slow, lossy."""

    measured: set[int] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
    lossy: set[int] = field(default_factory=set)


def facts(lines: Iterable[VideoLine]) -> Iterator[Fact]:
    """One for each minute of each endpoint of each session."""
    minutes: dict[tuple[str, str, str | None, datetime], _Minute] = defaultdict(_Minute)
    peers: dict[tuple[str, str], str] = {}
    for line in lines:
        if line.what == "fact":
            if line.peer is not None:
                peers[line.session, line.site] = line.peer
            at = datetime.fromisoformat(line.measured_at).astimezone(VIETNAM)
            minute, part = minutes[line.session, line.site, line.endpoint, at.replace(second=0)], at.second // 10
            minute.measured.add(part)
            if min(line.in_kbps, line.in_kbps if line.out_kbps is None else line.out_kbps) < 4000:
                minute.slow.add(part)
            if max(line.in_loss_percent, line.out_loss_percent or 0) > 2:
                minute.lossy.add(part)
    for (session, site, _, at), minute in minutes.items():
        half = len(minute.measured) / 2
        adds = {
            "measured_minutes": 1,
            "bad_minutes": int(len(minute.slow | minute.lossy) >= half),
            "slow_minutes": int(len(minute.slow) >= half),
            "lossy_minutes": int(len(minute.lossy) >= half),
        }
        unit = site if site.isdigit() else None
        yield Fact(at.date().isoformat(), unit, adds, (("sites", unit),) if unit else (), supporting=peers.get((session, site)))


def ids(lines: Iterable[VideoLine]) -> tuple[set[str], set[str]]:
    """All must have arrived."""
    return {f"{line.session}|{line.site}|{line.endpoint or ''}|{line.measured_at}" for line in lines if line.what == "fact"}, set()
