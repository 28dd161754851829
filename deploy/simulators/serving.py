"""How a department's system is served: HTTP with its faults, the clockwork that issues facts, the control door, the end."""

import asyncio
import contextlib
import hmac
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.simulators.clock import now_us
from deploy.simulators.faults import WirePlan
from deploy.simulators.truth import Truth

TICK_SECONDS = 0.05
SLOW_SECONDS = 1.5


@dataclass(frozen=True)
class State:
    """issued: facts in the truth. delivered: deliveries that reached a client whole. offered_all: no more will come and all of it was offered."""

    issued: int
    delivered: int
    offered_all: bool
    pending: int


class System(Protocol):
    """A department's system: facts fall due, are kept in the truth, and only then shown."""

    def take(self, now: int) -> bool:
        """Add what has fallen due to the truth. False when that was all."""

    def show(self) -> None:
        """The truth is on the disk: offer what was taken."""

    def state(self) -> State:
        """How far it is."""


class Cut(Exception):
    """An answer was broken off on purpose."""


class Door:
    """ASGI in front of a system: who may come in, and what goes wrong on the wire. `/control/` is exempt from both."""

    def __init__(self, app: ASGIApp, plan: WirePlan, secret: str | None) -> None:
        self._app = app
        self._plan = plan
        self._secret = secret
        self.dark_until_us = 0

    def is_dark(self) -> bool:
        """Whether the source was cut off by `/control/cut`."""
        return now_us() < self.dark_until_us

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/control/"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        wire = self._plan.next()
        scope["shift"] = wire.shift
        if wire.what == "too_many":
            await Response("quá nhiều yêu cầu", 429, {"Retry-After": "1"})(scope, receive, send)
        elif wire.what == "broken":
            await Response("lỗi hệ thống", 500)(scope, receive, send)
        else:
            await self._answer(scope, receive, send, wire.what)

    def _refusal(self, scope: Scope) -> Response | None:
        if self.is_dark():
            return Response("hệ thống tạm dừng", 503)
        if self._secret is not None:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {self._secret}".encode()):
                return Response("không được phép", 401, {"WWW-Authenticate": "Bearer"})
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, what: str) -> None:
        if what == "slow":
            await asyncio.sleep(SLOW_SECONDS)

        async def half(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
                raise Cut
            await send(message)

        if what == "cut":
            with contextlib.suppress(Cut):
                await self._app(scope, receive, half)
            return
        await self._app(scope, receive, send)
        if "delivered" in scope:
            scope["delivered"]()


def control(system: System, door: Callable[[], Door], stop: Callable[[], None]) -> Sequence[BaseRoute]:
    """`/control/stop`, `cut`, `restore`, `state`."""

    async def stopped(request: Request) -> Response:
        stop()
        return JSONResponse(asdict(system.state()))

    async def cut(request: Request) -> Response:
        asked = orjson.loads(await request.body() or b"{}")
        door().dark_until_us = now_us() + int(float(asked.get("seconds", 3600)) * 1e6)
        return JSONResponse({"dark": True})

    async def restored(request: Request) -> Response:
        door().dark_until_us = 0
        return JSONResponse({"dark": False})

    async def state(request: Request) -> Response:
        return JSONResponse(asdict(system.state()))

    ways: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
        ("stop", stopped, "POST"), ("cut", cut, "POST"), ("restore", restored, "POST"), ("state", state, "GET"),
    ]  # fmt: skip
    return [Route(f"/control/{name}", handler, methods=[method]) for name, handler, method in ways]


@dataclass(frozen=True)
class Place:
    """Where and how long to serve. port 0 takes any free one; seconds None serves until a signal."""

    port: int
    seconds: float | None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which would raise the signal again after the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    system: System, door: Door, truth: Truth, place: Place, beside: Callable[[], Coroutine[None, None, None]] | None = None
) -> None:
    """Serve until SIGTERM, SIGINT or the end of the time given; says `ready URL` once the past is there and the door is open.

    beside: what else runs as long.
    """
    truth.open()
    try:
        await _catch_up(system, truth)
        bound = socket.create_server(("127.0.0.1", place.port))
        server = _Server(uvicorn.Config(door, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=2))
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, setattr, server, "should_exit", True)
        if place.seconds is not None:
            loop.call_later(place.seconds, setattr, server, "should_exit", True)
        async with _beside(beside, server), _beside(lambda: _tick(system, truth), server):
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            sys.stdout.write(f"ready http://127.0.0.1:{bound.getsockname()[1]}\n")
            sys.stdout.flush()
            await serving
    finally:
        truth.close()


async def _catch_up(system: System, truth: Truth) -> None:
    """Take and show what is due by now."""
    until, more = now_us(), True
    while more:
        more = system.take(until)
        await asyncio.to_thread(truth.keep)
        system.show()


async def _tick(system: System, truth: Truth) -> None:
    """The clockwork."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        await _catch_up(system, truth)


@contextlib.asynccontextmanager
async def _beside(work: Callable[[], Coroutine[None, None, None]] | None, server: uvicorn.Server) -> AsyncIterator[None]:
    """Run `work` meanwhile; when it breaks the server ends, and the error comes out here."""
    if work is None:
        yield
        return
    task = asyncio.create_task(work())
    task.add_done_callback(lambda _: setattr(server, "should_exit", True))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def app(routes: Sequence[BaseRoute]) -> Starlette:
    """The routes as an application."""
    return Starlette(routes=list(routes))
