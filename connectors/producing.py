"""The producer of connectors that pull."""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer

from streams.topics import MESSAGE_MOST_BYTES


def producer(options: Mapping[str, Any]) -> KafkaProducer:
    """A producer that loses nothing: idempotent, acks=all, patient beyond any outage we plan for. `options`: as of streams.brokers."""
    return KafkaProducer(
        **options,
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        batch_size=128 << 10,
        max_request_size=MESSAGE_MOST_BYTES,
        request_timeout_ms=120_000,
        delivery_timeout_ms=900_000,
        max_block_ms=5_000,  # send() may wait for the topic's metadata, deaf to a termination
        bootstrap_timeout_ms=5_000,
        reconnect_backoff_max_ms=1_000,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
