"""The wall's web application: boards as JSON, figures by id, live by server-sent events. Viewers never send SQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from grafana.wall import assets, library, login, touches
from grafana.wall.access import Key
from grafana.wall.builder import Builder
from grafana.wall.duty import Duty
from grafana.wall.explain import Explainer
from grafana.wall.guard import Guard
from grafana.wall.hub import Hub
from grafana.wall.library import BOARDS
from grafana.wall.pages import Pages, json
from grafana.wall.past import Past
from grafana.wall.reader import Reader
from grafana.wall.screens import Screens
from sinks.migrations import schema
from streams import settings
from streams.errors import IocError, Misconfigured, Retry

log = structlog.get_logger()


@dataclass(frozen=True)
class Wall:
    """What a wall is made of. province: the code of the one on the map. kafka: aiokafka's connection settings, None to live by polling.
    routes: what else this server answers (webhooks). access: who may look. key: the file with the key of links and cookies.
    duty_dsn: the login that acknowledges and silences alarms, None where nobody can. space: whose figures."""

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
    """The application; it connects when it starts and reconnects for ever. Raises Misconfigured for bad boards. `app.state.hub` is its hub."""
    boards = library.load(wall.boards)
    key = Key(wall.key)
    if wall.access.login:
        key.make()
    if unknown := sorted(set(wall.access.public) - set(boards)):
        raise Misconfigured(f"wall.public names boards that are not there: {', '.join(unknown)}", f"choose from {', '.join(boards)}")
    reader = Reader(wall.reader_dsn, wall.schema)
    version = assets.version()
    hub = Hub(boards, reader, version)
    looking_back = Past(boards, wall.reader_dsn, wall.schema, wall.schema_at)
    explainer = Explainer(wall.reader_dsn, wall.schema, boards)
    duty = Duty(reader, wall.duty_dsn, schema(wall.space), hub.wake)
    app = Starlette(
        routes=[
            *Pages(boards, hub, reader, wall.province, looking_back, wall.access, key).routes(),
            Route("/api/explain", explainer.answer),
            *Screens(lambda: hub.waves, version).routes(),
            *duty.routes(),
            *Builder(wall.reader_dsn, wall.space, boards).routes(),
            *login.routes(key, "link" in wall.access.login),
            *wall.routes,
        ],
        lifespan=lambda app: _life(wall, hub, reader, looking_back, explainer),
        middleware=[Middleware(Guard, rules=wall.access, key=key)],
        exception_handlers={IocError: _refused},
    )
    app.state.hub = hub
    return app


@contextlib.asynccontextmanager
async def _life(wall: Wall, hub: Hub, reader: Reader, looking_back: Past, explainer: Explainer) -> AsyncIterator[None]:
    await reader.open()
    await looking_back.open()
    explainer.open()
    tasks = [asyncio.create_task(_forever("waves", hub.run)), asyncio.create_task(_forever("beats", hub.beat))]
    if wall.kafka is not None:
        tasks.append(asyncio.create_task(_listen(wall, hub)))
    try:
        yield
    finally:
        hub.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await reader.close()
        await looking_back.close()
        explainer.close()


async def _listen(wall: Wall, hub: Hub) -> None:
    def alive(yes: bool) -> None:
        if yes != hub.kafka:
            log.info("Kafka answers, figures are pushed" if yes else "Kafka is away, figures are read every five seconds")
        hub.kafka = yes

    client = wall.kafka or {}
    await _forever("touches", lambda: touches.listen(client, wall.topic, hub.wake, alive))


async def _forever(what: str, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception as error:
            log.error("a part of the wall failed and starts again", part=what, error=repr(error)[:200])
        await asyncio.sleep(1.0)


def _refused(request: Request, error: Exception) -> Response:
    wrong = error.wrong if isinstance(error, IocError) else "error"
    return json({"error": wrong}, 503 if isinstance(error, Retry) else 400)
