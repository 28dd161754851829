"""What time it is on the glass: the machine's in live, the replay's own in the space that it fills."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import yaml

from grafana.wall.reader import Reader
from streams.errors import Misconfigured

_COLUMNS = (
    "since",
    "until",
    "follows",
    "wanted",
    "speed",
    "seek_to",
    "state",
    "clock_rate",
    "followed",
    "produced",
    "total",
    "rate",
    "wrong",
)
_ASKED = ("wanted", "speed", "seek_to", "state", "clock_rate", "wrong")
_LOOK = f"""SELECT s.name, s.label, r.scenario, r.space IS NOT NULL AS replayed, ioc.replayed(s.name) AS now, r.{", r.".join(_COLUMNS)},
  (r.mark->>'most_rate')::float8 AS most_rate, extract(epoch FROM clock_timestamp() - r.beat_at) AS silent_seconds
FROM ioc.space s LEFT JOIN ioc.replay r ON r.space = s.name WHERE s.name = %(space)s"""  # noqa: S608  # our own words
_SPACES = """SELECT s.name, s.label, r.scenario, r.state, r.since, r.until
FROM ioc.space s LEFT JOIN ioc.replay r ON r.space = s.name ORDER BY s.name"""


class Clock:
    """Live: the machine's time, and nothing to tell of it. gone: there is no such space any more. goes: it goes by a rate of its own."""

    gone = False
    goes = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def told(self) -> dict[str, Any]:
        """What screens are sent of it, beside the time."""
        return {}

    def steered(self) -> dict[str, Any]:
        """What people should see at once when it changes."""
        return {}

    async def look(self) -> None:
        """Look how it goes now. Raises Retry."""


class SpaceClock(Clock):
    """The clock of a space, by what its replay's player last wrote; the machine's where nothing is replayed."""

    def __init__(self, reader: Reader, space: str) -> None:
        self._reader, self._space = reader, space
        self._row: dict[str, Any] = {}
        self._looked = time.monotonic()

    def now(self) -> datetime:
        if not self._row.get("replayed"):
            return datetime.now(UTC)
        passed = (time.monotonic() - self._looked) * self._row["clock_rate"]
        return min(_moment(self._row["now"]) + timedelta(seconds=passed), _moment(self._row["until"]))

    def told(self) -> dict[str, Any]:
        """space: {name, label, scenario}; machine: the machine's time; rate: how fast its clock goes; replay: as in ioc.replay (times in ms, silent_seconds
        since the player's last sign of life, most_rate: records a second it may play beside a live at work), null where there is none. Nothing for a space
        that is not registered."""
        row = self._row
        if not row:
            return {}
        space = {"name": row["name"], "label": row["label"], "scenario": label(row["scenario"])}
        machine = round(time.time() * 1000)
        if not row["replayed"]:
            return {"space": space, "machine": machine, "rate": 1, "replay": None}
        replay = {name: row[name] for name in (*_COLUMNS, "most_rate", "silent_seconds")}
        return {"space": space, "machine": machine, "rate": row["clock_rate"], "replay": replay}

    def steered(self) -> dict[str, Any]:
        return {name: self._row.get(name) for name in (*_ASKED, "label", "scenario")}

    async def look(self) -> None:
        rows = await _rows(self._reader, _LOOK, {"space": self._space})
        self.gone = self.gone or bool(self._row and not rows)
        before, self._row, self._looked = self._row, rows[0] if rows else {}, time.monotonic()
        moved = any(before.get(name) != self._row.get(name) for name in ("followed", "produced"))
        self.goes = bool(self._row.get("clock_rate")) or moved


async def spaces(reader: Reader) -> list[dict[str, Any]]:
    """Every space beside live: {name, label, scenario, state, since, until}. Raises Retry."""
    return [{**row, "scenario": label(row["scenario"])} for row in await _rows(reader, _SPACES, None)]


async def _rows(reader: Reader, text: str, values: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Nothing from a database that was not updated and knows of no spaces."""
    with contextlib.suppress(Misconfigured):
        found = await reader.read(text, values=values)
        names = [field["name"] for field in found["fields"]]
        return [dict(zip(names, row, strict=True)) for row in zip(*found["columns"], strict=True)]
    return []


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@lru_cache(20)
def label(scenario: str | None) -> str | None:
    """What people call the changes laid over history; None where there are none."""
    if scenario is None:
        return None
    try:
        read = yaml.safe_load(scenario)
    except yaml.YAMLError:
        read = None
    found = read.get("label") if isinstance(read, dict) else None
    return str(found) if found else "có thay đổi"
