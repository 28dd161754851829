"""`python -m tests.bench`: the measured table. `identity`: what it costs to know every id for ever. `paint`: how soon the wall shows something.

`screens`: many screens on one server, alone. `backtest`: a rule over ninety days, alone. `days`: a replay of several days beside one of a day."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from deploy import console
from tests.bench import backtest, beside, figures, identity, limits, ours, paint, parsers, peers, replay, rules, screens
from tests.bench.figures import Figure, median, ratio
from tests.bench.stage import Stage, stage

PARTS = ("ours", "replay", "beside", "limits", "plain", "quix", "screens", "rules", "backtest", "parsers")
PLAIN_ROWS = 200_000
EACH_ROWS = 5_000
TIMES_PLAIN, TIMES_QUIX, WORKER_MB = 5.0, 1.8, 300.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    events: Annotated[int, typer.Option(help="Events in Kafka.")] = 600_000,
    runs: Annotated[int, typer.Option(help="Runs of each, alternating; medians are shown.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("bench.json"),
    state: Annotated[Path | None, typer.Option(help="Keep the broker's and the database's folder here, for the next time.")] = None,
) -> None:
    """Measure our worker beside the machine's limits, a plain Faust agent and Quix Streams, in one go on one machine."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # broker and database end with it
    if context.invoked_subcommand is not None:
        return
    chosen = only or [*PARTS]
    if wrong := sorted(set(chosen) - {*PARTS}):
        raise typer.BadParameter(f"there is no {wrong[0]}")
    console.configure_logging(False)
    found = parsers.measure(runs) if "parsers" in chosen else []
    if {*chosen} != {"parsers"}:  # which needs neither broker nor database
        with _folder(state) as folder, stage(folder, events, keep=state is not None) as there:
            console.say(f"{events} events in Kafka, {there.truth.repeats} of them repeats; {runs} runs, {os.cpu_count()} cores")
            found += _measure(there, runs, chosen)
            if "backtest" in chosen:
                found += backtest.measure(folder, runs)
    figures.show(found, f"{events:,} events, median of {runs}")
    figures.write(found, out)
    if any(f.met is False for f in found):
        raise typer.Exit(1)


app.command("identity")(identity.main)
app.command("paint")(paint.main)
app.command("screens")(screens.main)
app.command("backtest")(backtest.main)
app.command("days")(replay.main)


def _measure(there: Stage, runs: int, chosen: Sequence[str]) -> list[Figure]:
    total = there.truth.events
    mine: list[ours.Run] = []
    copied: list[float] = []
    consumed: list[float] = []
    plain: list[peers.Run] = []
    each: list[peers.Run] = []
    quix: list[peers.Run] = []
    glass: list[screens.Run] = []
    decided: list[rules.Run] = []
    replayed: list[replay.Run] = []
    pacing: list[dict[str, float]] = []
    there.peer_tables("limit")
    blocks = limits.ready(there) if "limits" in chosen else []
    python = peers.quix_python() if "quix" in chosen else None
    for number in range(1, runs + 1):
        console.say(f"run {number} of {runs}")
        if "ours" in chosen:
            mine.append(ours.run(there))
            console.say(f"  our worker {mine[-1].committed.rate:,.0f} events/s, figures {mine[-1].followed_rate:,.0f} events/s")
        if "replay" in chosen:
            if "ours" not in chosen:
                ours.run(there)
            there.settle()
            replayed.append(replay.run(there))
            pacing.append(replay.paced(there))
            console.say(f"  replayed in {replayed[-1].seconds:.1f} s, {replayed[-1].differences} rows differ")
        if "limits" in chosen:
            copied.append(limits.copy_rate(there, blocks))
            consumed.append(limits.consume_rate(there))
            console.say(f"  COPY alone {copied[-1]:,.0f} rows/s, consume and decode alone {consumed[-1]:,.0f} events/s")
        if "plain" in chosen:
            plain.append(peers.plain_faust(there, min(PLAIN_ROWS, total // 3), "take"))
            console.say(f"  plain Faust agent, take(500) {plain[-1].seen.rate:,.0f} rows/s")
            if number == 1:
                each.append(peers.plain_faust(there, min(EACH_ROWS, total // 2), "each"))
                console.say(f"  plain Faust agent, per event {each[-1].seen.rate:,.0f} rows/s")
        if python is not None:
            quix.append(peers.quix(there, python, total - there.truth.repeats))
            console.say(f"  Quix Streams {quix[-1].seen.rate:,.0f} rows/s")
        if "screens" in chosen:
            glass.append(screens.run(there.settings))
            console.say(f"  {screens.SCREENS} screens, {glass[-1].cpu / glass[-1].seconds:.2f} s of CPU a second")
        if "rules" in chosen:
            decided.append(rules.run(there.settings))
            console.say(f"  {rules.RULES} rules, {decided[-1].cpu:.2f} s of CPU a second")
    together = _together(there, runs, filled=bool({"ours", "replay"} & {*chosen})) if "beside" in chosen else []
    found = _of_ours(mine) if mine else []
    if copied:
        found.append(median("limit: COPY, temporary table, insert on conflict", "rows/s", copied))
        found.append(median("limit: consume and decode", "events/s", consumed))
    found += (
        _of_peer("plain Faust agent, take(500)", plain) + _of_peer("plain Faust agent, per event", each) + _of_peer("Quix Streams", quix)
    )
    return (
        found
        + _ratios(found)
        + (screens.of(glass) if glass else [])
        + (rules.of(decided) if decided else [])
        + (replay.of(replayed, total, pacing) if replayed else [])
        + (beside.of(together) if together else [])
    )


def _together(there: Stage, runs: int, filled: bool) -> list[beside.Run]:
    """After everything else: what live is sent meanwhile stays in Kafka, and no other figure is of it. filled: live holds the day already."""
    if not filled:
        ours.run(there)
    found: list[beside.Run] = []
    for number in range(1, runs + 1):
        there.settle()
        run = beside.run(there)
        found.append(run)
        console.say(
            f"run {number} of {runs}: live's p99 alone {run.alone_ms:,.0f} ms, "
            f"beside a replay {run.beside_ms:,.0f} ms, beside a drill {run.drill_ms:,.0f} ms"
        )
    return found


def _of_ours(runs: Sequence[ours.Run]) -> list[Figure]:
    for wrong in sorted({w for r in runs for w in r.wrong}):
        console.say(f"WRONG: {wrong}")
    return [
        median("ours: committed", "events/s", [r.committed.rate for r in runs]),
        median("ours: committed, start included", "events/s", [r.committed.rate_with_start for r in runs]),
        median("ours: figures followed", "events/s", [r.followed_rate for r in runs]),
        median("ours: figures behind at the end", "s", [r.behind_seconds for r in runs]),
        median("ours: committed to followed, p50", "s", [r.lag_p50 for r in runs]),
        median("ours: committed to followed, p99", "s", [r.lag_p99 for r in runs]),
        median("ours: peak memory", "MB", [r.peak_mb for r in runs], below=WORKER_MB),
        median("ours: worker CPU", "s/M events", [r.worker_cpu for r in runs]),
        median("ours: PostgreSQL CPU", "s/M events", [r.postgres_cpu for r in runs]),
        median("ours: counts that differ from what was sent", "", [float(len(r.wrong)) for r in runs], below=1),
    ]


def _of_peer(name: str, runs: Sequence[peers.Run]) -> list[Figure]:
    if not runs:
        return []
    return [
        median(f"{name}: rows seen", "events/s", [r.seen.rate for r in runs]),
        median(f"{name}: peak memory", "MB", [r.peak_mb for r in runs]),
        median(f"{name}: its CPU", "s/M events", [r.peer_cpu for r in runs]),
        median(f"{name}: PostgreSQL CPU", "s/M events", [r.postgres_cpu for r in runs]),
    ]


def _ratios(found: Sequence[Figure]) -> list[Figure]:
    by_name = {f.figure: f for f in found}
    mine = by_name.get("ours: committed")
    wanted = (
        ("ours x plain Faust agent", "plain Faust agent, take(500): rows seen", TIMES_PLAIN),
        ("ours x Quix Streams", "Quix Streams: rows seen", TIMES_QUIX),
        ("ours x limit of COPY", "limit: COPY, temporary table, insert on conflict", None),
    )
    return [ratio(name, mine, by_name[other], bar) for name, other, bar in wanted if mine is not None and other in by_name]


@contextlib.contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    if state is not None:
        yield state
        return
    with tempfile.TemporaryDirectory(prefix="song-ma-bench-", ignore_cleanup_errors=True) as made:
        yield Path(made)


if __name__ == "__main__":
    app()
