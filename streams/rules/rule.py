"""An alert rule: what is measured, when it holds, who is told. One YAML file is one rule; `reading.read` makes it."""

import difflib
import re
from datetime import datetime, time
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from streams.department import NAMES, Department, department
from streams.event import VIETNAM
from streams.rules.measure import (
    ABSENT_MOST,
    ACTIVE_WITHIN,
    DAY,
    HOUR,
    LEDGER,
    MOST_WEEKS,
    SIGN_MOST,
    SILENT_MOST,
    WEEK,
    Absence,
    Change,
    Completeness,
    Count,
    Distinct,
    Freshness,
    Measure,
    Minutes,
    Name,
    Offline,
    Part,
    Percentile,
    Rate,
    Ratio,
    Sentence,
    Sum,
)  # fmt: skip

LONGEST_WINDOW, LONGEST_FOR = 7 * DAY, DAY
State = Literal["ok", "pending", "firing", "unknown", "inhibited", "asleep"]
STATES: tuple[State, ...] = get_args(State)

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


def clock(value: Any) -> int:
    """Minutes after midnight of `09:30`; `24:00` is the end of a day. ValueError when it is none."""
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError("write a time of day: 07:00")
    hours, minutes = value.split(":")
    return int(hours) * HOUR + int(minutes)


class When(Part):
    """The condition: above or below a value; clear: where it ends, when that is not the same value (hysteresis)."""

    above: float | None = None
    below: float | None = None
    clear: float | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "When":
        if (self.above is None) == (self.below is None):
            raise ValueError("write either above or below")
        if self.clear is not None and ((self.clear > self.above) if self.above is not None else (self.clear < (self.below or 0))):
            raise ValueError("clear must lie on the quiet side of the threshold")
        return self


class Only(Part):
    """Just these units or kinds."""

    unit: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(Part):
    """When a rule is awake, Vietnamese time. hours: `07:00-17:30`; over midnight `22:00-06:00` too, each night belonging to the day it begins.
    holidays: whether it is awake on public holidays."""

    hours: str = "00:00-24:00"
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = DAYS  # type: ignore[assignment]
    holidays: bool = True

    @field_validator("hours")
    @classmethod
    def _is_span(cls, value: str) -> str:
        first, dash, last = value.partition("-")
        if not dash or clock(first) == clock(last):
            raise ValueError("write hours as 07:00-17:30")
        return value


class Row(Part):
    """Rows of a test: measures at a minute, or every so often up to (without) another; of the test's day, or so many days before it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    at: str
    until: str | None = None
    every: Minutes = 1
    days_ago: int = Field(0, ge=0, le=7 * MOST_WEEKS + 7)
    unit: str = ""
    kind: str = ""
    source: str = ""

    @property
    def measures(self) -> dict[str, int]:
        """What the row counts."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _counts(self) -> "Row":
        for moment in (self.at, self.until or self.at):
            clock(moment)
        wrong = [name for name, value in self.measures.items() if not isinstance(value, int) or isinstance(value, bool)]
        if wrong or self.every < 1:
            raise ValueError(f"{wrong[0]} must be a whole number" if wrong else "every must be at least 1m")
        return self


class Silence(Part):
    """A source that gives no sign of life from a minute of the test up to (without) another."""

    source: str
    since: str = Field(alias="from")
    until: str

    @model_validator(mode="after")
    def _is_span(self) -> "Silence":
        if clock(self.since) >= clock(self.until):
            raise ValueError("a silence ends after it begins")
        return self


class Case(Part):
    """A test inside the rule: rows in, states out. expect: group -> the minute from which on it is in a state; before the first one it is ok.
    Sources speak every minute but in their silences. day: a Monday unless said."""

    name: Sentence
    day: str = "2026-11-02"
    until: str = "24:00"
    rows: tuple[Row, ...] = ()
    silent: tuple[Silence, ...] = ()
    inhibited: tuple[Silence, ...] = ()
    expect: dict[str, dict[str, State]] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_timed(self) -> "Case":
        datetime.fromisoformat(self.day)
        for moment in (self.until, *(at for states in self.expect.values() for at in states)):
            clock(moment)
        return self

    @property
    def start(self) -> int:
        """The first minute of its day, since 1970."""
        return int(datetime.combine(datetime.fromisoformat(self.day), time(), VIETNAM).timestamp()) // 60


class Rule(Part):
    """One alert rule; docs/rules.md explains every word. Durations are minutes, percent is 0 to 100."""

    rule: Name
    title: Sentence
    text: Sentence
    why: Sentence
    department: str
    measure: Measure
    window: Minutes = 1
    by: Literal["whole", "unit", "kind", "source"] = "whole"
    only: Only = Only()
    when: When
    for_: Minutes = Field(0, alias="for")
    keep_firing_for: Minutes = 0
    calendar: Calendar = Calendar()
    severity: Literal["info", "warning", "critical"] = "warning"
    owner: Sentence
    route: Name = "default"
    runbook: Sentence
    board: str | None = Field(None, pattern=r"^ioc-[a-z0-9-]{1,36}$")
    missing: Literal["hold", "ok", "firing"] = "hold"
    inhibited_by: tuple[Name, ...] = ()
    calls_per_week: float = Field(7, ge=0)
    tests: tuple[Case, ...] = ()

    @field_validator("department")
    @classmethod
    def _is_department(cls, value: str) -> str:
        if value not in NAMES:
            raise ValueError(f"there is no department {value!r}; choose one of {', '.join(NAMES)}")
        return value

    @field_validator("window")
    @classmethod
    def _is_window(cls, value: int) -> int:
        if not 1 <= value <= LONGEST_WINDOW:
            raise ValueError("a window is 1m to 7d")
        return value

    @field_validator("for_", "keep_firing_for")
    @classmethod
    def _is_short(cls, value: int) -> int:
        if value > LONGEST_FOR:
            raise ValueError("at most 1d")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        wrong = _misfit(self, department(self.department))
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The measures of the rollup, or counts of the ledger, that it adds up; none for a histogram or signs of life."""
        match self.measure:
            case Sum(sum=name) | Count(count=name) | Rate(rate=name) | Change(change=name) | Absence(absence=name) | Offline(offline=name):
                return (name,)
            case Distinct(of=name):
                return (name,)
            case Ratio(ratio=name, to=other):
                return (name, other)
            case Completeness():
                return ("received", "conflict", "quarantined")
            case _:
                return ()

    @property
    def table(self) -> Literal["figures", "spread", "ledger", "signs"]:
        """What it is decided from: the rollup, the histogram, the ledger by minute, or the sources' signs of life."""
        if isinstance(self.measure, Percentile):
            return "spread"
        if isinstance(self.measure, Freshness):
            return "signs"
        return "ledger" if self.columns and self.columns[0] in LEDGER else "figures"

    @property
    def across(self) -> Literal["whole", "unit", "kind", "source"]:
        """By what its rows are kept apart: by unit too where units are counted."""
        if isinstance(self.measure, Distinct | Offline):
            return "unit"
        return "source" if isinstance(self.measure, Freshness) else self.by

    @property
    def reach(self) -> int:
        """How many minutes before a minute its value may depend on."""
        match self.measure:
            case Change(weeks=weeks):
                return weeks * WEEK + self.window
            case Absence():
                return ABSENT_MOST
            case Offline():
                return ACTIVE_WITHIN
            case Freshness():
                return SIGN_MOST
            case _:
                return self.window

    @property
    def memory(self) -> int:
        """How many minutes before a minute, together with whether it was firing just before, decide its state."""
        return max(self.reach, SILENT_MOST) + max(self.for_, self.keep_firing_for) + 1

    @property
    def heeds_silence(self) -> bool:
        """Whether it may hold for a group of which there is no row at all: then it matters which groups there are."""
        empty = isinstance(self.measure, Sum | Count | Rate | Change) and (self.when.below is not None or (self.when.above or 0) < 0)
        return self.by != "whole" and (empty or isinstance(self.measure, Absence))

    @property
    def rises(self) -> bool:
        """Whether what is still to come can only bring it nearer to holding: then the minute that is not over is decided as well."""
        return self.when.above is not None and isinstance(self.measure, Sum | Count | Rate | Distinct)


def _misfit(rule: Rule, chosen: Department) -> str | None:
    """Why the parts of a rule do not go together, or None."""
    columns = rule.columns
    if isinstance(rule.measure, Percentile):
        if rule.measure.percentile != chosen.histogram:
            return f"measure: {chosen.name} has {f'the histogram {chosen.histogram}' if chosen.histogram else 'no histogram'}"
    else:
        known = (*chosen.measures, *LEDGER)
        for name in columns:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                return f"measure: {chosen.name} has no measure {name!r}; {f'did you mean {close[0]!r}?' if close else 'it has ' + ', '.join(known)}"
        if len({name in LEDGER for name in columns}) > 1:
            return "measure: a measure of the figures and one of the ledger cannot be set against each other"
    by_source = rule.table in ("ledger", "signs")
    if by_source and rule.by not in ("whole", "source"):
        return f"by: what arrives is kept by source, not by {rule.by}"
    if not by_source and rule.by == "source":
        return "by: figures are kept by unit or kind, not by source"
    if isinstance(rule.measure, Distinct | Offline) and rule.by != "whole":
        return "by: units are counted over the whole department"
    if rule.only != Only() and by_source:
        return "only: what arrives has neither unit nor kind"
    if rule.rule in rule.inhibited_by:
        return "inhibited_by: a rule cannot inhibit itself"
    return None
