"""`ioc replay start|pause|resume|seek|speed|stop|status|list`: a period of the past, played into a space of its own."""

import getpass
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from deploy import console
from deploy.commands.replay_verify import check, diff, verify
from deploy.console import Json
from deploy.embedded import parts, processes
from deploy.replay import starting
from deploy.replay.control import Control, Row
from deploy.replay.running import run
from deploy.replay.worker import environment, folder
from sinks.roles import replay_dsn
from sinks.spaces import ENDED
from streams import settings
from streams.errors import Misconfigured
from streams.settings import Settings
from streams.topics import LIVE

From = Annotated[str, typer.Option("--from", help="2026-11-22, 2026-11-22T09:00, yesterday, -2h.", metavar="TIME")]
To = Annotated[str, typer.Option("--to", help="As --from; not included.", metavar="TIME")]
Speed = Annotated[str, typer.Option(help="0.1 to 1000 times real time, or max.", metavar="X")]
MISSED_SECONDS = 30.0
Space = Annotated[str | None, typer.Argument(metavar="[SPACE]", help="Which replay (default: --space, or the only one).")]

app = typer.Typer(no_args_is_help=True, help="Play a period of the past into a space of its own: drills, audits, rules tried on old days.")


def register(into: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    for command in (start, pause, resume, seek, speed, stop, status):
        app.command(command.__name__)(command)
    app.command("list")(list_)
    app.command("verify")(verify)
    app.command("play", hidden=True)(play)
    into.command("diff")(diff)
    into.add_typer(app, name="replay")


def start(
    since: From,
    until: To = "now",
    at_speed: Annotated[str, typer.Option("--speed", help="0.1 to 1000 times real time, or max.", metavar="X")] = "60",
    by: Annotated[
        starting.By, typer.Option(help="Order: by the events' own time, or known-at: as they arrived, late and doubled ones too.")
    ] = starting.By.event_time,
    departments: Annotated[str | None, typer.Option(help="Only these, with commas between.", metavar="NAMES")] = None,
    units: Annotated[str | None, typer.Option(help="Only these codes, with commas between.", metavar="CODES")] = None,
    rules: Annotated[Path | None, typer.Option(help="A folder of rules that stand there instead of live's.", metavar="DIR")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="A ready scenario's name, or a YAML: changes laid over history.", metavar="NAME|FILE")
    ] = None,
    code_check: Annotated[
        bool, typer.Option("--code-check", help="First prove that this program derives what live has of that period, as verify does.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Empty the space if it holds a replay that has ended.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    as_json: Json = False,
) -> None:
    """Begin a replay, and show how it goes until it ends. Ctrl-C leaves it playing.

    Nothing it does can touch live's figures or ring a real bell: it has a role, topics and tables of its own. Look at it on the wall:
    /?space=NAME. Example: ioc replay start --from yesterday --to today --speed 60 --space drill-01
    """
    chosen = settings.load()
    asked = starting.Asked(
        since=_at(since), until=_at(until), follows=by, departments=_names(departments), units=_names(units), rules=rules,
        scenario=scenario, speed=_speed(at_speed), again=again, who=getpass.getuser(),
    )  # fmt: skip
    found = parts.find(chosen)
    if code_check:
        check(chosen, asked.since, asked.until)
    row = starting.prepare(chosen, found, asked)
    console.say(
        f"space {row.space}: {row.total:,} events of {console.instant(row.since)} to {console.instant(row.until)}; on the wall: /?space={row.space}".replace(
            ",", "."
        )
    )
    launch(chosen)
    if not detach:
        row = watch(chosen)
    _show(row, as_json)
    if row.state == "failed":
        raise console.No(f"the replay failed: {row.wrong}", f"see {folder(chosen) / 'player.log'}")


def pause(space: Space = None, as_json: Json = False) -> None:
    """Let a replay's clock stand."""
    _ask(space, as_json, wanted="pause")


def resume(space: Space = None, as_json: Json = False) -> None:
    """Let a replay go on, also one whose player died: it goes on where it was."""
    chosen = _ask(space, False, wanted="play")
    with _control(chosen) as control:
        row = control.row(chosen.space)
        if row.state == "done":
            raise console.No(f"the replay in {row.space} has been played to its end", "start another one, or the same with --again")
        gone = not row.alive or row.state in ENDED or control.lock(row.space)  # one that died a moment ago still looks alive
    if gone:
        launch(chosen)
        console.say("no player was at it; a new one goes on where it was")
    _show(row, as_json)


def seek(time_: Annotated[str, typer.Argument(metavar="TIME")], space: Space = None, as_json: Json = False) -> None:
    """Go to a time of the period: forward by playing what lies between as fast as it goes, backward from the beginning of an emptied space."""
    _ask(space, as_json, seek_to=_at(time_))


def speed(
    x: Annotated[str, typer.Argument(metavar="X", help="0.1 to 1000 times real time, or max.")], space: Space = None, as_json: Json = False
) -> None:
    """Play faster or slower."""
    _ask(space, as_json, speed=_speed(x))


def stop(space: Space = None, as_json: Json = False) -> None:
    """End a replay. What it has played stays until `ioc spaces drop`."""
    _ask(space, as_json, wanted="stop")


def status(space: Space = None, as_json: Json = False) -> None:
    """How a replay stands."""
    chosen = _chosen(space)
    with _control(chosen) as control:
        _show(control.row(chosen.space), as_json)


def list_(as_json: Json = False) -> None:
    """All replays."""
    with _control(settings.load()) as control:
        rows = control.rows()
    names = ["space", "period", "order", "speed", "state", "at", "played", "by"]

    def shown() -> None:
        cells = [
            [
                r.space,
                f"{console.instant(r.since)} – {console.instant(r.until)}",
                r.follows,
                _times(r),
                _state(r),
                console.instant(r.clock),
                r.produced,
                r.begun_by,
            ]
            for r in rows
        ]
        console.table(names, cells)

    console.result({"replays": [row.as_json() for row in rows]}, as_json, shown)


def play() -> None:
    """Play the replay of --space in the foreground (what `start` begins in the background)."""
    chosen = settings.load()
    run(chosen, parts.find(chosen).bootstrap)


def launch(chosen: Settings) -> None:
    """Start a player in the background, nobody's child."""
    place = folder(chosen)
    command = [
        "env",
        *(f"{k}={v}" for k, v in environment(chosen).items() if k.startswith("IOC_")),
        sys.executable,
        "-m",
        "deploy",
        "replay",
        "play",
    ]
    processes.launch(command, Path.cwd(), place / "player.log")


def watch(chosen: Settings) -> Row:
    """Show a replay's progress until it ends, or until Ctrl-C; how it stands then."""
    columns = (TextColumn("{task.fields[at]}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[more]}"))
    with _control(chosen) as control, Progress(*columns, console=console.people, transient=not console.people.is_terminal) as bar:
        task = bar.add_task("", total=1.0, at="", more="")
        row = control.row(chosen.space)
        seen = time.monotonic()
        try:
            while row.state not in ENDED:
                _draw(bar, task, row)
                seen = time.monotonic() if row.alive else seen
                # It gives way to everybody: on a busy machine it may be silent, or not even have begun, for a while.
                if time.monotonic() - seen > MISSED_SECONDS and control.lock(row.space):
                    raise console.No(
                        "the replay's player is gone",
                        f"`ioc replay resume --space {row.space}` goes on where it was; see {folder(chosen) / 'player.log'}",
                    )
                time.sleep(0.3)
                row = control.row(chosen.space)
            _draw(bar, task, row)
        except KeyboardInterrupt:
            console.say(f"it goes on playing; `ioc replay stop --space {row.space}` ends it, `ioc replay status` shows it")
        return row


def _draw(bar: Progress, task: TaskID, row: Row) -> None:
    left = ""
    if row.speed and row.state == "playing":
        left = f"  còn {_span((row.until - row.clock).total_seconds() / row.speed)}"
    elif row.share > 0.02:
        spent = (datetime.now(UTC) - row.begun_at).total_seconds()
        left = f"  còn {_span(spent / row.share * (1 - row.share))}"
    bar.update(
        task, completed=row.share, at=console.instant(row.clock), more=f"{_state(row)}, {row.rate:,.0f} sự kiện/s".replace(",", ".") + left
    )


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _ask(space: str | None, as_json: bool, **asked: Any) -> Settings:
    chosen = _chosen(space)
    with _control(chosen) as control:
        row = control.row(chosen.space)
        if row.state in ENDED and asked != {"wanted": "play"}:
            raise console.No(f"the replay in {row.space} has ended ({row.state})", "start another one, or the same with --again")
        control.ask(chosen.space, **asked)
        if as_json:
            _show(control.row(chosen.space), as_json)
    return chosen


def _chosen(space: str | None) -> Settings:
    """The settings of the space that is meant. Raises Misconfigured when that is not clear."""
    chosen = settings.load()
    if space is None and chosen.space == LIVE:
        with _control(chosen) as control:
            rows = [row for row in control.rows() if row.state not in ENDED] or control.rows()
        if len(rows) != 1:
            raise Misconfigured(f"there are {len(rows)} replays", "name the space: --space NAME; `ioc replay list` shows them")
        space = rows[0].space
    return chosen if space is None else settings.load(space=space)


def _control(chosen: Settings) -> Control:
    return Control(replay_dsn(chosen))


def _at(text: str) -> datetime:
    found = console.at(text)
    assert found is not None  # noqa: S101  # text is not None
    return found


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else None


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        found = float(text.removesuffix("x"))
    except ValueError:
        found = 0.0
    if not 0.1 <= found <= 1000:
        raise Misconfigured(f"{text!r} is no speed", "write 0.1 to 1000, or max")
    return found


def _times(row: Row) -> str:
    return "max" if row.speed is None else f"{row.speed:g}x"


def _state(row: Row) -> str:
    if row.state in ENDED:
        return row.state
    return f"{row.state}{', gives way to live' if row.most_rate else ''}" if row.alive else f"{row.state}, but its player is gone"


def _show(row: Row, as_json: bool) -> None:
    def shown() -> None:
        names = ["space", "period", "order", "speed", "state", "at", "in the figures up to", "played", "of"]
        period, at, followed = (
            f"{console.instant(row.since)} – {console.instant(row.until)}",
            console.instant(row.clock),
            console.instant(row.followed),
        )
        console.table(names, [[row.space, period, row.follows, _times(row), _state(row), at, followed, row.produced, row.total]])
        if row.wrong:
            console.say(f"it failed: {row.wrong}; see {folder(_chosen(row.space)) / 'player.log'}")

    console.result(row.as_json(), as_json, shown)
