"""`ioc wall`: links that let people and screens in, and the key they hang on."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console
from deploy.console import Json
from streams import settings
from streams.errors import Misconfigured, Retry
from streams.event import VIETNAM
from streams.settings import Settings

SECONDS_A_DAY = 86_400


def register(app: typer.Typer) -> None:
    """Add `ioc wall ...`."""
    group = typer.Typer(
        help="Who may look at the wall: links for people and screens, and how to revoke them; the screens themselves.", no_args_is_help=True
    )
    group.command("link")(link)
    group.command("rotate")(rotate)
    group.command("screens")(screens)
    app.add_typer(group, name="wall")


def wall_key(chosen: Settings) -> Path:
    """Where the key of links and cookies lies."""
    return chosen.wall.key_file or chosen.state_dir / "secrets" / "wall.key"


def link(
    board: Annotated[list[str] | None, typer.Option(help="A board it opens, may be given again (default: all).", metavar="UID")] = None,
    days: Annotated[float, typer.Option(help="How long it lets in.", min=0.01, max=400)] = 30.0,
    name: Annotated[str, typer.Option(help="For whom or which screen: stands in the log and in `ioc wall screens`.")] = "screen",
    operator: Annotated[bool, typer.Option("--operator", help="On duty: may take and silence alarms, and see all screens.")] = False,
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


def screens(
    url: Annotated[str | None, typer.Option(help="The wall to ask (default: the one of this state folder).")] = None, as_json: Json = False
) -> None:
    """Which screens are alive, what each shows, since when, how far behind, and what is wrong on it. Silent ones come first."""
    found = _asked(settings.load(), url, "/api/screens")

    def row(each: dict[str, Any]) -> list[object]:
        since, heard = (datetime.fromtimestamp(each[key] / 1000, VIETNAM).strftime("%d/%m %H:%M:%S") for key in ("since", "heard"))
        wrong = [*each["errors"], *([] if each["current"] else ["old version"]), *([] if each["visible"] else ["not visible"])]
        told = (each["name"], each["address"], each["view"], since, heard, each["wave"], each["behind"], each["lag_seconds"])
        return [each["state"], *told, "; ".join(wrong)]

    columns = ("state", "name", "address", "shows", "since", "heard", "wave", "behind", "lag s", "wrong")
    console.result(found, as_json, lambda: console.table(columns, map(row, found["screens"]), f"{len(found['screens'])} screens"))


def _asked(chosen: Settings, url: str | None, path: str) -> dict[str, Any]:
    """A question to the running wall, as an operator for a minute: who may read the key may do so. Raises Retry, Misconfigured."""
    import httpx

    from grafana.wall import access

    headers = {"host": chosen.wall.hosts[0]} if chosen.wall.hosts else {}
    if chosen.wall.login:
        grant = access.new_grant("cookie", "ioc wall", time.time() + 60, None, operator=True, once=False)
        headers["cookie"] = f"{access.COOKIE}={access.Key(wall_key(chosen)).sign(grant)}"
    base = (url or where(chosen)).rstrip("/")
    try:
        answer = httpx.get(base + path, headers=headers, timeout=10)
    except httpx.HTTPError as error:
        raise Retry(f"the wall at {base} does not answer ({type(error).__name__})", "start `ioc serve`, or give --url") from error
    if answer.status_code != 200:
        raise Misconfigured(f"the wall at {base} answers {answer.status_code}", "run this where its state folder and settings are")
    found: dict[str, Any] = answer.json()
    return found


def where(chosen: Settings) -> str:
    """The address of the wall that serves from this state folder."""
    try:
        return str(json.loads((chosen.state_dir / "web.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return f"http://{chosen.web.host}:{chosen.web.port}"
