"""A room: what shows one space on the wall, opened when somebody looks and closed some time after the last has left."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from grafana.wall.clock import Clock, SpaceClock
from grafana.wall.explain import Explainer
from grafana.wall.hub import Hub
from grafana.wall.library import Board
from grafana.wall.past import Past
from grafana.wall.reader import Reader
from streams.errors import Retry
from streams.topics import LIVE

LOOK_SECONDS = 0.5
MOVES_SECONDS = 1.0  # a clock that goes needs new figures so often, whether or not somebody touches

log = structlog.get_logger()


class Room:
    """The readers, clock, waves, past and explanations of a space. dsn: of the reader role. tables: the schemas of the boards' views, now and of a moment."""

    def __init__(self, space: str, boards: dict[str, Board], dsn: str, tables: tuple[str, str], version: str) -> None:
        now = tables[0]
        self.space, self.boards = space, boards
        # A space has its own now(), which goes before pg_catalog's.
        self.reader = Reader(dsn, now) if space == LIVE else Reader(dsn, f"{now},pg_catalog,public", at_once=2)
        self.clock = Clock() if space == LIVE else SpaceClock(self.reader, space)
        self.hub = Hub(boards, self.reader, version, self.clock)
        self.past = Past(boards, dsn, tables, self.clock)
        self.explainer = Explainer(dsn, now, boards, self.clock)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect, now or when the database comes, and begin with waves."""
        await self.reader.open()
        await self.past.open()
        self.explainer.open()
        parts = {"waves": self.hub.run, "beats": self.hub.beat}
        if self.space != LIVE:
            with contextlib.suppress(Retry):
                await self.clock.look()
            parts["clock"] = self._follow
        self._tasks = [asyncio.create_task(forever(name, step)) for name, step in parts.items()]

    async def close(self) -> None:
        """End every stream and hang up."""
        self.hub.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reader.close()
        await self.past.close()
        self.explainer.close()

    async def _follow(self) -> None:
        """A replay is steered from anywhere: look at it, and start a wave when it is news or when its clock goes."""
        before: dict[str, Any] = {}
        woken = 0.0
        while True:
            with contextlib.suppress(Retry):
                await self.clock.look()
            told = self.clock.steered()
            if told != before or (self.clock.goes and time.monotonic() - woken >= MOVES_SECONDS):
                before, woken = told, time.monotonic()
                self.hub.wake()
            await asyncio.sleep(LOOK_SECONDS)


async def forever(what: str, step: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the wall again whenever it ends."""
    while True:
        try:
            await step()
        except Exception as error:
            log.error("a part of the wall failed and starts again", part=what, error=repr(error)[:200])
        await asyncio.sleep(1.0)
