"""Wake-ups from Kafka: one consumer without a group on `ioc.touched`; nothing it reads is the only copy of anything."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

CHECK_SECONDS = 5.0


async def listen(client: Mapping[str, Any], topic: str, wake: Callable[[], None], alive: Callable[[bool], None]) -> None:
    """Call `wake` for every touch from now on, `alive` when the cluster comes or goes; until cancelled.

    client: aiokafka's connection settings (bootstrap_servers, security..).
    """
    while True:
        consumer = AIOKafkaConsumer(
            topic,
            **client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            metadata_max_age_ms=10_000,
            fetch_max_wait_ms=200,
        )
        try:
            await consumer.start()
            alive(True)
            await _read(consumer, wake, alive)
        except (KafkaError, OSError, TimeoutError):
            alive(False)
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()
        await asyncio.sleep(2.0)


async def _read(consumer: AIOKafkaConsumer, wake: Callable[[], None], alive: Callable[[bool], None]) -> None:
    loop = asyncio.get_running_loop()
    checked = loop.time()
    while True:
        if await consumer.getmany(timeout_ms=1000):
            wake()
        if loop.time() - checked > CHECK_SECONDS:
            await asyncio.wait_for(consumer.topics(), CHECK_SECONDS)
            checked = loop.time()
            alive(True)
