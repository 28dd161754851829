"""What lies in a topic, read to its end."""

from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.brokers import kafka_python_options
from streams.settings import Settings


def records(settings: Settings, bootstrap: str, name: str) -> list[Any]:
    """All records of a topic at this moment, per partition in order."""
    consumer = KafkaConsumer(**kafka_python_options(settings, bootstrap), enable_auto_commit=False)
    try:
        places = [TopicPartition(name, number) for number in sorted(consumer.partitions_for_topic(name) or ())]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        found: list[Any] = []
        while any(consumer.position(place) < ends[place] for place in places):
            for batch in consumer.poll(timeout_ms=1000).values():
                found += batch
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close(autocommit=False)
