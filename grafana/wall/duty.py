"""Duty at the wall: what rings and rang, by the reader role; taking an alarm and silencing a rule, by a role that may do nothing else."""
# ruff: noqa: S608 - the text is made of our own words only; what people send goes in as values

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from grafana.wall import guard, login, stamp
from grafana.wall.alarms import OPEN, UNITS, WATCHED
from grafana.wall.room import Room
from sinks import alarms
from sinks.migrations import schema
from streams.errors import Misconfigured, Retry
from streams.rules import reading
from streams.rules.rule import Rule

LONGEST_SILENCE_HOURS = 7 * 24
DAYS = 30

_FIRED = f"""SELECT f.rule, f.unit, coalesce(u.name, f.unit) AS name, f.inhibited, f.since, f.until, f.peak, f.alarm
FROM firing f LEFT JOIN {UNITS} u ON u.code = f.unit
WHERE f.until IS NULL OR f.until > now() - interval '{DAYS} days' ORDER BY f.rule, f.unit NULLS FIRST, f.since LIMIT 5000"""
_SILENCES = f"""SELECT s.rule, s.unit, coalesce(u.name, s.unit) AS name, s.since, s.until, s.who, s.why
FROM silence s LEFT JOIN {UNITS} u ON u.code = s.unit WHERE s.until > now() ORDER BY s.until LIMIT 200"""
_ALARM = "SELECT * FROM alarm WHERE id = %(alarm)s"
_OF_ALARM = f"""SELECT f.unit, coalesce(u.name, f.unit) AS name, f.since, f.until, f.peak FROM firing f LEFT JOIN {UNITS} u ON u.code = f.unit
WHERE f.alarm = %(alarm)s ORDER BY f.since, f.unit LIMIT 500"""
_MESSAGES = """SELECT channel, word, state, made_at, due_at, sent_at, tries, wrong FROM outbox WHERE alarm = %(alarm)s ORDER BY made_at, id LIMIT 200"""
_RULES = "SELECT name, body FROM rule WHERE name = ANY(%(names)s)"

log = structlog.get_logger()
T = TypeVar("T")
Why = Annotated[str, msgspec.Meta(min_length=3, max_length=400)]


class Take(msgspec.Struct, forbid_unknown_fields=True):
    """An alarm is taken: why says what is being done."""

    why: Why


class Hush(msgspec.Struct, forbid_unknown_fields=True):
    """A rule, or one group of it, rings nobody for so many hours."""

    rule: Annotated[str, msgspec.Meta(max_length=60)]
    hours: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_SILENCE_HOURS)]
    why: Why
    unit: Annotated[str, msgspec.Meta(max_length=60)] | None = None


class Duty:
    """Pages and answers under /alarms, of the room's space. dsn: of the role that may write, None where nobody can."""

    def __init__(self, room: Room, dsn: str | None) -> None:
        self._reader, self._clock, self._changed = room.reader, room.clock, room.hub.wake
        options = f"-c search_path={schema(room.space)}"
        self._dsn = make_conninfo(dsn, options=options, connect_timeout="3", application_name="ioc-duty") if dsn else None
        self._one = asyncio.Semaphore(4)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/alarms", self.page),
            Route("/alarms/{alarm:int}", self.page),
            Route("/api/alarms", self.all),
            Route("/api/alarms/{alarm:int}", self.one),
            Route("/api/alarms/{alarm:int}/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/api/silences", self.silence, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return stamp.page("alarms.html", self._clock)

    def _may(self, request: Request) -> bool:
        return self._dsn is not None and guard.who(request).operator

    async def _rows(self, text: str, **values: Any) -> list[dict[str, Any]]:
        read = await self._reader.read(text, values=values or None)
        names = [field["name"] for field in read["fields"]]
        return [dict(zip(names, row, strict=True)) for row in zip(*read["columns"], strict=True)]

    async def all(self, request: Request) -> Response:
        """What is open, what fired in the last 30 days, who silenced what. Raises Retry."""
        fired = await self._rows(_FIRED)
        told = await self._told({row["rule"] for row in fired})
        return _json(
            {
                "open": await self._rows(OPEN),
                "watch": (await self._rows(WATCHED))[0],
                "rules": told,
                "firings": fired,
                "silences": await self._rows(_SILENCES),
                "days": DAYS,
                "now": round(self._clock.now().timestamp() * 1000),
                "may": self._may(request),
            }
        )

    async def one(self, request: Request) -> Response:
        """An alarm with its rule, firings and messages. Raises Retry, Misconfigured when there is none."""
        alarm = request.path_params["alarm"]
        found = await self._rows(_ALARM, alarm=min(alarm, 2**62))
        if not found:
            return _json({"error": "there is no such alarm"}, 404)
        told = await self._told({found[0]["rule"]})
        return _json(
            {
                "alarm": found[0],
                "rule": told.get(found[0]["rule"]),
                "firings": await self._rows(_OF_ALARM, alarm=alarm),
                "messages": await self._rows(_MESSAGES, alarm=alarm),
                "now": round(self._clock.now().timestamp() * 1000),
                "may": self._may(request),
                "silences": not self._clock.told(),
            }
        )

    async def _told(self, names: set[str]) -> dict[str, dict[str, Any]]:
        rows = await self._rows(_RULES, names=sorted(names)) if names else []
        return await asyncio.to_thread(lambda: {row["name"]: told for row in rows if (told := _said(row["body"]))})

    async def acknowledge(self, request: Request) -> Response:
        """200 when he who asks took it, 409 when somebody else had or it is over."""
        asked = await self._asked(request, Take)
        if isinstance(asked, Response):
            return asked
        alarm, who = request.path_params["alarm"], guard.who(request).name
        taken = await self._write(lambda connection: alarms.acknowledge(connection, min(alarm, 2**62), who, asked.why))
        log.info("an alarm was acknowledged" if taken else "an alarm was acknowledged too late", alarm=alarm, who=who)
        return _json({"ok": bool(taken)}, 200 if taken else 409)

    async def silence(self, request: Request) -> Response:
        """200 when it is written. In a replay nobody is to be silenced: it rings nobody but by a route of its own."""
        if self._clock.told():
            return _json({"error": "a replay rings nobody"}, 403)
        asked = await self._asked(request, Hush)
        if isinstance(asked, Response):
            return asked
        until, who = datetime.now(UTC) + timedelta(hours=asked.hours), guard.who(request).name
        await self._write(lambda connection: alarms.silence(connection, asked.rule, asked.unit, until, who, asked.why))
        log.info("a rule was silenced", rule=asked.rule, unit=asked.unit, until=until.isoformat(), who=who)
        return _json({"ok": True, "until": round(until.timestamp() * 1000)})

    async def _asked(self, request: Request, of: type[T]) -> T | Response:
        if not self._may(request):
            return _json({"error": "for those on duty only"}, 403)
        try:
            return msgspec.json.decode(await login.body(request), type=of)
        except (msgspec.MsgspecError, ValueError, TimeoutError):
            return _json({"error": "say why, in 3 to 400 letters"}, 400)

    async def _write(self, run: Callable[[psycopg.Connection[Any]], int]) -> int:
        def written() -> int:
            assert self._dsn is not None  # noqa: S101  # the caller's part
            with psycopg.connect(self._dsn) as connection:
                return run(connection)

        try:
            async with self._one:
                done = await asyncio.to_thread(written)
        except psycopg.OperationalError as error:
            raise Retry("the database cannot be reached", "try again") from error
        except psycopg.Error as error:
            raise Misconfigured(f"this cannot be written: {error.diag.message_primary}", "run `ioc up`, which grants it") from error
        self._changed()
        return done


@lru_cache(2000)
def _said(body: str) -> dict[str, Any] | None:
    """What people are told of a rule."""
    rule = reading.read(body)
    if not isinstance(rule, Rule):
        return None
    kind = type(rule.measure).__name__.lower()
    kept = ("rule", "title", "why", "department", "severity", "owner", "route", "runbook", "board")
    return {
        **{name: getattr(rule, name) for name in kept},
        "measure": kind,
        "threshold": rule.when.above if rule.when.above is not None else rule.when.below,
    }


def _json(found: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(found), status, media_type="application/json", headers={"cache-control": "no-store"})
