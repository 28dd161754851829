"""What a rule measures, as one SQL statement over the views of the schema `board`: its value in the last minute that is over, by group."""
# ruff: noqa: S608 - the text is made of our own declarations and of numbers; names are quoted

from datetime import date, timedelta
from functools import cache

from grafana.sql import ZONE, quoted
from streams.department import department
from streams.rules.calendar import is_holiday
from streams.rules.measure import (
    ABSENT_MOST,
    ACTIVE_WITHIN,
    DAY,
    SIGN_MOST,
    SILENT_MOST,
    Absence,
    Completeness,
    Freshness,
    Offline,
    Rate,
    Ratio,
)
from streams.rules.rule import DAYS, Calendar, Rule, clock

YEARS = range(2026, 2032)
"""Whose public holidays stand in the SQL: a file must not change with the day it is built on."""
END = "date_trunc('minute', now())"


def column(rule: Rule) -> str:
    """What the column with the group's name is called, a label in Grafana; empty for the whole."""
    return {"whole": "", "unit": "name", "kind": "kind", "source": "source"}[rule.by]


def value(rule: Rule) -> str:
    """A row per group: labels, and one number. No row while data are missing and the rule holds: Grafana then keeps the state it has."""
    awake = _awake(rule.calendar)
    measured = f"coalesce(v.value, {_quiet(rule)})"
    where = ""
    if rule.table != "signs":
        if rule.missing == "hold":
            where = " WHERE h.ok OR NOT a.awake"
        else:
            measured = f"CASE WHEN h.ok THEN {measured} ELSE {_quiet(rule) if rule.missing == 'ok' else _hot(rule)} END"
    names = {
        "whole": "",
        "unit": "v.part AS unit, coalesce(u.name, v.part) AS name, ",
        "kind": "v.part AS kind, ",
        "source": "v.part AS source, ",
    }
    units = (
        " LEFT JOIN (SELECT DISTINCT ON (code) code, name FROM unit ORDER BY code, valid_from DESC) u ON u.code = v.part"
        if rule.by == "unit"
        else ""
    )
    return (
        f"WITH h AS ({_heard(rule)}), a AS (SELECT {awake} AS awake), v AS ({_values(rule)}) "
        f"SELECT {names[rule.by]}(CASE WHEN a.awake THEN {measured} ELSE {_quiet(rule)} END)::float8 AS value FROM v{units} CROSS JOIN h CROSS JOIN a{where}"
    )


def _quiet(rule: Rule) -> str:
    """A value at which nothing fires, and what fired ends."""
    when = rule.when
    at = when.clear if when.clear is not None else when.above if when.above is not None else when.below
    return _number(at or 0.0)


def _hot(rule: Rule) -> str:
    return _number(rule.when.above + 1 if rule.when.above is not None else (rule.when.below or 0.0) - 1)


def _number(value: float) -> str:
    return f"({value!r})::float8"


def _heard(rule: Rule) -> str:
    """Whether every source of the department gave its sign of life in time."""
    usual = department(rule.department).glass.silent_after_seconds
    limit = f"least(greatest(coalesce(speaks_within, interval '{usual} seconds'), interval '60 seconds'), interval '{SILENT_MOST} minutes')"
    return f"SELECT coalesce(bool_and(heard_at > now() - {limit}), true) AS ok FROM freshness WHERE department = {quoted(rule.department)}"


def _values(rule: Rule) -> str:
    """Columns part, value."""
    match rule.measure:
        case Freshness():
            return _fresh(rule)
        case Offline():
            return _offline(rule)
        case Absence():
            return _absent(rule)
    sums = ", ".join(f"sum({name}) AS {name}" for name in rule.columns)
    within = f"SELECT {_part(rule)} AS part, {sums} FROM {_rows(rule, rule.window)} GROUP BY 1"
    return f"SELECT g.part, {_expression(rule)} AS value FROM ({_groups(rule)}) g LEFT JOIN ({within}) w ON w.part = g.part"


def _expression(rule: Rule) -> str:
    match rule.measure:
        case Ratio(ratio=name, to=other, at_least=least):
            return f"CASE WHEN coalesce(w.{other}, 0) >= {least} THEN 100.0 * coalesce(w.{name}, 0) / w.{other} END"
        case Completeness(at_least=least):
            return f"CASE WHEN coalesce(w.received, 0) >= {least} THEN 100.0 * (w.received - w.conflict - w.quarantined) / w.received END"
        case Rate(per=per):
            return f"coalesce(w.{rule.columns[0]}, 0) * {per} / {rule.window}.0"
        case _:
            return f"coalesce(w.{rule.columns[0]}, 0)"


def _part(rule: Rule) -> str:
    return "''::text" if rule.across == "whole" else rule.across


def _rows(rule: Rule, minutes: int) -> str:
    """The rows of the last so many minutes that the rule looks at."""
    table = "ledger_1m" if rule.table == "ledger" else f"{rule.department}_1m"
    return f"{table} WHERE minute >= {END} - interval '{minutes} minutes' AND minute < {END}{_only(rule)}"


def _only(rule: Rule) -> str:
    conditions = [""]
    if rule.table == "ledger":
        conditions.append(f"department = {quoted(rule.department)}")
    if rule.across == "unit":
        conditions.append("unit IS NOT NULL")
    for name, chosen in (("unit", rule.only.unit), ("kind", rule.only.kind)):
        if chosen:
            conditions.append(f"{name} IN ({', '.join(map(quoted, chosen))})")
    return " AND ".join(conditions)


def _groups(rule: Rule) -> str:
    """Those there is something to say of; where nothing at all may be a reason to fire, those of the last days too."""
    if rule.across == "whole":
        return "SELECT ''::text AS part"
    if not rule.heeds_silence:
        return f"SELECT DISTINCT {_part(rule)} AS part FROM {_rows(rule, rule.memory)}"
    table, day = ("ledger", f"(hour AT TIME ZONE '{ZONE}')::date") if rule.table == "ledger" else (f"{rule.department}_1d", "day")
    today = f"(({END} - interval '1 minute') AT TIME ZONE '{ZONE}')::date"
    lately = f"SELECT {_part(rule)} AS part FROM {table} WHERE {day} BETWEEN {today} - {ACTIVE_WITHIN // DAY} AND {today} - 1{_only(rule)}"
    return f"{lately} UNION SELECT {_part(rule)} FROM {_rows(rule, rule.reach)}"


def _last(rule: Rule, minutes: int) -> str:
    """Columns part, ago: how many minutes before the last one the measure was not zero."""
    name = rule.columns[0]
    seen = f"SELECT {_part(rule)} AS part, minute FROM {_rows(rule, minutes)} GROUP BY 1, 2 HAVING sum({name}) <> 0"
    return f"SELECT part, extract(epoch FROM {END} - interval '1 minute' - max(minute)) / 60 AS ago FROM ({seen}) s GROUP BY 1"


def _absent(rule: Rule) -> str:
    return (
        f"SELECT g.part, least(coalesce(w.ago, {ABSENT_MOST}), {ABSENT_MOST}) AS value "
        f"FROM ({_groups(rule)}) g LEFT JOIN ({_last(rule, ABSENT_MOST)}) w ON w.part = g.part"
    )


def _offline(rule: Rule) -> str:
    return f"SELECT ''::text AS part, count(*) FILTER (WHERE ago >= {rule.window}) AS value FROM ({_last(rule, ACTIVE_WITHIN)}) w"


def _fresh(rule: Rule) -> str:
    seconds = f"least(extract(epoch FROM now() - heard_at), {SIGN_MOST * 60})"
    source = f"FROM freshness WHERE department = {quoted(rule.department)}"
    return (
        f"SELECT source AS part, {seconds} AS value {source}"
        if rule.by == "source"
        else f"SELECT ''::text AS part, max({seconds}) AS value {source}"
    )


def _awake(calendar: Calendar) -> str:
    """Whether the rule looks in the last minute that is over, Vietnamese time; a night belongs to the day it begins."""
    if calendar == Calendar():
        return "true"
    first, last = (clock(moment) for moment in calendar.hours.split("-"))
    local = f"(({END} - interval '1 minute') AT TIME ZONE '{ZONE}')"
    of_day = f"(extract(hour FROM {local}) * 60 + extract(minute FROM {local}))"
    hours = f"({of_day} >= {first} OR {of_day} < {last})" if last < first else f"({of_day} >= {first} AND {of_day} < {last})"
    day = f"({local} - interval '{last} minutes')::date" if last < first else f"{local}::date"
    numbers = ", ".join(str(DAYS.index(each) + 1) for each in calendar.days)
    said = f"{hours} AND extract(isodow FROM {day}) IN ({numbers})"
    return said if calendar.holidays else f"{said} AND {day} NOT IN ({', '.join(f'date {quoted(each)}' for each in _holidays())})"


@cache
def _holidays() -> tuple[str, ...]:
    days = (date(YEARS.start, 1, 1) + timedelta(days=number) for number in range((date(YEARS.stop, 1, 1) - date(YEARS.start, 1, 1)).days))
    return tuple(day.isoformat() for day in days if is_holiday(day))
