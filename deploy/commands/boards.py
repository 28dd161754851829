"""`ioc boards`: boards as code."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console
from deploy.commands import boards_grafana
from deploy.commands.boards_grafana import Directory, read
from deploy.console import Json
from streams import settings
from streams.rules import reading

boards = typer.Typer(help="Boards as code: built from the declared figures, emitted as Grafana JSON.", no_args_is_help=True)

EVENTS = 20_000_000
SLOWEST = 12
PAST_BOARD_MS = 2000.0


def register(app: typer.Typer) -> None:
    """Add `ioc boards ...`."""
    boards_grafana.register(boards)
    app.add_typer(boards, name="boards")


@boards.command("build")
def build_boards(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the files are not what the code builds.")] = False,
    rules: Annotated[
        Path | None, typer.Option(help="The rules that become Grafana's (default: those that come with the house).", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write grafana/boards/*.json, and the rules as Grafana's own (provisioning/alerting/rules.yaml)."""
    from grafana import alerting, build  # half a second that no other command should wait for

    compiled = alerting.read(rules or reading.READY)
    differing = [*build.differing(), *([alerting.FILE.name] if alerting.differs(compiled) else [])]
    if check and differing:
        raise console.No(f"these files are not what the code builds: {', '.join(differing)}", "run `ioc boards build` and commit the files")
    if not check:
        build.write()
        alerting.write(compiled)
    names = sorted(build.emitted())
    console.result(
        {"ok": True, "boards": names, "changed": [] if check else differing},
        as_json,
        lambda: console.say(f"{len(names)} boards, {len(differing)} {'differ' if check else 'changed'}"),
    )


@boards.command("test")
def examine(
    directory: Directory = None,
    provisioning: Annotated[Path | None, typer.Option(help="Folder of provisioning files (default: ours).", metavar="DIR")] = None,
    events: Annotated[
        int, typer.Option(min=1000, help="How many events the ninety days stand for; the first fill of 20 M takes minutes.")
    ] = EVENTS,
    runs: Annotated[int, typer.Option(min=1, help="How often each query runs.")] = 20,
    bar_ms: Annotated[float, typer.Option(help="The 95th percentile a query may take.")] = 50.0,
    at: Annotated[
        str | None,
        typer.Option(help=f"Ask as of that minute of the past; there a whole board may take {PAST_BOARD_MS:g} ms.", metavar="TIME"),
    ] = None,
    static: Annotated[bool, typer.Option("--static", help="Only what can be told from the files.")] = False,
    as_json: Json = False,
) -> None:
    """Whether Grafana 12 and the wall take the boards, whether each query works for the reader, and how long it takes. Exit 1 when not."""
    raw = read(directory)
    failures = _files(raw, provisioning, ours=directory is None)
    moment = console.at(at)
    timed = [] if static or failures else _timed(raw, events, runs, moment)
    whole = {
        uid: round(sum(each.p50 for each in timed if each.asked.board == uid), 1) for uid in sorted({each.asked.board for each in timed})
    }
    failures += _failed(timed, None if moment else bar_ms)
    failures += [
        {"where": uid, "rule": "slow", "wrong": f"takes {ms} ms in all (medians; the bar is {PAST_BOARD_MS:g})"}
        for uid, ms in whole.items()
        if moment and ms > PAST_BOARD_MS
    ]
    slowest = sorted(timed, key=lambda each: -each.p95)
    found: dict[str, Any] = {
        "ok": not failures, "boards": len(raw), "panels": sum(len(board["panels"]) for _, board in raw if isinstance(board.get("panels"), list)),
        "queries": len(timed), "events": 0 if static else events, "p95_ms": slowest[0].p95 if slowest else None, "failures": failures,
        "slowest": [_row(each) for each in slowest[:SLOWEST]], "boards_ms": whole,
    }  # fmt: skip

    def shown() -> None:
        if slowest:
            columns = ("board", "panel", "title", "rows", "p50_ms", "p95_ms")
            console.table(columns, ([row[c] for c in columns] for row in found["slowest"]), f"the slowest of {len(timed)} queries")
        for failure in failures:
            console.say(f"✗ {failure['where']} [{failure['rule']}] {failure['wrong']}")
        console.say(f"{found['boards']} boards, {found['panels']} panels, {len(failures)} failures")

    console.result(found, as_json, shown)
    if failures:
        raise console.No(f"{len(failures)} checks of the boards failed", "mend what is named above, then run `ioc boards test` again")


def _failed(timed: list[Any], bar_ms: float | None) -> list[dict[str, str]]:
    """Queries that do not work, and those over the bar (None: there is none)."""
    failures = []
    for each in timed:
        where = f"{each.asked.board}: panel {each.asked.panel} {each.asked.ref}"
        if each.wrong:
            failures.append({"where": where, "rule": "query", "wrong": each.wrong})
        elif bar_ms is not None and each.p95 > bar_ms:
            slow = f"takes {each.p95} ms (p95; the bar is {bar_ms:g}): {each.asked.title}"
            failures.append({"where": where, "rule": "slow", "wrong": slow})
    return failures


def _row(each: Any) -> dict[str, object]:
    panel = each.asked.panel if each.asked.panel is not None else each.asked.ref
    return {"board": each.asked.board, "panel": panel, "title": each.asked.title, "rows": each.rows, "p50_ms": each.p50, "p95_ms": each.p95}


def _files(raw: list[tuple[str, dict[str, Any]]], provisioning: Path | None, *, ours: bool) -> list[dict[str, str]]:
    """What is wrong with the files themselves."""
    from grafana import build, lint, provisioned

    found = [{"where": name, "rule": "built", "wrong": "is not what the code builds"} for name in (build.differing() if ours else [])]
    findings = [*lint.check(raw), *provisioned.check(provisioning or provisioned.FOLDER)]
    return found + [{"where": each.where, "rule": each.rule, "wrong": each.wrong} for each in findings]


def _timed(raw: list[tuple[str, dict[str, Any]]], events: int, runs: int, at: datetime | None) -> list[Any]:
    """Every query on ninety days of data, in a database of its own."""
    from deploy import filling
    from grafana import timing
    from sinks import migrations, roles

    shown = [board for _, board in raw]
    with filling.database(settings.load().state_dir, console.say) as (dsn, own):
        with console.progress(f"ninety days of {events:,} events".replace(",", "."), filling.steps()) as step:
            filling.fill(dsn, own, events, step)
        with console.progress("asking every panel", len(timing.asked(shown))) as step:
            schema = migrations.board(own.space) if at is None else migrations.board_at(own.space)
            return timing.measure(roles.reader_dsn(own), schema, shown, runs, step, at)
