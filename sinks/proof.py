"""Whether the firings that were decided live are those that a backtest of the same minutes decides."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import stamina
from psycopg.errors import SerializationFailure

from sinks import frames
from sinks.evaluator import Evaluator, standing
from sinks.frames import Connection
from sinks.round import Standing
from streams.rules.decide import decide
from streams.rules.firing import Change, Span, firing, spans, stood
from streams.rules.values import groups


class Differs(NamedTuple):
    """A span that only one side has. live: whether it was decided live, else only by the backtest."""

    rule: str
    live: bool
    span: Span


@dataclass(frozen=True)
class Proof:
    """What was compared: how many rules, and spans of the backtest; and the differences, earliest first."""

    rules: int
    spans: int
    differences: tuple[Differs, ...]


def prove(dsn: str, space: str, since: int | None = None, until: int | None = None) -> Proof:
    """As `verify`, with all that is owed decided first, at any time, while events arrive; what that decides is not kept. dsn: of the ingest role.
    Raises Retry while the database is away."""

    def silent(connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
        """Nobody is told."""

    evaluator = Evaluator(dsn, space, silent)
    try:
        for attempt in stamina.retry_context(on=SerializationFailure, attempts=10, wait_initial=0.1):
            with attempt:
                return evaluator.settled(lambda connection: verify(connection, space, since, until))
    finally:
        evaluator.close()
    raise AssertionError  # retry_context either returns or raises


def verify(connection: Connection, space: str, since: int | None = None, until: int | None = None) -> Proof:
    """Decide every rule's minutes of [since, until) again, from what is known now, and compare with what stands. Minutes since 1970; None: from
    where the rule's version began, to where it is decided.

    A span that reaches `until` is compared by its beginning alone. `connection` sees the space's tables (search_path).
    """
    judged = dict(connection.execute("select rule, extract(epoch from until)::bigint / 60 from judged").fetchall())
    fired: dict[str, list[Span]] = {}
    compared, differences = 0, list[Differs]()
    for each in standing(connection):
        name = each.rule.rule
        first, last = max(each.since, since or 0), min(judged.get(name, 0), until or judged.get(name, 0))
        if last <= first:
            continue
        stored = _stored(connection, name, first)
        again = _again(connection, space, each, first, last, stored, fired)
        fired[name] = again
        compared += len(again)
        ours, theirs = ({*_clipped(found, first, last)} for found in (stored, again))
        differences += [Differs(name, True, span) for span in ours - theirs] + [Differs(name, False, span) for span in theirs - ours]
    return Proof(len(judged), compared, tuple(sorted(differences, key=lambda d: (d.span.since, d.rule, d.span.group))))


def doubling(connection: Connection) -> frozenset[str]:
    """The standing rules that a replay which plays each record twice decides otherwise: those that count what came again, and those they inhibit."""
    found: set[str] = set()
    for each in standing(connection):  # each after those that inhibit it
        counts = each.rule.table == "ledger" and {"received", "duplicate"} & {*each.rule.columns}
        if counts or found & {*each.rule.inhibited_by}:
            found.add(each.rule.rule)
    return frozenset(found)


def same(live: Connection, replay: Connection, since: int, until: int, but: Collection[str] = ()) -> tuple[int, list[Differs]]:
    """How many firings of live lie in [since, until), and those that only one of two spaces has: live and a replay of all it was told. Minutes.
    but: rules that are left out."""
    judged = [dict(each.execute("select rule, extract(epoch from until)::bigint / 60 from judged").fetchall()) for each in (live, replay)]
    count, differs = 0, list[Differs]()
    for each in standing(live):
        name = each.rule.rule
        first, last = max(each.since, since), min(until, *(held.get(name, 0) for held in judged))
        if last > first and name not in but:
            ours, theirs = ({*_clipped(_stored(of, name, first), first, last)} for of in (live, replay))
            count += len(ours)
            differs += [Differs(name, True, span) for span in ours - theirs] + [Differs(name, False, span) for span in theirs - ours]
    return count, sorted(differs, key=lambda d: (d.span.since, d.rule, d.span.group))


def _stored(connection: Connection, rule: str, since: int) -> list[Span]:
    rows = connection.execute(
        "select unit, inhibited, extract(epoch from since)::bigint / 60, extract(epoch from until)::bigint / 60, peak from firing "
        "where rule = %s and withdrawn_at is null and (until is null or until >= to_timestamp(%s))",
        [rule, since * 60],
    )
    return [Span(*row) for row in rows]


def _again(
    connection: Connection, space: str, each: Standing, since: int, until: int, stored: list[Span], fired: dict[str, list[Span]]
) -> list[Span]:
    rule = each.rule
    frame = frames.load(connection, space, rule, since - rule.memory, until)
    if rule.by != "whole":
        frame = frame.among(span.group for span in stored)
    before = stood(groups(rule, frame), stored, since)
    inhibited = firing((span for name in rule.inhibited_by for span in fired.get(name, [])), since, until)
    return [*spans(rule, decide(rule, replace(frame, clock=until * 60.0), since, before, inhibited))]


def _clipped(found: list[Span], since: int, until: int) -> Iterator[Span]:
    for span in found:
        if span.since >= until or (span.until is not None and span.until <= since):
            continue
        lasts = span.until is None or span.until >= until
        peak = None if lasts or span.since <= since else span.peak  # one that stood before may have peaked there
        yield Span(span.group, span.inhibited, max(since, span.since), None if lasts else span.until, peak)
