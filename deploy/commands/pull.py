"""`ioc pull`: one source, or files at hand, to Kafka."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import start_http_server
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connectors import pump
from connectors.connector import connect
from connectors.fuse import WINDOW_RECORDS, Fuse
from connectors.intake import intake
from connectors.pump import Tally
from connectors.spool import Spool, folder
from deploy import console
from deploy.console import Json
from deploy.embedded import parts
from streams import pseudonym, settings
from streams.brokers import kafka_python_options
from streams.department import department as department_of
from streams.errors import Misconfigured
from streams.settings import Settings, Source
from streams.topics import topic

FILES = "files"


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(pull)


def pull(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source of ioc.toml, or the word `files`.", show_default=False)],
    department: Annotated[
        str | None, typer.Argument(metavar="DEPARTMENT", help="With `files`: whose records they are, as einvoice.", show_default=False)
    ] = None,
    path: Annotated[Path | None, typer.Argument(metavar="PATH", help="With `files`: a file, folder or zip.", show_default=False)] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is new, instead of going on reading.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Forget the cursor: read everything again. What comes twice counts once.")
    ] = False,
    reset_fuse: Annotated[
        bool, typer.Option("--reset-fuse", help="Go on after too many records were rejected and the cause is mended.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics on this port of 127.0.0.1.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Read one source in the foreground and produce its events to Kafka. Nothing is lost when it is killed: start it again.

    [bold]ioc pull tax-feed[/bold]                         a source of ioc.toml, for ever (Ctrl-C ends it)
    [bold]ioc pull tax-feed --once[/bold]                  until nothing is new
    [bold]ioc pull files einvoice invoices.zip --once[/bold]   T-VAN messages or HDon (.xml, .xml.gz, .zip, folders of them)
    [bold]ioc pull files telehealth bundles/ --once[/bold]     FHIR Encounters or Bundles (.json, .ndjson)

    What cannot be understood goes, sealed, to quarantine ([bold]ioc quarantine list[/bold]); more than 20 % of the last 500 records
    stop the source (exit 1) until --reset-fuse. Exit 3: source or Kafka cannot be reached.
    """
    chosen = settings.load()
    read = _source(chosen, source, department, path, once)
    bootstrap = chosen.kafka.bootstrap or parts.find(chosen).bootstrap
    if metrics_port is not None:
        start_http_server(metrics_port, "127.0.0.1")
    kafka = kafka_python_options(chosen, bootstrap)
    if from_start:
        pump.forget(kafka, topic("cursors", chosen.space), read.name)
    if reset_fuse:
        pump.reset_fuse(kafka, topic("cursors", chosen.space), read.name)
        pump.say_reset(kafka, topic("asked", chosen.space), read.name, read.department)
        if read.connector == "webhook":
            console.say(f"the fuse of {read.name} is reset; `ioc serve` takes its notices again within seconds")
            return
    connector = connect(read, chosen.state_dir)
    keys = pseudonym.load(chosen.state_dir)
    door = intake(read, keys, chosen.space)
    spool = Spool(folder(chosen.state_dir, chosen.space, read.name), keys) if chosen.archive.raw else None
    with _progress() as shown, _stopped() as stop:
        by_hand = Fuse(allowed=WINDOW_RECORDS) if source == FILES and once else None  # whoever hands files over wants all of them tried
        moving = pump.Pump(door, connector, kafka, shown, fuse=by_hand, spool=spool)
        tally = moving.once(stop) if once else moving.follow(stop)
    console.result({key: value for key, value in asdict(tally).items() if key != "blown"}, as_json, lambda: _say(tally))
    if tally.blown:
        raise console.No(
            f"{tally.source} is stopped: more than 20 % of its last 500 records were rejected",
            f"see `ioc quarantine list`, mend the cause, then `ioc pull {source} --reset-fuse`",
        )


def _source(chosen: Settings, name: str, department: str | None, path: Path | None, once: bool) -> Source:
    if name != FILES or (department is None and any(source.name == FILES for source in chosen.sources)):
        if department is not None:
            raise Misconfigured(f"`ioc pull {name}` takes no more words", "write `ioc pull files DEPARTMENT PATH` to read files")
        return chosen.source(name)
    if department is None or path is None:
        raise Misconfigured("which files, of which department?", "write `ioc pull files DEPARTMENT PATH`")
    owner = department_of(department).name
    if not path.exists():
        raise Misconfigured(f"{path} is not there", "give a file, a folder or a zip")
    options = {"settled_seconds": 0} if once else {}
    held = {"name": f"{FILES}-{owner}", "department": owner, "connector": FILES, "path": path.resolve(), "options": options}
    return Source.model_validate(held)


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM: the page in hand is finished. A second Ctrl-C does not wait."""
    stop = threading.Event()

    def asked(number: int, frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator["_Shown"]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console.people, transient=True, disable=not console.people.is_terminal) as progress:
        yield _Shown(progress)


class _Shown:
    """The tally, as it grows."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("reading")

    def __call__(self, tally: Tally) -> None:
        words = f"{tally.source}: {tally.pulled:,} pulled, {tally.produced:,} produced, {tally.rejected:,} rejected"
        self._progress.update(self._task, description=words)


def _say(tally: Tally) -> None:
    console.table(("source", "pulled", "produced", "rejected"), [(tally.source, tally.pulled, tally.produced, tally.rejected)])
