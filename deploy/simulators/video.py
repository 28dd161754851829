"""The video platform: pages of measurements of its endpoints, plain JSON, behind a bearer token."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from deploy.simulators.beats import Beat
from deploy.simulators.schedule import Schedule
from deploy.simulators.serving import State
from deploy.simulators.truth import Truth

HISTORY_CHAINS_A_DAY = 60
MOST_ITEMS = 5_000
KEPT_ITEMS = 200_000


@dataclass
class Video:
    """The platform as a `System`: an ever longer list of measurements, read from a position on. Of what was read it keeps the last KEPT_ITEMS."""

    schedule: Schedule[Beat]
    truth: Truth
    stopped: bool = False
    _shown: list[bytes] = field(default_factory=list)
    _taken: list[bytes] = field(default_factory=list)
    _issued: int = 0
    _read: int = 0
    _dropped: int = 0

    def take(self, now: int) -> bool:
        """As `System.take`."""
        due = self.schedule.advance(now)
        for _, beat in due:
            if beat.told is not None:
                self._issued += beat.told["what"] == "fact"
                self.truth.add(beat.told)
            self._taken.append(beat.body)
        return bool(due)

    def show(self) -> None:
        """As `System.show`."""
        self._shown += self._taken
        self._taken = []
        over = min(self._read - self._dropped, len(self._shown) - KEPT_ITEMS)
        if over > KEPT_ITEMS:
            del self._shown[:over]
            self._dropped += over

    def state(self) -> State:
        """As `System.state`."""
        pending = self._dropped + len(self._shown) - self._read
        return State(self._issued, self._read, self.stopped and not self._taken and pending == 0, pending)

    def stop(self) -> None:
        """Measure nothing more."""
        self.stopped = True
        self.schedule.stop()

    def routes(self) -> Sequence[BaseRoute]:
        """The pages."""
        return [Route("/quality", self._pages)]

    async def _pages(self, request: Request) -> Response:
        asked = request.query_params
        position, limit = asked.get("after", "0"), asked.get("limit", "100")
        end = self._dropped + len(self._shown)
        if not (position.isdigit() and limit.isdigit()) or int(position) > end:
            return Response("after hoặc limit không hợp lệ", 400)
        after = int(position)
        if after < self._dropped:
            return Response("không còn lưu", 410)
        first = max(self._dropped, after - request.scope["shift"]) if after < end else after
        last = min(end, after + max(1, min(int(limit), MOST_ITEMS)))
        items = b",".join(self._shown[first - self._dropped : last - self._dropped])
        request.scope["delivered"] = lambda: self._delivered(last)
        more = b"true" if last < end else b"false"
        return Response(b'{"items":[%s],"next":"%d","more":%s}' % (items, last, more), media_type="application/json")

    def _delivered(self, last: int) -> None:
        self._read = max(self._read, last)
