"""Sending what quarantine understands now: through the front door, each event once, however often this is killed."""

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain

import psycopg
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from connectors.producing import producer
from connectors.retry import Understood
from deploy.commands.work import ids_of
from sinks import alias, quarantine
from sinks.quarantine import Connection
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.errors import Retry
from streams.settings import Settings
from streams.topics import topic

PATIENCE_SECONDS = 60.0
_LOCK = 7243 * 2**32


@contextmanager
def alone(connection: Connection, space: str) -> Iterator[None]:
    """Nobody else sends from this quarantine. `connection` is held in a transaction all the while. Raises Retry when somebody does."""
    with connection.transaction():
        found = connection.execute("select try_lock(%s)", [_LOCK + zlib.crc32(space.encode())]).fetchone()
        if not (found and found[0]):
            raise Retry("somebody else is at work on this quarantine", "wait until that has ended")
        yield


def settle(settings: Settings, bootstrap: str, connection: Connection, patience_seconds: float = PATIENCE_SECONDS) -> int:
    """See what became of records that were being sent when whoever sent them ended: done, or held again; how many there were.

    Whoever ended sends nothing any more, so what was on its way lies in Kafka or nowhere. Raises Retry when the worker does not come so far.
    """
    cut = quarantine.held(connection, {}, "sending")
    if cut.records:
        _followed(settings, bootstrap, connection, patience_seconds)
    for row in chain.from_iterable(quarantine.pages(connection, {}, cut.until, "sending")):
        known = alias.of(connection, [id.replace("-", "") for id in row["events"]])
        events = [known.get(id.replace("-", ""), id.replace("-", "")) for id in row["events"]]
        arrived = quarantine.arrived(connection, row["department"], events)
        if arrived >= {*events}:
            quarantine.move(connection, [row["id"]], "sending", "retried")
        else:
            quarantine.unsent(connection, row["id"], [id for id in events if id in arrived])
    return cut.records


def send(
    settings: Settings,
    bootstrap: str,
    connection: Connection,
    understood: Iterable[Sequence[Understood]],
    repaired: str | None,
) -> int:
    """Produce the events of these pages of records, with the arrival they first had, and note it; how many records. Call it `alone`, after `settle`.

    A page is claimed before, and noted as done after Kafka has acknowledged. Raises Retry when Kafka is away; the next run goes on from there.
    """
    sent = 0
    try:
        with closing(producer(kafka_python_options(settings, bootstrap))) as sender:
            for some in understood:
                before = {row[0]: {*row[1]} for row in connection.execute(_BEFORE, [[each.id for each in some]])}
                taken = quarantine.claim(connection, {each.id: each.events for each in some}, repaired)
                due = [each for each in some if each.id in taken]
                futures = [
                    sender.send(message.topic, key=message.key, value=message.value)
                    for each in due
                    for id, message in zip(each.events, each.messages, strict=True)
                    if id not in before.get(each.id, ())
                ]
                for future in futures:
                    future.get(timeout=60)
                sent += quarantine.move(connection, [each.id for each in due], "sending", "retried")
    except KafkaError as error:
        raise Retry(f"Kafka did not take the records ({type(error).__name__})", "run it again: it goes on where it was cut off") from error
    return sent


_BEFORE = "select id::text, string_to_array(replace(events::text, '-', ''), ',') from quarantine where id = any(%s::uuid[]) and events is not null"


def _followed(settings: Settings, bootstrap: str, connection: psycopg.Connection[object], patience_seconds: float) -> None:
    """Until the worker has committed all that lies in Kafka now."""
    options = kafka_python_options(settings, bootstrap)
    ids = {name: id.replace("-", "") for name, id in ids_of([topic(name, settings.space) for name in NAMES], options).items()}
    with closing(KafkaConsumer(**options, enable_auto_commit=False)) as consumer:
        places = [TopicPartition(name, number) for name in ids for number in consumer.partitions_for_topic(name) or ()]
        ends = {(ids[place.topic], place.partition): end for place, end in consumer.end_offsets(places).items()}
    begun = time.monotonic()
    while True:
        stands = quarantine.offsets(connection, ids.values())
        if all(stands.get(place, 0) >= end for place, end in ends.items()):
            return
        if time.monotonic() - begun > patience_seconds:
            raise Retry(
                "the worker has not yet taken what an earlier run sent, so nobody knows what is still to be sent", "start `ioc work`"
            )
        time.sleep(0.2)
