"""What boards stand on: the grid, queries, variables, periods; a board as classic Grafana JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

from grafana import sql
from grafana.sdk import JSONEncoder, builder, dashboard, variants

SOURCE = {"type": "grafana-postgresql-datasource", "uid": "ioc-tsdb"}

Panel = dict[str, Any]


class _Sql(variants.Dataquery):  # type: ignore[misc]  # the SDK is untyped to mypy
    """A PostgreSQL query; the SDK has none."""

    def __init__(self, raw: str, form: str, ref: str) -> None:
        self._json = {
            "refId": ref,
            "datasource": SOURCE,
            "format": form,
            "editorMode": "code",
            "rawQuery": True,
            "rawSql": raw,
        }

    def to_json(self) -> dict[str, object]:
        return self._json


@dataclass(frozen=True)
class Query(builder.Builder[variants.Dataquery]):  # type: ignore[misc]  # the SDK is untyped to mypy
    """One target. form: `time_series` (first column `time`) or `table`."""

    raw: str
    form: str = "time_series"
    ref: str = "A"

    def build(self) -> variants.Dataquery:
        return _Sql(self.raw, self.form, self.ref)


Periods = tuple[tuple[str, str, str], ...]
"""(words, from, to): the periods a board offers."""


@dataclass
class Board:
    """Panels set on Grafana's grid of 24 columns from left to right, row by row. periods: what viewers may choose, the first at first;
    none: today and nothing else. refresh: never below Grafana's five seconds."""

    uid: str
    title: str
    tags: tuple[str, ...] = ("ioc",)
    periods: Periods = ()
    refresh: str = "10s"
    panels: list[Panel] = field(default_factory=list)
    variables: list[dict[str, Any]] = field(default_factory=list)
    below: int = 0

    def row(self, height: int, *across: tuple[int, Panel], of: int = 24) -> "Board":
        """The next row: (width, panel) from the left. Raises ValueError when they do not fill `of` columns."""
        if sum(width for width, _ in across) != of:
            raise ValueError(f"{self.uid}: the widths of a row add up to {of}")
        left = 0
        for width, panel in across:
            self._put(left, self.below, width, height, panel)
            left += width
        self.below += height
        return self

    def beside(self, left: int, top: int, panel: Panel) -> "Board":
        """A panel in the columns that the rows from `top` on left free, down to where they end."""
        self._put(left, top, 24 - left, self.below - top, panel)
        return self

    def _put(self, x: int, y: int, w: int, h: int, panel: Panel) -> None:
        self.panels.append({"id": len(self.panels) + 1, "gridPos": {"x": x, "y": y, "w": w, "h": h}, **panel})

    def choice(self, name: str, label: str, query: str) -> "Board":
        """A template variable of one value: `query` gives __value and __text, and panels write ${name:sqlstring}."""
        fixed: dict[str, Any] = {"hide": 0, "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "", "sort": 0}
        self.variables.append(
            {
                "type": "query",
                "name": name,
                "label": label,
                "datasource": SOURCE,
                "query": query,
                "definition": query,
                "current": {},
                **fixed,
            }
        )
        return self

    def json(self) -> dict[str, Any]:
        """The dashboard as Grafana 12 takes it (classic, schemaVersion 42)."""
        start, end = self.periods[0][1:] if self.periods else ("now/d", "now/d")
        built = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .tags(list(self.tags))
            .timezone(sql.ZONE)
            .time(start, end)
            .refresh(self.refresh)
            .readonly()
            .build()
        )
        made = plain(built)
        if self.periods:
            made["timepicker"] = {"quick_ranges": [{"display": words, "from": a, "to": b} for words, a, b in self.periods]}
        return {**made, "annotations": {"list": []}, "templating": {"list": self.variables}, "panels": self.panels}


def widths(parts: int, of: int = 24) -> list[int]:
    """Columns shared out evenly; the last gets what is left over."""
    share = of // parts
    return [share] * (parts - 1) + [of - share * (parts - 1)]


def plain(built: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(JSONEncoder().encode(built))
    return made
