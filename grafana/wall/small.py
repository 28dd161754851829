"""What the public is sent: counts from 1 to 4 withheld, larger ones rounded to fives; what is no count withheld, because nobody knows of how few it is made."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from streams.department import glasses
from streams.figures import Daily, Figure, Held, Sum, Units

FEWEST = 5
PLACES = ("latitude", "longitude")  # where a hospital stands is no secret
_WORD = re.compile(r"(?:currency:financial:(.*):suffix|suffix:(.*))")


@cache
def _words() -> frozenset[str]:
    """The words that follow a number of facts: `hóa đơn`, `phiên`. Sums of money or of minutes have others."""
    declared = {figure.word for glass in glasses() for figure in glass.figures if _counts(figure)}
    return frozenset(declared - {figure.word for glass in glasses() for figure in glass.figures if not _counts(figure)})


def _counts(figure: Figure) -> bool:
    measured = figure.measured
    return figure.format == "count" and (isinstance(measured, Units | Daily | Held) or (isinstance(measured, Sum) and measured.per == 1))


def count(value: float) -> int | None:
    """0 as it is, 1 to 4 withheld, else rounded to the nearest five: neither sums of rows nor one wave after another give a small one away exactly."""
    if not value:
        return 0
    return None if abs(value) < FEWEST else FEWEST * round(value / FEWEST)


def _share(value: float) -> int:
    return int(value)


def _withheld(value: float) -> None:
    return None


def _rule(unit: str) -> Callable[[float], int | None]:
    match = _WORD.fullmatch(unit)
    if unit == "locale" or (match and (match[1] or match[2] or "").strip() in _words()):
        return count
    return _share if unit == "percent" else _withheld


def panel(config: Mapping[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The answer of a panel as the public may see it, `withheld` when a number is kept back. config: its fieldConfig."""
    common = config.get("defaults", {}).get("unit", "")
    special: dict[str, dict[str, Any]] = {
        override["matcher"]["options"]: {each["id"]: each["value"] for each in override["properties"]}
        for override in config.get("overrides", [])
        if override["matcher"]["id"] == "byName"
    }
    others = (override for override in config.get("overrides", []) if override["matcher"]["id"] != "byName")
    if any(each["id"] == "unit" for override in others for each in override["properties"]):
        common = ""  # which columns that unit is for is not for us to guess
    frames = [_frame(frame, common, special) for frame in data["frames"]]
    kept = [value is not None for frame in data["frames"] for column in frame["columns"] for value in column]
    sent = [value is not None for frame in frames for column in frame["columns"] for value in column]
    return {**data, "frames": frames, **({"withheld": True} if kept != sent else {})}


def _frame(frame: dict[str, Any], common: str, special: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    columns = []
    for described, values in zip(frame["fields"], frame["columns"], strict=True):
        kept: list[Any]
        own = special.get(described["name"], {})
        if described["type"] == "string":
            kept = [value if isinstance(value, str) else None for value in values]
        elif described["type"] == "time" or described["name"] in PLACES or own.get("mappings"):  # a mapped number is a word
            kept = values
        else:
            rule = _rule(own.get("unit", common))
            kept = [None if value is None else rule(value) for value in values]
        columns.append(kept)
    return {**frame, "columns": columns}


def state(found: dict[str, Any]) -> dict[str, Any]:
    """The state of the data: how much a source usually brings is only a weight there, and is sent rounded."""
    departments = {
        name: {**each, "sources": [{**s, "usual": max(FEWEST, count(s["usual"]) or 0) if s["usual"] else 0} for s in each["sources"]]}
        for name, each in found["departments"].items()
    }
    return {**found, "departments": departments}
