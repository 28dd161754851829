"""The boards a wall can show, read from their JSON files; what a viewer gets to see of them holds no SQL."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from grafana.wall import alarms, variables
from grafana.wall.variables import Variable
from streams.department import glasses
from streams.errors import Misconfigured

BOARDS = Path(__file__).parent.parent / "boards"
SHOWN = ("stat", "gauge", "bargauge", "timeseries", "state-timeline", "table", "geomap", "text", "row", "alertlist")
LIST = "alertlist"
_AFTER_DEPARTMENTS = ("ioc-hospital", "ioc-commune", "ioc-quality", "ioc-operations", "ioc-daily")


@dataclass(frozen=True)
class Target:
    """One query of a panel. form: `time_series` or `table`."""

    ref: str
    sql: str
    form: str


@dataclass(frozen=True)
class Board:
    """One board. panels: id -> its targets. public: the JSON for viewers. start, end: Grafana's time expressions.
    variables, periods: what viewers may choose (periods None: nothing). alarms: the panels that list alarms, which the public is not shown."""

    uid: str
    title: str
    start: str
    end: str
    panels: dict[int, tuple[Target, ...]]
    public: dict[str, Any]
    variables: tuple[Variable, ...] = ()
    periods: tuple[dict[str, str], ...] | None = None
    alarms: frozenset[int] = frozenset()

    @property
    def parameters(self) -> tuple[str, ...]:
        """What its variables are called in an address."""
        return tuple(f"var-{variable.name}" for variable in self.variables)

    def config(self, panel: int) -> dict[str, Any]:
        """The fieldConfig of a panel: units, and what differs by column."""
        found: dict[str, Any] = next((each.get("fieldConfig", {}) for each in self.public["panels"] if each["id"] == panel), {})
        return found


@dataclass(frozen=True)
class View:
    """What a screen looks at: a board, the values chosen for its variables (sorted by name), the moment it is seen from (None: now, live),
    and the period as time expressions (None: the board's own). public: seen without login, so small cells are suppressed."""

    uid: str
    chosen: tuple[tuple[str, str], ...] = ()
    at: datetime | None = None
    over: tuple[str, str] | None = None
    public: bool = False


def load(directory: Path) -> dict[str, Board]:
    """uid -> board of every JSON file, as `rank` orders them. Raises Misconfigured for a file that is no board, or that has a panel the wall cannot draw."""
    boards = [_board(path) for path in sorted(directory.glob("*.json"))]
    if not boards:
        raise Misconfigured(f"there are no boards in {directory}", "run `ioc boards build`")
    return {board.uid: board for board in sorted(boards, key=lambda board: rank(board.uid))}


def rank(uid: str) -> tuple[int, str]:
    """Where a board stands in menus and rotations: the province, departments as on the glass, places, the data, the work, the report; others after them."""
    known = ["ioc-overview", *(f"ioc-{glass.name}" for glass in glasses()), *_AFTER_DEPARTMENTS]
    return known.index(uid) if uid in known else len(known), uid


def _board(path: Path) -> Board:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        panels = {panel["id"]: _targets(panel) for panel in raw["panels"]}
        times, offered = raw["time"], variables.declared(raw)
        unknown = sorted({panel["type"] for panel in raw["panels"]} - set(SHOWN))
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{path.name} is not a board: {error!r}", "run `ioc boards build`") from error
    if unknown:
        raise Misconfigured(f"{path.name} has panels the wall cannot draw: {', '.join(unknown)}", f"use only {', '.join(SHOWN)}")
    if any(panel.get("panels") for panel in raw["panels"]):
        raise Misconfigured(f"{path.name} has panels hidden in a collapsed row", "open the row: a wall has nobody to click on it")
    listed = frozenset(panel["id"] for panel in raw["panels"] if panel["type"] == LIST)
    return Board(raw["uid"], raw["title"], times["from"], times["to"], panels, _public(raw), offered, variables.periods(raw), listed)


def _targets(panel: dict[str, Any]) -> tuple[Target, ...]:
    """Its own queries; a list of alarms has none, since Grafana's shows Grafana's own, so the wall gives it some."""
    if panel["type"] == LIST:
        return Target("A", alarms.OPEN, "table"), Target("B", alarms.WATCHED, "table")
    return tuple(Target(t["refId"], t["rawSql"], t["format"]) for t in panel.get("targets", []))


def _public(raw: dict[str, Any]) -> dict[str, Any]:
    kept = ("id", "type", "title", "description", "gridPos", "options", "fieldConfig", "links")
    panels = [{key: panel[key] for key in kept if key in panel} for panel in raw["panels"]]
    return {"uid": raw["uid"], "title": raw["title"], "tags": raw.get("tags", []), "panels": panels}
