"""The pages and answers of the wall: boards, panels, live streams, the past, files."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from grafana.macros import period
from grafana.wall import assets, guard, past, places, stamp, variables
from grafana.wall.access import Key, Who
from grafana.wall.clock import Clock
from grafana.wall.hub import Viewer
from grafana.wall.library import Board, View
from grafana.wall.room import Room
from streams import settings
from streams.errors import Misconfigured, Retry


class _Files(StaticFiles):
    """Static files that the browser asks about again each time (cheap by ETag), so that a new version shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "no-cache"
        return answer


def json(found: Any, status: int = 200) -> Response:
    """An answer nobody keeps."""
    return Response(orjson.dumps(found), status, media_type="application/json", headers={"cache-control": "no-store"})


class Pages:
    """What screens ask for of one space, but for explanations, logins and their own reports."""

    def __init__(self, room: Room, province: str, access: settings.Wall, key: Key) -> None:
        self._boards, self._hub, self._reader, self._past, self._clock = room.boards, room.hub, room.reader, room.past, room.clock
        self._map = places.communes(province)
        self._public = frozenset(access.public)
        self._key = key

    def routes(self) -> list[BaseRoute]:
        """Which address is answered by what."""
        return [
            Route("/", self.home),
            Route("/d/{uid}", self.board_page),
            Route("/compare", self.compare),
            Route("/api/boards", self.boards),
            Route("/api/boards/{uid}", self.board),
            Route("/api/boards/{uid}/panels/{panel:int}", self.panel),
            Route("/api/map", self.map),
            Route("/api/live", self.live),
            Route("/api/past", self.past),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/vendor/{name}", self.vendor),
            Mount("/fonts", _Files(directory=assets.FONT, check_dir=False)),
            Mount("/static", _Files(directory=assets.STATIC)),
        ]

    def _seen_by(self, who: Who) -> list[Board]:
        return [board for uid, board in self._boards.items() if who.whole(uid) or uid in self._public]

    async def home(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        seen = self._seen_by(guard.who(request))
        if not seen:
            return PlainTextResponse("Không có bảng nào để xem.\n", 404)
        return RedirectResponse(f"/d/{seen[0].uid}{query}", 307)

    async def board_page(self, request: Request) -> Response:
        if request.path_params["uid"] not in self._boards:
            return PlainTextResponse("Không có bảng này.\n", 404)
        rotates = "kiosk" in request.query_params and {"boards", "rotate"} & {*request.query_params}
        # The boards of a rotation are stamped, each by itself.
        return stamp.page("kiosk.html", Clock()) if rotates else stamp.page("index.html", self._clock)

    async def compare(self, request: Request) -> Response:
        """A board twice: live, and in the space."""
        return stamp.page("compare.html", Clock())

    async def boards(self, request: Request) -> Response:
        """Every board; `below` are those people come to from another one, since they ask for a choice."""
        found = [(board, bool(board.variables)) for board in self._seen_by(guard.who(request))]
        return json([{"uid": board.uid, "title": board.title, "tags": board.public["tags"], "below": below} for board, below in found])

    def _board(self, request: Request) -> Board:
        uid = request.path_params.get("uid") or request.query_params.get("board", "")
        if uid not in self._boards:
            raise Misconfigured("there is no such board", "ask /api/boards")
        return self._boards[uid]

    def _only(self, request: Request, *allowed: str) -> None:
        if unknown := sorted(set(request.query_params) - {"space", *allowed}):
            raise Misconfigured(f"unknown parameters: {', '.join(unknown)[:80]}", "send declared variables only")

    async def _chosen(self, request: Request, board: Board) -> tuple[dict[str, str], list[dict[str, Any]], str, str]:
        """The values of the board's variables (`var-NAME=..`), their pickers, and the period. Raises Misconfigured, Retry."""
        asked = request.query_params
        start, end = asked.get("from", board.start), asked.get("to", board.end)
        over = period(start, end, self._at(request) or self._clock.now())
        wanted = {name.removeprefix("var-"): value for name, value in asked.items() if name.startswith("var-")}
        return *await variables.settle(board.variables, wanted, self._reader.read, over), start, end

    async def _view(self, request: Request) -> tuple[View, list[dict[str, Any]]]:
        """The view an address asks for, and its pickers; a period only where the board offers some. Raises Misconfigured, Retry."""
        board = self._board(request)
        self._only(request, "board", "at", "screen", *board.parameters, *(("from", "to") if board.periods else ()))
        chosen, pickers, start, end = await self._chosen(request, board)
        over = None if (start, end) == (board.start, board.end) else (start, end)
        public = not guard.who(request).whole(board.uid)
        return View(board.uid, tuple(sorted(chosen.items())), self._at(request), over, public), pickers

    def _at(self, request: Request) -> datetime | None:
        """The minute of the past that the address asks for. Raises Misconfigured."""
        asked = request.query_params.get("at")
        return None if asked is None else past.moment(asked, self._clock.now())

    async def board(self, request: Request) -> Response:
        board = self._board(request)
        view, pickers = await self._view(request)
        start, end = view.over or (board.start, board.end)
        return json({**board.public, "variables": pickers, "periods": board.periods, "from": start, "to": end})

    async def panel(self, request: Request) -> Response:
        """What one panel shows now, or over `from`..`to`."""
        board, panel = self._board(request), request.path_params["panel"]
        self._only(request, "from", "to", "at", *board.parameters)
        if panel not in board.panels:
            raise Misconfigured("there is no such panel", f"ask /api/boards/{board.uid}")
        chosen, _, start, end = await self._chosen(request, board)
        whole = guard.who(request).whole(board.uid)
        if whole and (at := self._at(request)) is not None:
            over = None if (start, end) == (board.start, board.end) else (start, end)
            _, panels = await self._past.shown(View(board.uid, tuple(sorted(chosen.items())), at, over))
            return Response(panels[panel], media_type="application/json", headers={"cache-control": "no-store"})
        if whole and {"from", "to"} & {*request.query_params}:
            return json(await self._hub.answer(board.panels[panel], start, end, self._clock.now(), {}, chosen))
        shown = await self._hub.fresh(View(board.uid, tuple(sorted(chosen.items())), public=not whole))
        if panel not in shown:
            raise Retry("the figures cannot be read now", "try again")
        return Response(shown[panel], media_type="application/json", headers={"cache-control": "no-store"})

    async def map(self, request: Request) -> Response:
        """The communes of the province: centre and area of each, from which screens draw their cells."""
        self._only(request)
        return Response(self._map, media_type="application/json", headers={"cache-control": "max-age=3600"})

    async def past(self, request: Request) -> Response:
        """The board as it looked at the minute `at`: the same JSON as a wave's. Raises Misconfigured, Retry."""
        view, _ = await self._view(request)
        if view.at is None:
            raise Misconfigured("a moment is wanted", "send at=2026-10-03T09:17")
        told, panels = await self._past.shown(view)
        inside = b",".join(b'"%d":%s' % (panel, data) for panel, data in panels.items())
        body = b'{"state":%s,"panels":{%s}}' % (told, inside)
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    async def live(self, request: Request) -> Response:
        """Server-sent events: `wave` with what changed and the state of the data; the first holds everything."""
        view, _ = await self._view(request)
        if view.at is not None:
            raise Misconfigured("what is past does not change", "ask /api/past")
        viewer = await self._hub.join(view)
        return StreamingResponse(
            self._stream(viewer, guard.who(request)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _stream(self, viewer: Viewer, who: Who) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 2000\n\n"
            while (message := await viewer.waiting.get()) is not None and self._key.vouches(who):
                yield message
        finally:
            self._hub.leave(viewer)

    async def vendor(self, request: Request) -> Response:
        path = assets.VENDOR.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("not found\n", 404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """200 when figures can be read and, where Kafka is used, pushed."""
        if self._hub.database is None:
            await self._hub.wave(set())
        ready = self._hub.database is True and self._hub.kafka is not False
        return json({"ready": ready, "database": self._hub.database, "kafka": self._hub.kafka}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
