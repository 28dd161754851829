"""The rooms of the wall: live's is always there, that of another space from the first who asks for it until some time after the last."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from grafana.wall.clock import spaces
from grafana.wall.room import Room
from streams.errors import Retry

MOST = 3  # beside live; each has up to six connections of its own
KEPT_SECONDS = 60.0
LOOK_SECONDS = 5.0


@dataclass
class _Open:
    room: Room
    app: ASGIApp
    inside: int = 0
    left: float = 0.0

    @property
    def idle(self) -> bool:
        return self.inside == 0 and (self.room.clock.gone or time.monotonic() - self.left > KEPT_SECONDS)


class Rooms:
    """live: the room of those who name no space. make: a room with the application that answers in it, for a space that there is."""

    def __init__(self, live: Room, make: Callable[[str], tuple[Room, ASGIApp]]) -> None:
        self.live, self._make = live, make
        self._open: dict[str, _Open] = {}
        self._one = asyncio.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The spaces beside live that somebody looks at, or did a while ago."""
        return tuple(self._open)

    def waves(self, space: str) -> int:
        """How many waves there were of a space that is open ("": live); 0 of any other."""
        if space in ("", self.live.space):
            return self.live.hub.waves
        held = self._open.get(space)
        return held.room.hub.waves if held else 0

    def hang_up(self) -> None:
        """End every stream; screens reconnect by themselves."""
        for hub in (self.live.hub, *(each.room.hub for each in self._open.values())):
            hub.close()

    @contextlib.asynccontextmanager
    async def inside(self, space: str) -> AsyncIterator[_Open | None]:
        """What shows the space, for as long as somebody is in it; None when there is no such space. Raises Retry when too many are open."""
        async with self._one:
            held = self._open.get(space)
            if held is None or held.room.clock.gone:
                if space not in {each["name"] for each in await spaces(self.live.reader)}:
                    held = None
                else:
                    held = await self._enter(space)
            if held:
                held.inside += 1
        try:
            yield held
        finally:
            if held:
                held.inside, held.left = held.inside - 1, time.monotonic()

    async def _enter(self, space: str) -> _Open:
        await self._leave(space)
        resting = sorted((each.left, name) for name, each in self._open.items() if each.inside == 0)
        while len(self._open) >= MOST:
            if not resting:
                raise Retry("too many spaces are open on this wall", "close one, or try again later", 10)
            await self._leave(resting.pop(0)[1])
        held = self._open[space] = _Open(*self._make(space))
        await held.room.open()
        return held

    async def _leave(self, space: str) -> None:
        if held := self._open.pop(space, None):
            await held.room.close()

    async def tidy(self) -> None:
        """Close what nobody looks at any more, and end the streams of a space that is no more; for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            async with self._one:
                for space, held in list(self._open.items()):
                    if held.room.clock.gone:
                        held.room.hub.close()
                    if held.idle:
                        await self._leave(space)

    async def close(self) -> None:
        for space in list(self._open):
            await self._leave(space)


class Leading:
    """Leads who names a space (`?space=drill-01`) into its room; all others go on."""

    def __init__(self, app: ASGIApp, rooms: Rooms, refused: Callable[[Exception], Response]) -> None:
        self._app, self._rooms, self._refused = app, rooms, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        space = named(scope["query_string"].decode("latin-1")) if scope["type"] == "http" else None
        if space is None or space == self._rooms.live.space:
            await self._app(scope, receive, send)
            return
        try:
            async with self._rooms.inside(space) as held:
                answer: ASGIApp = held.app if held else PlainTextResponse("Không có không gian diễn tập này.\n", 404)
                await answer(scope, receive, send)
        except Retry as error:
            await self._refused(error)(scope, receive, send)


def named(query: str) -> str | None:
    """The space that an address names; None for live's."""
    return dict(parse_qsl(query, keep_blank_values=True)).get("space")
