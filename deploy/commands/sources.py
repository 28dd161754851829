"""`ioc sources`: the configured sources, how they stand, and their fuses."""

from typing import Annotated, Any

import typer
from psycopg import sql
from psycopg.rows import dict_row

from connectors import cursors, pump
from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from deploy.embedded import parts
from sinks.migrations import schema
from streams import settings
from streams.brokers import kafka_python_options
from streams.event import moment
from streams.settings import Settings
from streams.topics import topic


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(help="The configured sources: what was heard of them, and whether their fuses hold.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("reset")(reset)
    app.add_typer(group, name="sources")


def list_(as_json: Json = False) -> None:
    """Every source of ioc.toml: its fuse (blown: stopped, because more than 20 % of its last 500 records were rejected), its last news, what is held."""
    chosen = settings.load()
    kafka = kafka_python_options(chosen, parts.find(chosen).bootstrap)
    heard = _heard(chosen)
    rows = []
    for source in chosen.sources:
        place = cursors.load(kafka, topic("cursors", chosen.space), source.name)
        told = heard.get(source.name, {})
        rows.append(
            {
                "source": source.name,
                "department": source.department,
                "connector": source.connector,
                "fuse": "holds" if place.blown_at_us is None else "blown",
                "blown_at": None if place.blown_at_us is None else moment(place.blown_at_us).isoformat(),
                "heard_at": told.get("heard_at"),
                "held": told.get("held", 0),
            }
        )
    columns = ["source", "department", "connector", "fuse", "blown_at", "heard_at", "held"]
    console.result({"rows": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def reset(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source of ioc.toml whose fuse has blown.")], as_json: Json = False
) -> None:
    """Let a source go on once the cause is mended (`ioc quarantine list`). `ioc serve` takes its notices again within seconds; `ioc pull` is to be started."""
    chosen = settings.load()
    named = chosen.source(source)
    kafka = kafka_python_options(chosen, parts.find(chosen).bootstrap)
    was = cursors.load(kafka, topic("cursors", chosen.space), named.name).blown_at_us
    pump.reset_fuse(kafka, topic("cursors", chosen.space), named.name)
    pump.say_reset(kafka, topic("asked", chosen.space), named.name, named.department)
    console.result({"source": named.name, "was": "holds" if was is None else "blown", "fuse": "holds"}, as_json)


def _heard(chosen: Settings) -> dict[str, dict[str, Any]]:
    """source -> when it last sent something, and how many of its records are held."""
    query = (
        "select source, max(known_at) as heard_at, sum(held)::bigint as held from (select source, known_at, 0 as held from heard union all "
        "select source, max(known_at), count(*) from quarantine where state = 'held' group by 1) h group by 1"
    )
    with connect(chosen) as connection, connection.cursor(row_factory=dict_row) as cursor:
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        return {row.pop("source"): row for row in cursor.execute(query)}
