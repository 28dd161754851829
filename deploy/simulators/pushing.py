"""Pushing notices to the hospitals' side, again and again on the banks' curve, until one is confirmed."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

import httpx

from deploy.simulators.clock import MINUTE_US, now_us
from deploy.simulators.notices import Notice, confirmed

MINUTES = (0, 1, 2, 4, 7, 12, 20, 33)  # eight deliveries in 33 minutes (domain.md 3)
HURRY = 0.005
AT_ONCE = 48
TIMEOUT_SECONDS = 30.0


@dataclass(slots=True)
class Push:
    """One notice on its way. hopeless: nobody will confirm it (a bad signature). ended: told at the end whether it was confirmed.

    begun_us: when it was first tried. answered: somebody read it, whatever they thought of it.
    """

    bank: str
    notice: Notice
    hopeless: bool
    ended: Callable[[bool], None] | None = None
    begun_us: int = 0
    tries: int = 0
    answered: bool = False


@dataclass
class Pushing:
    """Sends what is due. scale: how long a minute of the curve is, 1 for a real one. hurry(): after that retries come fast."""

    url: str
    scale: float
    confirmed: int = 0
    given_up: int = 0
    is_dark: Callable[[], bool] = lambda: False
    _due: list[tuple[int, int, Push]] = field(default_factory=list)
    _on_the_way: set[asyncio.Task[None]] = field(default_factory=set)
    _count: Iterator[int] = field(default_factory=itertools.count)

    def add(self, push: Push) -> None:
        """Push it now."""
        heappush(self._due, (now_us(), next(self._count), push))

    def pending(self) -> int:
        """Notices that are neither confirmed nor given up."""
        return len(self._due) + len(self._on_the_way)

    def hurry(self) -> None:
        """Make minutes very short from now on, also for those that wait."""
        self.scale = min(self.scale, HURRY)
        waiting, self._due = self._due, []
        for _, number, push in waiting:
            heappush(self._due, (now_us(), number, push))

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT_SECONDS, limits=httpx.Limits(max_connections=AT_ONCE)) as client:
            try:
                while True:
                    self._send_due(client)
                    await asyncio.sleep(0.01)
            finally:
                for task in self._on_the_way:
                    task.cancel()
                await asyncio.gather(*self._on_the_way, return_exceptions=True)

    def _send_due(self, client: httpx.AsyncClient) -> None:
        now = now_us()
        if self.is_dark():
            return
        while self._due and self._due[0][0] <= now and len(self._on_the_way) < AT_ONCE:
            task = asyncio.create_task(self._send(client, heappop(self._due)[2]))
            self._on_the_way.add(task)
            task.add_done_callback(self._on_the_way.discard)

    async def _send(self, client: httpx.AsyncClient, push: Push) -> None:
        push.begun_us = push.begun_us or now_us()
        push.tries += 1
        notice = push.notice
        try:
            if notice.body:
                answer = await client.post(notice.path, content=notice.body, headers={"content-type": "application/json"})
            else:
                answer = await client.get(f"{notice.path}?{notice.query}")
        except httpx.HTTPError:
            taken = False
        else:
            taken = confirmed(push.bank, answer.status_code, answer.content)
            push.answered = push.answered or answer.status_code < 500
        if taken:
            self.confirmed += 1
        elif push.tries >= len(MINUTES) or (push.hopeless and push.answered and self.scale <= HURRY):
            self.given_up += 1
        else:
            self._again(push)
            return
        if push.ended is not None:
            push.ended(taken)

    def _again(self, push: Push) -> None:
        """Wait as the curve says."""
        due = push.begun_us + int(MINUTES[push.tries] * MINUTE_US * self.scale)
        heappush(self._due, (max(due, now_us() + 100_000), next(self._count), push))
