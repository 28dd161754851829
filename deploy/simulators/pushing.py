"""Pushing notices to the hospitals' side, again and again on the banks' curve, until one is confirmed."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from http.client import HTTPConnection, HTTPException
from queue import SimpleQueue
from urllib.parse import urlsplit

from deploy.simulators.clock import MINUTE_US, now_us
from deploy.simulators.notices import Notice, confirmed

MINUTES = (0, 1, 2, 4, 7, 12, 20, 33)  # eight deliveries in 33 minutes (domain.md 3)
HURRY = 0.005
PAUSE_US = 200_000
AT_ONCE = 32
TIMEOUT_SECONDS = 30.0
IDLE_SECONDS = 2.0  # servers close a connection that lies idle; uvicorn after 5 s


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
    """Sends what is due. scale: how long a minute of the curve is, 1 for a real one. hurry(): after that retries come fast.

    Threads with http.client, not httpx: that took more than twice the processor time, and the banks must not starve those they feed.
    """

    url: str
    scale: float
    confirmed: int = 0
    is_dark: Callable[[], bool] = lambda: False
    _due: list[tuple[int, int, Push]] = field(default_factory=list)
    _ready: "SimpleQueue[Push | None]" = field(default_factory=SimpleQueue)
    _on_the_way: int = 0
    _count: Iterator[int] = field(default_factory=itertools.count)

    def add(self, push: Push) -> None:
        """Push it now."""
        heappush(self._due, (now_us(), next(self._count), push))

    def pending(self) -> int:
        """Notices that are neither confirmed nor given up."""
        return len(self._due) + self._on_the_way

    def hurry(self) -> None:
        """Make minutes very short from now on, also for those that wait."""
        self.scale = min(self.scale, HURRY)
        waiting, self._due = self._due, []
        for _, number, push in waiting:
            heappush(self._due, (now_us(), number, push))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            threading.Thread(target=self._work, args=(loop,), daemon=True).start()
        try:
            while True:
                self._send_due()
                await asyncio.sleep(0.01)
        finally:
            for _ in range(AT_ONCE):
                self._ready.put(None)

    def _send_due(self) -> None:
        now = now_us()
        while self._due and self._due[0][0] <= now and self._on_the_way < AT_ONCE and not self.is_dark():
            push = heappop(self._due)[2]
            push.begun_us = push.begun_us or now
            push.tries += 1
            self._on_the_way += 1
            self._ready.put(push)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """One thread with its connection. Answers 0 where there was none."""
        to = urlsplit(self.url)
        connection = HTTPConnection(to.hostname or "127.0.0.1", to.port or 80, timeout=TIMEOUT_SECONDS)
        used = 0.0
        while (push := self._ready.get()) is not None:
            if time.monotonic() - used > IDLE_SECONDS:
                connection.close()
            try:
                code, body = _delivered(connection, push.notice)
            except (HTTPException, OSError):
                connection.close()
                code, body = 0, b""
            used = time.monotonic()
            try:
                loop.call_soon_threadsafe(self._answered, push, code, body)
            except RuntimeError:  # the loop has ended meanwhile
                break
        connection.close()

    def _answered(self, push: Push, code: int, body: bytes) -> None:
        self._on_the_way -= 1
        taken = confirmed(push.bank, code, body)
        push.answered = push.answered or 0 < code < 500
        if taken:
            self.confirmed += 1
        elif not self._is_given_up(push):
            self._again(push)
            return
        if push.ended is not None:
            push.ended(taken)

    def _is_given_up(self, push: Push) -> bool:
        """After the last delivery of the curve. A hopeless one is there to be refused: it goes on until somebody read it."""
        if push.hopeless:
            return push.answered and (push.tries >= len(MINUTES) or self.scale <= HURRY)
        return push.tries >= len(MINUTES)

    def _again(self, push: Push) -> None:
        """Wait as the curve says."""
        minutes = MINUTES[push.tries] if push.tries < len(MINUTES) else 0
        due = push.begun_us + int(minutes * MINUTE_US * self.scale)
        heappush(self._due, (max(due, now_us() + PAUSE_US), next(self._count), push))


def _delivered(connection: HTTPConnection, notice: Notice) -> tuple[int, bytes]:
    """(status, body) of the answer."""
    if notice.body:
        connection.request("POST", notice.path, notice.body, dict(notice.headers))
    else:
        connection.request("GET", f"{notice.path}?{notice.query}")
    answer = connection.getresponse()
    return answer.status, answer.read()
