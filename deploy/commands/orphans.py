"""`ioc orphans`: answers whose question never came."""

from datetime import timedelta
from typing import Annotated

import psycopg
import typer

from deploy import console
from deploy.console import Json
from sinks import explain
from sinks.migrations import board
from sinks.orphans import orphans as read
from sinks.roles import reader_dsn
from streams import settings
from streams.department import department
from streams.errors import Retry


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(orphans)


def orphans(
    name: Annotated[str, typer.Argument(metavar="DEPARTMENT")] = "einvoice",
    older: Annotated[float, typer.Option(metavar="HOURS", min=0, help="Only those that have waited longer.")] = 24,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Ids to list.")] = 20,
    as_json: Json = False,
) -> None:
    """Verdicts, receipts and answers that wait for a message that has not come: they count nothing until it does.

    Exit 1 when there are any. Example: ioc orphans einvoice --older 48
    """
    owner, space = department(name), settings.load()
    try:
        with (
            psycopg.connect(reader_dsn(space), connect_timeout=5, autocommit=True) as connection,
            explain.snapshot(connection, board(space.space)),
        ):
            found = read(connection, owner, timedelta(hours=older), limit)
    except psycopg.OperationalError as error:
        raise Retry(
            f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`, or `ioc doctor` to see what is missing"
        ) from error

    def shown() -> None:
        columns = ("kind", "source", "answers", "first", "last")
        console.table(columns, [[group[c] for c in columns] for group in found["groups"]])

    console.result(found, as_json, shown)
    if found["orphans"]:
        raise typer.Exit(1)
