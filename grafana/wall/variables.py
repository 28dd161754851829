"""A board's template variables and its period: what it declares, the choices there are, and checking what a viewer asks for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana.macros import Range, expand
from streams.errors import Misconfigured

MOST_OPTIONS = 2000
NOBODY = ""
"""The value of a variable that has no choices yet: panels find nothing for it."""

Option = tuple[str, str]
Read = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Variable:
    """One template variable. sql: gives the columns `__value`, `__text`; None where `fixed` holds the (value, text) choices.
    current: the value it has when nobody chose."""

    name: str
    label: str
    sql: str | None
    fixed: tuple[Option, ...]
    current: str
    hidden: bool

    async def options(self, read: Read, over: Range, chosen: Mapping[str, str]) -> Sequence[Option]:
        """Its choices, as the board's SQL or its list gives them. Raises Misconfigured, Retry."""
        if self.sql is None:
            return self.fixed
        answer = await read(expand(self.sql, over, chosen))
        columns = {field["name"]: column for field, column in zip(answer["fields"], answer["columns"], strict=True)}
        if "__value" not in columns:
            raise Misconfigured(f"the variable {self.name} gives no column __value", "run `ioc boards test`")
        values, texts = columns["__value"], columns.get("__text", columns["__value"])
        return [(str(value), str(text)) for value, text in zip(values, texts, strict=True) if value is not None][:MOST_OPTIONS]


def declared(raw: Mapping[str, Any]) -> tuple[Variable, ...]:
    """The variables of a board's JSON, in its order. Raises Misconfigured for one that the wall does not offer."""
    return tuple(_variable(each) for each in raw.get("templating", {}).get("list", []))


def _variable(raw: Mapping[str, Any]) -> Variable:
    name, kind = str(raw["name"]), raw["type"]
    if kind not in ("query", "custom") or raw.get("multi") or raw.get("includeAll"):
        raise Misconfigured(f"the wall cannot offer the variable {name}", "make it a query or custom variable of one value")
    current = raw.get("current") or {}
    sql, fixed = None, tuple((str(each["value"]), str(each["text"])) for each in raw.get("options", []))
    if kind == "query":
        query = raw["query"]
        sql, fixed = str(query if isinstance(query, str) else query["rawSql"]), ()
    elif not fixed:
        fixed = tuple(_written(part) for part in str(raw["query"]).split(","))
    return Variable(name, raw.get("label") or name, sql, fixed, str(current.get("value") or ""), raw.get("hide") == 2)


def _written(part: str) -> Option:
    """Grafana's custom choice: `text : value`, or one word for both."""
    text, _, value = part.partition(" : ")
    return (value.strip() or text.strip(), text.strip())


def periods(raw: Mapping[str, Any]) -> tuple[dict[str, str], ...] | None:
    """The periods a board offers, as {text, from, to}; None when it is made for one only, which it is unless it declares a time picker."""
    picker = raw.get("timepicker")
    if not picker or picker.get("hidden"):
        return None
    told = tuple({"text": each["display"], "from": each["from"], "to": each["to"]} for each in picker.get("quick_ranges") or [])
    return told or (
        {"text": "hôm nay", "from": "now/d", "to": "now/d"},
        {"text": "hôm qua", "from": "now-1d/d", "to": "now-1d/d"},
        {"text": "7 ngày", "from": "now-6d/d", "to": "now/d"},
        {"text": "30 ngày", "from": "now-29d/d", "to": "now/d"},
    )


async def settle(
    variables: Sequence[Variable], asked: Mapping[str, str], read: Read, over: Range
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The value of each variable, and what pickers need: {name, label, hidden, current, options: [{value, text}]}.

    A choice of one variable is known to the SQL of those after it. Raises Misconfigured for a value that is not among the choices,
    Retry when they cannot be read.
    """
    chosen: dict[str, str] = {}
    shown: list[dict[str, Any]] = []
    for variable in variables:
        options = await variable.options(read, over, chosen)
        values = [value for value, _ in options]
        value = asked.get(variable.name)
        if value is None:
            value = variable.current if variable.current in values else (values or [NOBODY])[0]
        elif value not in values:
            raise Misconfigured(f"there is no such choice for {variable.name}", "choose one of those the board offers")
        chosen[variable.name] = value
        offered = [{"value": each, "text": text} for each, text in options]
        shown.append({"name": variable.name, "label": variable.label, "hidden": variable.hidden, "current": value, "options": offered})
    return chosen, shown
