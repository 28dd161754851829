"""Where each source goes on, and whether its fuse is blown: the compacted topic `ioc.cursors`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.errors import Retry

FIRST_LOOK_RECORDS = 2000
PATIENCE_MS = 5_000  # for each question: without it a look at a broker that just died may wait for ever, and its thread with it


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a source: cursor (None: from the beginning), blown_at_us: when its fuse blew (None: it holds)."""

    cursor: str | None = None
    blown_at_us: int | None = None


def load(options: Mapping[str, Any], topic: str, source: str, stopped: Callable[[], bool] = lambda: False) -> Place:
    """The last place stored for a source. `options` are those of `streams.brokers.kafka_python_options`; stopped: whether to give up.

    Raises Retry when Kafka cannot be read.
    """
    patience = {"bootstrap_timeout_ms": PATIENCE_MS, "request_timeout_ms": PATIENCE_MS}
    try:
        consumer = KafkaConsumer(**options, **patience, enable_auto_commit=False, group_id=None)
    except KafkaError as error:
        raise _away(error) from error
    try:
        found = _last_of(consumer, topic, source.encode(), stopped)
    except KafkaError as error:
        raise _away(error) from error
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)
    return Place() if found is None else msgspec.json.decode(found, type=Place)


def _last_of(consumer: KafkaConsumer, topic: str, source: bytes, stopped: Callable[[], bool]) -> bytes | None:
    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        raise Retry(f"Kafka has no topic {topic} yet", "`ioc up` makes the topics")
    places = [TopicPartition(topic, number) for number in partitions]
    consumer.assign(places)
    ends = consumer.end_offsets(places, timeout_ms=PATIENCE_MS)
    starts = consumer.beginning_offsets(places, timeout_ms=PATIENCE_MS)
    reach = FIRST_LOOK_RECORDS
    while True:  # the newest records first: a source that runs has its place there
        lows = {place: max(starts[place], ends[place] - reach) for place in places}
        found = _newest(consumer, source, lows, ends, stopped)
        if found is not None or lows == starts:
            return found
        reach *= 20


def _newest(
    consumer: KafkaConsumer, source: bytes, lows: Mapping[Any, int], ends: Mapping[Any, int], stopped: Callable[[], bool]
) -> bytes | None:
    latest, value = -1, None
    unread = {place for place, end in ends.items() if lows[place] < end}
    for place in lows:
        consumer.seek(place, lows[place])
    silent = 0
    while unread:
        batches = consumer.poll(timeout_ms=1000)
        silent = 0 if batches else silent + 1
        if silent > 30 or (silent and stopped()):
            raise Retry("Kafka does not give the stored cursors")
        for record in (record for records in batches.values() for record in records):
            # by time, not by offset: after partitions were added a key may stand in two of them
            if record.key == source and record.timestamp >= latest:
                latest, value = record.timestamp, record.value
        unread = {place for place in unread if (consumer.position(place, timeout_ms=PATIENCE_MS) or 0) < ends[place]}
    return value


def _away(error: KafkaError) -> Retry:
    return Retry(f"Kafka cannot be read ({type(error).__name__})", "is the broker running? `ioc up` starts one")
