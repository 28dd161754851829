"""The tax feed: pages of T-VAN messages behind a bearer token."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from deploy.simulators import sellers
from deploy.simulators.feed import Delivery, Printer, arrived
from deploy.simulators.schedule import Schedule
from deploy.simulators.serving import State
from deploy.simulators.truth import Truth

HISTORY_CHAINS_A_DAY = 950
MOST_ITEMS = 1_000
KEPT_ITEMS = 100_000


@dataclass
class Tax:
    """The feed as a `System`: an ever longer list of deliveries, read from a position on. Of what was read it keeps the last KEPT_ITEMS."""

    schedule: Schedule[Delivery]
    truth: Truth
    printer: Printer
    people: list[sellers.Seller]
    stopped: bool = False
    _shown: list[Delivery] = field(default_factory=list)
    _taken: list[Delivery] = field(default_factory=list)
    _issued: int = 0
    _read: int = 0
    _dropped: int = 0

    def take(self, now: int) -> bool:
        """As `System.take`."""
        due = self.schedule.advance(now)
        for _, delivery in due:
            if delivery.told is not None:
                self._issued += delivery.told["what"] == "fact"
                self.truth.add(arrived(delivery.told, now))
                delivery.told = None
            self._taken.append(delivery)
        return bool(due)

    def show(self) -> None:
        """As `System.show`."""
        self._shown += self._taken
        self._taken = []
        if len(self._shown) > 2 * KEPT_ITEMS:
            over = max(0, min(self._read - self._dropped, len(self._shown) - KEPT_ITEMS))
            del self._shown[:over]
            self._dropped += over

    def state(self) -> State:
        """As `System.state`."""
        pending = self._dropped + len(self._shown) - self._read
        return State(self._issued, self._read, self.stopped and not self._taken and pending == 0, pending)

    def stop(self) -> None:
        """Issue nothing more."""
        self.stopped = True
        self.schedule.stop()

    def routes(self) -> Sequence[BaseRoute]:
        """The feed and the registry of sellers."""
        return [Route("/tvan/messages", self._messages), Route("/registry.csv", self._registry)]

    async def _messages(self, request: Request) -> Response:
        asked = request.query_params
        after = _position(asked.get("after", ""))
        limit = asked.get("limit", "100")
        end = self._dropped + len(self._shown)
        if after is None or after > end or not limit.isdigit():
            return Response("after hoặc limit không hợp lệ", 400)
        if after < self._dropped:
            return Response("không còn lưu", 410)
        first = max(self._dropped, after - request.scope["shift"]) if after < end else after
        last = min(end, after + max(1, min(int(limit), MOST_ITEMS)))
        tag = f'"{after}-{last}"'
        if first == last and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        page = self._shown[first - self._dropped : last - self._dropped]
        items = [{"content": base64.b64encode(self.printer.print(delivery)).decode()} for delivery in page]
        request.scope["delivered"] = lambda: self._delivered(last)
        body = orjson.dumps({"items": items, "next": _token(last), "more": last < end})
        return Response(body, media_type="application/json", headers={"ETag": tag})

    def _delivered(self, last: int) -> None:
        self._read = max(self._read, last)

    async def _registry(self, request: Request) -> Response:
        return PlainTextResponse(sellers.registry(self.people), media_type="text/csv")


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(f"p{position}".encode()).decode()


def _position(token: str) -> int | None:
    """Where a token points; None when it is none of ours."""
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token).decode()
    except ValueError:
        return None
    return int(text[1:]) if text[:1] == "p" and text[1:].isdigit() else None
