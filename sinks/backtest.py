"""A rule decided over minutes gone by, in one pass over columns, as the live evaluator would have."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from sinks import frames
from sinks.migrations import board
from streams.event import moment
from streams.rules.decide import Decided, decide
from streams.rules.firing import Span, firing, spans
from streams.rules.frame import Flags, Frame, spliced
from streams.rules.looking import Incident
from streams.rules.measure import DAY
from streams.rules.rule import Rule

Connection = psycopg.Connection[Any]
OPTIONS = "-c work_mem=256MB -c statement_timeout=0"
"""What a connection for backtests is opened with."""
LONG = 14 * DAY
"""From here on reading in two halves pays."""


@dataclass(frozen=True)
class Backtest:
    """What a rule decided over [since, until), minutes since 1970. frame: what it was decided from; inhibited: the minutes it was held in."""

    rule: Rule
    since: int
    until: int
    frame: Frame
    decided: Decided
    spans: tuple[Span, ...]
    inhibited: Flags | None


def run(
    connection: Connection, space: str, rule: Rule, since: int, until: int, others: Mapping[str, Rule], beside: Connection | None = None
) -> Backtest:
    """Decide the rule's minutes of [since, until). others: by name, the rules that inhibit it; those that are not given hold nothing back.
    beside: a second connection, so that the two halves of a long time are read at once. (Seven parameters: where and what.)"""

    def load(of: Rule) -> Frame:
        first = since - of.memory
        if beside is None or until - first < LONG:
            return frames.load(connection, space, of, first, until)
        middle = (first + until) // 2
        for each in (connection, beside):
            each.execute("set max_parallel_workers_per_gather = 0")  # handing arrays from one process to another costs more than it saves
        with ThreadPoolExecutor(1) as pool:
            before = pool.submit(frames.load, beside, space, of, first, middle)
            after = frames.load(connection, space, of, middle, until)
            return spliced(before.result(), after)

    return _run(load, rule, since, until, others, {})


def _run(
    load: Callable[[Rule], Frame], rule: Rule, since: int, until: int, others: Mapping[str, Rule], known: dict[str, Backtest]
) -> Backtest:
    inhibited = None
    for name in rule.inhibited_by:
        if name in others:
            if name not in known:
                known[name] = _run(load, others[name], since, until, others, known)
            held = firing(known[name].spans, since, until)
            inhibited = held if inhibited is None else np.asarray(inhibited | held)
    frame = replace(load(rule), clock=until * 60.0)
    decided = decide(rule, frame, since, inhibited=inhibited)
    decided = replace(decided, states=decided.states[:, : until - since], values=decided.values[:, : until - since])
    return Backtest(rule, since, until, frame, decided, tuple(spans(rule, decided)), inhibited)


def incidents(connection: Connection, space: str, department: str, since: int, until: int) -> list[Incident]:
    """What people labelled as having happened in a department, in that time."""
    rows = connection.execute(
        sql.SQL(
            "select coalesce(unit, ''), extract(epoch from since)::bigint / 60, ceil(extract(epoch from until) / 60)::bigint from {} "
            "where department = %s and until > %s and since < %s order by since"
        ).format(sql.Identifier(board(space), "incident")),
        [department, moment(since * 60_000_000), moment(until * 60_000_000)],
    )
    return [Incident(*row) for row in rows]


def first_minute(connection: Connection, space: str, department: str) -> int | None:
    """Since when there are figures of a department at all."""
    row = connection.execute(
        sql.SQL("select extract(epoch from min(minute))::bigint / 60 from {}").format(sql.Identifier(board(space), f"{department}_1m"))
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])
