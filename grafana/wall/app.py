"""The wall's web application: boards as JSON, figures by id, live by server-sent events. Viewers never send SQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from grafana.wall import assets, library, login, touches
from grafana.wall.access import Key
from grafana.wall.builder import Builder
from grafana.wall.duty import Duty
from grafana.wall.guard import Guard
from grafana.wall.hub import Hub
from grafana.wall.library import BOARDS
from grafana.wall.pages import Pages, json
from grafana.wall.replay import Steering
from grafana.wall.room import Room, forever
from grafana.wall.rooms import Leading, Rooms
from grafana.wall.screens import Screens
from sinks import migrations
from streams import settings
from streams.errors import IocError, Misconfigured, Retry

log = structlog.get_logger()


@dataclass(frozen=True)
class Wall:
    """What a wall is made of. province: the code of the one on the map. kafka: aiokafka's connection settings, None to live by polling.
    routes: what else this server answers (webhooks). access: who may look. key: the file with the key of links and cookies.
    duty_dsn: the login that acknowledges and silences alarms and steers replays, None where nobody can. space: whose figures they see who name no other."""

    reader_dsn: str
    schema: str = "board"
    schema_at: str = "board_at"
    boards: Path = BOARDS
    province: str = "38"
    kafka: Mapping[str, Any] | None = None
    topic: str = "ioc.touched"
    routes: Sequence[BaseRoute] = field(default=())
    access: settings.Wall = field(default_factory=settings.Wall)
    key: Path = Path(".run/secrets/wall.key")
    duty_dsn: str | None = None
    space: str = "live"


def build(wall: Wall) -> Starlette:
    """The application; it connects when it starts and reconnects for ever. Raises Misconfigured for bad boards. `app.state.hub` is its hub,
    `app.state.rooms` what shows the other spaces."""
    boards = library.load(wall.boards)
    key = Key(wall.key)
    if wall.access.login:
        key.make()
    if unknown := sorted(set(wall.access.public) - set(boards)):
        raise Misconfigured(f"wall.public names boards that are not there: {', '.join(unknown)}", f"choose from {', '.join(boards)}")
    version = assets.version()
    live = Room(wall.space, boards, wall.reader_dsn, (wall.schema, wall.schema_at), version)
    steering = Steering(live.reader, wall.duty_dsn)

    def answers(room: Room) -> list[BaseRoute]:
        pages, duty = Pages(room, wall.province, wall.access, key), Duty(room, wall.duty_dsn)
        return [*pages.routes(), Route("/api/explain", room.explainer.answer), *duty.routes(), *steering.routes()]

    def another(space: str) -> tuple[Room, Starlette]:
        room = Room(space, boards, wall.reader_dsn, (migrations.board(space), migrations.board_at(space)), version)
        return room, Starlette(routes=answers(room), exception_handlers={IocError: _refused, 404: _nothing_here})

    rooms = Rooms(live, another)
    app = Starlette(
        routes=[
            *answers(live),
            *Screens(rooms.waves, version).routes(),
            *Builder(wall.reader_dsn, wall.space, boards).routes(),
            *login.routes(key, "link" in wall.access.login),
            *wall.routes,
        ],
        lifespan=lambda app: _life(wall, rooms),
        middleware=[Middleware(Guard, rules=wall.access, key=key), Middleware(Leading, rooms=rooms, refused=_refusal)],
        exception_handlers={IocError: _refused},
    )
    app.state.hub, app.state.rooms = live.hub, rooms
    return app


@contextlib.asynccontextmanager
async def _life(wall: Wall, rooms: Rooms) -> AsyncIterator[None]:
    await rooms.live.open()
    tasks = [asyncio.create_task(forever("rooms", rooms.tidy))]
    if wall.kafka is not None:
        tasks.append(asyncio.create_task(_listen(wall, rooms.live.hub)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rooms.close()
        await rooms.live.close()


async def _listen(wall: Wall, hub: Hub) -> None:
    def alive(yes: bool) -> None:
        if yes != hub.kafka:
            log.info("Kafka answers, figures are pushed" if yes else "Kafka is away, figures are read every five seconds")
        hub.kafka = yes

    client = wall.kafka or {}
    await forever("touches", lambda: touches.listen(client, wall.topic, hub.wake, alive))


def _refused(request: Request, error: Exception) -> Response:
    return _refusal(error)


def _refusal(error: Exception) -> Response:
    wrong = error.wrong if isinstance(error, IocError) else "error"
    return json({"error": wrong}, 503 if isinstance(error, Retry) else 400)


def _nothing_here(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Trang này không có trong diễn tập.\n", 404)
