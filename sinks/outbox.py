"""The deliverer: takes messages out of the outbox to their channels, again and again until they are taken or refused for good."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import msgspec
import psycopg
import structlog

from connectors.patience import backoff
from sinks import alarms
from sinks.channels.channel import Channel, connect
from sinks.migrations import schema
from streams.errors import Reject, Retry
from streams.rules.message import Message
from streams.settings import Channel as Chosen
from streams.settings import Settings
from streams.topics import LIVE

log = structlog.get_logger()

Connection = psycopg.Connection[Any]

EVERY_SECONDS, ROUND_SECONDS, HEARTBEAT_SECONDS = 0.25, 2.0, 30.0
FRESH_SECONDS = 60
"""A beat that is older is no sign of life."""

# The oldest that is due, none of whose alarm goes before it on the same channel; the lock lasts while it is sent, and dies with us.
_NEXT = """
select id, message, tries, coalesce(extract(epoch from clock_timestamp() - tried_at)::float8 / 3600, 0) as hours from outbox o
where state = 'waiting' and channel = %(channel)s and due_at <= clock_timestamp() and not exists (
  select from outbox e where e.channel = o.channel and e.alarm = o.alarm and e.id < o.id and e.state in ('waiting', 'held'))
and not exists (
  select from outbox p join outbox e on e.channel = p.channel and e.alarm = p.alarm and e.id < p.id and e.state in ('waiting', 'held')
  where p.part_of = o.id and e.part_of is distinct from o.id)
order by due_at, id limit 1 for update skip locked"""
_LOST = """
update outbox set state = 'failed', wrong = 'there is no channel of that name any more'
where state in ('waiting', 'held') and due_at < clock_timestamp() - interval '1 hour' and not channel = any(%s)"""
_BEAT = "insert into beat (name, at) values (%s, clock_timestamp()) on conflict (name) do update set at = excluded.at"
_ALIVE = "select 1 from beat where name = %s and at > clock_timestamp() - make_interval(secs => %s)"


Came = Literal["sent", "later", "failed"]


def deliver(connection: Connection, chosen: Chosen, channel: Channel) -> Came | None:
    """Send the next message of a channel; what came of it, None when none is due. A crash between sending and noting it sends it again,
    with the same key."""
    with connection.transaction():
        row = connection.execute(_NEXT, {"channel": chosen.name}).fetchone()
        if row is None:
            return None
        number, held, tries, hours = row
        try:
            channel.send(msgspec.convert(held, Message))
        except Retry as error:
            if hours < chosen.give_up_hours:
                wait = backoff(tries + 1, random.random(), error.after_seconds)  # noqa: S311  # jitter
                connection.execute(
                    "update outbox set tries = tries + 1, wrong = %s, tried_at = coalesce(tried_at, clock_timestamp()), "
                    "due_at = clock_timestamp() + make_interval(secs => %s) where id = %s",
                    [error.wrong, wait, number],
                )
                return "later"
            _mark(connection, number, "failed", f"{error.wrong}; given up after {tries + 1} tries")
        except Reject as error:
            _mark(connection, number, "failed", error.wrong)
        except Exception as error:  # a defect of ours in one message must not silence the others
            log.exception("a message could not be made into what its channel sends", channel=chosen.name, message=number)
            _mark(connection, number, "failed", f"a defect: {type(error).__name__}")
        else:
            _mark(connection, number, "sent", None)
            return "sent"
    return "failed"


def beat(connection: Connection, name: str) -> None:
    """A sign of life, for the dead-man's switch."""
    connection.execute(_BEAT, [name])


def alive(connection: Connection, name: str) -> bool:
    """Whether one came within the last minute."""
    return connection.execute(_ALIVE, [name, FRESH_SECONDS]).fetchone() is not None


def _mark(connection: Connection, number: int, state: str, wrong: str | None) -> None:
    """A message, and those that it carries, are sent or have failed."""
    if wrong:
        log.error("a message could not be delivered", message=number, wrong=wrong)
    connection.execute(
        "update outbox set state = %(state)s, wrong = %(wrong)s, tries = tries + 1, "
        "sent_at = case when %(state)s = 'sent' then clock_timestamp() end where id = %(id)s or part_of = %(id)s",
        {"state": state, "wrong": wrong, "id": number},
    )


class Deliverer:
    """Delivers a space's outbox until `stop`: a thread and a connection for each channel, so that none waits for another, and one for what time
    brings (`alarms.round`, beats, the heartbeat). Several may run at once. It goes on by itself when the database was away.
    dsn: of the ingest role."""

    def __init__(self, dsn: str, space: str, settings: Settings) -> None:
        self._dsn = dsn
        self._space = space
        self._settings = settings
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin. Raises Misconfigured when a channel lacks what its kind needs."""
        works: list[tuple[str, Callable[[Connection], None]]] = [("clock", self._tick)]
        works += [(chosen.name, _Post(chosen, connect(chosen), self._stopped)) for chosen in self._settings.channels]
        self._threads = [threading.Thread(target=self._work, args=work, name=f"ioc-deliver-{work[0]}", daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; returns when what is being sent is sent."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _work(self, name: str, work: Callable[[Connection], None]) -> None:
        options = f"-c search_path={schema(self._space)},public -c application_name=ioc-deliver"
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5, options=options) as connection:
                    work(connection)
            except psycopg.Error as error:
                log.warning("the deliverer waits for the database", thread=name, wrong=type(error).__name__)
                self._stopped.wait(ROUND_SECONDS)

    def _tick(self, connection: Connection) -> None:
        known = [channel.name for channel in self._settings.channels]
        rounds = 0
        while not self._stopped.is_set():
            with connection.transaction():
                alarms.round(connection, self._space, self._settings, datetime.now(UTC))
            connection.execute(_LOST, [known])
            beat(connection, "deliverer")
            if rounds % round(HEARTBEAT_SECONDS / ROUND_SECONDS) == 0:
                self._heartbeat(connection)
            rounds += 1
            self._stopped.wait(ROUND_SECONDS)

    def _heartbeat(self, connection: Connection) -> None:
        """Tell the dead-man's switch outside that rules are evaluated: it rings when it is told nothing."""
        url = self._settings.alerts.heartbeat_url
        if url is None or self._space != LIVE or not alive(connection, "evaluator"):
            return
        try:
            httpx.get(url, timeout=10).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("the heartbeat was not taken", wrong=type(error).__name__)


class _Post:
    """Delivers what is due on one channel, and says once that it is away, once that it is back."""

    def __init__(self, chosen: Chosen, channel: Channel, stopped: threading.Event) -> None:
        self._chosen = chosen
        self._channel = channel
        self._stopped = stopped

    def __call__(self, connection: Connection) -> None:
        away = False
        try:
            while not self._stopped.is_set():
                came = deliver(connection, self._chosen, self._channel)
                if came is None:
                    self._stopped.wait(EVERY_SECONDS)
                elif away != (came == "later"):
                    away = not away
                    log.warning(
                        f"channel {self._chosen.name} takes no messages, trying on" if away else f"channel {self._chosen.name} goes on"
                    )
        finally:
            self._channel.close()
