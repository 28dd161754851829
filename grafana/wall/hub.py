"""Waves: after commits every panel in view is read once, and what changed is pushed to every screen."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from grafana.macros import expand, period
from grafana.wall import small, state
from grafana.wall.clock import Clock
from grafana.wall.library import Board, Target, View
from grafana.wall.reader import Reader
from streams import metrics
from streams.errors import IocError, Retry

AT_MOST_EVERY_SECONDS = 0.5
POLL_SECONDS = 5.0
BEAT_SECONDS = 2.0
FORGET_SECONDS = 60.0
BACKLOG = 8
MOST_VIEWERS = 500
MOST_VIEWS = 64
AGAIN = b'event: again\ndata: {"why":"slow"}\n\n'


class Viewer:
    """One screen: messages wait in a bounded queue; None ends the stream."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(BACKLOG)

    def give(self, message: bytes) -> bool:
        """False when the screen is too slow: it then gets the word to reconnect and the end, instead of old news."""
        if not self.waiting.full():
            self.waiting.put_nowait(message)
            return True
        self.end(AGAIN)
        return False

    def end(self, last: bytes | None = None) -> None:
        while not self.waiting.empty():
            self.waiting.get_nowait()
        if last is not None:
            self.waiting.put_nowait(last)
        self.waiting.put_nowait(None)


class Hub:
    """Keeps what each view shows now. One query per panel per wave, however many screens look at it; a view nobody looks at is forgotten.
    clock: of the space that is shown (None: live's)."""

    def __init__(self, boards: dict[str, Board], reader: Reader, version: str = "", clock: Clock | None = None) -> None:
        self._version = version
        self._clock = clock or Clock()
        self.waves = 0
        self._boards = boards
        self._reader = reader
        self._viewers: set[Viewer] = set()
        self._shown: dict[View, dict[int, bytes]] = {}
        self._read_at: dict[View, float] = {}
        self._woken = asyncio.Event()
        self._one_wave = asyncio.Lock()
        self._one_opening = asyncio.Lock()
        self._departments: dict[str, Any] = {}
        self._reached: dict[str, int] = {}
        self._took_seconds: float | None = None
        self.database: bool | None = None
        self.kafka: bool | None = None

    def wake(self) -> None:
        """Something was committed: the next wave starts as soon as the last one is half a second old."""
        metrics.WALL_TOUCHES.inc()
        self._woken.set()

    async def run(self) -> None:
        """Waves until cancelled: on a touch, and every five seconds without one."""
        while True:
            begun = time.monotonic()
            cause = "poll"
            try:
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
                cause = "touch"
            except TimeoutError:
                pass
            self._woken.clear()
            metrics.WALL_WAVES.labels(cause).inc()
            await self.wave(self._watched())
            await asyncio.sleep(max(0.0, begun + AT_MOST_EVERY_SECONDS - time.monotonic()))

    async def beat(self) -> None:
        """Tell every screen that the server lives and which sources do, even while a wave hangs."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hear(), BEAT_SECONDS)
            self._tell({}, self._watched())

    def _watched(self) -> set[View]:
        return {viewer.view for viewer in self._viewers}

    async def wave(self, views: set[View]) -> None:
        """Read what these views show and push what changed to their screens."""
        async with self._one_wave:
            with metrics.WALL_WAVE_SECONDS.time():
                reached = await self._hear()
                answers: dict[str, asyncio.Task[dict[str, Any]]] = {}
                now = self._clock.now()
                pairs = [(view, panel) for view in views for panel in self._boards[view.uid].panels if self.database]
                found = await asyncio.gather(*(self._panel(view, panel, now, answers) for view, panel in pairs))
            self.waves += 1
            self._forget(views)
            changed: dict[View, dict[int, bytes]] = {view: {} for view in views}
            for (view, panel), data in zip(pairs, found, strict=True):
                if data is not None and view in self._read_at and self._shown.setdefault(view, {}).get(panel) != data:
                    self._shown[view][panel] = changed[view][panel] = data
            for view in views & self._read_at.keys():  # one that was forgotten meanwhile stays so
                self._read_at[view] = time.monotonic()
            if views >= self._watched():
                self._measure(reached)
            self._tell(changed, views)

    def _forget(self, kept: set[View]) -> None:
        long_ago = time.monotonic() - FORGET_SECONDS
        for view in [view for view, at in self._read_at.items() if at < long_ago and view not in kept]:
            del self._read_at[view]
            self._shown.pop(view, None)

    async def _hear(self) -> dict[str, int]:
        """Ask how the sources are; how far each department's figures reach (arrival of their newest event), nothing when nobody knows."""
        try:
            self._departments = await state.heard(self._reader)
            self.database = True
        except Retry:
            self.database = False
            return {}
        return {name: each["reached"] for name, each in self._departments.items() if each["reached"] is not None}

    def _measure(self, reached: Mapping[str, int]) -> None:
        """A wave whose panels were read after figures reached that far is on its way to every screen: how long its newest events took
        to get there since they arrived. Each is measured once; those that were there before us, never."""
        now = time.time() * 1000
        took = [now - known for name, known in reached.items() if known > self._reached.get(name, known)]
        if took:
            self._took_seconds = max(0.0, max(took) / 1000)
        self._reached.update(reached)

    def _lag_seconds(self) -> float | None:
        """From the arrival of an event to its figure on the glass: what the newest ones took, or more while older ones still wait."""
        now = time.time()
        waiting = [now - each["owed"]["since"] / 1000 for each in self._departments.values() if each["owed"]]
        known = [seconds for seconds in (self._took_seconds, *waiting) if seconds is not None]
        return round(max(known), 2) if known else None

    async def _panel(self, view: View, panel: int, now: datetime, answers: dict[str, asyncio.Task[dict[str, Any]]]) -> bytes | None:
        """The panel's data; None keeps what is shown, because the database is away and the screen says so."""
        board = self._boards[view.uid]
        if view.public and panel in board.alarms:
            return orjson.dumps({"frames": [], "withheld": True})
        start, end = view.over or (board.start, board.end)
        try:
            data = await self.answer(board.panels[panel], start, end, view.at or now, answers, dict(view.chosen))
            return orjson.dumps(small.panel(board.config(panel), data) if view.public else data)
        except Retry:
            return None
        except IocError as error:
            return orjson.dumps({"error": error.wrong})

    async def answer(
        self,
        targets: tuple[Target, ...],
        start: str,
        end: str,
        now: datetime,
        answers: dict[str, asyncio.Task[dict[str, Any]]],
        chosen: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """{"from", "to", "frames": [{"ref", "form", "fields", "columns"}]}; equal questions in `answers` are asked once.
        at: from what was known at that minute (None: now). Raises Retry, Misconfigured."""
        over = period(start, end, now)
        tasks = []
        for target in targets:
            sql = expand(target.sql, over, chosen)
            if sql not in answers:
                answers[sql] = asyncio.ensure_future(self._reader.read(sql, at))
            tasks.append(answers[sql])
        read = await asyncio.gather(*tasks)
        frames = [{"ref": target.ref, "form": target.form, **columns} for target, columns in zip(targets, read, strict=True)]
        return {"from": _milliseconds(over.start), "to": _milliseconds(over.end), "frames": frames}

    def state(self) -> dict[str, Any]:
        """What screens need to judge their tiles by themselves."""
        return {
            "now": _milliseconds(self._clock.now()),
            "wave": self.waves,
            "version": self._version,
            "database": self.database,
            "kafka": self.kafka,
            "lag_seconds": self._lag_seconds(),
            "departments": self._departments,
            **self._clock.told(),
        }

    def _message(self, view: View, panels: dict[int, bytes]) -> bytes:
        state = small.state(self.state()) if view.public else self.state()
        inside = b",".join(b'"%d":%s' % (panel, data) for panel, data in panels.items())
        return b'event: wave\ndata: {"state":%s,"panels":{%s}}\n\n' % (orjson.dumps(state), inside)

    def _tell(self, changed: dict[View, dict[int, bytes]], views: set[View]) -> None:
        messages: dict[View, bytes] = {}
        for viewer in list(self._viewers):
            if viewer.view not in views:
                continue
            if viewer.view not in messages:
                messages[viewer.view] = self._message(viewer.view, changed.get(viewer.view, {}))
            if not viewer.give(messages[viewer.view]):
                metrics.WALL_DROPPED.inc()
                self.leave(viewer)

    async def join(self, view: View) -> Viewer:
        """A new screen; its first message holds the whole board. Raises Retry when there are too many."""
        if len(self._viewers) >= MOST_VIEWERS:
            raise Retry("too many screens are connected", "try again later", 10)
        await self.fresh(view)
        viewer = Viewer(view)
        viewer.give(self._message(view, self._shown.get(view, {})))
        self._viewers.add(viewer)
        metrics.WALL_VIEWERS.labels(view.uid).inc()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.discard(viewer)
            metrics.WALL_VIEWERS.labels(viewer.view.uid).dec()

    @property
    def views(self) -> int:
        """How many views are kept, never more than MOST_VIEWS."""
        return len(self._read_at)

    def _room(self, view: View) -> None:
        """Room for one more view: those that nobody looks at are forgotten, longest ago first. Raises Retry when every view has its screen."""
        watched = self._watched()
        idle = sorted((held for held in self._read_at if held not in watched), key=self._read_at.__getitem__)
        while view not in self._read_at and len(self._read_at) >= MOST_VIEWS:
            if not idle:
                raise Retry("too many different views are open", "choose one that another screen shows, or try again later", 10)
            del self._read_at[idle[0]]
            self._shown.pop(idle.pop(0), None)
        self._read_at[view] = time.monotonic() - FORGET_SECONDS / 2

    def close(self) -> None:
        """End every stream; screens reconnect by themselves."""
        for viewer in list(self._viewers):
            self.leave(viewer)
            viewer.end()

    async def fresh(self, view: View) -> dict[int, bytes]:
        """What the view shows, read again when nobody looked at it in the last wave or two."""
        async with self._one_opening:  # a hundred screens that open a board at once cause one wave
            if time.monotonic() - self._read_at.get(view, -1e9) > 2 * AT_MOST_EVERY_SECONDS:
                self._room(view)
                await self.wave({view})
        return self._shown.get(view, {})


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
