"""`ioc explain`: the very events that a figure is made of."""

import csv
import sys
from typing import Annotated

import psycopg
import typer

from deploy import console
from deploy.console import Json
from sinks import explain as read
from sinks.migrations import board
from sinks.parts import Cell
from sinks.roles import reader_dsn
from streams import settings
from streams.errors import Retry

PAGE = 1000


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(explain)


def explain(
    name: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="einvoice, telehealth or payment.")],
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help="A key of `ioc figures`, e.g. value_vnd.")],
    unit: Annotated[str | None, typer.Option(help='Only this unit; "" for events whose unit is not known.')] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    day: Annotated[str | None, typer.Option(help="2026-11-22 (default: today).")] = None,
    hour: Annotated[str | None, typer.Option(help="2026-11-22T09.")] = None,
    minute: Annotated[str | None, typer.Option(help="2026-11-22T09:17.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Events to list; --csv lists all.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this place (`next` of the JSON).")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="All events, comma-separated, with a header.")] = False,
    as_json: Json = False,
) -> None:
    """What a figure is made of: what it means, by what rule, how many events, and the events themselves (pseudonymous).

    Example: ioc explain payment paid_vnd --unit 38001 --hour 2026-11-22T09
    """
    owner, chosen = read.chosen(name, figure)
    space = settings.load()
    today = console.at("today")
    assert today is not None  # noqa: S101  # a word that is known
    cell = Cell(*(read.span(day or (None if hour or minute else today.date().isoformat()), hour, minute) or (today, today)), unit, kind)
    try:
        with (
            psycopg.connect(reader_dsn(space), connect_timeout=5, autocommit=True) as connection,
            read.snapshot(connection, board(space.space)),
        ):
            if as_csv:
                writer = csv.DictWriter(sys.stdout, read.COLUMNS)
                writer.writeheader()
                for some in read.pages(connection, owner, chosen, cell, PAGE):
                    writer.writerows(some)
                return
            found = read.about(connection, owner, chosen, cell)
            rows, following = read.page(connection, owner, chosen, cell, read.position(after) if after else None, limit)
    except psycopg.OperationalError as error:
        raise Retry(
            f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`, or `ioc doctor` to see what is missing"
        ) from error
    console.result(found | {"rows": rows, "next": read.written(following)}, as_json, lambda: _show(found, rows))


def _show(found: dict[str, object], rows: list[dict[str, object]]) -> None:
    said = [key for key in found if key not in ("department", "figure", "amount_word", "complete")]
    console.table(said, [[", ".join(map(str, v)) if isinstance(v := found[key], list) else v for key in said]])
    shown = ("event", "event_time", "known_at", "late", "source", "unit", "kind", "amount")
    if rows:
        console.table(shown, ([row[key] for key in shown] for row in rows))
