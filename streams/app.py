"""The Faust app: the ingest service for what is told, agents on `ioc.touched` for what follows from it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import faust
import msgspec
import structlog

from streams.brokers import login, ssl_context
from streams.department import NAMES
from streams.errors import Retry
from streams.event import Touched, encode
from streams.ingest import Ingest, TopicIds
from streams.settings import Settings
from streams.store import Store
from streams.topics import topic

log = structlog.get_logger("worker")

RULES_EVERY_SECONDS, RULES_REST_SECONDS = 1.0, 0.2
"""Rules are looked at after each commit, at least and at most this often."""


class FigureStore(Protocol):
    """Keeps the figures of departments level with their committed events."""

    def catch_up(self, department: str) -> Touched | None:
        """Take what one transaction can; None when nothing is owed. Blocks. Raises Retry while the store is away."""
        ...


class RuleStore(Protocol):
    """Decides the rules of what was committed."""

    def evaluate(self) -> Touched | None:
        """One round; what to tell when firings changed. Blocks. Raises Retry while the store is away."""
        ...


def build(settings: Settings, bootstrap: str, store: Store, figures: FigureStore, rules: RuleStore, topic_ids: TopicIds) -> faust.App:
    """The worker's app. Nothing an agent does may leave its loop body, and none holds the only copy of anything: the dirty log in
    the database says what is still owed, a touch only says that it is worth a look."""
    app = faust.App(
        f"ioc.{settings.space}.worker",
        broker=[f"kafka://{server}" for server in bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        processing_guarantee="at_least_once",
        broker_session_timeout=settings.worker.session_timeout_seconds,
        broker_heartbeat_interval=max(0.3, settings.worker.session_timeout_seconds / 6),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="latest",
        topic_replication_factor=settings.kafka.replication,
        topic_partitions=settings.kafka.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
        datadir=str(settings.state_dir / "faust"),
    )
    touches = app.topic(topic("touched", settings.space), value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    free = asyncio.Semaphore(settings.worker.figures)  # departments take turns, and leave the threads that write batches alone
    wanted: set[str] = set()
    decided = asyncio.Event()

    async def tell(touched: Sequence[Touched]) -> None:
        for touch in touched:
            await touches.send(key=touch.department.encode(), value=encode(touch))

    async def catch_up(name: str) -> Touched | None:
        async with free:
            return await asyncio.to_thread(figures.catch_up, name)

    async def follow(name: str) -> None:
        wanted.add(name)
        if locks[name].locked():
            return  # whoever holds it looks again
        async with locks[name]:
            try:
                while name in wanted:
                    wanted.discard(name)
                    while touch := await catch_up(name):
                        await tell([touch])
                        decided.set()
            except Retry as away:
                log.debug(away.wrong)
            except Exception:
                log.exception("figures could not follow; tried again in 5 seconds", department=name)

    @app.agent(touches)  # type: ignore[untyped-decorator]  # Faust has no types
    async def follow_touched(stream: Any) -> None:
        async for batch in stream.take(1000, within=0.02):
            await asyncio.gather(*map(follow, _touched(batch)))
            decided.set()  # signs of life and the ledger are looked at too

    @app.timer(5.0)  # type: ignore[untyped-decorator]
    async def follow_owed() -> None:
        await asyncio.gather(*map(follow, NAMES))

    @app.task  # type: ignore[untyped-decorator]
    async def follow_what_was_left() -> None:
        await follow_owed()

    @app.task  # type: ignore[untyped-decorator]
    async def decide_rules() -> None:
        while not app.should_stop:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(decided.wait(), RULES_EVERY_SECONDS)
            decided.clear()
            try:
                touch = await asyncio.to_thread(rules.evaluate)
                if touch:
                    await tell([touch])
            except Retry as away:
                log.debug(away.wrong)
                await asyncio.sleep(RULES_EVERY_SECONDS)
            except Exception:
                log.exception("rules could not be decided; tried again in 5 seconds")
                await asyncio.sleep(5.0)
            await asyncio.sleep(RULES_REST_SECONDS)

    @app.service
    class _Ingest(Ingest):
        def __init__(self, **options: Any) -> None:
            topics = {topic(name, settings.space): name for name in (*NAMES, "rejects", "asked")}
            super().__init__(settings, bootstrap, topics, store, tell, topic_ids, **options)

    return app


def _touched(batch: Sequence[bytes]) -> list[str]:
    """The departments whose events were touched; what cannot be read is nothing to wake up for."""
    names = set()
    for value in batch:
        try:
            touch = msgspec.json.decode(value, type=Touched)
        except msgspec.DecodeError:
            continue
        if touch.stage == "events" and touch.department in NAMES:
            names.add(touch.department)
    return sorted(names)


def _credentials(settings: Settings) -> Any:
    kafka = login(settings)
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username, password=kafka.sasl_password, mechanism=kafka.sasl_mechanism, ssl_context=ssl_context(kafka)
        )
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(ssl_context(kafka))
    return None
