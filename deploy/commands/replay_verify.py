"""`ioc replay verify` and `ioc diff`: live held against a replay of its own arrivals, by this program or by another checkout of it."""

import csv
import getpass
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from deploy import console
from deploy.console import Json
from deploy.replay import verifying
from deploy.replay.control import Control
from deploy.replay.verifying import Found
from sinks.idle import idle
from sinks.roles import replay_dsn
from streams import settings
from streams.errors import IocError, Misconfigured
from streams.settings import Settings

From = Annotated[str, typer.Option("--from", help="What arrived since: 2026-11-22, yesterday, -2h; whole minutes.", metavar="TIME")]
To = Annotated[str, typer.Option("--to", help="As --from; not included.", metavar="TIME")]


def verify(
    since: From = "yesterday",
    until: To = "today",
    in_order: Annotated[bool, typer.Option("--in-order", help="Play each record once and in order, not twice and shuffled.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that live is what its arrivals make.

    What arrived in a period is played again, shuffled and doubled, into a scratch space, and compared: every rollup row of both times, every history of
    an invoice, session or transaction, every firing, and days and slots with their minutes.

    Exit 1 with the first cell that differs and the events behind it. For every night: ioc replay verify --from yesterday --to today
    """
    found = _verified(since, until, in_order, None)
    if found is None:
        raise console.No("nothing arrived in that period", "`ioc ledger --by hour` says when something did")

    def shown() -> None:
        console.table(
            ["events", "rows", "lives", "firings", "played in s", "compared in s"],
            [[found.events, found.cells, found.lives, found.firings, round(found.played_seconds, 1), round(found.compared_seconds, 1)]],
        )
        if found.differences:
            _tell(found.differences[0])

    console.result(found.as_json(), as_json, shown)
    if found.differences:
        raise console.No(
            f"live differs from its own arrivals in {len(found.differences)} places",
            "what is derived was changed, or a defect changed it: keep it and report it",
        )


def check(chosen: Settings, since: datetime, until: datetime) -> None:
    """Raises No when this program derives something else of what arrived in a period than live has."""
    found = _watched(chosen, lambda begun: verifying.verify(chosen, since, until, True, getpass.getuser(), None, begun))
    if found is not None and found.differences:
        _tell(found.differences[0])
        raise console.No(
            "this program derives something else than live has of that period",
            "`ioc replay verify` shows what; leave --code-check out to play it all the same",
        )


def diff(
    code: Annotated[Path, typer.Option("--code", help="Another checkout of this program.", metavar="PATH")],
    since: From = "yesterday",
    until: To = "today",
    as_csv: Annotated[bool, typer.Option("--csv", help="Every cell, comma-separated.")] = False,
    as_json: Json = False,
) -> None:
    """What would change if another version of the program had been at work: the same period derived by it, each cell that differs.

    Exit 1 when anything does. Example: ioc diff --code ../song-ma-new --from -7d --to today
    """
    if not (code / "sinks" / "migrations.py").is_file():
        raise Misconfigured(f"{code} is no checkout of this program", "give the folder that holds streams/, sinks/ and deploy/")
    found = _verified(since, until, True, code.resolve())
    if found is None:
        raise console.No("nothing arrived in that period", "`ioc ledger --by hour` says when something did")

    def shown() -> None:
        if as_csv:
            out = csv.writer(sys.stdout)
            out.writerow(["table", "key", "now", "with the other code"])
            out.writerows([each["table"], _key(each), each["live"], each["replay"]] for each in found.differences)
        else:
            for each in found.differences[:20]:
                _tell(each)
            console.say(f"{len(found.differences)} of {found.cells + found.lives} rows differ")

    console.result(found.as_json() | {"changes": [*found.differences]}, as_json, shown)
    if found.differences:
        raise console.No(f"{len(found.differences)} rows would change", "look at each: is it what the change was for?")


def _verified(since: str, until: str, in_order: bool, code: Path | None) -> Found | None:
    chosen = settings.load()
    first, last = console.at(since), console.at(until)
    assert first is not None and last is not None  # noqa: S101, PT018  # both have words
    if last <= first:
        raise Misconfigured("there is nothing between --from and --to", "--to must lie after --from")
    return _watched(chosen, lambda begun: verifying.verify(chosen, first, last, in_order, getpass.getuser(), code, begun))


def _watched(chosen: Settings, work: Callable[[Callable[[Settings], None]], Found | None]) -> Found | None:
    """Do it, with a bar of how far the scratch space is; live goes first."""
    idle()
    ended = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[more]}"))
    with Progress(*columns, console=console.people, transient=True, disable=not console.people.is_terminal) as bar:
        task = bar.add_task("making a scratch space", total=1.0, more="")

        def follow(own: Settings) -> None:
            def look() -> None:
                with Control(replay_dsn(chosen)) as control:
                    while not ended.wait(0.5):
                        try:
                            row = control.row(own.space)
                        except IocError:
                            return
                        done = row.produced >= row.total
                        share = min(1.0, row.produced / max(1, row.total))
                        words = "figures, rules, comparison" if done else "playing, gives way to live" if row.most_rate else "playing"
                        bar.update(task, description=words, completed=share, more=f"{row.produced:,} of {row.total:,}".replace(",", "."))

            if not bar.disable:
                threading.Thread(target=look, daemon=True).start()

        try:
            return work(follow)
        finally:
            ended.set()


def _key(difference: dict[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in difference.items() if k not in ("table", "live", "replay", "events"))


def _tell(difference: dict[str, Any]) -> None:
    console.say(f"{difference['table']} {_key(difference)}")
    live, replayed = difference["live"], difference["replay"]
    for side, held, other in (("live", live, replayed), ("replay", replayed, live)):
        said = "no such row" if held is None else ", ".join(f"{k} {v}" for k, v in held.items() if other is None or other[k] != v)
        console.say(f"  {side:<7} {said}")
    for event in difference.get("events", ()):
        console.say(
            f"  event   {event['id']} {event['kind']} of {event['source']}, known at {datetime.fromisoformat(event['known_at']):%Y-%m-%d %H:%M:%S}Z"
        )
