"""`ioc serve`: the wall, the webhooks, health and metrics, in the foreground."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from types import FrameType
from typing import Annotated

import typer
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from starlette.routing import BaseRoute

from connectors import webhook
from deploy import console
from deploy.commands.wall import wall_key
from deploy.embedded import parts
from grafana.wall import assets, limits
from grafana.wall.app import Wall, build
from grafana.wall.limits import Bounded
from sinks import migrations, roles
from streams import brokers, pseudonym, settings
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from streams.topics import topic

UNREAD_MS = 30_000


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: web.host).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for any free one (default: web.port).")] = None,
) -> None:
    """The wall, webhooks (/hooks/SOURCE), /healthz, /readyz and /metrics.

    The address is printed and kept in web.json of the state folder. SIGTERM ends it cleanly; screens reconnect by themselves.
    """
    chosen = settings.load()
    if assets.missing():
        raise Misconfigured("the wall's chart library and typeface are not there", f"run `make setup`, or `npm ci` in {assets.HERE}")
    for name in ("psycopg.pool", "aiokafka", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _closed(chosen, host or chosen.web.host)
    with _listen(host or chosen.web.host, chosen.web.port if port is None else port) as listening:
        import uvloop

        caught: list[int] = []  # uvicorn raises a signal again after its own clean end; ours comes after that
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda sig, _: caught.append(sig))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(chosen, listening, caught))
    console.say("the wall is closed")
    if signal.SIGINT in caught:
        raise KeyboardInterrupt


async def _serve(chosen: Settings, listening: socket.socket, caught: list[int]) -> None:
    found = parts.find(chosen)
    client = brokers.aiokafka_options(chosen, found.bootstrap)
    async with _webhooks(chosen, found.bootstrap) as hooks:
        wall = Wall(
            reader_dsn=roles.reader_dsn(chosen),
            schema=migrations.board(chosen.space),
            schema_at=migrations.board_at(chosen.space),
            province=chosen.web.province,
            kafka=client,
            topic=topic("touched", chosen.space),
            routes=hooks,
            access=chosen.wall,
            key=wall_key(chosen),
            duty_dsn=_duty_dsn(chosen),
            space=chosen.space,
        )
        config = uvicorn.Config(
            build(wall),
            http=Bounded,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            proxy_headers=False,
        )
        _say_where(chosen, listening)
        if not caught:
            await _Server(config).serve(sockets=[listening])


def _duty_dsn(chosen: Settings) -> str | None:
    """None where the database was given without that login: alarms can then be looked at only."""
    try:
        return roles.duty_dsn(chosen)
    except Misconfigured as error:
        console.say(f"nobody can acknowledge alarms on this wall: {error.wrong}; {error.mend}")
        return None


@contextlib.asynccontextmanager
async def _webhooks(chosen: Settings, bootstrap: str) -> AsyncIterator[Sequence[BaseRoute]]:
    """The routes of the sources that push to us, with their producer; none when no source does. Raises Retry when Kafka is away."""
    if not any(source.connector == "webhook" for source in chosen.sources):
        yield ()
        return
    producer = AIOKafkaProducer(**webhook.producer_options(brokers.aiokafka_options(chosen, bootstrap)))
    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        raise Retry(f"Kafka at {bootstrap} does not answer", "run `ioc up`, or wait until it is back") from error
    try:
        keys = pseudonym.load(chosen.state_dir)
        yield webhook.routes(chosen, keys, producer, brokers.kafka_python_options(chosen, bootstrap))
    finally:
        await producer.stop()


class _Server(uvicorn.Server):
    """Ends the live streams first, so that a stop does not wait for screens that never hang up."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.rooms.hang_up()  # type: ignore[union-attr]  # our own application, not a dotted name
        super().handle_exit(sig, frame)


def _closed(chosen: Settings, host: str) -> None:
    """Raises Misconfigured when everyone who reaches this address could look, and nobody said that this is meant."""
    if not chosen.wall.login and not chosen.wall.open_to_all and not limits.loopback(host):
        raise Misconfigured(
            f"on {host} everyone who reaches this machine could look at the wall, since no login is configured",
            'set wall.login = ["link"] (or "proxy"), or wall.open_to_all = true if everyone may look',
        )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # inherited by connections: who does not read what he asked for is cut
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        listening.bind((host, port))
        listening.listen()  # the address is said before the server answers: who comes early waits
    except OSError as error:
        listening.close()
        raise Misconfigured(
            f"cannot listen on {host}:{port} ({error.strerror})", "choose another with --port, or --port 0 for any free one"
        ) from error
    return listening


def _say_where(chosen: Settings, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://{host}:{port}"
    chosen.state_dir.mkdir(parents=True, exist_ok=True)
    (chosen.state_dir / "web.json").write_text(json.dumps({"url": url, "port": port}) + "\n")
    console.say(f"the wall is at {url}")
