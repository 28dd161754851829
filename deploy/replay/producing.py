"""Records into the topics of a space: whole batches by partition, each acknowledged before it counts as played."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from sinks.history import Record, partition
from streams.brokers import aiokafka_options
from streams.errors import Retry
from streams.settings import Settings
from streams.topics import topic

BATCH_BYTES = 256 * 1024

Ends = dict[tuple[str, int], int]
"""(topic without prefix, partition) -> the offset after what was played."""


class Producing:
    """A producer of a space's topics. settings: of the space."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._space = settings.space
        self._producer = AIOKafkaProducer(
            **aiokafka_options(settings, bootstrap),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=16 * 1024 * 1024,
            request_timeout_ms=60_000,
        )
        self._partitions: dict[str, int] = {}

    async def start(self) -> None:
        """Connect. Raises Retry when Kafka cannot be reached."""
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise Retry("Kafka cannot be reached", "run `ioc up`") from error

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()

    async def produce(self, records: Sequence[Record]) -> "Sent":
        """Hand records over, those of a partition in their order. Raises Retry while Kafka is away."""
        groups: dict[tuple[str, int], list[Record]] = {}
        partitions = self._partitions
        for record in records:
            _, name, key, _ = record
            place = (name, partition(key, partitions.get(name) or await self._partitions_of(name)))
            held = groups.get(place)
            if held is None:
                groups[place] = [record]
            else:
                held.append(record)
        sent = Sent()
        try:
            for place, group in groups.items():
                await self._send(place, group, sent)
        except KafkaError as error:
            raise Retry("Kafka is away", "the replay goes on when it is back") from error
        return sent

    async def _send(self, place: tuple[str, int], group: Sequence[Record], sent: "Sent") -> None:
        name, number = topic(place[0], self._space), place[1]
        batch = self._producer.create_batch()
        for _, _, key, value in group:
            if batch.append(key=key, value=value, timestamp=None) is None:
                sent.add(place, batch.record_count(), await self._producer.send_batch(batch, name, partition=number))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)  # the first of a batch always fits
        if batch.record_count():
            sent.add(place, batch.record_count(), await self._producer.send_batch(batch, name, partition=number))

    async def _partitions_of(self, name: str) -> int:
        self._partitions[name] = len(await self._producer.partitions_for(topic(name, self._space)))
        return self._partitions[name]


class Sent:
    """Records on their way."""

    def __init__(self) -> None:
        self._futures: list[tuple[tuple[str, int], int, asyncio.Future[Any]]] = []

    def add(self, place: tuple[str, int], records: int, future: "asyncio.Future[Any]") -> None:
        """So many records of one batch."""
        self._futures.append((place, records, future))

    async def acknowledged(self) -> Mapping[tuple[str, int], int]:
        """Where each partition ends after them, once Kafka has them all. Raises Retry when it did not take them."""
        ends: Ends = {}
        try:
            for place, records, future in self._futures:
                told = await future
                ends[place] = told.offset + records
        except KafkaError as error:
            raise Retry("Kafka did not take what was played", "the replay goes on from the last mark") from error
        return ends
