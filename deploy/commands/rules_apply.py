"""`ioc rules apply|list|show|enable|disable|silence|ack`: the rules that stand, and the one way in."""

import contextlib
import getpass
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from deploy import console
from deploy.console import Json
from sinks import alarms, backtest, rulebook
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from sinks.rulebook import Step, Written
from streams import settings
from streams.errors import Misconfigured, Retry
from streams.rules import linting, looking
from streams.rules.measure import WEEK
from streams.rules.reading import READY, read
from streams.rules.rule import Rule
from streams.settings import Settings

BUDGET_MINUTES = 4 * WEEK

Who = Annotated[str, typer.Option("--who", help="Who asks for it (default: the login).")]
Why = Annotated[str, typer.Option("--why", help="Why; kept with the change.")]
Name = Annotated[str, typer.Argument(metavar="RULE")]


def register(rules: typer.Typer) -> None:
    """Add the commands to `ioc rules`."""
    rules.command("apply")(apply)
    rules.command("list")(list_)
    rules.command("show")(show)
    rules.command("enable")(enable)
    rules.command("disable")(disable)
    rules.command("silence")(silence)
    rules.command("ack")(acknowledge)


@contextlib.contextmanager
def connected(chosen: Settings, options: str = "") -> Iterator[psycopg.Connection[Any]]:
    """A connection to the space's tables. Raises Retry when the database is away."""
    try:
        connection = psycopg.connect(
            ingest_dsn(chosen), connect_timeout=5, autocommit=True, options=f"-c search_path={schema(chosen.space)},public {options}"
        )
    except psycopg.OperationalError as error:
        raise Retry(
            f"the database cannot be reached: {str(error).splitlines()[0]}", "run `ioc up`, or `ioc doctor` to see what is missing"
        ) from error
    with connection:
        yield connection


def apply(
    directories: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR...", help="What shall stand: all of it and nothing else (default: the ready rules).")
    ] = None,
    who: Who = "",
    why: Why = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    over_budget: Annotated[
        str, typer.Option(metavar="WHY", help="Let in what would call more often than its calls_per_week, for this reason.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring rules in: refused without tests, with a test that fails, or over budget on the last four weeks; every change is kept with who and why.

    Rules that stand and are not in DIR are removed. Example: ioc rules apply rules --why "more mismatches than we can call about"
    """
    from deploy.commands.rules import as_json as finding_json
    from deploy.commands.rules import boards

    said, found = linting.load(linting.files(directories or [READY]))
    found += [*linting.lint(said, boards()), *linting.test(said)]
    if found:
        for each in found:
            console.answer.print(str(each), markup=False, soft_wrap=True) if not as_json else None
        console.result({"ok": False, "changes": [], "failures": [finding_json(each) for each in found]}, as_json, lambda: None)
        raise console.No(f"{len(found)} things are wrong with the rules; nothing was changed", "mend what is named above")
    wanted = [Written(each.rule, each.text) for each in said if each.rule]
    rules = {each.rule.rule: each.rule for each in wanted}
    chosen = settings.load()
    with connected(chosen, backtest.OPTIONS) as connection:
        steps = rulebook.steps(connection, wanted)
        costs = _costs(connection, chosen.space, steps, rules)
        over = [name for name, cost in costs.items() if cost > rules[name].calls_per_week]
        ok = not over or bool(over_budget)
        if ok and not dry_run and steps:
            with connection.transaction():
                overrun = f"over budget ({', '.join(over)}): {over_budget}" if over else ""
                reason = "; ".join(filter(None, [why, overrun]))
                rulebook.apply(connection, chosen.space, steps, rules, who or getpass.getuser(), reason)
    _tell(steps, costs, rules, ok, dry_run, as_json)
    if not ok:
        raise console.No(
            f"{', '.join(over)} would call more often than {'they' if len(over) > 1 else 'it'} may; nothing was changed",
            "raise the threshold or `for`, look at `ioc rules backtest`, or give --over-budget WHY",
        )


def _costs(connection: psycopg.Connection[Any], space: str, steps: Sequence[Step], rules: dict[str, Rule]) -> dict[str, float]:
    """Calls per week over the last four weeks, of what is added or changed; nothing of departments without data."""
    now = int(datetime.now(UTC).timestamp()) // 60
    out = {}
    with console.progress("the last four weeks", len(steps)) as step:
        for each in steps:
            rule = rules.get(each.name)
            first = backtest.first_minute(connection, space, rule.department) if rule else None
            if rule and first is not None and first < now:
                since = max(first, now - BUDGET_MINUTES)
                found = backtest.run(connection, space, rule, since, now, rules)
                out[each.name] = looking.calls_per_week(found.spans, since, now)
            step(1)
    return out


def _tell(steps: Sequence[Step], costs: dict[str, float], rules: dict[str, Rule], ok: bool, dry_run: bool, as_json: bool) -> None:
    budgets = {name: rule.calls_per_week for name, rule in rules.items()}
    changes = [
        {"what": s.what, "rule": s.name, "version": s.version, "calls_per_week": costs.get(s.name), "budget": budgets.get(s.name), "diff": s.diff}
        for s in steps
    ]  # fmt: skip

    def shown() -> None:
        for step in steps:
            if step.what == "changed":
                console.answer.print(step.diff, markup=False, soft_wrap=True)
        if steps:
            columns = ("what", "rule", "version", "calls_per_week", "budget")
            console.table(columns, [[c[k] for k in columns] for c in changes])
        console.say(f"{len(steps)} changes" + (" (nothing was changed)" if dry_run or not ok else ""))

    console.result({"ok": ok, "dry_run": dry_run, "changes": changes, "failures": []}, as_json, shown)


def list_(as_json: Json = False) -> None:
    """The rules that stand: their state now, and how often they fired in the last seven days."""
    with connected(settings.load()) as connection:
        rows = rulebook.overview(connection)
    for row in rows:
        rule = read(row.pop("body"))
        row["title"] = rule.title if isinstance(rule, Rule) else "cannot be read by this version"
        row["severity"] = rule.severity if isinstance(rule, Rule) else None
        row["state"] = "disabled" if not row["enabled"] else next((s for s in ("firing", "pending", "unknown") if row[s]), "ok")
    columns = ("rule", "state", "severity", "firing", "firings", "minutes", "alarm", "acknowledged_by", "version", "title")
    console.result({"rules": rows}, as_json, lambda: console.table(columns, [[row[c] for c in columns] for row in rows]))


def show(name: Name, as_json: Json = False) -> None:
    """A rule: its words, every version with who and why, and its latest firings."""
    with connected(settings.load()) as connection:
        history = rulebook.history(connection, name)
        firings = rulebook.firings(connection, name)

    def shown() -> None:
        console.answer.print(history[0]["body"], markup=False, soft_wrap=True)
        columns = ("at", "who", "what", "version", "why")
        console.table(columns, [[row[c] for c in columns] for row in history])
        if firings:
            keys = ("group", "from", "to", "peak", "alarm")
            console.table(keys, [[row[k] for k in keys] for row in firings])

    console.result({"rule": name, "history": history, "firings": firings}, as_json, shown)


def enable(name: Name, who: Who = "", why: Why = "", as_json: Json = False) -> None:
    """Let a rule decide again, from this minute on."""
    _switch(name, True, who, why, as_json)


def disable(name: Name, who: Who = "", why: Why = "", as_json: Json = False) -> None:
    """Keep a rule from deciding; what it has open ends. It stays in the book."""
    _switch(name, False, who, why, as_json)


def _switch(name: str, on: bool, who: str, why: str, as_json: bool) -> None:
    chosen = settings.load()
    with connected(chosen) as connection, connection.transaction():
        changed = rulebook.switch(connection, chosen.space, name, on, who or getpass.getuser(), why)
    word = "enabled" if on else "disabled"
    console.result(
        {"rule": name, "enabled": on, "changed": changed}, as_json, lambda: console.say(f"{name} is {word}{'' if changed else ' already'}")
    )


def silence(
    until: Annotated[str, typer.Option("--until", help="2026-11-22T18:00, tomorrow.", metavar="TIME")],
    why: Annotated[str, typer.Option("--why", help="Why; people see it.")],
    name: Annotated[str | None, typer.Argument(metavar="RULE", help="None: every rule.")] = None,
    unit: Annotated[str | None, typer.Option(help="Only this unit.")] = None,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Nothing of a rule, a unit, or both begins to ring until then; it is decided and shown as before."""
    end = console.at(until)
    if end is None or end <= datetime.now(UTC):
        raise Misconfigured(f"{until} is not in the future", "give --until a time to come")
    with connected(settings.load()) as connection, connection.transaction():
        if name is not None:
            rulebook.history(connection, name)
        number = alarms.silence(connection, name, unit, end, who or getpass.getuser(), why)
    console.result({"silence": number, "until": end}, as_json, lambda: console.say(f"silence {number} until {end:%H:%M %d/%m/%Y}"))


def acknowledge(
    alarm: Annotated[int, typer.Argument(metavar="ALARM", help="Its number, from `ioc rules list`.")],
    who: Who = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Say that you have an alarm in hand: it escalates no more."""
    with connected(settings.load()) as connection, connection.transaction():
        done = alarms.acknowledge(connection, alarm, who or getpass.getuser(), why)
    console.result({"alarm": alarm, "acknowledged": done}, as_json, lambda: console.say(f"alarm {alarm} is yours" if done else ""))
    if not done:
        raise console.No(f"alarm {alarm} is not there, or somebody has it already", "`ioc rules list` shows open alarms and who has them")
