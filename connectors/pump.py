"""The pump: fetch, parse, pseudonymise, produce, and store the cursor once Kafka has acknowledged."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from msgspec.structs import replace

from connectors import cursors
from connectors.connector import Connector, Page
from connectors.cursors import Place
from connectors.fuse import Fuse
from connectors.intake import Intake, Message
from connectors.patience import Trouble, backoff
from connectors.producing import producer
from connectors.spool import Spool
from streams import metrics
from streams.errors import Misconfigured, Retry
from streams.event import Asked, Fused, encode
from streams.topics import topic

PAGES_IN_FLIGHT = 4
TELL_EVERY_SECONDS = 2.0
STORE_EVERY_SECONDS = 1.0  # a cursor one second old costs a second of repeats; a cursor a page would fill the compacted topic
SAY_AFTER_SECONDS = 5.0

log = structlog.get_logger()


@dataclass
class Tally:
    """What one run of a pump did. pulled: raw records received; produced: events acknowledged; rejected: records to quarantine."""

    source: str
    pulled: int = 0
    produced: int = 0
    rejected: int = 0
    cursor: str | None = None
    blown: bool = False


class _Sent(NamedTuple):
    page: Page
    messages: list[Message]
    futures: list[Any]
    records: int


def forget(kafka: Mapping[str, Any], name: str, source: str) -> None:
    """Make a source begin at its beginning. `name`: the topic of cursors. Raises Retry."""
    _change(kafka, name, source, cursor=None)


def reset_fuse(kafka: Mapping[str, Any], name: str, source: str) -> None:
    """Let a source go on although its fuse had blown. Raises Retry."""
    _change(kafka, name, source, blown_at_us=None)


def say_reset(kafka: Mapping[str, Any], name: str, source: str, department: str) -> None:
    """Tell the boards that the fuse of a source was reset. `name`: the topic of signs of life. Raises Retry."""
    _send(kafka, name, source, encode(Fused(source=source, department=department, at_us=time.time_ns() // 1000, blown=False)))


def _change(kafka: Mapping[str, Any], name: str, source: str, **changes: None) -> None:
    _send(kafka, name, source, encode(replace(cursors.load(kafka, name, source), **changes)))


def _send(kafka: Mapping[str, Any], name: str, source: str, value: bytes) -> None:
    try:
        with closing(producer(kafka)) as sender:
            sender.send(name, value, source.encode()).get(timeout=30)
    except KafkaError as error:
        raise Retry(f"Kafka did not acknowledge ({type(error).__name__})", "is the broker running? `ioc up` starts one") from error


class Pump:
    """Moves one source's records to Kafka. `kafka`: options of streams.brokers.kafka_python_options. `shown` sees the tally after each
    acknowledged page. patience_seconds: how long `once` goes on without any progress. spool: where records are kept as they came, if anywhere."""

    def __init__(
        self,
        intake: Intake,
        connector: Connector,
        kafka: Mapping[str, Any],
        shown: Callable[[Tally], None] = lambda tally: None,
        patience_seconds: float = 60.0,
        fuse: Fuse | None = None,
        spool: Spool | None = None,
    ) -> None:
        self.tally = Tally(intake.source.name)
        self._intake = intake
        self._connector = connector
        self._kafka = kafka
        self._shown = shown
        self._patience_seconds = patience_seconds
        self._fuse = fuse or Fuse()
        self._spool = spool
        self._trouble = Trouble(intake.source.name)
        self._stop = threading.Event()
        self._producer: KafkaProducer | None = None
        self._place: Place | None = None
        self._stored: Place | None = None
        self._storing: Any = None
        self._stored_at = 0.0
        self._progress_at = 0.0
        self._told = (False, 0.0)
        self._news_us = 0

    def once(self, stop: threading.Event) -> Tally:
        """Read until nothing is new. Raises Misconfigured, and Retry after patience_seconds without progress."""
        self._progress_at = time.monotonic()
        with self._open(stop):
            while not stop.is_set() and not self.tally.blown:
                try:
                    self._read()
                    break
                except Retry as retry:
                    if time.monotonic() - self._progress_at > self._patience_seconds:
                        raise
                    self._pause(retry)
        return self.tally

    def follow(self, stop: threading.Event) -> Tally:
        """Read for ever, until `stop` is set or the fuse blows. Raises Misconfigured as long as nothing was ever read."""
        self._patience_seconds = float("inf")
        with self._open(stop):
            while not stop.is_set() and not self.tally.blown:
                try:
                    self._read()
                    self._tell(answered=True)
                    stop.wait(self._intake.source.interval_seconds)
                except Retry as retry:
                    self._tell(answered=False)
                    self._pause(retry)
                except Misconfigured as error:
                    if self._progress_at == 0.0:
                        raise
                    self._pause(Retry(error.wrong, error.mend))  # what worked a moment ago is the source's trouble, not ours
        return self.tally

    @contextmanager
    def _open(self, stop: threading.Event) -> Iterator[None]:
        self._stop = stop
        try:
            yield
        finally:
            self._connector.close()
            self._drop()

    def _read(self) -> None:
        """One reading of the source, from the stored cursor until nothing is new."""
        try:
            place = self._load()
            if place.blown_at_us is not None:
                self._blow(place)
                return
            self._sender()
            self._read_on(place.cursor)
        except KafkaError as error:
            self._drop()
            raise Retry(f"Kafka did not acknowledge ({type(error).__name__})", "is the broker running? `ioc up` starts one") from error
        if not self._stop.is_set():
            self._trouble.over()
            metrics.SOURCE_READ.labels(self.tally.source).set_to_current_time()
            self._progress_at = time.monotonic()

    def _read_on(self, cursor: str | None) -> None:
        flight: deque[_Sent] = deque()
        trouble: Retry | Misconfigured | None = None
        if self._spool is not None:
            self._spool.forget()
        try:
            for page in self._connector.pages(cursor):
                flight.append(self._send(page))
                while len(flight) > PAGES_IN_FLIGHT:
                    self._settle(flight.popleft())
                metrics.CURSOR_LAG.labels(self.tally.source).set(len(flight))
                if self._stop.is_set() or self._fuse.blown:
                    break
        except (Retry, Misconfigured) as error:
            trouble = error
        while flight:  # what was read before the trouble is kept
            self._settle(flight.popleft())
        metrics.CURSOR_LAG.labels(self.tally.source).set(0)
        if self._fuse.blown:
            self._blow(Place(self.tally.cursor, time.time_ns() // 1000))
        self._store()
        if trouble is not None:
            raise trouble

    def _send(self, page: Page) -> _Sent:
        known_at_us = time.time_ns() // 1000
        arrival = self._intake.arrival(known_at_us)
        messages = [self._intake.refuse(refused, known_at_us) for refused in page.refused]
        records = len(page.refused)
        if self._spool is not None:
            for raw in (*page.records, *(refused.raw for refused in page.refused)):
                self._spool.keep(raw, known_at_us)
        for raw in page.records:
            for record in self._intake.split(raw):
                records += 1
                messages += self._intake.take(record, arrival)
        for message in messages:
            self._fuse.saw(message.cause)
        if any(message.cause is None for message in messages):
            self._news_us = known_at_us
        sender = self._sender()
        futures = [sender.send(message.topic, message.value, message.key) for message in messages]
        return _Sent(page, messages, futures, records)

    def _settle(self, sent: _Sent) -> None:
        self._wait(sent.futures)
        if self._spool is not None:
            self._spool.flush()
        self._connector.acknowledged(sent.page)
        rejected = [message.cause for message in sent.messages if message.cause is not None]
        tally, source = self.tally, self.tally.source
        tally.pulled += sent.records
        tally.rejected += len(rejected)
        tally.produced += len(sent.messages) - len(rejected)
        tally.cursor = sent.page.cursor
        metrics.PULLED.labels(source).inc(sent.records)
        metrics.PRODUCED.labels(source).inc(len(sent.messages) - len(rejected))
        for cause in rejected:
            metrics.REJECTED.labels(source, cause).inc()
        self._place = Place(tally.cursor, None)
        self._progress_at = time.monotonic()
        self._trouble.over()
        if self._progress_at - self._stored_at >= STORE_EVERY_SECONDS:
            self._store_soon()
        self._shown(tally)

    def _wait(self, futures: list[Any]) -> None:
        """Until Kafka has acknowledged all. Raises KafkaError."""
        began = time.monotonic()
        for future in futures:
            while not future.is_done:
                try:
                    future.get(timeout=0.5)
                except KafkaTimeoutError:
                    waited = time.monotonic() - began
                    if future.is_done or self._stop.is_set() or waited > self._patience_seconds:
                        raise
                    if waited > SAY_AFTER_SECONDS and not self._trouble.attempts:
                        self._trouble.begins(Retry("Kafka does not acknowledge", "is the broker running?"))
            if future.failed():
                raise future.exception

    def _store_soon(self) -> None:
        """Send the place without waiting; the one sent before must have arrived."""
        if self._storing is not None and self._storing.is_done and self._storing.failed():
            raise self._storing.exception
        if self._place is None or self._place == self._stored:
            return
        name = topic("cursors", self._intake.space)
        self._storing = self._sender().send(name, encode(self._place), self.tally.source.encode())
        self._stored, self._stored_at = self._place, time.monotonic()

    def _store(self) -> None:
        self._store_soon()
        if self._storing is not None:
            self._wait([self._storing])
            self._storing = None

    def _tell(self, answered: bool) -> None:
        """Say that the source was asked, so that one with nothing new is not taken for silent. Nothing waits for it, nothing depends on it."""
        now = time.monotonic()
        if self._producer is None or now < self._told[1] or (answered == self._told[0] and now - self._told[1] < TELL_EVERY_SECONDS):
            return
        source = self._intake.source
        told = Asked(
            source=source.name,
            department=self._intake.department.name,
            at_us=time.time_ns() // 1000,
            every_seconds=source.interval_seconds,
            answered=answered,
            news_us=self._news_us,
        )
        try:
            self._producer.send(topic("asked", self._intake.space), encode(told), source.name.encode())
            self._told = (answered, now)
        except KafkaError as error:
            self._told = (answered, now + 60.0)
            log.warning(
                f"nobody hears that source {source.name} is asked ({type(error).__name__})", mend="run `ioc up`, which makes the topics"
            )

    def _load(self) -> Place:
        if self._place is None:
            self._place = self._stored = cursors.load(
                self._kafka, topic("cursors", self._intake.space), self.tally.source, self._stop.is_set
            )
            self.tally.cursor = self._place.cursor
        return self._place

    def _blow(self, place: Place) -> None:
        self._place = place
        self.tally.blown = True
        metrics.FUSE_BLOWN.labels(self.tally.source).set(1)
        told = Fused(source=self.tally.source, department=self._intake.department.name, at_us=place.blown_at_us or 0, blown=True)
        with suppress(KafkaError):  # the place itself is kept by the cursors
            self._sender().send(topic("asked", self._intake.space), encode(told), self.tally.source.encode())
        log.error(
            f"source {self.tally.source} is stopped: more than 20 % of its last 500 records were rejected",
            mend="see `ioc quarantine list`, then --reset-fuse",
        )

    def _pause(self, retry: Retry) -> None:
        self._trouble.begins(retry)
        self._stop.wait(backoff(self._trouble.attempts, random.random(), retry.after_seconds))  # noqa: S311  # jitter, not a secret

    def _sender(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = producer(self._kafka)
        return self._producer

    def _drop(self) -> None:
        """A producer whose send failed may have left gaps: what is not acknowledged is read and sent again by a new one."""
        if self._producer is not None:
            with suppress(KafkaError):  # close() flushes first, and gives up loudly while Kafka is away
                self._producer.close(timeout=2)
        self._producer, self._storing, self._stored = None, None, None
