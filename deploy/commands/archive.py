"""`ioc archive`: what is old, in compressed files held together by hashes: written, verified, opened, put back."""

import base64
import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import psycopg
import structlog
import typer

from deploy import console
from deploy.console import Json
from sinks.archive import chain, dropping, raw, restoring, verifying, writing
from sinks.archive import store as at
from sinks.archive.keeping import Keeping
from sinks.migrations import schema
from sinks.roles import database_dsn, owner_dsn
from streams import sealing, settings
from streams.department import department, departments
from streams.errors import IocError, Misconfigured, Retry
from streams.event import moment
from streams.settings import Settings

LOCK = 7242
archive = typer.Typer(help="What is old, in compressed files held together by hashes.", no_args_is_help=True)
log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add `ioc archive ...`."""
    app.add_typer(archive, name="archive")


@contextmanager
def owning(chosen: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the owner to the tables of the space. Raises Retry when the database is away."""
    options = f"-c search_path={schema(chosen.space)},public -c timezone=UTC"
    try:
        with psycopg.connect(owner_dsn(database_dsn(chosen), chosen), connect_timeout=5, autocommit=True, options=options) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Retry(f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`; then run this again") from error


@archive.command("run")
def run(
    before: Annotated[
        str | None, typer.Option(help="Archive arrivals before that time (default: archive.events_after_days ago).", metavar="TIME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Archive what is due: events by hour of arrival, and what sources sent (archive.raw). Safe to repeat, and after a crash.

    Every file is read back before its line goes into the chain. With archive.drop_after_days, whole chunks of archived events then leave the table;
    figures, identities and rollups stay.
    """
    chosen = settings.load()
    now = datetime.now(UTC)
    until = console.at(before) or now - timedelta(days=chosen.archive.events_after_days)
    store = at.opened(chosen)
    found: dict[str, Any] = {"events": 0, "missing": 0, "raw_files": 0, "dropped": 0}
    with _alone(chosen) as connection:
        for each in departments():
            keeping = Keeping(connection, store, chain.events_name(each.name, chosen.space))
            lacking = sum(events for _, events in writing.due(connection, chosen.space, each.name, keeping.lines, until))
            with console.progress(f"archiving {each.name}", lacking) as step:
                written, missing = writing.run(connection, keeping, chosen.space, each, until, step)
            found |= {"events": found["events"] + written, "missing": found["missing"] + missing}
            if chosen.archive.drop_after_days is not None:
                oldest = now - timedelta(days=chosen.archive.drop_after_days)
                found["dropped"] += dropping.drop(connection, chosen.space, each, keeping.name, keeping.lines, oldest)
        for source in raw.sources(chosen.state_dir, chosen.space):
            found["raw_files"] += raw.ship(connection, store, chosen.state_dir, chosen.space, source, now)
    console.result(found, as_json, lambda: console.table([*found], [[*found.values()]]))
    if found["missing"]:
        raise console.No(f"{found['missing']} events that the ledger counts are not in the tables", "`ioc ledger` says of which department")


@archive.command("restore")
def restore(
    name: Annotated[str | None, typer.Argument(help="Only the events of this department.", metavar="DEPARTMENT")] = None,
    as_json: Json = False,
) -> None:
    """Put events that left the tables back into them: before `ioc up` counts figures anew, or to explain a figure of then. Safe to repeat.

    Nothing is counted twice. With archive.drop_after_days the next `ioc archive run` lets them go again.
    """
    chosen = settings.load()
    store = at.opened(chosen)
    found = {"events": 0}
    with _alone(chosen) as connection:
        for each in [department(name)] if name else departments():
            gone = connection.execute(
                "select dropped from archived where chain = %s", [chain.events_name(each.name, chosen.space)]
            ).fetchone()
            with console.progress(f"restoring {each.name}", gone[0] if gone else 0) as step:
                found["events"] += restoring.restore(connection, store, chosen.space, each, step)
    console.result(found, as_json, lambda: console.table([*found], [[*found.values()]]))


@contextmanager
def _alone(chosen: Settings) -> Iterator[psycopg.Connection[Any]]:
    """As `owning`, and nobody else writes the archive or takes from it meanwhile. Raises Retry too where somebody does."""
    with owning(chosen) as connection:
        if connection.execute("select pg_try_advisory_lock(%s)", [LOCK]).fetchone() != (True,):
            raise Retry("another `ioc archive run` or `restore` is at work", "wait until it has ended")
        try:
            yield connection
        finally:  # the server hears of a closed connection a moment later
            if not connection.closed:
                connection.execute("select pg_advisory_unlock(%s)", [LOCK])


@archive.command("verify")
def verify(
    name: Annotated[str | None, typer.Option("--department", help="Only the events of this department.", metavar="DEPARTMENT")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Only files of arrivals since then.", metavar="TIME")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only files of arrivals before then.", metavar="TIME")] = None,
    as_json: Json = False,
) -> None:
    """Read every file and recompute every hash. Exit 1 names the hour and the source of a changed bit.

    The chains are always read as a whole; where the database can be asked, their ends are compared with what it remembers.
    """
    chosen = settings.load()
    store = at.opened(chosen)
    first, last = (chain.hour_of(t) if (t := console.at(text)) else edge for text, edge in ((since, ""), (until, "9")))
    found = verifying.Verified()
    with _asked(chosen) as connection:
        names = verifying.names(store, chosen.space, connection)
        if name is not None:
            names = [chain.events_name(department(name).name, chosen.space)]
        total = sum(first <= line.hour < last for each in names for line in at.load(store, each)[0])
        with console.progress("verifying", total) as step:
            for each in names:
                verifying.verify(store, each, found, connection, first, last, step)
    answer = {
        "ok": not found.wrong, "files": found.files, "events": found.events, "raw_records": found.records, "unlisted": found.unlisted,
        "first_wrong": found.wrong[0] if found.wrong else None, "wrong": len(found.wrong),
    }  # fmt: skip
    console.result(
        answer,
        as_json,
        lambda: console.table(("files", "events", "raw records", "wrong"), [[found.files, found.events, found.records, len(found.wrong)]]),
    )
    if found.wrong:
        wrong = found.wrong[0]
        who = wrong.get("department") or wrong.get("source")
        raise console.No(
            f"{who}, hour {wrong['hour']} (UTC), {wrong['file']}: {wrong['what']}", "restore it from its copy; docs/archive.md"
        )


@contextmanager
def _asked(chosen: Settings) -> Iterator[psycopg.Connection[Any] | None]:
    """The database, or None where there is none to ask: the files can be verified anywhere."""
    with ExitStack() as held:
        connection: psycopg.Connection[Any] | None = None
        try:
            connection = held.enter_context(owning(chosen))
        except IocError:
            console.say("the database cannot be asked: the ends of the chains are not compared with what it remembers")
        yield connection


@archive.command("open")
def open_(
    source: Annotated[str, typer.Argument(metavar="SOURCE")],
    hour: Annotated[str, typer.Argument(metavar="HOUR", help="2026-11-22T09 (Asia/Ho_Chi_Minh).")],
) -> None:
    """What a source sent in an hour of arrival, as it came: one JSON object per record on stdout. It holds personal data; that it was opened is logged.

    `raw` where the record is text, `base64` where it is not. Needs the key it was sealed with.
    """
    chosen = settings.load()
    wanted = console.at(hour)
    if wanted is None or wanted.minute or wanted.second:
        raise Misconfigured(f"{hour!r} is not an hour", "write 2026-11-22T09")
    opened = 0
    for known_at_us, record in raw.records(
        at.opened(chosen), chosen.state_dir, chosen.space, source, wanted, sealing.load(chosen.state_dir)
    ):
        try:
            shown = {"raw": record.decode()}
        except UnicodeDecodeError:
            shown = {"base64": base64.b64encode(record).decode()}
        typer.echo(orjson.dumps({"known_at": moment(known_at_us).isoformat(), **shown}))
        opened += 1
    log.warning(f"raw records of {source} were opened", who=getpass.getuser(), hour=chain.hour_of(wanted), records=opened)
    if not opened:
        raise console.No(f"nothing is kept of {source} in that hour", "is archive.raw set, and the hour right? Times are Vietnamese")
