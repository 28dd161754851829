"""Making ready for a replay: its space, what is played, the rules that stand there, the row that its player reads."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psycopg
from psycopg import sql

from deploy import console
from deploy import spaces as whole
from deploy.embedded import parts
from deploy.embedded.parts import Parts
from deploy.replay.control import Control, Row
from deploy.replay.running import reading
from deploy.replay.yielding import Yielding
from sinks import extent, history, rulebook
from sinks.archive import reading as archived
from sinks.history import Period
from sinks.idle import give_way, idle
from sinks.migrations import schema
from sinks.roles import replay_dsn
from sinks.rulebook import Written
from sinks.spaces import ENDED
from streams.department import NAMES, department
from streams.errors import Misconfigured
from streams.event import micros, moment
from streams.rules import linting
from streams.scenarios import laying, scenario
from streams.scenarios.scenario import Scenario
from streams.settings import Settings
from streams.topics import LIVE


class By(StrEnum):
    """What a replay is ordered by."""

    event_time = "event-time"
    known_at = "known-at"


@dataclass(frozen=True)
class Asked:
    """What `ioc replay start` was told. departments, units: None for all; rules: a folder, None for those of live; speed: None as fast as it goes."""

    since: datetime
    until: datetime
    follows: By
    departments: tuple[str, ...] | None
    units: tuple[str, ...] | None
    rules: Path | None
    scenario: str | None
    speed: float | None
    again: bool
    who: str


def prepare(settings: Settings, found: Parts, asked: Asked) -> Row:
    """A new space for `settings.space`, and its replay, ready to be played. Raises Misconfigured for what cannot be played."""
    if settings.space == LIVE:
        raise Misconfigured("a replay needs a space of its own", "name one: --space drill-01")
    live = settings.model_copy(update={"space": LIVE})
    rules = _rules(asked.rules) if asked.rules else None
    changes = scenario.text_of(asked.scenario) if asked.scenario else None
    told = None if changes is None else scenario.load(changes)
    idle()
    with Yielding(settings), Control(replay_dsn(settings)) as control:
        period, total = _period(live, asked, told)
        if asked.again:
            _forget(live, settings.space, control)
        whole.make(live, settings.space, rules="none" if rules is not None else "live")
        control.begin(settings.space, period, changes, asked.speed, asked.who, total)
        with psycopg.connect(found.dsn) as connection:
            give_way(connection)
            connection.execute(sql.SQL("set local search_path = {}, public").format(sql.Identifier(schema(settings.space))))
            if rules is not None:
                steps = rulebook.steps(connection, rules)
                rulebook.apply(connection, settings.space, steps, {r.rule.rule: r.rule for r in rules}, asked.who, "for the replay")
            # What stood in live from some minute on stands here from the first.
            connection.execute(
                "update rule set since = minute, changed_at = minute from date_trunc('minute', %s::timestamptz) minute",
                [moment(period.since_us)],
            )
        return control.row(settings.space)


def _period(live: Settings, asked: Asked, told: Scenario | None) -> tuple[Period, int]:
    """What is played, cut to what there is (and what a scenario makes later), and how many events that are."""
    names = tuple(sorted(department(name).name for name in asked.departments or NAMES))
    follows: history.Follows = "event_time" if asked.follows is By.event_time else "known_at"
    since, until = micros(asked.since), micros(min(asked.until, datetime.now(UTC)))
    if until <= since:
        raise Misconfigured(
            f"there is nothing between {console.instant(asked.since)} and {console.instant(asked.until)}", "--to must lie after --from"
        )
    with reading(live) as connection:
        held = extent.between(connection, names, follows)
        gone, first, last = archived.dropped(connection, live, Period(since, until, follows, names, asked.units))
        if first:
            held = (first, last) if held is None else (min(first, held[0]), max(last, held[1]))
        if held is not None:
            since, until = (
                max(since, held[0] // 60_000_000 * 60_000_000),
                min(until, held[1] + 1 + (laying.reach_us(told, follows) if told else 0)),
            )
        period = Period(since, until, follows, names, asked.units)
        total = gone + extent.count(connection, period) if held is not None and until > since else 0
        if total and follows == "known_at" and asked.units is None:
            total += extent.count_again(connection, period)
    if total == 0:
        what = (
            "there is nothing stored"
            if held is None
            else f"what is stored lies between {console.instant(moment(held[0]))} and {console.instant(moment(held[1]))}"
        )
        raise console.No("no event lies in that period", what)
    return period, total


def _rules(folder: Path) -> list[Written]:
    """The rules of a folder. Raises Misconfigured with the first thing that is wrong."""
    said, wrong = linting.load(linting.files([folder]))
    if wrong:
        raise Misconfigured(f"the rules in {folder} cannot stand: {wrong[0]}", f"`ioc rules lint {folder}` says everything that is wrong")
    return [Written(each.rule, each.text) for each in said if each.rule]


def _forget(live: Settings, name: str, control: Control) -> None:
    """What an ended replay left in the space."""
    held = [row for row in control.rows() if row.space == name]
    if held and held[0].alive and held[0].state not in ENDED:
        raise console.No(f"the replay in {name} still plays", f"`ioc replay stop --space {name}` first")
    if held:
        whole.drop(live, parts.find(live), name)
