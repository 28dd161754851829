"""`ioc wall`: links that let people and screens in, and the key they hang on."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy import console
from deploy.console import Json
from streams import settings
from streams.errors import Misconfigured
from streams.event import VIETNAM
from streams.settings import Settings

SECONDS_A_DAY = 86_400


def register(app: typer.Typer) -> None:
    """Add `ioc wall ...`."""
    group = typer.Typer(help="Who may look at the wall: links for people and screens, and how to revoke them.", no_args_is_help=True)
    group.command("link")(link)
    group.command("rotate")(rotate)
    app.add_typer(group, name="wall")


def wall_key(chosen: Settings) -> Path:
    """Where the key of links and cookies lies."""
    return chosen.wall.key_file or chosen.state_dir / "secrets" / "wall.key"


def link(
    board: Annotated[list[str] | None, typer.Option(help="A board it opens, may be given again (default: all).", metavar="UID")] = None,
    days: Annotated[float, typer.Option(help="How long it lets in.", min=0.01, max=400)] = 30.0,
    name: Annotated[str, typer.Option(help="For whom or which screen: stands in the log and in `ioc wall screens`.")] = "screen",
    operator: Annotated[bool, typer.Option("--operator", help="May also see all screens.")] = False,
    many: Annotated[bool, typer.Option("--many", help="Works again and again: for screens that forget their cookies.")] = False,
    url: Annotated[str | None, typer.Option(help="Where people reach the wall (default: where it listens).")] = None,
    as_json: Json = False,
) -> None:
    """Make a link that logs in who opens it. It works once; the secret in it is all it takes, so hand it over as you would a key."""
    from grafana.wall import access, library

    chosen = settings.load()
    known = library.load(library.BOARDS)
    if unknown := sorted(set(board or ()) - set(known)):
        raise Misconfigured(f"there is no board {', '.join(unknown)}", f"choose from {', '.join(known)}")
    if "link" not in chosen.wall.login:
        console.say('the wall does not ask for links: set wall.login = ["link"]')
    key = access.Key(wall_key(chosen))
    key.make()
    until = time.time() + days * SECONDS_A_DAY
    grant = access.new_grant("link", name[:100], until, tuple(board) if board else None, operator, once=not many)
    found = {
        "link": f"{(url or where(chosen)).rstrip('/')}/enter#{key.sign(grant)}",
        "name": grant.name,
        "boards": list(grant.boards) if grant.boards is not None else None,
        "until": datetime.fromtimestamp(until, VIETNAM).isoformat(timespec="minutes"),
        "once": grant.once,
    }
    console.result(found, as_json, lambda: print(found["link"]))


def rotate(as_json: Json = False) -> None:
    """Replace the key: every link and every login made before ends at once, live screens within seconds."""
    from grafana.wall import access

    path = wall_key(settings.load())
    access.Key(path).rotate()
    console.result({"rotated": True, "key": str(path)}, as_json, lambda: console.say("no link made before works any more"))


def where(chosen: Settings) -> str:
    """The address of the wall that serves from this state folder."""
    try:
        return str(json.loads((chosen.state_dir / "web.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return f"http://{chosen.web.host}:{chosen.web.port}"
