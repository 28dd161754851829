"""Logging in by a signed link: its secret stands behind the #, so that no server or proxy logs it, and becomes a cookie."""

import asyncio
import time

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from grafana.wall import access, assets, guard
from streams import metrics

BODY_SECONDS = 5.0

log = structlog.get_logger()


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """What the page /enter sends."""

    token: str


def routes(key: access.Key, by_link: bool) -> list[Route]:
    """/enter, and /api/login, which turns a link into a cookie."""

    async def enter(request: Request) -> Response:
        return FileResponse(assets.STATIC / "enter.html", headers={"cache-control": "no-cache"})

    async def login(request: Request) -> Response:
        try:
            token = msgspec.json.decode(await body(request), type=Login).token
        except (msgspec.MsgspecError, ValueError, TimeoutError):
            return Response(status_code=400)
        now = time.time()
        grant = key.grant(token, "link", now) if by_link else None
        if grant is None or not key.use(grant, now):
            metrics.WALL_LOGINS.labels("refused").inc()
            return Response(status_code=403)
        metrics.WALL_LOGINS.labels("link").inc()
        log.info("a link was used to log in", name=grant.name, address=guard.asked(request).address)
        cookie = key.sign(access.new_grant("cookie", grant.name, grant.until, grant.boards, grant.operator, once=False))
        answer = Response(
            msgspec.json.encode({"boards": grant.boards}), media_type="application/json", headers={"cache-control": "no-store"}
        )
        answer.set_cookie(
            access.COOKIE, cookie, max_age=int(grant.until - now), httponly=True, samesite="lax", secure=guard.asked(request).https
        )
        return answer

    return [Route("/enter", enter), Route("/api/login", login, methods=["POST"])]


async def body(request: Request, most: int = guard.BODY_LIMIT_BYTES) -> bytes:
    """A small body, soon. Raises ValueError when it is too large, TimeoutError."""
    found = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.stream():
            found += chunk
            if len(found) > most:
                raise ValueError("too large")
    return bytes(found)
