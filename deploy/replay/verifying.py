"""Whether live is what its arrivals make: a period played again into a scratch space, shuffled and doubled, and everything derived compared."""

import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from deploy import spaces as whole
from deploy.embedded import parts
from deploy.replay.control import Control, reaching
from deploy.replay.following import Following
from deploy.replay.player import Player
from deploy.replay.producing import Producing
from deploy.replay.running import settled
from deploy.replay.worker import Worker
from deploy.replay.yielding import Yielding
from sinks import blame, compare, extent, history, proof, spaces
from sinks.archive import reading as archived
from sinks.compare import Difference
from sinks.history import Period, Record
from sinks.idle import give_way
from sinks.migrations import schema
from sinks.roles import ingest_dsn, replay_dsn
from sinks.seeding import seed
from streams.department import NAMES, Department, department
from streams.event import moment
from streams.settings import Settings
from streams.topics import LIVE

MINUTE_US = 60_000_000
WINDOW = 20_000
"""Records among which the order is lost."""
SCRATCH = "verify-"


@dataclass(frozen=True)
class Found:
    """What came of it. whole: the period has all that live was ever told, so firings were compared as they stand, else by deciding them again.
    cells: rows of rollups and arrivals; lives: histories of subjects. seconds: played and followed, then compared."""

    period: Period
    events: int
    cells: int
    lives: int
    firings: int
    whole: bool
    differences: tuple[dict[str, Any], ...]
    played_seconds: float
    compared_seconds: float

    def as_json(self) -> dict[str, Any]:
        """As `ioc replay verify` answers."""
        return {
            "equal": not self.differences, "events": self.events, "cells": self.cells, "lives": self.lives, "firings": self.firings,
            "first_difference": self.differences[0] if self.differences else None, "differences": len(self.differences),
            "from": moment(self.period.since_us).isoformat(), "to": moment(self.period.until_us).isoformat(), "whole": self.whole,
            "played_seconds": round(self.played_seconds, 1), "compared_seconds": round(self.compared_seconds, 1),
        }  # fmt: skip


def verify(
    settings: Settings,
    since: datetime,
    until: datetime,
    in_order: bool,
    who: str,
    code: Path | None = None,
    begun: Callable[[Settings], None] = lambda _: None,
) -> Found | None:
    """Play what arrived in [since, until), whole minutes, as fast as it goes; None where nothing did. code: a checkout that derives it instead of this
    program. begun: told the scratch space's settings once it plays. The space is dropped in the end."""
    live = settings.model_copy(update={"space": LIVE})
    name = SCRATCH + secrets.token_hex(4)
    options = f"-c search_path={schema(LIVE)},public -c application_name=ioc-replay"
    with Yielding(live.model_copy(update={"space": name})) as gives_way:
        try:
            with reaching(), psycopg.connect(replay_dsn(live), options=options, connect_timeout=5) as snapshot:
                give_way(snapshot)
                snapshot.execute("set transaction isolation level repeatable read")
                period, is_whole, from_beginning = _period(snapshot, since, until)
                if period is None:
                    return None
                own = whole.make(live, name, label="kiểm chứng", rules="live", code=code, fleeting=True)
                return _verify(snapshot, live, own, period, is_whole, from_beginning, in_order, who, code, begun, gives_way.most)
        finally:
            _forget(live, name)


def _forget(live: Settings, name: str) -> None:
    """Drop the scratch space, if it was made."""
    with Control(replay_dsn(live)) as control:
        control.say(name, state="stopped", ended_at=datetime.now(UTC))
    with psycopg.connect(parts.find(live).dsn) as connection:
        give_way(connection)
        there = name in {each.name for each in spaces.listed(connection)}
    if there:
        whole.drop(live, parts.find(live), name)


def _verify(
    snapshot: psycopg.Connection[Any], live: Settings, own: Settings, period: Period, is_whole: bool, from_beginning: bool, in_order: bool,
    who: str, code: Path | None, begun: Callable[[Settings], None], most: Callable[[], float | None],
) -> Found:  # fmt: skip
    events = extent.count(snapshot, period)
    with Control(replay_dsn(live)) as control:
        control.begin(own.space, period, None, None, who, events if in_order else 2 * events)
        with psycopg.connect(parts.find(live).dsn, autocommit=True, options=f"-c search_path={schema(own.space)},public") as connection:
            give_way(connection)
            if not from_beginning:
                seed(snapshot, connection, period)
            if not is_whole:
                connection.execute("update rule set enabled = false")  # they look at minutes from before the period
        begun(own)
        started = datetime.now(UTC)
        uvloop.run(_play(snapshot, own, period, control, in_order, code, most))
        played = datetime.now(UTC)
    cells, lives, differences = _compared(snapshot, own, period, is_whole)
    firings, more = _firings(snapshot, live, own, period, is_whole, in_order)
    differences = [*differences, *more]
    spent = (played - started).total_seconds()
    return Found(period, events, cells, lives, firings, is_whole, tuple(differences), spent, (datetime.now(UTC) - played).total_seconds())


def _period(snapshot: psycopg.Connection[Any], since: datetime, until: datetime) -> tuple[Period | None, bool, bool]:
    """What arrived in whole minutes, cut to what there is; whether that is all there ever was; whether it begins where all began."""
    held = extent.between(snapshot, NAMES, "known_at")
    if held is None:
        return None, False, False
    first, last = held[0] // MINUTE_US * MINUTE_US, (held[1] // MINUTE_US + 1) * MINUTE_US
    since_us, until_us = (round(at.timestamp()) // 60 * MINUTE_US for at in (since, until))
    since_us, until_us = max(since_us, first), last if until_us > held[1] else until_us
    if since_us >= until_us:
        return None, False, False
    period = Period(since_us, until_us, "known_at", NAMES, settled=True)
    return period, (since_us, until_us) == (first, last), since_us == first


def shuffled(records: Iterator[Record], seed: int) -> Iterator[Record]:
    """Each record twice, in any order within a window."""
    chance, held = random.Random(seed), list[Record]()  # noqa: S311  # nobody must not guess it
    for record in records:
        held += (record, record)
        while len(held) > WINDOW:
            place = chance.randrange(len(held))
            held[place], held[-1] = held[-1], held[place]
            yield held.pop()
    chance.shuffle(held)
    yield from held


async def _play(
    snapshot: psycopg.Connection[Any], own: Settings, period: Period, control: Control, in_order: bool, code: Path | None,
    most: Callable[[], float | None],
) -> None:  # fmt: skip
    def source() -> Iterator[Record]:
        read = archived.reader(own.model_copy(update={"space": LIVE}))
        told = history.records(snapshot, period, False, read)
        # What came again comes after everything else: a second body before its first would be the first.
        return chain(told if in_order else shuffled(told, period.since_us), history.again(snapshot, period))

    producing = Producing(own, parts.find(own).bootstrap)
    following = Following(replay_dsn(own), own.space, period.since_us)
    worker = Worker(own, code)
    row = replace(control.row(own.space), clock=moment(period.since_us))
    player = Player(
        row,
        control,
        producing,
        following,
        lambda _: source,
        lambda: None,
        lambda: settled(own, moment(period.until_us)),
        worker.ensure,
        most,
    )
    try:
        await producing.start()
        await player.play()
    finally:
        await producing.stop()
        following.close()
        worker.end()


def _compared(snapshot: psycopg.Connection[Any], own: Settings, period: Period, is_whole: bool) -> tuple[int, int, list[dict[str, Any]]]:
    """Rows and histories compared, and the differences, the first with the events behind it."""
    cells = lives = 0
    found: list[tuple[Department | None, Difference]] = []
    with psycopg.connect(replay_dsn(own), autocommit=True, connect_timeout=5) as replay:
        give_way(replay)
        for chosen in map(department, period.departments):
            for table in compare.tables(chosen):
                compare.bring(replay, snapshot, own.space, table.name)
                found += [(chosen, each) for each in compare.rows(snapshot, table, period)]
                cells += compare.count(snapshot, table, period)
            found += [(chosen, each) for each in compare.sums(snapshot, chosen)]
            for kind in chosen.life.states:
                compare.bring(replay, snapshot, own.space, f"{chosen.name}_{kind}")
                found += [(chosen, each) for each in compare.lives(snapshot, chosen, kind, period, is_whole)]
                lives += compare.lives_count(snapshot, chosen, kind)
        owed = snapshot.execute("select exists (select from owed)").fetchone()
        if is_whole and owed and not owed[0]:
            for table in compare.ARRIVALS:
                compare.bring(replay, snapshot, own.space, table.name)
                found += [(None, each) for each in compare.rows(snapshot, table, period)]
                cells += compare.count(snapshot, table, period)
    told = [each.as_json() for _, each in found]
    if found and (of := found[0][0]) is not None:
        told[0] |= {"events": blame.behind(snapshot, of, found[0][1])}
    return cells, lives, told


def _firings(
    snapshot: psycopg.Connection[Any], live: Settings, own: Settings, period: Period, is_whole: bool, in_order: bool
) -> tuple[int, list[dict[str, Any]]]:
    """Firings as live has them against those decided again from live's own figures; and, where the space had everything, against the space's."""
    since, until = period.since_us // MINUTE_US, period.until_us // MINUTE_US
    proven = proof.prove(ingest_dsn(live), LIVE, since, until)
    told = [_span(each.rule, each.live, each.span, "decided again") for each in proven.differences]
    owed = snapshot.execute("select exists (select from owed_minute where minute < %s)", [moment(period.until_us)]).fetchone()
    if is_whole and owed and not owed[0]:
        with psycopg.connect(ingest_dsn(own), options=f"-c search_path={schema(own.space)},public") as connection:
            count, differs = proof.same(snapshot, connection, since, until, () if in_order else proof.doubling(snapshot))
        return count, told + [_span(each.rule, each.live, each.span, "replay") for each in differs]
    return proven.spans, told


def _span(rule: str, live: bool, span: Any, other: str) -> dict[str, Any]:
    held = {
        "from": moment(span.since * MINUTE_US).isoformat(),
        "to": span.until and moment(span.until * MINUTE_US).isoformat(),
        "peak": span.peak,
    }
    return {
        "table": "firing",
        "rule": rule,
        "group": span.group,
        "live": held if live else None,
        "replay": None if live else held,
        "by": other,
    }
