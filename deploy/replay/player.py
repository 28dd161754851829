"""The player: a period's records into their space, at the pace that is asked for."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import structlog

from deploy.replay.control import Control, Row
from deploy.replay.following import Following
from deploy.replay.pace import Pace
from deploy.replay.producing import Producing, Sent
from deploy.replay.reading import Reading, Source
from sinks.history import Record
from streams.collector import rest
from streams.event import micros, moment

log = structlog.get_logger("replay")

STEER_SECONDS, LOOK_SECONDS, BEAT_SECONDS = 0.1, 0.2, 0.25
IDLE_SECONDS = 0.05
MOST_AHEAD = 60_000
"""Records in Kafka that the worker has not committed: more would only wait there."""
MOST_BEHIND = 60_000
"""Events that are not in the figures yet: processors are for those then."""
BURST_SECONDS = 0.5
"""Where no more than so many records a second may be played, what is due in this time is handed over together."""

State = Literal["done", "stopped"]


class Player:
    """Plays one replay to its end, and what is asked of it meanwhile. source(from_us): opens the records from there on; empty: forgets what the space
    holds (a seek backwards); settled: whether everything that follows from what was played is decided; every: called now and then, raises to end it; most: how
    many records a second may be played while it hurries (None: as many as can)."""

    def __init__(
        self, row: Row, control: Control, producing: Producing, following: Following, source: Callable[[int], Source],
        empty: Callable[[], None], settled: Callable[[], bool], every: Callable[[], None], most: Callable[[], float | None],
    ) -> None:  # fmt: skip
        self._row = row
        self._control = control
        self._producing = producing
        self._following = following
        self._source = source
        self._empty = empty
        self._settled = settled
        self._every = every
        self._most = most
        self._rests_until = 0.0
        self._period = row.period
        self._mark_us = int(row.mark.get("at_us", self._period.since_us))
        self._produced = row.produced
        self._steered = asyncio.Event()
        self._asking = asyncio.Lock()
        self._acks: asyncio.Queue[tuple[int, Sent, int, int]] = asyncio.Queue(64)
        self._buffer: deque[Record] = deque()
        self._over = False
        self._on_way = 0
        self._errors: deque[float] = deque(maxlen=10_000)  # sorted with every beat
        self._wanted, self._seek_to = row.wanted, row.seek_to
        self.rate = 0.0

    async def play(self) -> State:
        """Until the end, or until it is stopped. Raises what ended it otherwise: Retry (start it again, it goes on) or Misconfigured."""
        rest()
        now = time.monotonic()
        clock = max(self._mark_us, min(micros(self._row.clock), self._period.until_us))
        self._pace = Pace(self._mark_us, self._row.speed, now, self._wanted == "pause")
        self._pace.seek(clock, self._mark_us, now)
        self._reading = Reading(self._source(self._mark_us))
        tasks = [asyncio.create_task(work()) for work in (self._steer, self._acknowledge, self._look, self._beat)]
        playing = asyncio.create_task(self._play())
        try:
            await asyncio.wait([playing, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (*tasks, playing):
                if task.done():
                    task.result()
            state = playing.result()
            await asyncio.to_thread(self._say, state)
            return state
        finally:
            self._reading.end()
            for task in (playing, *tasks):
                task.cancel()
            await asyncio.gather(playing, *tasks, return_exceptions=True)

    @property
    def pacing_ms(self) -> dict[str, float] | None:
        """How far from their time records were handed over, lately; None when nothing was paced."""
        if not self._errors:
            return None
        found = sorted(self._errors)
        return {"p50": found[len(found) // 2] * 1000, "p99": found[len(found) * 99 // 100] * 1000, "most": found[-1] * 1000}

    async def _play(self) -> State:
        while True:
            if self._wanted == "stop":
                return "stopped"
            if self._seek_to is not None:
                await self._seek(self._seek_to)
            if self._pace.standing:
                await self._idle(IDLE_SECONDS)
                continue
            due = await self._due()
            if due:
                await self._hand_over(due)
            elif due is None and await self._ended():
                return "done"

    async def _due(self) -> list[Record] | None:
        """The records whose time has come; empty after a short wait when none has, None when there are no more."""
        if not self._buffer and not self._over:
            chunk = await self._reading.next()
            if chunk is None:
                self._over = True
            else:
                self._buffer.extend(chunk)
        if not self._buffer:
            return None
        if self._pace.standing:  # it was paused while the chunk was read
            return []
        now = time.monotonic()
        until = self._pace.target_us if self._pace.hurries else self._pace.clock_us(now)
        if self._pace.hurries and (now < self._rests_until or self._following.ahead > MOST_AHEAD or self._following.behind > MOST_BEHIND):
            await self._idle(IDLE_SECONDS)
            return []
        buffer, due = self._buffer, []
        most = self._most() if self._pace.hurries else None
        size = len(buffer) if most is None else max(1, round(most * BURST_SECONDS))
        if size >= len(buffer) and (until is None or buffer[-1].at_us <= until):
            due = [*buffer]
            buffer.clear()
        else:
            while len(due) < size and (until is None or buffer[0].at_us <= until):
                due.append(buffer.popleft())
        if most is not None:
            self._rests_until = max(now, self._rests_until) + len(due) / most
        if due and not self._pace.hurries:
            self._errors.extend(max(0.0, (until - record.at_us) / 1e6 / self._pace.rate) for record in due if until is not None)
        elif not due and self._pace.hurries and until is not None:
            self._pace.played(until, now)  # nothing is left before the target
        elif not due:
            await self._idle(min(IDLE_SECONDS, self._pace.wait_seconds(buffer[0].at_us, now)))
        return due

    async def _hand_over(self, due: list[Record]) -> None:
        self._on_way += len(due)
        sent = await self._producing.produce(due)
        self._pace.played(due[-1].at_us, time.monotonic())
        events = sum(record.topic in self._period.departments for record in due)
        await self._acks.put((due[-1].at_us, sent, len(due), events))

    async def _ended(self) -> bool:
        """No records are left: whether the clock is at the end, everything is acknowledged and what follows from it decided."""
        now = time.monotonic()
        self._pace.played(self._pace.target_us or self._period.until_us, now)
        if self._pace.clock_us(now) >= self._period.until_us and not self._on_way and self._following.ahead == 0:
            self._following.mark(self._period.until_us, {}, 0)
            while self._wanted == "play" and self._seek_to is None:
                if self._following.followed_us >= self._period.until_us and await asyncio.to_thread(self._settled):
                    return True
                await self._idle(LOOK_SECONDS)
        await self._idle(IDLE_SECONDS)
        return False

    async def _seek(self, target: datetime) -> None:
        """Go on from there: forward by playing what lies between as fast as it goes, backward from the beginning of an emptied space."""
        target_us = min(max(micros(target), self._period.since_us), self._period.until_us)
        at_us = self._pace.clock_us(time.monotonic())
        if target_us < at_us:
            self._reading.end()
            while self._on_way:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(self._empty)
            self._buffer.clear()
            self._over = False
            self._mark_us = at_us = self._period.since_us
            self._produced = 0
            self._following.forget(at_us)
            self._reading = Reading(self._source(at_us))
        self._pace.seek(target_us, at_us, time.monotonic())
        async with self._asking:
            await asyncio.to_thread(self._say, "catching up" if self._pace.hurries else self._state(), target)
            if self._seek_to == target:
                self._seek_to = None

    async def _acknowledge(self) -> None:
        """Take what Kafka has, in order: only then a mark moves."""
        while True:
            at_us, sent, records, events = await self._acks.get()
            ends = await sent.acknowledged()
            self._following.mark(at_us, ends, records)
            self._mark_us, self._produced = at_us, self._produced + events
            self._on_way -= records

    async def _look(self) -> None:
        """How far figures are; while nothing is due, they are as far as the clock."""
        while True:
            await asyncio.to_thread(self._following.look)
            if not self._on_way and self._pace.rate and self._following.ahead == 0:
                clock_us = self._pace.clock_us(time.monotonic())
                if not self._buffer or self._buffer[0].at_us > clock_us:
                    self._following.mark(min(clock_us, self._period.until_us), {}, 0)
            await asyncio.to_thread(self._every)
            await asyncio.sleep(LOOK_SECONDS)

    async def _steer(self) -> None:
        while True:
            async with self._asking:  # a seek that was just done must not be read as a new one
                row = await asyncio.to_thread(self._control.row, self._row.space)
                if (row.wanted, row.speed, row.seek_to) != (self._wanted, self._pace.speed, self._seek_to):
                    self._wanted, self._seek_to = row.wanted, row.seek_to
                    self._pace.steer(row.wanted == "pause", row.speed, time.monotonic())
                    await asyncio.to_thread(self._say, self._state())
                    self._steered.set()
            await asyncio.sleep(STEER_SECONDS)

    async def _beat(self) -> None:
        before, since = self._produced, time.monotonic()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            rate = max(0, self._produced - before) / (now - since)
            self.rate = rate if not self.rate else 0.8 * self.rate + 0.2 * rate
            before, since = self._produced, now
            await asyncio.to_thread(self._say, self._state())

    def _state(self) -> str:
        if self._pace.standing:
            return "paused"
        return "catching up" if self._pace.target_us is not None else "playing"

    def _say(self, state: str, sought: datetime | None = None) -> None:
        limited = self._pace.hurries and state in ("playing", "catching up")
        mark = {"at_us": self._mark_us, "pacing_ms": self.pacing_ms, "most_rate": self._most() if limited else None}
        clock_us = min(self._pace.clock_us(time.monotonic()), self._period.until_us)
        self._control.beat(
            self._row.space, clock_us, 0.0 if state in ("done", "stopped") else self._pace.rate, state=state,
            followed=moment(self._following.followed_us), produced=self._produced, rate=self.rate, mark=mark, sought=sought,
        )  # fmt: skip

    async def _idle(self, seconds: float) -> None:
        """Wait, but not longer than until something is asked."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._steered.wait(), max(0.0, seconds))
        self._steered.clear()
