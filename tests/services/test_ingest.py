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
from streams.departments.payment import Payment
from streams.event import Touched, encode
from streams.settings import Settings, Worker
from streams.topics import topic
from tests.services.space import NOW, Space

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
        paid = Payment(
            id=uuid.uuid4().hex, body="0" * 16, source="bank", event_time_us=NOW, known_at_us=NOW, kind="hdbank", unit="38001",
            transaction=uuid.uuid4().hex, status="paid", paid_vnd=1000, paid_at_us=NOW,
        )  # fmt: skip
        sender.send(topic("payment", space.name), encode(paid), paid.transaction.encode())
    sender.flush()
    sender.close()


@pytest.mark.parametrize("what", ["getmany", "beginning_offsets"])
@pytest.mark.parametrize("how", [hangs, fails])
def test_a_kafka_client_that_stays_broken_is_made_anew(
    at_work: Space, parts: Parts, monkeypatch: pytest.MonkeyPatch, what: str, how: Callable[..., Any]
) -> None:
    clients: list[AIOKafkaConsumer] = []

    def made(*arguments: Any, **options: Any) -> AIOKafkaConsumer:
        clients.append(AIOKafkaConsumer(*arguments, **options))
        return clients[-1]

    def topic_ids(names: Sequence[str]) -> Mapping[str, str]:
        return ids_of(names, kafka_python_options(at_work.settings, parts.bootstrap))

    def received() -> int:
        return int(at_work.rows("select coalesce(sum(received), 0) from ledger")[0][0])

    async def touched(_: Sequence[Touched]) -> None:
        pass

    async def until(count: int) -> None:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(received) < count:
                await asyncio.sleep(0.1)

    async def story() -> None:
        topics = {topic("payment", at_work.name): "payment"}
        service = ingest.Ingest(at_work.settings, parts.bootstrap, topics, at_work.store, touched, topic_ids)
        await service.start()
        try:
            send(at_work, parts.bootstrap)
            await until(COUNT)
            setattr(clients[0], what, how)
            await asyncio.sleep(0.5)  # the look that is under way
            if what != "getmany":  # asked only after something went wrong
                await service.on_partitions_revoked([])
            send(at_work, parts.bootstrap)
            await until(2 * COUNT)
        finally:
            await service.stop()

    monkeypatch.setattr(ingest, "AIOKafkaConsumer", made)
    asyncio.run(story())
    assert len(clients) == 2
    assert received() == 2 * COUNT
