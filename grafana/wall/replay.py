"""Replays on the glass: what spaces there are, what a replay's period holds, and steering it, by a role that may do nothing else."""

import asyncio
from collections import OrderedDict
from typing import Annotated, Any, Literal

import msgspec
import psycopg
import structlog
from msgspec import UNSET, UnsetType
from psycopg.conninfo import make_conninfo
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from grafana.wall import clock, guard, login
from grafana.wall.reader import Reader
from sinks.spaces import ENDED
from streams.errors import Misconfigured, Retry

POINTS = 200  # at most
MOST_KEPT = 20
_REPLAY = "SELECT since, until, departments FROM ioc.replay WHERE space = %(space)s"
# By the minute of arrival: what is counted there is every record, and it is there for as long as live is.
_DENSITY = """SELECT greatest(0, floor((extract(epoch FROM minute) - %(since)s) / %(step)s))::int AS point, sum(received)::bigint AS n
FROM ledger_1m WHERE minute > to_timestamp(%(since)s) - interval '1 minute' AND minute < to_timestamp(%(until)s) AND department = ANY(%(departments)s) GROUP BY 1"""
# A place outside of the period is its nearest end; greatest and least pass over nulls.
_STEER = """UPDATE ioc.replay SET wanted = coalesce(%(wanted)s, wanted), speed = CASE WHEN %(paced)s THEN %(speed)s::float8 ELSE speed END,
  seek_to = CASE WHEN %(seek_to)s::float8 IS NULL THEN seek_to ELSE greatest(since, least(until, to_timestamp(%(seek_to)s::float8 / 1000))) END
WHERE space = %(space)s AND state <> ALL(%(ended)s)"""

log = structlog.get_logger()
Speed = Annotated[float, msgspec.Meta(ge=0.1, le=1000)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000)]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of a replay; what is left out stays. speed: times real time, null as fast as it goes. seek_to: milliseconds since 1970."""

    wanted: Literal["play", "pause", "stop"] | UnsetType = UNSET
    speed: Speed | UnsetType | None = UNSET
    seek_to: Moment | UnsetType = UNSET


class Steering:
    """Answers under /api/spaces and /api/replay. live: reads live's ledger. dsn: of the role that may steer, None where nobody can."""

    def __init__(self, live: Reader, dsn: str | None) -> None:
        self._reader = live
        self._dsn = make_conninfo(dsn, connect_timeout="3", application_name="ioc-steer") if dsn else None
        self._kept: OrderedDict[tuple[Any, ...], list[int]] = OrderedDict()
        self._some = asyncio.Semaphore(4)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/spaces", self.spaces),
            Route("/api/replay/{space}", self.replay),
            Route("/api/replay/{space}", self.steer, methods=["POST"]),
        ]

    async def spaces(self, request: Request) -> Response:
        """The spaces beside live; none for those who may not see all boards, since they may not see a space either. Raises Retry."""
        return _json(await clock.spaces(self._reader) if guard.who(request).boards is None else [])

    async def replay(self, request: Request) -> Response:
        """{since, until, step, density, may}: how many records arrived in each `step` of the period (ms), and whether he who asks may steer."""
        space = request.path_params["space"]
        try:
            read = await self._reader.read(_REPLAY, values={"space": space})
        except Misconfigured:
            return _none()  # a database that knows of no spaces
        if not read["columns"][0]:
            return _none()
        since, until, departments = (column[0] for column in read["columns"])
        step = 60_000 * -(-(until - since) // (60_000 * POINTS))  # whole minutes: arrivals are counted by the minute
        key = (space, since, until, *departments)
        if key not in self._kept:
            asked = {"since": since / 1000, "until": until / 1000, "step": step / 1000, "departments": departments}
            found = dict(zip(*(await self._reader.read(_DENSITY, values=asked))["columns"], strict=True))
            self._kept[key] = [found.get(point, 0) for point in range(-(-(until - since) // step))]
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return _json({"since": since, "until": until, "step": step, "density": self._kept[key], "may": self._may(request)})

    def _may(self, request: Request) -> bool:
        return self._dsn is not None and guard.who(request).operator

    async def steer(self, request: Request) -> Response:
        """200 when it is written: the player sees it within a tenth of a second; 409 when none plays any more. Raises Retry."""
        if not self._may(request):
            return _json({"error": "for those on duty only"}, 403)
        try:
            asked = msgspec.json.decode(await login.body(request), type=Asked)
        except (msgspec.MsgspecError, ValueError, TimeoutError):
            return _json({"error": "send wanted (play, pause, stop), speed (0.1 or more, null for the fastest) or seek_to (ms)"}, 400)
        space = request.path_params["space"]
        try:
            async with self._some:
                done = await asyncio.to_thread(self._write, space, asked)
        except psycopg.OperationalError as error:
            raise Retry("the database cannot be reached", "try again") from error
        except psycopg.Error as error:
            raise Misconfigured(f"this cannot be written: {error.diag.message_primary}", "run `ioc up`, which grants it") from error
        if not done:
            return _json({"error": "there is no such replay, or it has ended"}, 409)
        log.info("a replay is steered", space=space, who=guard.who(request).name, **msgspec.to_builtins(asked))
        return _json({"ok": True})

    def _write(self, space: str, asked: Asked) -> int:
        assert self._dsn is not None  # noqa: S101  # the caller's part
        values = {
            "space": space,
            "ended": [*ENDED],
            "wanted": None if asked.wanted is UNSET else asked.wanted,
            "paced": asked.speed is not UNSET,
            "speed": None if asked.speed is UNSET else asked.speed,
            "seek_to": None if asked.seek_to is UNSET else asked.seek_to,
        }
        with psycopg.connect(self._dsn) as connection:
            return connection.execute(_STEER, values).rowcount


def _none() -> Response:
    return _json({"error": "Không có buổi phát lại này."}, 404)


def _json(found: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(found), status, media_type="application/json", headers={"cache-control": "no-store"})
