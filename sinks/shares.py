"""Shares: how much of one department's measure another department's measure comes to, where both are known."""

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from streams.department import Department
from streams.event import VIETNAM
from streams.figures import Share

_KEYS: dict[str, LiteralString] = {"total": "null::text", "day": "w.day", "unit": "w.unit"}


def shares(connection: psycopg.Connection[Any], chosen: Department, by: str, bounds: dict[str, Any]) -> dict[str, dict[Any, float]]:
    """share -> key -> percent, by total, day or unit; by anything else nobody knows it. A unit's day is in it where the whole is more than 0 there."""
    held = [(each.name, each.measured) for each in chosen.glass.shares if isinstance(each.measured, Share)]
    return {name: _share(connection, chosen.name, share, by, bounds) if by in _KEYS else {} for name, share in held}


def _share(connection: psycopg.Connection[Any], own: str, share: Share, by: str, bounds: dict[str, Any]) -> dict[Any, float]:
    day = sql.SQL("(minute at time zone {})::date").format(sql.Literal(str(VIETNAM)))
    sums = sql.SQL(
        "select {day} as day, unit, sum({measure}) as n from {table} where minute >= %(since)s and minute < %(until)s and known < %(as_of)s "
        "and unit <> '' group by 1, 2"
    )
    part = sums.format(day=day, measure=sql.Identifier(share.part), table=sql.Identifier(f"{own}_1m"))
    whole = sums.format(day=day, measure=sql.Identifier(share.whole), table=sql.Identifier(f"{share.of}_1m"))
    query = sql.SQL(
        "select {key}, round(100 * sum(coalesce(p.n, 0)) / sum(w.n), 1)::float8 from ({whole}) w left join ({part}) p using (day, unit) "
        "where w.n > 0 group by 1"
    ).format(key=sql.SQL(_KEYS[by]), whole=whole, part=part)
    return dict(connection.execute(query, bounds).fetchall())
