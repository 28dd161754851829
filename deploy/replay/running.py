"""One player at work on one space, with its worker, until it ends; it goes on by itself when a part was away."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import structlog
import uvloop
from kafka import KafkaConsumer, TopicPartition

from deploy.commands.work import ids_of
from deploy.replay.control import Control, reaching
from deploy.replay.following import Following
from deploy.replay.player import Player
from deploy.replay.producing import Producing
from deploy.replay.reading import Source
from deploy.replay.worker import Worker
from deploy.replay.yielding import Yielding
from sinks import spaces
from sinks.archive import reading as archived
from sinks.history import Period, Record, records
from sinks.idle import give_way, idle
from sinks.laid import laid
from sinks.migrations import schema
from sinks.roles import ingest_dsn, replay_dsn
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.errors import Misconfigured, Retry
from streams.event import micros
from streams.scenarios import laying, scenario
from streams.settings import Settings
from streams.store import Partition
from streams.topics import LIVE, topic

log = structlog.get_logger("replay")

AGAIN_SECONDS = 2.0
QUOTA_SECONDS = 5.0


def run(settings: Settings, bootstrap: str) -> None:
    """Play the replay of `settings.space` to its end. Raises Misconfigured when it has none, or another player is at it; what else ends it
    stands in its row."""
    idle()
    control = Control(replay_dsn(settings))
    worker = Worker(settings)
    try:
        if not control.lock(settings.space):
            raise Misconfigured(f"the replay of {settings.space} is being played already", "`ioc replay status` shows it")
        with Yielding(settings) as gives_way:
            uvloop.run(_until_it_ends(settings, bootstrap, control, worker, gives_way.most))
    finally:
        worker.end()
        control.close()


async def _until_it_ends(settings: Settings, bootstrap: str, control: Control, worker: Worker, most: Callable[[], float | None]) -> None:
    while True:
        try:
            await _once(settings, bootstrap, control, worker, most)
            return
        except Retry as away:
            log.warning(f"{away.wrong}; the replay goes on when it is back")
            await asyncio.sleep(AGAIN_SECONDS)
        except Exception as error:
            wrong = error.wrong if isinstance(error, Misconfigured) else f"{type(error).__name__}: {error}"
            log.exception("the replay failed")
            control.say(settings.space, state="failed", clock_rate=0.0, wrong=wrong, ended_at=datetime.now(UTC))
            return


async def _once(settings: Settings, bootstrap: str, control: Control, worker: Worker, most: Callable[[], float | None]) -> None:
    row = control.row(settings.space)
    control.say(settings.space, ended_at=None, wrong=None)
    producing = Producing(settings, bootstrap)
    # What a player that died had played may not be in the figures yet.
    following = Following(replay_dsn(settings), settings.space, micros(row.followed))
    following.mark(
        int(row.mark.get("at_us", row.period.since_us)),
        {(at.name, at.number): end for at, end in _ends(settings, bootstrap).items()},
        0,
    )
    player = Player(
        row, control, producing, following,
        source=lambda from_us: of_live(settings, replace(row.period, since_us=from_us, first_us=row.period.since_us), row.scenario),
        empty=lambda: empty(settings, bootstrap),
        settled=lambda: settled(settings, row.until),
        every=_Watch(settings, worker),
        most=most,
    )  # fmt: skip
    try:
        await producing.start()
        state = await player.play()
        control.say(settings.space, state=state, ended_at=datetime.now(UTC), wrong=None)
    finally:
        await producing.stop()
        following.close()


class _Watch:
    """Keeps the worker at work, and the space within what it may hold."""

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self._settings = settings
        self._worker = worker
        self._due = 0.0

    def __call__(self) -> None:
        self._worker.ensure()
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + QUOTA_SECONDS
        with reaching(), psycopg.connect(replay_dsn(self._settings), autocommit=True, connect_timeout=5) as connection:
            wrong = spaces.over_quota(connection, self._settings.space)
        if wrong:
            raise Misconfigured(wrong, "raise what it may hold, or drop it")


def of_live(settings: Settings, period: Period, changes: str | None = None) -> Source:
    """What live received in a period, archived or not; by arrival its repeats too. changes: the scenario laid over it, as it is written."""
    live = settings.model_copy(update={"space": LIVE})
    told = None if changes is None else scenario.load(changes)

    def opened() -> Iterator[Record]:
        with reading(settings) as connection:
            earlier = 0 if told is None else laying.reach_us(told, period.follows)
            found = records(
                connection, replace(period, since_us=period.since_us - earlier), period.follows == "known_at", archived.reader(live)
            )
            yield from found if told is None else laid(connection, told, period, found)

    return opened


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[psycopg.Connection[object]]:
    """A connection that sees live's tables and can write nothing."""
    with reaching():
        options = f"-c search_path={schema(LIVE)},public -c default_transaction_read_only=on -c application_name=ioc-replay"
        with psycopg.connect(replay_dsn(settings), autocommit=True, options=options, connect_timeout=5) as connection:
            give_way(connection)
            yield connection


def empty(settings: Settings, bootstrap: str) -> None:
    """Take out of the space whatever was played into it; its topics are read on from where they end."""
    ends = _ends(settings, bootstrap)
    with reaching(), psycopg.connect(ingest_dsn(settings), autocommit=True, connect_timeout=5) as connection:
        spaces.empty(connection, settings.space, ends)


def _ends(settings: Settings, bootstrap: str) -> dict[Partition, int]:
    """Where the topics of the space end. Raises Retry while Kafka is away."""
    names = {topic(name, settings.space): name for name in (*NAMES, "rejects", "asked")}
    options = kafka_python_options(settings, bootstrap)
    ids = ids_of([*names], options)
    consumer = KafkaConsumer(**options, enable_auto_commit=False)
    try:
        places = [TopicPartition(name, number) for name in names for number in consumer.partitions_for_topic(name) or ()]
        return {Partition(names[at.topic], ids[at.topic], at.partition): end for at, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close(autocommit=False)


def settled(settings: Settings, until: datetime) -> bool:
    """Whether every rule of the space is decided up to `until`, and nothing is owed up to there."""
    query = (
        "select not exists (select from owed) and not exists (select from owed_minute where minute <= %(until)s) and not exists ("
        "select from rule left join judged on rule = name where enabled and greatest(since, coalesce(until, since)) < date_trunc('minute', %(until)s::timestamptz))"
    )
    options = f"-c search_path={schema(settings.space)},public"
    with reaching(), psycopg.connect(ingest_dsn(settings), options=options, connect_timeout=5) as connection:
        found = connection.execute(query, {"until": until}).fetchone()
    return bool(found and found[0])
