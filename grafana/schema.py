"""What Grafana 12 takes as a classic board, as far as ours go: keys, types, words. What is not written here is refused."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Source(_Strict):
    type: Literal["grafana-postgresql-datasource"]
    uid: str


class Target(_Strict):
    refId: str
    datasource: Source
    rawSql: str
    format: Literal["time_series", "table"]
    rawQuery: Literal[True]
    editorMode: Literal["code"] = "code"


class Grid(_Strict):
    x: int
    y: int
    w: int
    h: int


class Link(_Strict):
    title: str
    url: str
    targetBlank: bool = False
    type: Literal["link", "dashboards"] = "link"
    icon: str = ""
    tooltip: str = ""
    tags: list[str] = []
    asDropdown: bool = False
    includeVars: bool = False
    keepTime: bool = False


class Color(_Strict):
    mode: str
    fixedColor: str | None = None
    seriesBy: Literal["min", "max", "last"] | None = None


class Step(_Strict):
    color: str
    value: float | None = None


class Thresholds(_Strict):
    mode: Literal["absolute", "percentage"]
    steps: list[Step]


class Mapping(_Strict):
    type: Literal["value", "range", "regex", "special"]
    options: dict[str, Any]


class Defaults(_Strict):
    unit: str | None = None
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    displayName: str | None = None
    description: str | None = None
    noValue: str | None = None
    color: Color | None = None
    thresholds: Thresholds | None = None
    mappings: list[Mapping] = []
    links: list[Link] = []
    custom: dict[str, Any] = {}


class Matcher(_Strict):
    id: Literal["byName", "byRegexp", "byType", "byFrameRefID"]
    options: str


class Property(_Strict):
    id: str
    value: Any = None


class Override(_Strict):
    matcher: Matcher
    properties: list[Property]


class FieldConfig(_Strict):
    defaults: Defaults = msgspec.field(default_factory=Defaults)
    overrides: list[Override] = []


class Panel(_Strict):
    id: int
    type: str
    title: str
    gridPos: Grid
    description: str = ""
    transparent: bool = False
    datasource: Source | None = None
    targets: list[Target] = []
    links: list[Link] = []
    fieldConfig: FieldConfig = msgspec.field(default_factory=FieldConfig)
    options: dict[str, Any] = {}
    transformations: list[Any] = []
    repeat: str | None = None
    maxDataPoints: int | None = None
    interval: str | None = None
    timeFrom: str | None = None
    hideTimeOverride: bool = False
    collapsed: bool = False
    panels: list[Any] = []


class Choice(_Strict):
    text: str
    value: str
    selected: bool = False


class Variable(_Strict):
    type: Literal["query", "custom"]
    name: str
    query: str
    label: str = ""
    definition: str = ""
    datasource: Source | None = None
    current: dict[str, Any] = {}
    hide: Literal[0, 1, 2] = 0
    includeAll: bool = False
    multi: bool = False
    options: list[Choice] = []
    refresh: Literal[0, 1, 2] = 0
    regex: str = ""
    sort: int = 0


class Variables(_Strict):
    list: list[Variable]


class Quick(_Strict, rename={"from_": "from"}):
    display: str
    from_: str
    to: str


class Picker(_Strict):
    hidden: bool = False
    refresh_intervals: list[str] = []
    quick_ranges: list[Quick] = []
    nowDelay: str = ""


class Times(_Strict, rename={"from_": "from"}):
    from_: str
    to: str


class Annotations(_Strict):
    list: list[Any]


class Dashboard(_Strict):
    """One board."""

    uid: str
    title: str
    schemaVersion: Literal[42]
    tags: list[str]
    timezone: str
    time: Times
    refresh: str
    panels: list[Panel]
    templating: Variables
    annotations: Annotations
    editable: bool = False
    fiscalYearStartMonth: int = 0
    graphTooltip: int = 0
    timepicker: Picker | None = None
    description: str = ""
    links: list[Link] = []


def wrong(raw: Any) -> Iterator[str]:
    """Why Grafana 12 would not take this board, in one sentence; nothing when it would."""
    try:
        msgspec.convert(raw, Dashboard)
    except msgspec.ValidationError as error:
        yield str(error)
