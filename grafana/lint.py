"""The linter of boards: each rule is a trap that stops a Grafana, or that it falls into without a word. `RULES` names them all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana import schema
from grafana.layout import SOURCE
from grafana.macros import interval_seconds
from grafana.wall.library import SHOWN
from streams.errors import Misconfigured

LEAST_REFRESH_SECONDS = 5
RawBoard = Mapping[str, Any]
Found = Iterator[tuple[str, str]]
"""(panel or part, what is wrong)."""


@dataclass(frozen=True)
class Finding:
    """One trap. where: file or board and part; rule: key of RULES."""

    where: str
    rule: str
    wrong: str


def _panels(board: RawBoard) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for panel in board.get("panels", []):
        if panel.get("type") != "row":
            yield f"panel {panel.get('id')}", panel


def _queries(board: RawBoard) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for where, panel in _panels(board):
        for target in panel.get("targets", []):
            yield f"{where} {target.get('refId')}", target, str(target.get("rawSql", ""))


def _schema(board: RawBoard) -> Found:
    for said in schema.wrong(board):
        yield "board", said


def _named(board: RawBoard) -> Found:
    if not str(board.get("title", "")).strip():
        yield "board", "Dashboard title cannot be empty"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", str(board.get("uid", ""))):
        yield "board", "a uid is 1 to 40 letters, digits, dashes, underscores"
    for where, panel in _panels(board):
        if not str(panel.get("title", "")).strip():
            yield where, "has no title"


def _refresh(board: RawBoard) -> Found:
    said = str(board.get("refresh", ""))
    if not said:
        return
    try:
        found = interval_seconds(said)
    except Misconfigured:
        yield "board", f"refresh {said!r} is no interval"
        return
    offered = (board.get("timepicker") or {}).get("refresh_intervals") or []
    if found < LEAST_REFRESH_SECONDS:
        yield "board", f"refresh {said} is below min_refresh_interval: Grafana makes it {LEAST_REFRESH_SECONDS}s without a word"
        if said not in offered:
            yield "board", f"refresh {said} is not among timepicker.refresh_intervals: Grafana would not refresh at all"


def _timezone(board: RawBoard) -> Found:
    if board.get("timezone") != "Asia/Ho_Chi_Minh":
        yield "board", "the time zone is not Asia/Ho_Chi_Minh: days would be those of the screen"


def _grid(board: RawBoard) -> Found:
    taken: dict[tuple[int, int], int] = {}
    ids = [panel.get("id") for panel in board.get("panels", [])]
    if len(set(ids)) != len(ids):
        yield "board", "two panels have one id"
    for panel in board.get("panels", []):
        place = panel.get("gridPos") or {"x": 0, "y": 0, "w": 0, "h": 0}
        if place["x"] < 0 or place["x"] + place["w"] > 24 or place["w"] < 1 or place["h"] < 1:
            yield f"panel {panel.get('id')}", "lies outside the grid of 24 columns"
        cells = [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
        other = next((taken[cell] for cell in cells if cell in taken), None)
        if other is not None:
            yield f"panel {panel.get('id')}", f"lies over panel {other}"
        taken.update(dict.fromkeys(cells, panel.get("id", 0)))


def _source(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        named = [panel.get("datasource"), *(target.get("datasource") for target in panel.get("targets", []))]
        if panel.get("targets") and any(each is None or each.get("uid") != SOURCE["uid"] for each in named):
            yield where, f"does not name the datasource {SOURCE['uid']}; ${{DS_..}} of an import is never resolved in a file"


def _format(board: RawBoard) -> Found:
    for where, target, _ in _queries(board):
        if target.get("format") not in ("time_series", "table"):
            yield where, 'has no format: Grafana answers 400 Unrecognized query model format: ""'


def _group_alias(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if re.search(r"\$__timeGroup\([^)]*\)\s*,", sql) or re.search(r"\$__unixEpochGroup\([^)]*\)\s*,", sql):
            yield (
                where,
                "a comma after $__timeGroup(..) makes Grafana alias it everywhere: syntax error at AS; use date_bin or $__timeGroupAlias",
            )


def _day_bucket(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if re.search(r"\$__timeGroup(?:Alias)?\([^)]*'\d+(?:d|w|M|y)'", sql):
            yield where, "$__timeGroup of days begins at 07:00 in Viet Nam; use date_trunc('day', x, 'Asia/Ho_Chi_Minh')"
        if re.search(r"time_bucket\(\s*'[^']*(?:day|week|month)[^']*'\s*,[^,()]*\)", sql, re.IGNORECASE):
            yield where, "time_bucket of days without a time zone begins at 07:00 in Viet Nam; give it 'Asia/Ho_Chi_Minh'"


def _nested(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if re.search(r"\$__\w+\([^)]*\(", sql):
            yield where, "has parentheses inside a macro, which Grafana cannot read"


def _interval(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if re.search(r"(?<!')\$__interval(?!_ms)(?![\w'])", sql):
            yield where, "$__interval is put in without quotes: write '$__interval'"


def _literal_time(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if re.search(r"\$__time(?:From|To)\(\)\s*(?:[-+]|AT\s)", sql, re.IGNORECASE):
            yield where, "$__timeFrom() and $__timeTo() are texts: cast them with ::timestamptz before you count with them"


def _time_column(board: RawBoard) -> Found:
    for where, target, sql in _queries(board):
        if target.get("format") == "time_series" and not re.search(
            r'\bAS\s+"?time"?\b|\$__time\(|\$__timeEpoch\(|Alias\(|SELECT\s+time\b', sql, re.I
        ):
            yield where, "a time series needs a column named exactly time"


def _sorted(board: RawBoard) -> Found:
    for where, target, sql in _queries(board):
        if target.get("format") == "time_series" and not re.search(r"\bORDER\s+BY\s+(?:1|\"?time\"?)\b[^()]*$", sql, re.IGNORECASE):
            yield where, "a time series is ordered by time: Grafana refuses a long series that is not"


def _variables(board: RawBoard) -> Found:
    declared = {variable.get("name") for variable in board.get("templating", {}).get("list", [])}
    for where, _, sql in _queries(board):
        for name, form in re.findall(r"\$\{(\w+)(?::(\w+))?[^}]*\}", sql):
            if name not in declared:
                yield where, f"uses ${{{name}}}, which the board does not declare"
            elif form != "sqlstring":
                yield where, f"writes ${{{name}}} without :sqlstring: what a viewer chose would stand in the SQL as it is"
        for name in declared:
            if re.search(rf"\${name}\b|\[\[{name}", sql):
                yield where, f"writes ${name}: only ${{{name}:sqlstring}} is quoted"


def _dollars(board: RawBoard) -> Found:
    for where, _, sql in _queries(board):
        if "$$" in sql:
            yield where, "holds $$: nothing doubles dollars in a board"


def _thresholds(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        defaults = (panel.get("fieldConfig") or {}).get("defaults", {})
        coloured = (defaults.get("color") or {}).get("mode", "thresholds") == "thresholds"
        if panel.get("type") in ("stat", "gauge", "bargauge") and coloured and not (defaults.get("thresholds") or {}).get("steps"):
            yield where, "is coloured by thresholds and sets none: Grafana paints it red from 80 on"


def _from_zero(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        if panel.get("type") == "bargauge" and (panel.get("fieldConfig") or {}).get("defaults", {}).get("min") is None:
            yield where, "is a bar gauge without min 0: bars would begin at the smallest value"


def _unknown(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        if panel.get("type") in ("stat", "gauge", "bargauge", "table") and not (panel.get("fieldConfig") or {}).get("defaults", {}).get(
            "noValue"
        ):
            yield where, "says nothing where a figure is unknown: set noValue"


def _units(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        config = panel.get("fieldConfig") or {}
        said = [config.get("defaults", {}).get("unit")]
        said += [p.get("value") for o in config.get("overrides", []) for p in o.get("properties", []) if p.get("id") == "unit"]
        if "currencyVND" in said:
            yield where, "the unit currencyVND writes 1.5Mđ; use currency:financial: đ:suffix"


def _wall(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        if panel.get("type") not in SHOWN:
            yield where, f"the wall cannot draw {panel.get('type')}"
        for key in ("repeat", "transformations", "libraryPanel", "panels"):
            if panel.get(key):
                yield where, f"the wall does not know {key}"
    for panel in board.get("panels", []):
        if panel.get("type") == "row" and panel.get("panels"):
            yield f"panel {panel.get('id')}", "a row is folded: a wall has nobody to open it"


def _columns(board: RawBoard) -> Found:
    """Names of columns that options and links speak of."""
    for where, panel in _panels(board):
        written = " ".join(str(target.get("rawSql", "")) for target in panel.get("targets", []))
        names = {a or b for a, b in re.findall(r'\bAS\s+(?:"([^"]+)"|([^\s",()]+))', written, re.IGNORECASE)}
        names |= set(re.findall(r"\b\w+\.(\w+)\s*(?:,|\n)", written))
        wanted = ((panel.get("options") or {}).get("reduceOptions") or {}).get("fields", "").strip("/")
        if wanted and names and not any(re.fullmatch(wanted, name) for name in names):
            yield where, f"shows the field {wanted}, which no query gives"
        for link in _links(panel):
            for name in re.findall(r"\$\{__data\.fields\.(\w+)\}", link):
                if name not in names:
                    yield where, f"links by the field {name}, which no query gives"


def _outside(board: RawBoard) -> Found:
    for where, panel in _panels(board):
        base = ((panel.get("options") or {}).get("basemap") or {}).get("type")
        if panel.get("type") == "geomap" and base != "geojson":
            yield where, "its base map is fetched from the Internet: name a file that comes with Grafana (type geojson)"
        if re.search(r"https?://", str(panel.get("options", "")) + " ".join(_links(panel))):
            yield where, "names an address outside"


def _links(panel: Mapping[str, Any]) -> Iterator[str]:
    config = panel.get("fieldConfig") or {}
    for link in [*panel.get("links", []), *config.get("defaults", {}).get("links", [])]:
        yield str(link.get("url", ""))
    for override in config.get("overrides", []):
        for each in override.get("properties", []):
            if each.get("id") == "links":
                yield from (str(link.get("url", "")) for link in each.get("value") or [])


RULES: dict[str, Callable[[RawBoard], Found]] = {
    "schema": _schema, "named": _named, "refresh": _refresh, "timezone": _timezone, "grid": _grid, "source": _source, "format": _format,
    "group-alias": _group_alias, "day-bucket": _day_bucket, "nested": _nested, "interval": _interval, "literal-time": _literal_time,
    "time-column": _time_column, "sorted": _sorted, "variables": _variables, "dollars": _dollars, "thresholds": _thresholds,
    "from-zero": _from_zero, "no-value": _unknown, "units": _units, "wall": _wall, "columns": _columns, "outside": _outside,
}  # fmt: skip


def _looked(rule: str, board: RawBoard) -> list[tuple[str, str]]:
    try:
        return list(RULES[rule](board))
    except (TypeError, KeyError, AttributeError):
        return []  # a board of another shape: the rule `schema` has said so


def check(boards: Sequence[tuple[str, RawBoard]]) -> list[Finding]:
    """Every trap in these boards: (name of the file, JSON)."""
    found = [Finding(f"{name}: {where}", rule, wrong) for name, board in boards for rule in RULES for where, wrong in _looked(rule, board)]
    uids = {board.get("uid") for _, board in boards}
    for key in ("uid", "title"):
        seen: dict[Any, str] = {}
        for name, board in boards:
            if board.get(key) in seen:
                said = f"has the {key} of {seen[board[key]]}: Grafana freezes all writes of a folder with two"
                found.append(Finding(f"{name}: board", "twice", said))
            seen.setdefault(board.get(key), name)
    for name, board in boards:
        for where, panel in _panels(board):
            for link in _links(panel):
                to = re.match(r"/d/([\w-]+)", link)
                if to and to.group(1) not in uids:
                    found.append(Finding(f"{name}: {where}", "links", f"leads to the board {to.group(1)}, which is not there"))
    return found
