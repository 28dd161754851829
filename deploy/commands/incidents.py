"""`ioc incidents`: what really happened, as people label it: what a rule's precision and recall are measured by."""

import getpass
from typing import Annotated

import typer
from psycopg.rows import dict_row

from deploy import console
from deploy.commands.rules_apply import Who, connected
from deploy.console import Json
from streams import settings
from streams.department import department
from streams.errors import Misconfigured

incidents = typer.Typer(help="What really happened: backtests are judged by it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `ioc incidents ...`."""
    app.add_typer(incidents, name="incidents")


@incidents.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="DEPARTMENT")],
    since: Annotated[str, typer.Option("--from", metavar="TIME")],
    until: Annotated[str, typer.Option("--to", metavar="TIME")],
    what: Annotated[str, typer.Option(help="What happened, in a sentence.")],
    unit: Annotated[str, typer.Option(help="Where; nothing: the whole department.")] = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Label an incident: ioc incidents add payment --unit 38001 --from 2026-11-20T09:00 --to 2026-11-20T10:30 --what "QR codes printed wrong" """
    department(name)
    first, last = console.at(since), console.at(until)
    if first is None or last is None or last <= first:
        raise Misconfigured("an incident ends after it begins", "give --from and --to")
    with connected(settings.load()) as connection:
        row = connection.execute(
            "insert into incident (department, unit, since, until, what, who) values (%s, %s, %s, %s, %s, %s) returning id",
            [name, unit, first, last, what, who or getpass.getuser()],
        ).fetchone()
    console.result({"incident": row[0] if row else None}, as_json, lambda: console.say(f"incident {row[0] if row else ''} is labelled"))


@incidents.command("list")
def list_(name: Annotated[str | None, typer.Argument(metavar="DEPARTMENT")] = None, as_json: Json = False) -> None:
    """The labelled incidents, the newest first."""
    with connected(settings.load()) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select id, department, nullif(unit, '') as unit, since as from, until as to, what, who from incident "
            "where %s::text is null or department = %s order by since desc",
            [name, name],
        ).fetchall()
    columns = ("id", "department", "unit", "from", "to", "what", "who")
    console.result({"incidents": rows}, as_json, lambda: console.table(columns, [[row[c] for c in columns] for row in rows]))


@incidents.command("remove")
def remove(number: Annotated[int, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Take a label away again."""
    with connected(settings.load()) as connection:
        done = connection.execute("delete from incident where id = %s", [number]).rowcount
    console.result({"removed": done}, as_json, lambda: console.say(f"{done} removed"))
    if not done:
        raise console.No(f"there is no incident {number}", "`ioc incidents list` shows them")
