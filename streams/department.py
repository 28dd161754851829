"""What the house knows of a department: one descriptor, from which topic, tables, rollups, agent and figures follow."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from streams.errors import Misconfigured
from streams.event import Event
from streams.figures import Glass
from streams.lives import Life
from streams.wire import Wire

NAMES = tuple(sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent / "departments")])))
"""A department is a file in departments/."""


@dataclass(frozen=True)
class Grown:
    """What a later contract of a department added. fields: of its event, each with a default; measures: each stands behind those there were;
    states: kinds of subjects. Figures are counted anew when it comes, so what old events count for may change with it too."""

    fields: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


@dataclass(frozen=True)
class Department:
    """One department.

    glass: what people are shown of it. event: its contract. domain: whose pseudonym key (`pseudonym.DOMAINS`). late_after_seconds:
    known this long after its event time, an event is late. subject(event): the partition key, so that all about one subject stays
    in order. measures: names of a count's numbers; additive. histogram: name of its spread, None for none. chunk_days: how many days
    of events one chunk of the table holds. distinct: figure that counts distinct members (or units, when `members` is false).
    finish: sums of measures -> figures. life: its pure functions. grown: what its second and later contracts added, in their order: what
    was migrated once never changes. wire: how its plain records are written, where it takes such: then its own name is a format.
    """

    name: str
    glass: Glass
    event: type[Event]
    domain: str
    late_after_seconds: int
    subject: Callable[[Any], str]
    measures: tuple[str, ...]
    life: Life
    distinct: str
    members: bool = False
    chunk_days: int = 7
    histogram: str | None = None
    finish: Callable[[Mapping[str, int]], Mapping[str, int]] = dict
    grown: tuple[Grown, ...] = ()
    wire: Wire | None = None

    def is_late(self, event_time_us: int, known_at_us: int) -> bool:
        """Late or on time, from the event's own two times and nothing else."""
        return known_at_us - event_time_us > self.late_after_seconds * 1_000_000


@cache
def department(name: str) -> Department:
    """The department of that name. Raises Misconfigured, naming those there are."""
    if name not in NAMES:
        raise Misconfigured(f"there is no department {name!r}", f"choose one of {', '.join(NAMES)}")
    found: Department = importlib.import_module(f"streams.departments.{name}").DEPARTMENT
    return found


def departments() -> tuple[Department, ...]:
    """All departments."""
    return tuple(department(name) for name in NAMES)


def glasses() -> tuple[Glass, ...]:
    """What the boards show of all departments, in their order on the glass."""
    return tuple(sorted((each.glass for each in departments()), key=lambda glass: glass.place))
