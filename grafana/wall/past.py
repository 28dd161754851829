"""Boards as they looked at a minute gone by, from what was known then: each is read once, kept for a while, and never hurries a live wave."""

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import orjson

from grafana.macros import LONGEST
from grafana.wall import state
from grafana.wall.clock import Clock
from grafana.wall.hub import Hub
from grafana.wall.library import Board, Target, View
from grafana.wall.reader import Reader
from streams.errors import IocError, Misconfigured, Retry
from streams.event import VIETNAM

AT_ONCE = 2  # statements, beside those of the waves
MOST_KEPT = 200
MOST_WAITING = 20
KEPT_SECONDS = 600.0  # what was known at a minute still grows when a worker that was away catches up
SETTLED = timedelta(minutes=2)  # a minute that has just passed may still be on its way through Kafka

Shown = tuple[bytes, dict[int, bytes]]
"""The state then, and the panels then: both JSON."""


def moment(text: str, now: datetime) -> datetime:
    """The whole minute of `2026-10-03T09:17` (Viet Nam's time without an offset). Raises Misconfigured for the future and for what is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"{text[:40]!r} is not a time", "write at=2026-10-03T09:17") from error
    at = (found if found.tzinfo else found.replace(tzinfo=VIETNAM)).astimezone(UTC).replace(second=0, microsecond=0)
    if not now - LONGEST < at <= now:
        raise Misconfigured("only the past can be looked back at, and not all of it", f"ask for at most {LONGEST.days} days ago")
    return at


class Past:
    """Reads what a view of a moment showed. Its connections are its own: those who look back wait for each other, the live wall for nobody."""

    def __init__(self, boards: dict[str, Board], dsn: str, tables: tuple[str, str], clock: Clock) -> None:
        schema, past = tables
        self._boards, self._clock = boards, clock
        self._reader = Reader(dsn, schema, at_once=AT_ONCE, past=past)
        self._hub = Hub(boards, self._reader)
        self._kept: OrderedDict[View, tuple[float, Shown]] = OrderedDict()
        self._one = asyncio.Lock()
        self._waiting = 0

    async def open(self) -> None:
        await self._reader.open()

    async def close(self) -> None:
        await self._reader.close()

    async def shown(self, view: View) -> Shown:
        """What the view (with its moment) showed. Raises Retry when the database is away or too many look back at once."""
        if self._waiting >= MOST_WAITING:
            raise Retry("too many look back at once", "try again", 2)
        self._waiting += 1
        try:
            async with self._one:
                kept = self._kept.get(view)
                if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
                    return await self._read(view)
                self._kept.move_to_end(view)
                return kept[1]
        finally:
            self._waiting -= 1

    async def _read(self, view: View) -> Shown:
        at = view.at
        assert at is not None  # noqa: S101  # the caller's part
        board = self._boards[view.uid]
        start, end = view.over or (board.start, board.end)
        departments = await state.heard(self._reader, at)
        told = {"now": round(at.timestamp() * 1000), "database": True, "kafka": None, "lag_seconds": None, "departments": departments}
        if self._clock.told():
            told["latest"] = round(self._clock.now().timestamp() * 1000)
        some = asyncio.Semaphore(AT_ONCE)

        async def panel(targets: tuple[Target, ...]) -> bytes:
            async with some:
                try:
                    return orjson.dumps(await self._hub.answer(targets, start, end, at, {}, dict(view.chosen), at))
                except Retry:
                    raise
                except IocError as error:
                    return orjson.dumps({"error": error.wrong})

        read = await asyncio.gather(*map(panel, board.panels.values()))
        shown = (orjson.dumps(told), dict(zip(board.panels, read, strict=True)))
        if self._clock.now() - at >= SETTLED:
            self._kept[view] = (time.monotonic(), shown)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return shown
