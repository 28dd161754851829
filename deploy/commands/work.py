"""`ioc work`: one worker in the foreground."""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaConnectionError
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy import console
from deploy.embedded import parts
from sinks import posting
from sinks.apart import FiguresApart, RulesApart
from sinks.outbox import Deliverer
from sinks.roles import ingest_dsn
from sinks.timescale import Timescale
from sinks.watch import Watcher
from streams import pseudonym, settings
from streams.brokers import kafka_python_options
from streams.errors import Retry
from streams.topics import LIVE


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(work)


def work(
    until_alone: Annotated[
        bool, typer.Option("--until-alone", hidden=True, help="End when stdin is closed, as the one who started it does by ending.")
    ] = False,
) -> None:
    """One worker in the foreground: Kafka to TimescaleDB, and the figures that follow.

    Start as many as you like: partitions are shared among them, and every batch is written once. SIGTERM finishes the batch in hand; SIGUSR1
    says on stderr where each thread and each task stands.
    """
    chosen = settings.load()
    found = parts.find(chosen)
    keys = pseudonym.load(chosen.state_dir)
    store = Timescale(ingest_dsn(chosen), chosen.space, keys)
    figures = FiguresApart(ingest_dsn(chosen), chosen)
    rules = RulesApart(ingest_dsn(chosen), chosen)

    def topic_ids(topics: Sequence[str]) -> Mapping[str, str]:
        return ids_of(topics, kafka_python_options(chosen, found.bootstrap))

    import uvloop

    uvloop.install()
    from streams.app import build

    console.say(f"working: {found.bootstrap} -> {found.database_kind}, space {chosen.space} (Ctrl-C ends it)")
    watcher = Watcher(ingest_dsn(chosen)) if chosen.space == LIVE else None
    if watcher:
        watcher.start()
    deliverer = Deliverer(ingest_dsn(chosen), chosen.space, posting.audible(chosen))
    deliverer.start()
    if until_alone:
        threading.Thread(target=_end_when_alone, daemon=True).start()
    try:
        asyncio.run(_run(build(chosen, found.bootstrap, store, figures, rules, topic_ids)))
    finally:
        if watcher:
            watcher.stop()
        deliverer.stop()
    store.close()
    figures.close()
    rules.close()


def _end_when_alone() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def _run(app: Any) -> None:
    logging.getLogger("faust").setLevel(logging.ERROR)
    logging.getLogger("mode").setLevel(logging.ERROR)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell_tasks)
    faulthandler.register(signal.SIGUSR1, chain=True)
    app.finalize()
    try:
        await app.start()
    except KafkaConnectionError as error:
        raise Retry("Kafka is away", "start it again") from error
    crashed = asyncio.create_task(app.wait_until_stopped())
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait({crashed, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await app.stop()
    if app.crashed:
        raise app.crash_reason or Retry("the worker crashed", "start it again; it goes on where the database stands")


def _tell_tasks() -> None:
    """Each task's frames, the innermost last: `print_stack` gives only the first of a coroutine that waits for another."""
    lines = []
    for task in asyncio.all_tasks():
        lines.append(f"task {task.get_name()}")
        step: Any = task.get_coro()
        while (frame := getattr(step, "cr_frame", None)) is not None:
            lines.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            step = step.cr_await
    print("\n".join(lines), file=sys.stderr)


def ids_of(topics: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, str]:
    """The ids of topics. Raises Retry while Kafka is away or a topic is not there."""
    try:
        admin = KafkaAdminClient(**options)
    except KafkaError as error:
        raise Retry("Kafka is away", "start it again") from error
    try:
        found = {t["name"]: str(t["topic_id"]) for t in admin.describe_topics([*topics]) if not t.get("error_code")}
    except KafkaError as error:
        raise Retry("Kafka is away", "start it again") from error
    finally:
        admin.close()
    missing = sorted(set(topics) - set(found))
    if missing:
        raise Retry(f"Kafka has no topic {missing[0]}", "run `ioc up`, which makes them")
    return found
