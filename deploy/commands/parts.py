"""`ioc up`, `ioc down`, `ioc doctor`: the parts everything else stands on."""

import itertools
import re
from typing import Annotated

import typer

from deploy import console, doctor
from deploy.commands.units import load_defaults
from deploy.console import Json
from deploy.embedded import parts
from deploy.embedded.parts import Parts
from deploy.embedded.places import Say
from deploy.embedded.topics import create_topics
from sinks.lives import Figures
from sinks.migrations import migrate
from sinks.roles import ingest_dsn
from streams import settings
from streams.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    app.command()(up)
    app.command()(down)
    app.command("doctor")(examine)


def bring_up(chosen: Settings, say: Say) -> Parts:
    """Broker, topics, database, tables, units: all there and up to this code. Idempotent."""
    running, emptied = parts.ensure(chosen, say), []
    for name in create_topics(chosen, running.bootstrap):
        say(f"made topic {name}")
    for step in migrate(running.dsn, chosen):
        say(f"migrated {step}")
        if re.fullmatch(r"department_\w+_(histories|contract_\d+)", step):
            emptied.append(step.split("_")[1])
    for name in dict.fromkeys(emptied):
        count_anew(chosen, name, say)
    load_defaults(chosen)
    return running


def count_anew(chosen: Settings, name: str, say: Say) -> None:
    """The figures that an update has emptied, from their events, before anybody looks at them or is rung by them."""
    figures = Figures(ingest_dsn(chosen), chosen.space, name)
    for number in itertools.count():
        if figures.catch_up() is None:
            break
        if number == 0:
            say(f"counting the figures of {name} anew, from its events")
    figures.close()


def up(as_json: Json = False) -> None:
    """Start, or find, broker and database; make topics and tables. Run it as often as you like."""
    running = bring_up(settings.load(), console.say)

    def shown() -> None:
        console.say(f"broker    {running.bootstrap} ({running.broker_kind})")
        console.say(f"database  {running.database_kind}, {_without_password(running.dsn)}")
        console.say(f"state     {running.state_dir}")

    console.result(running.as_json(), as_json, shown)


def down(
    as_json: Json = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete what broker and database hold (the keys stay).")] = False,
) -> None:
    """End the broker and the database that `ioc up` started. Their data stay; external ones are left alone."""
    chosen = settings.load()
    if wipe:
        parts.wipe(chosen)
    else:
        parts.stop(chosen)
    state = str(chosen.state_dir.resolve())
    console.result({"state_dir": state, "wiped": wipe}, as_json, lambda: console.say(f"nothing of {state} runs any more"))


def examine(as_json: Json = False) -> None:
    """What is missing or wrong on this machine, and the command that mends it."""
    checks = doctor.examine(settings.load())
    ok = all(check.ok for check in checks)
    found = {"ok": ok, "checks": [check.as_json() for check in checks]}

    def shown() -> None:
        console.table(["", "check", "what is there", "how to mend it"], [["✓" if c.ok else "✗", c.name, c.detail, c.mend] for c in checks])

    console.result(found, as_json, shown)
    if not ok:
        raise console.No(
            f"{sum(not check.ok for check in checks)} checks failed", "do what the last column says, then run `ioc doctor` again"
        )


def _without_password(dsn: str) -> str:
    from psycopg.conninfo import conninfo_to_dict

    told = conninfo_to_dict(dsn)
    return f"{told.get('host', 'localhost')}:{told.get('port', 5432)}/{told.get('dbname', '')}"
