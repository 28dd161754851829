"""`ioc figures` and `ioc ledger`: what the boards show, and whether every record is accounted for."""

import csv
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import psycopg
import typer

from deploy import console
from deploy.console import Json
from sinks import figures as read
from sinks.byunit import by_unit
from sinks.roles import ingest_dsn
from streams import settings
from streams.department import department
from streams.errors import Misconfigured, Retry
from streams.event import VIETNAM
from streams.settings import Settings

From = Annotated[str | None, typer.Option("--from", help="2026-11-22, 2026-11-22T09:00, yesterday, -2h.", metavar="TIME")]
To = Annotated[str | None, typer.Option("--to", help="As --from; not included.", metavar="TIME")]


class By(StrEnum):
    """How figures are grouped."""

    total = "total"
    day = "day"
    hour = "hour"
    minute = "minute"
    unit = "unit"
    kind = "kind"
    pair = "pair"


class LedgerBy(StrEnum):
    """How the ledger is grouped."""

    source = "source"
    hour = "hour"


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    app.command("figures")(figures)
    app.command("ledger")(ledger)


def connect(chosen: Settings) -> psycopg.Connection[Any]:
    """A connection to the figures. Raises Retry when the database is away."""
    try:
        return psycopg.connect(ingest_dsn(chosen), connect_timeout=5, autocommit=True)
    except psycopg.OperationalError as error:
        raise Retry(
            f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`, or `ioc doctor` to see what is missing"
        ) from error


def figures(
    name: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="A department, e.g. einvoice.")],
    since: From = None,
    until: To = None,
    by: Annotated[By, typer.Option(help="One row per ..")] = By.total,
    as_of: Annotated[str | None, typer.Option(help="As it looked then: from what was known before that minute.", metavar="TIME")] = None,
    units_at: Annotated[
        str | None, typer.Option("--units-at", metavar="DATE", help="With --by unit: in the units of that day, not of each record's own.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a header.")] = False,
    as_json: Json = False,
) -> None:
    """A department's figures as the boards show them. A figure without a value is a dash (null in JSON), never 0.

    Days are Vietnamese days; money is whole đồng. By unit each row says whether it is exact. Example: ioc figures einvoice --by day --from -7d
    """
    department(name)
    chosen = settings.load()
    moment = console.at(as_of)
    then = moment and moment.replace(second=0, microsecond=0)
    how: read.By = by.value
    bounds, day = (console.at(since), console.at(until), then), console.at(units_at)
    if day and by is not By.unit:
        raise Misconfigured("--units-at says in whose units, so it goes with --by unit", "add --by unit")
    with connect(chosen) as connection:
        if by is By.unit:
            today = (moment or datetime.now(UTC)).astimezone(VIETNAM).date()
            found = by_unit(connection, chosen.space, name, bounds, today, day and day.astimezone(VIETNAM).date())
        else:
            found = read.figures(connection, chosen.space, name, how, *bounds)
    rows = found["rows"]
    columns = [*rows[0]] if rows else []
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows([row[c] for c in columns] for row in rows)
        return
    title = f"{name}, space {chosen.space}, as of {found['as_of'] or 'never'}"
    if found.get("estimated"):
        title += f"; {found['estimated']} of {len(rows)} units are estimated (exact: no): parts of divided units"
    console.result(found, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows), title))


def ledger(
    since: From = None,
    until: To = None,
    by: Annotated[LedgerBy, typer.Option(help="One row per source, or per hour and source.")] = LedgerBy.source,
    as_json: Json = False,
) -> None:
    """Conservation of events: received = on time + late + duplicate + conflict + quarantined. Exit 1 when it does not balance.

    Without --from and --to the tables themselves are counted as well: events, identities, quarantine.
    """
    chosen = settings.load()
    with connect(chosen) as connection:
        found = read.ledger(connection, chosen.space, console.at(since), console.at(until), by.value)
    rows = found["rows"]
    columns = [*rows[0]] if rows else ["source"]
    console.result(found, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))
    if not found["balanced"]:
        raise console.No("the ledger does not balance: " + "; ".join(found["wrong"]), "keep the database as it is and report this")
    if not as_json:
        console.say("balanced")
