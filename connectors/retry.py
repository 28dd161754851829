"""Quarantined records once more through today's parsers, and in at the front door when they are understood."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.intake import intake
from connectors.producing import producer
from streams import pseudonym
from streams.brokers import kafka_python_options
from streams.errors import Misconfigured, Retry
from streams.event import micros
from streams.settings import Settings, Source


def produce_again(settings: Settings, bootstrap: str, rows: Sequence[Mapping[str, Any]], step: Callable[[int], None]) -> list[str]:
    """The ids of the records that are understood now; their events are acknowledged by Kafka, with the arrival they first had.

    rows: id, source, department, known_at, sealed. Raises Retry when Kafka is away.
    """
    keys = pseudonym.load(settings.state_dir)
    doors = {
        name: intake(_source(settings, name, department), keys, settings.space)
        for name, department in {(r["source"], r["department"]) for r in rows}
    }
    sender, understood, futures = producer(kafka_python_options(settings, bootstrap)), [], []
    try:
        for row in rows:
            step(1)
            door = doors[row["source"]]
            arrival = door.arrival(micros(row["known_at"]))
            messages = [m for part in door.split(keys.unseal(row["sealed"])) for m in door.take(part, arrival)]
            if messages and all(m.cause is None for m in messages):
                futures += [sender.send(m.topic, key=m.key, value=m.value) for m in messages]
                understood.append(row["id"])
        for future in futures:
            future.get(timeout=60)
    except Exception as error:
        raise Retry(
            f"Kafka did not take the records ({type(error).__name__})", "run it again: what was produced already counts once"
        ) from error
    finally:
        sender.close(timeout=30)
    return understood


def _source(settings: Settings, name: str, department: str) -> Source:
    try:
        return settings.source(name)
    except Misconfigured:
        return Source(name=name, department=department, connector="files")  # read by hand, or its source is gone since
