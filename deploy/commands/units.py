"""`ioc units`: communes and hospitals with their validity, and where sellers are registered."""

import csv
from pathlib import Path
from typing import Annotated

import typer
from psycopg import sql
from psycopg.rows import dict_row

from connectors.formats.mst import normal
from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from sinks import alias, units
from sinks.lives import Figures
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from streams import pseudonym, settings
from streams.errors import Misconfigured
from streams.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(help="Communes, hospitals, and the communes where sellers are registered.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("load")(load)
    group.command("sellers")(sellers)
    app.add_typer(group, name="units")


def list_(kind: Annotated[str | None, typer.Option(help="commune or hospital.")] = None, as_json: Json = False) -> None:
    """The units the boards know, with the day they are valid from."""
    chosen = settings.load()
    with connect(chosen) as connection, connection.cursor(row_factory=dict_row) as cursor:
        table = sql.Identifier(schema(chosen.space), "unit")
        query = sql.SQL(
            "select code, name, kind, valid_from::text, valid_to::text from {} where %s::text is null or kind = %s order by kind, code"
        )
        rows = cursor.execute(query.format(table), [kind, kind]).fetchall()
    columns = ["code", "name", "kind", "valid_from", "valid_to"]
    console.result({"rows": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def load(as_json: Json = False) -> None:
    """Load the communes (since July 2025) and hospitals of Thanh Hóa that come with the program. `ioc up` does it by itself."""
    console.result({"units": load_defaults(settings.load())}, as_json)


def load_defaults(chosen: Settings) -> int:
    """Write the units that come with the program; how many."""
    with connect(chosen) as connection, connection.transaction():
        return units.load(connection, chosen.space, [*units.communes(), *units.hospitals()])


def sellers(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with the columns mst and commune_code.")], as_json: Json = False
) -> None:
    """Load the tax registry: which seller is registered in which commune. MST become pseudonyms here, at the door.

    A seller that moves takes its invoices along; FILE may be loaded again at any time.
    """
    console.result({"sellers": load_sellers(settings.load(), path)}, as_json)


def load_sellers(chosen: Settings, path: Path) -> int:
    """Register the sellers of a CSV; how many. Raises Misconfigured when it cannot be read."""
    keys = pseudonym.load(chosen.state_dir)
    tax, newer = keys.domain("tax"), keys.newer("tax")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            places = {normal(row["mst"]): row["commune_code"].strip() for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read as a seller registry ({type(error).__name__})", "give a UTF-8 CSV with the columns mst,commune_code"
        ) from error
    found = {tax("mst", mst): unit for mst, unit in places.items()}
    with connect(chosen) as connection:
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        if newer is not None:  # so that a seller that sends nothing meanwhile keeps its name too
            alias.keep(connection, {newer("mst", mst): tax("mst", mst) for mst in places})
        known = alias.of(connection, found)
    figures = Figures(ingest_dsn(chosen), chosen.space, "einvoice")
    try:
        return figures.reassign({known.get(seller, seller): unit for seller, unit in found.items()})
    finally:
        figures.close()
