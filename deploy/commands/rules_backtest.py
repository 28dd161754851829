"""`ioc rules backtest`: what a rule would have done, before it rings."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console
from deploy.commands.rules_apply import connected
from deploy.console import Json
from sinks import backtest, rulebook
from sinks.backtest import Backtest
from streams import settings
from streams.errors import Misconfigured
from streams.event import VIETNAM
from streams.rules import linting, looking
from streams.rules.firing import Span
from streams.rules.looking import Score
from streams.rules.measure import DAY
from streams.rules.reading import READY
from streams.rules.rule import Rule

SHOWN = 20
_BARS = " ▁▂▃▄▅▆▇█"


def register(rules: typer.Typer) -> None:
    """Add the command to `ioc rules`."""
    rules.command("backtest")(run)


def run(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A file, or the name of a rule that stands or comes with the program.")],
    since: Annotated[str, typer.Option("--from", help="2026-11-22, yesterday, -28d.", metavar="TIME")] = "-28d",
    until: Annotated[str, typer.Option("--to", help="As --from; not included.", metavar="TIME")] = "now",
    against: Annotated[str | None, typer.Option(metavar="OLD", help="As RULE: show what RULE adds to it and removes.")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with plots, where the threshold can be dragged.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a rule would have done: firings, calls a week against its budget, flapping, by day and by unit, against labelled incidents.

    Example: ioc rules backtest rules/payment-mismatched.yaml --from -90d --page backtest.html
    """
    first, last = _minutes(since, until)
    chosen = settings.load()
    opened = connected(chosen, backtest.OPTIONS), connected(chosen, backtest.OPTIONS)
    with opened[0] as connection, opened[1] as beside, console.progress("backtest", 3) as step:
        stands = {each: written.rule for each, written in rulebook.standing(connection).items()}
        rule, others = _found(name, stands)
        old = _found(against, stands) if against else None
        begun = time.monotonic()
        found = backtest.run(connection, chosen.space, rule, first, last, others, beside)
        seconds = time.monotonic() - begun
        step(1)
        was = backtest.run(connection, chosen.space, old[0], first, last, old[1], beside).spans if old else None
        step(1)
        score = looking.score(found.spans, backtest.incidents(connection, chosen.space, rule.department, first, last))
        step(1)
    if page is not None:
        from deploy.page import page as drawn

        page.write_text(drawn(found), encoding="utf-8")
    answer = _answer(found, round(seconds, 3), was, score)
    console.result(answer, as_json, lambda: _show(found, answer))
    if page is not None:
        console.say(f"{page} shows it")


def _minutes(since: str, until: str) -> tuple[int, int]:
    first, last = console.at(since), console.at(until)
    assert first is not None  # noqa: S101  # of a text there is a time
    assert last is not None  # noqa: S101
    last = min(last, datetime.now(UTC))
    if last - first < timedelta(minutes=1):
        raise Misconfigured("there is nothing to look at from then to then", "give --from and --to, a minute apart at least, in the past")
    return int(first.timestamp()) // 60, int(last.timestamp()) // 60


def _found(name: str, stands: Mapping[str, Rule]) -> tuple[Rule, Mapping[str, Rule]]:
    """The rule, and the rules that may inhibit it: those beside its file, those that stand, those that come with the program."""
    ready = _by_name(READY)
    path = Path(name)
    if not path.is_file():
        known = {**ready, **stands}
        if name not in known:
            raise Misconfigured(f"there is no rule {name!r}{linting.nearly(name, known)}", "give a file, or the name of a rule")
        return known[name], known
    said, wrong = linting.load([path])
    if wrong or said[0].rule is None:
        raise Misconfigured("; ".join(map(str, wrong)), "mend what is named; `ioc rules lint` shows all of it")
    return said[0].rule, {**ready, **stands, **_by_name(path.parent)}


def _by_name(folder: Path) -> dict[str, Rule]:
    return {each.rule.rule: each.rule for each in linting.load(sorted(folder.glob("*.yaml")))[0] if each.rule}


def _answer(found: Backtest, seconds: float, was: Sequence[Span] | None, score: Score) -> dict[str, Any]:
    firings = [span for span in found.spans if not span.inhibited]
    since, until = found.since, found.until
    answer = {
        "rule": found.rule.rule, "seconds": seconds, "from": _at(since), "to": _at(until), "groups": len(found.decided.groups),
        "firings": [*map(_firing, firings)], "inhibited": len(found.spans) - len(firings),
        "calls": len(looking.calls(firings, until)), "calls_per_week": looking.calls_per_week(firings, since, until),
        "budget": found.rule.calls_per_week, "flapping": [*map(_firing, looking.flapping(firings))],
        "by_day": {(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat(): n for day, n in looking.by_day(firings, since, until).items()},
        "by_group": {group: {"firings": n, "minutes": m} for group, (n, m) in looking.by_group(firings, until).items()},
        "precision": score.precision, "recall": score.recall, "incidents": score.incidents,
    }  # fmt: skip
    if was is not None:
        answer |= {"added": [*map(_firing, looking.beyond(firings, was))], "removed": [*map(_firing, looking.beyond(was, firings))]}
    return answer


def _at(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, VIETNAM).isoformat(timespec="minutes")


def _firing(span: Span) -> dict[str, Any]:
    return {"group": span.group, "from": _at(span.since), "to": None if span.until is None else _at(span.until), "peak": span.peak}


def _show(found: Backtest, answer: Mapping[str, Any]) -> None:
    rule, firings = found.rule, answer["firings"]
    most = max([1, *answer["by_day"].values()])
    console.answer.print(f"{rule.rule}: {rule.title}", markup=False)
    console.answer.print(f"by day   {''.join(_BARS[-(-8 * n // most)] for n in answer['by_day'].values())}  (most {most})", markup=False)
    columns = ("group", "firings", "minutes")
    rows = [
        (g or "whole", v["firings"], v["minutes"], "█" * round(30 * v["minutes"] / _most(answer))) for g, v in answer["by_group"].items()
    ]
    if rows:
        console.table((*columns, ""), rows[:SHOWN])
        console.table(("group", "from", "to", "peak"), [(f["group"] or "whole", f["from"], f["to"], f["peak"]) for f in firings[-SHOWN:]])
    over = answer["calls_per_week"] > answer["budget"]
    days = (found.until - found.since) / DAY
    told = [
        f"{len(firings)} firings, {answer['inhibited']} inhibited, {len(answer['flapping'])} flapping, in {days:.1f} days ({answer['seconds']} s)",
        f"{answer['calls']} calls, {answer['calls_per_week']:g} a week, {'OVER' if over else 'within'} its budget of {answer['budget']:g}",
    ]
    if answer["incidents"]:
        told.append(f"precision {_share(answer['precision'])}, recall {_share(answer['recall'])} of {answer['incidents']} incidents")
    if "added" in answer:
        told.append(f"{len(answer['added'])} firings more and {len(answer['removed'])} fewer than the old one")
    for line in told:
        console.answer.print(line, markup=False)


def _most(answer: Mapping[str, Any]) -> int:
    minutes: list[int] = [each["minutes"] for each in answer["by_group"].values()]
    return max([1, *minutes])


def _share(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f} %"
