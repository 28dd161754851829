"""The builder of rules: what there is to choose from, and what a rule that nobody has switched on yet would have done in the last seven days."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from grafana.wall import assets, guard, login
from grafana.wall.library import Board
from sinks import frames, kept
from sinks.migrations import board as seen
from streams.department import departments
from streams.errors import Misconfigured, Retry
from streams.figures import Sum
from streams.rules import reading
from streams.rules.decide import decide
from streams.rules.firing import Span, spans
from streams.rules.frame import Frame, Real
from streams.rules.measure import DAY, LEDGER, MEASURES, Percentile
from streams.rules.rule import Rule

DAYS, STEP = 7, 15  # the last days, and so many minutes in one drawn point
MOST_CELLS = 6_000_000
BOUNDS, FEW = 60, 20  # columns of a histogram, kinds and sources of a department: more than there are
MOST_WAITING = 4
MOST_FRAMES, FRAME_SECONDS = 2, 60.0
SHOWN = 12
SECONDS = 8
_LEDGER = dict(zip(LEDGER, ("bản ghi nhận", "đúng giờ", "muộn", "trùng", "xung đột", "giữ lại"), strict=True))


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """text: the rule, as its file would say it."""

    text: str


@dataclass(frozen=True)
class _Held:
    frame: Frame
    since: int
    at: float


class Builder:
    """Pages and answers under /rules, by the reader role; one preview at a time. space: whose figures."""

    def __init__(self, dsn: str, space: str, boards: dict[str, Board]) -> None:
        self._space, self._boards = space, boards
        options = f"-c default_transaction_read_only=on -c statement_timeout={SECONDS * 1000} -c timezone=UTC"
        self._dsn = make_conninfo(dsn, options=options, connect_timeout="3", application_name="ioc-rules")
        self._frames: OrderedDict[tuple[Any, ...], _Held] = OrderedDict()
        self._names: dict[str, str] = {}
        self._one = asyncio.Lock()
        self._waiting = 0

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/rules/new", self.page),
            Route("/api/rules/words", self.words),
            Route(guard.PREVIEW, self.preview, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return FileResponse(assets.STATIC / "rules.html", headers={"cache-control": "no-cache"})

    async def words(self, request: Request) -> Response:
        """What a rule can be made of: departments with their measures, kinds of measures, boards."""
        found = []
        for each in departments():
            labels = {f.measured.measure: f.label for f in each.glass.figures if isinstance(f.measured, Sum)}
            measures = [{"name": name, "label": labels.get(name, name)} for name in each.measures]
            found.append({"name": each.name, "label": each.glass.label, "measures": measures, "histogram": each.histogram})
        ledger = [{"name": name, "label": label} for name, label in _LEDGER.items()]
        boards = [{"uid": board.uid, "title": board.title} for board in self._boards.values() if not board.variables]
        return _json({"departments": found, "ledger": ledger, "kinds": MEASURES, "boards": boards})

    async def preview(self, request: Request) -> Response:
        """What is wrong with the rule, or its values and firings. Raises Misconfigured when it is too much to look at, Retry."""
        try:
            text = msgspec.json.decode(await login.body(request, guard.PREVIEW_LIMIT_BYTES), type=Asked).text
        except (msgspec.MsgspecError, ValueError, TimeoutError):
            return _json({"error": "send the rule as text"}, 400)
        rule = reading.read(text)
        if not isinstance(rule, Rule):
            return _json({"wrong": [wrong._asdict() for wrong in rule]})
        if self._waiting >= MOST_WAITING:
            raise Retry("too many look at rules at once", "try again", 2)
        self._waiting += 1
        try:
            async with self._one:
                return _json(await asyncio.to_thread(self._looked, rule))
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Retry("the database is away or the question takes too long", "choose fewer places") from error
        finally:
            self._waiting -= 1

    def _looked(self, rule: Rule) -> dict[str, Any]:
        held = self._held(rule)
        decided = decide(rule, held.frame, held.since)
        fired = list(spans(rule, decided))
        step = _stepped(rule, decided.values)
        order = _order(rule, decided.groups, fired, step)
        shown = [
            {
                "group": decided.groups[at],
                "name": self._names.get(decided.groups[at], decided.groups[at]),
                "values": [None if np.isnan(value) else round(float(value), 4) for value in step[at]],
                "firings": [[s.since, s.until, s.peak] for s in fired if s.group == decided.groups[at]],
            }
            for at in order[:SHOWN]
        ]
        told = {"from": held.since, "minutes": decided.states.shape[1], "step": STEP, "groups": shown, "more": max(0, len(order) - SHOWN)}
        return {**told, "firings": len(fired), "rings": _rings(fired), "per_week": rule.calls_per_week, "tests": len(rule.tests)}

    def _held(self, rule: Rule) -> _Held:
        """The frame a rule is decided from; one that differs in threshold only is decided from the same, for a minute."""
        name = (*kept.key(rule), rule.by, rule.memory)
        held = self._frames.get(name)
        if held is None or time.monotonic() - held.at > FRAME_SECONDS:
            now = time.time()
            until = int(now // 60) + 1
            since = until - DAYS * DAY
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                self._fits(connection, rule)
                frame = frames.load(connection, self._space, rule, since - rule.memory, until, now)
            self._frames[name] = held = _Held(frame, since, time.monotonic())
            while len(self._frames) > MOST_FRAMES:
                self._frames.popitem(last=False)
        return held

    def _fits(self, connection: psycopg.Connection[Any], rule: Rule) -> None:
        rows = connection.execute(
            sql.SQL("select distinct on (code) code, name, kind from {} order by code, valid_from desc").format(
                sql.Identifier(seen(self._space), "unit")
            )
        ).fetchall()
        self._names = {code: name for code, name, _ in rows}
        kind = next(each.glass.place_kind for each in departments() if each.name == rule.department)
        units = len(rule.only.unit) or sum(of == kind for *_, of in rows)
        groups = {"whole": 1, "unit": units, "kind": len(rule.only.kind) or FEW, "source": FEW}[rule.across]
        columns = BOUNDS if isinstance(rule.measure, Percentile) else max(1, len(rule.columns))
        if groups * columns * (rule.memory + DAYS * DAY) > MOST_CELLS:
            raise Misconfigured("this rule looks at too much to be shown at once", "choose fewer places, or fewer weeks to compare with")


def _stepped(rule: Rule, values: Real) -> Real:
    """The value of each step that is farthest towards firing."""
    wide = -(-values.shape[1] // STEP) * STEP
    padded = np.full((values.shape[0], wide), np.nan)
    padded[:, : values.shape[1]] = values
    steps = padded.reshape(values.shape[0], -1, STEP)
    farthest = np.fmax if rule.when.above is not None else np.fmin
    return np.asarray(farthest.reduce(steps, axis=2), dtype=np.float64)


def _order(rule: Rule, groups: tuple[str, ...], fired: list[Span], step: Real) -> list[int]:
    """Those that fire first, then those that come nearest to it."""
    often = [sum(span.group == group for span in fired) for group in groups]
    sign = 1 if rule.when.above is not None else -1
    near = np.nan_to_num(np.fmax.reduce(sign * step, axis=1), nan=-np.inf) if step.size else np.zeros(len(groups))
    return sorted(range(len(groups)), key=lambda at: (-often[at], -near[at], groups[at]))


def _rings(fired: list[Span]) -> int:
    """How often it would have rung: firings that touch are one alarm."""
    count, reached = 0, -1
    for span in sorted(fired, key=lambda each: each.since):
        if span.since > reached:
            count += 1
        reached = max(reached, span.until if span.until is not None else 2**62)
    return count


def _json(found: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(found), status, media_type="application/json", headers={"cache-control": "no-store"})
