"""Minutes in columns, read from the views of the boards: what rules are decided from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from sinks.migrations import board
from streams.department import department
from streams.event import moment
from streams.rules.frame import Frame, Whole
from streams.rules.measure import Percentile
from streams.rules.rule import Rule

Connection = psycopg.Connection[Any]
MINUTE_US = 60_000_000


def load(connection: Connection, space: str, rule: Rule, since: int, until: int, clock: float = float("inf")) -> Frame:
    """The minutes of [since, until) that the rule is decided from: give it `rule.memory` more than are to be decided.

    The groups are those that have any row in them (for `whole` always the one). clock: as in `Frame`.
    """
    groups: tuple[str, ...] = ("",)
    columns: dict[str, Whole] = {}
    if rule.table != "signs":
        groups, columns = _columns(connection, space, rule, since, until)
    begun, limits = _sources(connection, space, rule.department)
    signs = _signs(connection, space, rule.department, [*begun], since, until)
    if rule.table == "signs" and rule.by == "source":
        groups = tuple(signs)
    return Frame(since, until - since, groups, columns, signs, begun, limits, clock)


def _columns(connection: Connection, space: str, rule: Rule, since: int, until: int) -> tuple[tuple[str, ...], dict[str, Whole]]:
    spread = isinstance(rule.measure, Percentile)
    chosen = department(rule.department)
    table = "ledger_1m" if rule.table == "ledger" else f"{chosen.histogram}_1m" if spread else f"{chosen.name}_1m"
    across = {"whole": sql.SQL("''"), "unit": sql.SQL("unit"), "kind": sql.SQL("kind"), "source": sql.SQL("source")}[rule.across]
    names = ["n"] if spread else [*rule.columns]
    conditions: list[sql.Composable] = [sql.SQL("minute >= %(since)s and minute < %(until)s")]
    if rule.across == "unit":
        conditions.append(sql.SQL("unit is not null"))  # of no unit, no unit's rule can speak
    if rule.table == "ledger":
        conditions.append(sql.SQL("department = %(department)s"))
    for name, chosen_ in (("unit", rule.only.unit), ("kind", rule.only.kind)):
        if chosen_:
            conditions.append(sql.SQL("{} = any({})").format(sql.Identifier(name), sql.Placeholder(name)))
    query = sql.SQL(
        "select extract(epoch from minute)::bigint / 60 as at, {across} as part{bound}, {sums} from {table} where {conditions} group by 1, 2{third}"
    ).format(
        across=across,
        bound=sql.SQL(", bound") if spread else sql.SQL(""),
        third=sql.SQL(", 3") if spread else sql.SQL(""),
        sums=sql.SQL(", ").join(sql.SQL("sum({0})::bigint").format(sql.Identifier(name)) for name in names),
        table=sql.Identifier(board(space), table),
        conditions=sql.SQL(" and ").join(conditions),
    )
    given = {
        "since": moment(since * MINUTE_US), "until": moment(until * MINUTE_US), "department": rule.department,
        "unit": [*rule.only.unit], "kind": [*rule.only.kind],
    }  # fmt: skip
    rows = connection.execute(query, given).fetchall()
    groups = ("",) if rule.across == "whole" else tuple(sorted({row[1] for row in rows}))
    place = {group: number for number, group in enumerate(groups)}
    keys = sorted({str(row[2]) for row in rows}) if spread else names
    columns = {key: np.zeros((len(groups), until - since), dtype=np.int64) for key in keys}
    for row in rows:
        at = row[0] - since
        if spread:
            columns[str(row[2])][place[row[1]], at] = row[3]
        else:
            for name, value in zip(names, row[2:], strict=True):
                columns[name][place[row[1]], at] = value
    return groups, columns


def _sources(connection: Connection, space: str, name: str) -> tuple[dict[str, int], dict[str, float]]:
    """Of each source ever heard, in its order: since which minute, and for how many seconds it may be silent, as it says itself or its department does."""
    usual = float(department(name).glass.silent_after_seconds)
    rows = connection.execute(
        sql.SQL("select source, extract(epoch from since)::bigint / 60, speaks_within from {} where department = %s order by 1").format(
            sql.Identifier(board(space), "source")
        ),
        [name],
    ).fetchall()
    return {source: since for source, since, _ in rows}, {source: usual if within is None else within for source, _, within in rows}


def _signs(connection: Connection, space: str, name: str, sources: Sequence[str], since: int, until: int) -> dict[str, Whole]:
    signs = {source: np.zeros(until - since, dtype=np.int64) for source in sources}
    rows = connection.execute(
        sql.SQL(
            "select source, extract(epoch from minute)::bigint / 60, extract(epoch from at)::bigint from {} "
            "where department = %s and minute >= %s and minute < %s"
        ).format(sql.Identifier(board(space), "sign")),
        [name, moment(since * MINUTE_US), moment(until * MINUTE_US)],
    )
    for source, minute, at in rows:
        if source in signs:
            signs[source][minute - since] = at
    return signs
