"""The watchdog of screens: each says every now and then what it really shows; who falls silent is seen."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grafana.wall import guard, login
from streams import metrics

ALIVE_SECONDS = 40.0  # two beacons and a half
FORGET_SECONDS = 86_400.0
MOST_SCREENS = 1000
MOST_OF_ONE_ADDRESS = 300
_ID = re.compile(r"[A-Za-z0-9-]{1,40}")

Short = Annotated[str, msgspec.Meta(max_length=120)]


class Beacon(msgspec.Struct, forbid_unknown_fields=True):
    """What a screen says of itself. view: board and variables, as in its address. wave, at: the last wave drawn and the server's time in it (ms)."""

    screen: Short
    view: Annotated[str, msgspec.Meta(max_length=400)]
    wave: int
    at: int
    version: Short
    errors: Annotated[list[Short], msgspec.Meta(max_length=5)]
    visible: bool
    name: Short = ""


@dataclass
class Screen:
    """One screen as last heard. since: when it began to show this view (seconds since 1970, as all times here)."""

    said: Beacon
    name: str
    address: str
    first: float
    since: float
    heard: float
    lag_seconds: float


class Screens:
    """All screens that were heard within a day. wave: what the server is at in a space ("": live); version: what it is at."""

    def __init__(self, wave: Callable[[str], int], version: str) -> None:
        self._wave, self._version = wave, version
        self._known: OrderedDict[tuple[str, str], Screen] = OrderedDict()
        for state in ("alive", "silent"):
            metrics.WALL_SCREENS.labels(state).set_function(partial(self._count, state))
        metrics.WALL_SCREENS_WRONG.set_function(lambda: sum(bool(each["errors"]) for each in self.told() if each["state"] == "alive"))
        metrics.WALL_SCREEN_LAG.set_function(
            lambda: max((each["lag_seconds"] for each in self.told() if each["state"] == "alive"), default=0)
        )

    def heard(self, said: Beacon, name: str, address: str, now: float) -> None:
        """A screen spoke."""
        key = (address, said.screen)
        before = self._known.pop(key, None)
        of_address = [each for each in self._known if each[0] == address]
        if len(of_address) >= MOST_OF_ONE_ADDRESS:
            del self._known[of_address[0]]
        if len(self._known) >= MOST_SCREENS:
            self._known.popitem(last=False)
        first = before.first if before else now
        since = before.since if before and before.said.view == said.view else now
        lag = round(max(0.0, now - said.at / 1000), 2)
        self._known[key] = Screen(said, said.name or name, address, first, since, now, lag)

    def _count(self, state: str) -> int:
        return sum(each["state"] == state for each in self.told())

    def told(self) -> list[dict[str, Any]]:
        """What operators see, the silent ones first; times in milliseconds since 1970. behind: waves that went by since the one it drew."""
        now = time.time()
        for key in [key for key, screen in self._known.items() if now - screen.heard > FORGET_SECONDS]:
            del self._known[key]
        rows = [
            {
                "screen": screen.said.screen,
                "name": screen.name,
                "address": screen.address,
                "state": "alive" if now - screen.heard <= ALIVE_SECONDS else "silent",
                "view": screen.said.view,
                "since": round(screen.since * 1000),
                "first": round(screen.first * 1000),
                "heard": round(screen.heard * 1000),
                "wave": screen.said.wave,
                "behind": max(0, self._wave(_space(screen.said.view)) - screen.said.wave),
                "lag_seconds": screen.lag_seconds,
                "version": screen.said.version,
                "current": screen.said.version == self._version,
                "visible": screen.said.visible,
                "errors": screen.said.errors,
            }
            for screen in self._known.values()
        ]
        return sorted(rows, key=lambda row: (row["state"] == "alive", not row["errors"], str(row["name"])))

    def routes(self) -> list[Route]:
        """/api/seen, where screens report, and /api/screens, for operators."""

        async def seen(request: Request) -> Response:
            try:
                said = msgspec.json.decode(await login.body(request), type=Beacon)
            except (msgspec.MsgspecError, ValueError, TimeoutError):
                return Response(status_code=400)
            if not _ID.fullmatch(said.screen):
                return Response(status_code=400)
            if who := guard.who(request).name:  # the public's own screens are no concern of operators
                self.heard(said, who, guard.asked(request).address, time.time())
            return Response(status_code=204)

        async def screens(request: Request) -> Response:
            found = {"version": self._version, "wave": self._wave(""), "screens": self.told()}
            return Response(msgspec.json.encode(found), media_type="application/json", headers={"cache-control": "no-store"})

        return [Route("/api/seen", seen, methods=["POST"]), Route("/api/screens", screens)]


def _space(view: str) -> str:
    return dict(parse_qsl(view.partition("?")[2])).get("space", "")
