"""The ingest service on a real broker and a real database, with a client library that hangs or has broken down: it must not stay so."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from connectors.producing import producer
from deploy.commands.work import ids_of
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics
from streams import ingest
from streams.brokers import kafka_python_options
from streams.event import Touched, encode
from streams.settings import Settings, Worker
from streams.topics import topic
from tests.services.space import Space, paid

COUNT = 20


async def hangs(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


async def fails(*_: Any, **__: Any) -> Any:
    await asyncio.sleep(0.1)
    raise KafkaError("Unexpected error during coordination")


@pytest.fixture
def at_work(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings.model_copy(update={"worker": Worker(session_timeout_seconds=1.0)}), parts)
    create_topics(made.settings, parts.bootstrap)
    yield made
    made.drop()


def send(space: Space, bootstrap: str) -> None:
    sender = producer(kafka_python_options(space.settings, bootstrap))
    for _ in range(COUNT):
        event = paid(uuid.uuid4().int // 2)
        sender.send(topic("payment", space.name), encode(event), event.transaction.encode())
    sender.flush()
    sender.close()


class Service:
    """The service at work in a space, every client it makes, and how much it has taken."""

    def __init__(self, space: Space, bootstrap: str, touched: Callable[..., Any]) -> None:
        self._space = space
        self._bootstrap = bootstrap
        self.clients: list[AIOKafkaConsumer] = []
        self.ingest = ingest.Ingest(
            space.settings, bootstrap, {topic("payment", space.name): "payment"}, space.store, touched, self._topic_ids
        )

    def client(self, *arguments: Any, **options: Any) -> AIOKafkaConsumer:
        self.clients.append(AIOKafkaConsumer(*arguments, **options))
        return self.clients[-1]

    def received(self) -> int:
        return int(self._space.rows("select coalesce(sum(received), 0) from ledger")[0][0])

    async def takes(self) -> None:
        """COUNT more records come, and are taken."""
        wanted = await asyncio.to_thread(self.received) + COUNT
        send(self._space, self._bootstrap)
        async with asyncio.timeout(60):
            while await asyncio.to_thread(self.received) < wanted:
                await asyncio.sleep(0.1)

    def _topic_ids(self, names: Sequence[str]) -> Mapping[str, str]:
        return ids_of(names, kafka_python_options(self._space.settings, self._bootstrap))


async def told(_: Sequence[Touched]) -> None:
    """Nobody follows."""


@pytest.mark.parametrize("what", ["getmany", "beginning_offsets"])
@pytest.mark.parametrize("how", [hangs, fails])
def test_a_kafka_client_that_stays_broken_is_made_anew(
    at_work: Space, parts: Parts, monkeypatch: pytest.MonkeyPatch, what: str, how: Callable[..., Any]
) -> None:
    async def story() -> None:
        await service.ingest.start()
        try:
            await service.takes()
            setattr(service.clients[0], what, how)
            await asyncio.sleep(0.5)  # the look that is under way
            if what != "getmany":  # asked only after something went wrong
                await service.ingest.on_partitions_revoked([])
            await service.takes()
        finally:
            await service.ingest.stop()

    service = Service(at_work, parts.bootstrap, told)
    monkeypatch.setattr(ingest, "AIOKafkaConsumer", service.client)
    asyncio.run(story())
    assert len(service.clients) == 2
    assert service.received() == 2 * COUNT


def test_a_wake_up_that_never_gets_through_holds_nothing_up(at_work: Space, parts: Parts) -> None:
    async def story() -> None:
        await service.ingest.start()
        try:
            for _ in range(3):
                await service.takes()
        finally:
            await service.ingest.stop()

    service = Service(at_work, parts.bootstrap, hangs)
    asyncio.run(story())
    assert service.received() == 3 * COUNT
