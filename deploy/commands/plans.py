"""`ioc plans`: what is planned for a year."""

from pathlib import Path
from typing import Annotated

import typer
from psycopg import sql
from psycopg.rows import dict_row

from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from sinks import plans
from sinks.migrations import schema
from streams import settings


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(
        help="What is planned for a year of a figure; tiles of the month say how much of it is reached.", no_args_is_help=True
    )
    group.command("list")(list_)
    group.command("load")(load)
    app.add_typer(group, name="plans")


def list_(as_json: Json = False) -> None:
    """The plans the boards know."""
    chosen = settings.load()
    columns = ["department", "figure", "year", "value"]
    query = sql.SQL("select department, figure, year, value from {} order by 3, 1, 2").format(sql.Identifier(schema(chosen.space), "plan"))
    with connect(chosen) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query).fetchall()
    console.result({"rows": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def load(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with the columns department, figure, year, value.")],
    as_json: Json = False,
) -> None:
    """Load plans, over those of the same figure and year. All of FILE or nothing."""
    chosen, found = settings.load(), plans.read(path)
    with connect(chosen) as connection, connection.transaction():
        console.result({"plans": plans.load(connection, chosen.space, found)}, as_json)
