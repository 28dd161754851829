"""Minutes in columns, read from the views of the boards: what rules are decided from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import pq, sql
from psycopg.adapt import Buffer, Loader
from psycopg.postgres import types

from sinks.migrations import board
from streams.department import department
from streams.event import VIETNAM_OFFSET_US, moment
from streams.rules.frame import Frame, Whole
from streams.rules.measure import ACTIVE_WITHIN, DAY, Percentile
from streams.rules.rule import Rule

Connection = psycopg.Connection[Any]
MINUTE_US = 60_000_000
_OFFSET = VIETNAM_OFFSET_US // MINUTE_US
_EPOCH_2000_US = 946_684_800_000_000
_ELEMENT = np.dtype([("bytes", ">i4"), ("value", ">i8")])


class _Numbers(Loader):
    """An array of whole numbers or of times (then microseconds since 2000), none null: PostgreSQL's own bytes, looked at in place."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> NDArray[np.int64]:
        return np.frombuffer(data, _ELEMENT, offset=20)["value"].astype(np.int64)


def load(connection: Connection, space: str, rule: Rule, since: int, until: int, clock: float = float("inf")) -> Frame:
    """The minutes of [since, until) that the rule is decided from: give it `rule.memory` more than are to be decided.

    The groups are those that have any row in them and, where it matters, on the days before (for `whole` always the one). clock: as in `Frame`.
    """
    groups: tuple[str, ...] = ("",)
    columns: dict[str, Whole] = {}
    days = _days(connection, space, rule, since, until) if rule.heeds_silence else None
    if rule.table != "signs":
        rows = _rows(connection, space, rule, since, until)
        groups = ("",) if rule.across == "whole" else tuple(sorted({row[0] for row in rows} | {*(days or ())}))
        columns = _columns(rule, groups, rows, since, until)
    begun, ended, limits = _sources(connection, space, rule.department)
    signs = _signs(connection, space, rule.department, [*begun], since, until)
    if rule.table == "signs" and rule.by == "source":
        groups = tuple(signs)
    return Frame(since, until - since, groups, columns, signs, begun, ended, limits, clock, days)


def _rows(connection: Connection, space: str, rule: Rule, since: int, until: int) -> list[tuple[Any, ...]]:
    """(group, bound or null, minutes, and as many numbers of each measure)."""
    chosen, spread = department(rule.department), isinstance(rule.measure, Percentile)
    table = "ledger_1m" if rule.table == "ledger" else f"{chosen.histogram}_1m" if spread else f"{chosen.name}_1m"
    names = ["n"] if spread else [*rule.columns]
    query = sql.SQL(
        "select {across} as part, {bound} as bound, array_agg(minute), {numbers} from {table} "
        "where minute >= %(since)s and minute < %(until)s and {only} group by 1, 2"
    ).format(
        across=_across(rule),
        bound=sql.SQL("bound") if spread else sql.SQL("null::int"),
        numbers=sql.SQL(", ").join(sql.SQL("array_agg({})").format(sql.Identifier(name)) for name in names),
        table=sql.Identifier(board(space), table),
        only=_only(rule),
    )
    with connection.cursor(binary=True) as cursor:
        for name in ("int8", "timestamptz"):
            cursor.adapters.register_loader(types[name].array_oid, _Numbers)
        rows = cursor.execute(query, _given(rule, since, until)).fetchall()
    return [
        row for row in rows if row[0] is not None
    ]  # of no unit, no unit's rule can speak; a condition would be asked of millions of rows


def _columns(rule: Rule, groups: tuple[str, ...], rows: Sequence[tuple[Any, ...]], since: int, until: int) -> dict[str, Whole]:
    spread = isinstance(rule.measure, Percentile)
    place = {group: number for number, group in enumerate(groups)}
    names = sorted({str(row[1]) for row in rows}) if spread else rule.columns
    columns = {name: np.zeros((len(groups), until - since), dtype=np.int64) for name in names}
    for part, bound, minutes, *numbers in rows:
        at = (minutes + _EPOCH_2000_US) // MINUTE_US - since
        for name, values in zip([str(bound)] if spread else names, numbers, strict=True):
            np.add.at(columns[name][place[part]], at, values)
    return columns


def _days(connection: Connection, space: str, rule: Rule, since: int, until: int) -> dict[str, frozenset[int]]:
    """Of each group the days on which it had any row, from those on that are remembered."""
    ledger = rule.table == "ledger"
    query = sql.SQL(
        "select part, array_agg(day - date '1970-01-01') from (select distinct {across} as part, {day} as day from {table} where {only}) d "
        "where day between date '1970-01-01' + %(first)s and date '1970-01-01' + %(last)s group by 1"
    ).format(
        across=_across(rule),
        day=sql.SQL("(hour at time zone 'Asia/Ho_Chi_Minh')::date") if ledger else sql.SQL("day"),
        table=sql.Identifier(board(space), "ledger" if ledger else f"{rule.department}_1d"),
        only=_only(rule),
    )
    return {group: frozenset(days) for group, days in connection.execute(query, _given(rule, since, until)) if group is not None}


def _day(minute: int) -> int:
    return (minute + _OFFSET) // DAY


def _across(rule: Rule) -> sql.Composable:
    return sql.SQL("''") if rule.across == "whole" else sql.Identifier(rule.across)


def _only(rule: Rule) -> sql.Composable:
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if rule.table == "ledger":
        conditions.append(sql.SQL("department = %(department)s"))
    for name, chosen in (("unit", rule.only.unit), ("kind", rule.only.kind)):
        if chosen:
            conditions.append(sql.SQL("{} = any({})").format(sql.Identifier(name), sql.Placeholder(name)))
    return sql.SQL(" and ").join(conditions)


def _given(rule: Rule, since: int, until: int) -> dict[str, object]:
    return {
        "since": moment(since * MINUTE_US), "until": moment(until * MINUTE_US), "department": rule.department, "unit": [*rule.only.unit],
        "kind": [*rule.only.kind], "first": _day(since) - ACTIVE_WITHIN // DAY, "last": _day(until),
    }  # fmt: skip


def _sources(connection: Connection, space: str, name: str) -> tuple[dict[str, int], dict[str, int], dict[str, float]]:
    """Of each source ever heard, in its order: its first minute, its last one, and for how many seconds it may be silent, as it says itself or its
    department does."""
    usual = float(department(name).glass.silent_after_seconds)
    rows = connection.execute(
        sql.SQL(
            "select source, extract(epoch from since)::bigint / 60, extract(epoch from until)::bigint / 60, coalesce(speaks_within, %s) "
            "from {} where department = %s order by 1"
        ).format(sql.Identifier(board(space), "source")),
        [usual, name],
    ).fetchall()
    return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}, {row[0]: row[3] for row in rows}


def _signs(connection: Connection, space: str, name: str, sources: Sequence[str], since: int, until: int) -> dict[str, Whole]:
    signs = {source: np.zeros(until - since, dtype=np.int64) for source in sources}
    query = sql.SQL(
        "select source, array_agg(minute), array_agg(at) from {} where department = %s and minute >= %s and minute < %s group by 1"
    )
    with connection.cursor(binary=True) as cursor:
        cursor.adapters.register_loader(types["timestamptz"].array_oid, _Numbers)
        cursor.execute(query.format(sql.Identifier(board(space), "sign")), [name, moment(since * MINUTE_US), moment(until * MINUTE_US)])
        for source, minutes, at in cursor:
            if source in signs:
                np.maximum.at(signs[source], (minutes + _EPOCH_2000_US) // MINUTE_US - since, (at + _EPOCH_2000_US) // 1_000_000)
    return signs
