"""The ingest service: pulls batches from Kafka and has them written, each in one transaction that also moves the offset.

The database is the truth about what was read, the consumer a cursor into Kafka: after every assignment, and after anything that
went wrong, it seeks to where the database stands. While one batch is being written the next one is fetched, decoded and encoded.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from mode import Service

from streams import collector
from streams.brokers import aiokafka_options
from streams.errors import Retry
from streams.event import Touched
from streams.settings import Settings
from streams.store import Fenced, Partition, Records, Store

log = structlog.get_logger("ingest")

FEW, EVERY_SECONDS = 100, 0.05
"""Of fewer records, no more than a transaction in this time: each costs ten times what a record does (docs/performance.md)."""

TOUCH_SECONDS = 1.0
STUCK_SESSIONS = 5
"""A Kafka client that has neither answered nor got over an error for so many session timeouts is made anew; no rebalance takes that long."""

TopicIds = Callable[[Sequence[str]], Mapping[str, str]]
"""Topic names -> their ids (the incarnations); may block. Raises Retry while Kafka is away."""


class Ingest(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # mode has no types
    """topics: full topic name -> its name in the store (`ioc.einvoice` -> `einvoice`). touched: called after each commit."""

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        topics: Mapping[str, str],
        store: Store,
        touched: Callable[[Sequence[Touched]], Awaitable[None]],
        topic_ids: TopicIds,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._settings = settings
        self._bootstrap = bootstrap
        self._topics = topics
        self._store = store
        self._touched = touched
        self._topic_ids = topic_ids
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, tuple[Partition, int]] = {}
        self._unsettled = True
        self._writing: asyncio.Task[bool] | None = None
        self._begun = 0.0
        self._stuck_seconds = STUCK_SESSIONS * settings.worker.session_timeout_seconds
        self._went = time.monotonic()
        self._wrong: set[str] = set()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the batch in hand finish; the offset guard holds back whatever else might come."""
        self._unsettled = True
        if self._writing is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait({self._writing}, timeout=self._settings.worker.session_timeout_seconds / 2)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing is read before the database has said where to go on."""
        self._unsettled = True
        if self._consumer is not None and assigned:
            self._consumer.pause(*assigned)

    async def on_start(self) -> None:
        """Join the group."""
        _share_the_processor()
        await self._join()

    async def _join(self) -> None:
        timeout_ms = round(self._settings.worker.session_timeout_seconds * 1000)
        self._consumer = AIOKafkaConsumer(
            **aiokafka_options(self._settings, self._bootstrap),
            group_id=f"ioc.{self._settings.space}.ingest",
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=timeout_ms,
            heartbeat_interval_ms=max(300, timeout_ms // 6),
            max_partition_fetch_bytes=3 * 1024 * 1024,
            fetch_max_wait_ms=200,
            metadata_max_age_ms=30_000,
        )
        self._consumer.subscribe(topics=[*self._topics], listener=self)
        while not self.should_stop:
            try:
                await self._consumer.start()
                self._went = time.monotonic()
                return
            except (KafkaError, OSError):
                self._say_away("Kafka is away; the worker waits for it")
                await self.sleep(1.0)

    async def on_stop(self) -> None:
        """Finish the batch in hand, leave the group."""
        if self._writing is not None:
            with contextlib.suppress(Exception):
                await self._writing
        await self._leave()

    async def _leave(self) -> None:
        if self._consumer is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._consumer.stop(), timeout=5.0)

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _pull(self) -> None:
        while not self.should_stop:
            try:
                if self._unsettled:
                    await self._settle()
                else:
                    await self._step()
            except (Fenced, Retry, KafkaError, TimeoutError) as error:
                await self._stand_back(error)

    async def _fetched(self, within_ms: int) -> Mapping[TopicPartition, Sequence[Any]]:
        assert self._consumer is not None  # noqa: S101  # on_start made it
        async with asyncio.timeout(self._stuck_seconds):
            found: Mapping[TopicPartition, Sequence[Any]] = await self._consumer.getmany(
                timeout_ms=within_ms, max_records=self._settings.worker.batch
            )
        self._went = time.monotonic()
        return found

    async def _step(self) -> None:
        # One long look when nothing is in hand; while a batch is being written, only what is there already.
        found = await self._fetched(200)
        rest = self._begun + EVERY_SECONDS - time.monotonic()
        if rest > 0 and 0 < sum(map(len, found.values())) < FEW:
            await asyncio.sleep(rest)
            more = await self._fetched(0)
            found = {tp: [*found.get(tp, ()), *more.get(tp, ())] for tp in {**found, **more}}
        records = self._records(found)
        prepared = self._store.prepare(records) if records else None
        if self._writing is not None:
            ok, self._writing = await self._writing, None
            if not ok:
                return
        if prepared is None or self._unsettled:
            return
        for tp, messages in found.items():
            partition, _ = self._positions[tp]
            self._positions[tp] = (partition, messages[-1].offset + 1)
        self._begun = time.monotonic()
        self._writing = asyncio.create_task(self._write(prepared))

    def _records(self, found: Mapping[TopicPartition, Sequence[Any]]) -> list[Records]:
        records = []
        for tp, messages in found.items():
            if not messages or tp not in self._positions:
                continue
            partition, after = self._positions[tp]
            values = [m.value or b"" for m in messages]
            records.append(Records(partition, after, messages[-1].offset + 1, values, [m.timestamp for m in messages]))
        return records

    async def _write(self, prepared: Any) -> bool:
        try:
            touched = await asyncio.to_thread(self._store.write, prepared)
        except (Fenced, Retry) as error:
            self._unsettled = True
            await self._stand_back(error)
            return False
        with contextlib.suppress(Exception):  # a touch is only a wake-up: those who follow look by themselves every few seconds
            async with asyncio.timeout(TOUCH_SECONDS):
                await self._touched(touched)
        return True

    async def _settle(self) -> None:
        """Seek every assigned partition to where the database stands."""
        consumer = self._consumer
        assert consumer is not None  # noqa: S101  # on_start made it
        if self._writing is not None:
            await self._writing
            self._writing = None
        assigned = consumer.assignment()
        if not assigned:
            await self._fetched(200)  # takes part in the rebalance
            return
        consumer.pause(*assigned)
        async with asyncio.timeout(self._stuck_seconds):
            ids = await asyncio.to_thread(self._topic_ids, sorted({tp.topic for tp in assigned}))
        partitions = {tp: Partition(self._topics[tp.topic], ids[tp.topic], tp.partition) for tp in assigned}
        stands = await asyncio.to_thread(self._store.offsets, [*partitions.values()])
        async with asyncio.timeout(self._stuck_seconds):
            firsts, lasts = await consumer.beginning_offsets([*assigned]), await consumer.end_offsets([*assigned])
        if consumer.assignment() != assigned:
            return  # a rebalance came in between: once more
        self._unsettled = False
        for tp, partition in partitions.items():
            stand = stands[partition]
            if stand < firsts[tp] and stand > 0:
                log.error(
                    "records were deleted from Kafka before they were read",
                    topic=tp.topic,
                    partition=tp.partition,
                    missing=firsts[tp] - stand,
                )
            if stand > lasts[tp]:
                log.error("Kafka has less than was already read", topic=tp.topic, partition=tp.partition, read=stand, there=lasts[tp])
            self._positions[tp] = (partition, stand)
            consumer.seek(tp, min(max(stand, firsts[tp]), lasts[tp]))
        consumer.resume(*assigned)
        if self._wrong:
            self._wrong.clear()
            log.info("everything is back; the worker goes on")

    async def _stand_back(self, error: Exception) -> None:
        """Wait a little, keep the group alive meanwhile, then ask the database again where to go on."""
        self._unsettled = True
        if isinstance(error, Retry):
            self._say_away(error.wrong)
        elif isinstance(error, OffsetOutOfRangeError):
            log.warning("Kafka does not hold the wanted offset; looking again where to go on")
        elif isinstance(error, Fenced):
            log.info("another worker owns what was read here; seeking")
        else:
            self._say_away(f"Kafka is away: {type(error).__name__}")
            if time.monotonic() - self._went >= self._stuck_seconds:
                log.warning("the client of Kafka is made anew")
                await self._leave()
                await self._join()
        await self.sleep(0.5)

    def _say_away(self, sentence: str) -> None:
        """Each thing that is wrong is said once, until all is well again."""
        if sentence not in self._wrong:
            self._wrong.add(sentence)
            log.warning(sentence)


def _share_the_processor() -> None:
    """A thread that computes gives way to the one that reads Kafka at once, not after the default 5 ms each time."""
    collector.rest()
    sys.setswitchinterval(0.0005)
