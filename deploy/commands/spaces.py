"""`ioc spaces`: what there is beside live, and its end."""

from typing import Annotated, Any

import psycopg
import typer

from deploy import console
from deploy import spaces as whole
from deploy.console import Json
from deploy.embedded import parts
from sinks import spaces
from streams import settings

Name = Annotated[str, typer.Argument(metavar="NAME", help="A space, as `ioc spaces list` names it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(
        help="Spaces beside live: replays and drills, each walled off with tables and topics of its own.", no_args_is_help=True
    )
    group.command("list")(list_)
    group.command("drop")(drop)
    group.command("keep")(keep)
    group.command("clean")(clean)
    app.add_typer(group, name="spaces")


def list_(as_json: Json = False) -> None:
    """Every space but live: its size, its age, its replay."""
    with psycopg.connect(parts.find(settings.load()).dsn) as connection:
        rows: list[dict[str, Any]] = []
        for each in spaces.listed(connection):
            events, size = spaces.held(connection, each.name)
            rows.append(each._asdict() | {"rows": events, "bytes": size})
    columns = ("name", "label", "made_at", "used_at", "rows", "bytes", "kept", "replay")
    console.result({"spaces": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def drop(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False) -> None:
    """Remove a space with everything in it: tables, topics, logins. Exit 1 for live, and while its replay plays."""
    chosen = settings.load()
    found = parts.find(chosen)
    with psycopg.connect(found.dsn) as connection:
        wrong = spaces.why_not(connection, name)
    if wrong:
        raise console.No(wrong, "`ioc spaces list` shows what there is")
    if not yes:
        typer.confirm(f"remove the space {name} with everything in it?", abort=True, err=True)
    whole.drop(chosen, found, name)
    console.result({"dropped": [name]}, as_json, lambda: console.say(f"the space {name} is gone"))


def keep(name: Name, no: Annotated[bool, typer.Option("--no", help="Let it be cleaned up again.")] = False, as_json: Json = False) -> None:
    """Never clean a space up, however old it gets."""
    with psycopg.connect(parts.find(settings.load()).dsn) as connection:
        there = spaces.keep(connection, name, not no)
    if not there:
        raise console.No(f"there is no space {name}", "`ioc spaces list` shows what there is")
    words = f"the space {name} is cleaned up when its time is over" if no else f"the space {name} stays until somebody drops it"
    console.result({"name": name, "kept": not no}, as_json, lambda: console.say(words))


def clean(as_json: Json = False) -> None:
    """Drop the spaces past their age that nobody keeps. For a timer, once a day."""
    gone = whole.clean(settings.load())
    console.result({"dropped": gone}, as_json, lambda: console.say(f"dropped: {', '.join(gone) or 'none'}"))
