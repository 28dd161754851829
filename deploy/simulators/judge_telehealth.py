"""The judge's own reading of telehealth: the newest version of every Encounter is what holds."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import TelehealthLine

FIGURES = ("sessions", "finished", "cancelled", "minutes", "sites", "not_telehealth", "planned")
TOOK_PLACE = ("arrived", "triaged", "in-progress", "onleave", "finished")
VIETNAM = timezone(timedelta(hours=7))


def facts(lines: Iterable[TelehealthLine]) -> Iterator[Fact]:
    """One fact for each Encounter, on the Vietnamese day its period begins."""
    for line in _newest(lines).values():
        if line.status == "entered-in-error" or line.start is None:
            continue
        day = datetime.fromisoformat(line.start).astimezone(VIETNAM).date().isoformat()
        if line.class_ != "VR":
            yield Fact(day, line.hospital, {"not_telehealth": 1})
        elif line.status == "cancelled":
            yield Fact(day, line.hospital, {"cancelled": 1}, supporting=line.supporting)
        elif line.status == "planned":
            yield Fact(day, line.hospital, {"planned": 1}, supporting=line.supporting)
        elif line.status in TOOK_PLACE:
            adds = {"sessions": 1}
            if line.status == "finished":
                adds |= {"finished": 1, "seconds": _seconds(line)}
            yield Fact(day, line.hospital, adds, (("sites", line.hospital),), supporting=line.supporting)


def ids(lines: Iterable[TelehealthLine]) -> tuple[set[str], set[str]]:
    """Newest versions must have arrived; a version that another one followed may have been gone before anyone asked. With each comes the request
    that it contains."""
    held = [line for line in lines if line.what == "fact"]
    requests = {f"{line.id}#yc|{line.versionId}" for line in held if line.supporting}
    return {_id(line) for line in _newest(held).values()}, {_id(line) for line in held} | requests


def _newest(lines: Iterable[TelehealthLine]) -> dict[str, TelehealthLine]:
    newest: dict[str, TelehealthLine] = {}
    for line in lines:
        if line.what == "fact" and (line.id not in newest or _order(newest[line.id]) < _order(line)):
            newest[line.id] = line
    return newest


def _order(line: TelehealthLine) -> tuple[datetime, int]:
    return datetime.fromisoformat(line.lastUpdated), int(line.versionId)


def _seconds(line: TelehealthLine) -> int:
    if line.start is None or line.end is None:
        return 0
    return max(0, int((datetime.fromisoformat(line.end) - datetime.fromisoformat(line.start)).total_seconds()))


def _id(line: TelehealthLine) -> str:
    return f"{line.id}|{line.versionId}"
