"""`ioc boards push|diff|open`: the boards and a running Grafana."""

import json
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from psycopg.conninfo import conninfo_to_dict

from deploy import console
from deploy.console import Json
from sinks import roles
from streams import settings
from streams.errors import Misconfigured, Retry
from streams.settings import Settings

if TYPE_CHECKING:
    from grafana.remote import Change, Grafana

Boards = list[tuple[str, dict[str, Any]]]
Directory = Annotated[Path | None, typer.Option("--boards", help="Folder of boards (default: those of the program).", metavar="DIR")]
Url = Annotated[str | None, typer.Option(help="Address of the Grafana (default: grafana.url). Its token: IOC_GRAFANA__TOKEN.")]


def register(boards: typer.Typer) -> None:
    """Add the commands to `ioc boards`."""
    boards.command("push")(push)
    boards.command("diff")(diff)
    boards.command("open")(open_board)


def push(
    url: Url = None,
    directory: Directory = None,
    public: Annotated[list[str] | None, typer.Option(help="A board that lobby screens may see without a login.", metavar="UID")] = None,
    as_json: Json = False,
) -> None:
    """Bring folder, datasource (as the reader role), boards, home board and playlist to a running Grafana. Safe to repeat."""
    from grafana import build

    if directory is None and build.differing():
        raise console.No("the board files are not what the code builds", "run `ioc boards build` first")
    chosen = settings.load()
    raw = read(directory)
    steps: list[str] = []

    def told(step: str) -> None:
        steps.append(step)
        console.say(f"pushed {step}" if "left as it is" not in step else step)

    with _grafana(chosen, url) as found:
        found.push([board for _, board in raw], _source(chosen), told)
        addresses = {board["uid"]: found.publish(board) for _, board in raw if board["uid"] in (public or ())}
    for uid, address in addresses.items():
        console.say(f"everybody sees {uid} at {address}")
    console.result(
        {"ok": True, "boards": len(raw), "steps": steps, "public": addresses}, as_json, lambda: console.say(f"{len(raw)} boards are there")
    )


def diff(
    url: Url = None,
    directory: Directory = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take what Grafana has: write it into the board files.")] = False,
    revert: Annotated[bool, typer.Option("--revert", help="Put back what the files say.")] = False,
    as_json: Json = False,
) -> None:
    """What somebody changed in Grafana by hand: where, who, when. Exit 1 when something differs and neither --adopt nor --revert settled it."""
    if adopt and revert:
        raise Misconfigured("--adopt and --revert are opposites", "choose one")
    chosen = settings.load()
    raw, source = read(directory), _source(chosen)
    held = [board for _, board in raw]
    with _grafana(chosen, url) as found:
        changes = found.diff(held, source)
        if adopt:
            _adopt(found, raw, changes, directory)
        elif revert and changes:
            found.push(held, source, lambda step: None)
    rows = [vars(change) for change in changes]
    settled = "adopted" if adopt else "reverted" if revert else None
    columns = ("where", "path", "file", "grafana", "who", "when")
    console.result(
        {"ok": not changes, "changes": rows, "settled": settled},
        as_json,
        lambda: (
            console.table(columns, ([_short(row[c]) for c in columns] for row in rows))
            if rows
            else console.say("Grafana holds what the files say")
        ),
    )
    if changes and settled is None:
        raise console.No(
            f"{len(changes)} places differ", "run it again with --revert to put the files back, or with --adopt to keep what is there"
        )


def open_board(
    uid: Annotated[str, typer.Argument(help="Which board.")] = "ioc-overview",
    grafana: Annotated[bool, typer.Option("--grafana", help="In Grafana instead of on the wall.")] = False,
    as_json: Json = False,
) -> None:
    """Open a board in the browser: on our wall, or in Grafana."""
    chosen = settings.load()
    if f"{uid}.json" not in {name for name, _ in read(None)}:
        raise Misconfigured(f"there is no board {uid}", "`ioc boards build` lists those there are")
    address = f"{_url(chosen, None) if grafana else _wall(chosen)}/d/{uid}"
    opened = webbrowser.open(address)
    console.result({"url": address, "opened": opened}, as_json, lambda: console.say(address))


def read(directory: Path | None) -> Boards:
    """(file name, JSON) of every board in a folder. Raises Misconfigured for a file that is no board."""
    from grafana.wall.library import BOARDS

    found = []
    for path in sorted((directory or BOARDS).glob("*.json")):
        try:
            board = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Misconfigured(f"{path} is no JSON: {error}", "mend the file, or run `ioc boards build`") from error
        if not isinstance(board, dict):
            raise Misconfigured(f"{path} is no board", "mend the file, or run `ioc boards build`")
        found.append((path.name, board))
    if not found:
        raise Misconfigured(f"there are no boards in {directory or BOARDS}", "run `ioc boards build`")
    return found


def _adopt(found: "Grafana", raw: Boards, changes: "list[Change]", directory: Path | None) -> None:
    """Write Grafana's boards into the files that differ. What is no board is named, not taken."""
    from grafana.wall.library import BOARDS

    names = {board["uid"]: name for name, board in raw}
    boards = {change.where for change in changes if change.grafana is not None and change.where not in ("datasource", "home", "playlist")}
    for uid in sorted(boards):
        text = json.dumps(found.board(uid), ensure_ascii=False, indent=2) + "\n"
        ((directory or BOARDS) / names.get(uid, f"{uid}.json")).write_text(text, encoding="utf-8")
        console.say(f"adopted {uid}")
    if boards and directory is None:
        console.say("now change the code until `ioc boards build --check` agrees, else the next build takes it back")
    for change in changes:
        if change.where not in boards:
            console.say(f"not adopted: {change.where} (only boards are; use --revert)")


def _grafana(chosen: Settings, url: str | None) -> "Grafana":
    from grafana.remote import Grafana

    token = chosen.grafana.token
    if not token:
        raise Misconfigured(
            "there is no token for Grafana", "set IOC_GRAFANA__TOKEN to an Admin service account's token, or to user:password"
        )
    user, colon, password = token.partition(":")
    return Grafana(_url(chosen, url), (user, password) if colon else token)


def _url(chosen: Settings, url: str | None) -> str:
    found = url or chosen.grafana.url
    if not found:
        raise Misconfigured("there is no address of a Grafana", "give --url, or set IOC_GRAFANA__URL")
    return found.rstrip("/")


def _wall(chosen: Settings) -> str:
    try:
        return str(json.loads((chosen.state_dir / "web.json").read_text())["url"])
    except (OSError, ValueError, KeyError) as error:
        raise Retry("no wall was started here", "run `ioc serve`") from error


def _source(chosen: Settings) -> dict[str, Any]:
    from grafana.remote import source

    told = conninfo_to_dict(roles.reader_dsn(chosen))
    host = chosen.grafana.database or f"{told.get('host', '127.0.0.1')}:{told.get('port', 5432)}"
    return source(host, str(told.get("dbname", "")), str(told.get("user", "")), str(told.get("password", "")))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value is not None else "—"
    return text if len(text) <= 60 else text[:57] + "..."
