"""What a figure is: name (doors.md), Vietnamese words, definition, and how it follows from the stored measures."""

from dataclasses import dataclass
from typing import Literal

Format = Literal["count", "money", "seconds", "percent"]


@dataclass(frozen=True)
class Sum:
    """The measure of `<department>_1m` and `_1d`, summed; divided by `per` (60: seconds become minutes)."""

    measure: str
    per: int = 1


@dataclass(frozen=True)
class Units:
    """How many different units had a positive sum of the measure on a day."""

    measure: str


@dataclass(frozen=True)
class Daily:
    """A measure kept once a day in a view of its own (exact distinct counts)."""

    view: str
    measure: str


@dataclass(frozen=True)
class Percentile:
    """Of a duration histogram `view(minute, bound, n)`: middle of the bound that holds the share `at`; error at most 5 %."""

    view: str
    at: float


@dataclass(frozen=True)
class Held:
    """Records in quarantine for one cause."""

    cause: str


@dataclass(frozen=True)
class Share:
    """How much of the measure `whole` of the department `of` the own measure `part` comes to, in percent: over those units and days for which the
    other has any, so that a unit that does not report changes nothing."""

    part: str
    of: str
    whole: str


Measured = Sum | Units | Daily | Percentile | Held | Share


@dataclass(frozen=True)
class Figure:
    """One figure. name: key of doors.md. word: what is counted, as it stands after the number. formula: how it is made of events;
    law: the rule it rests on, where it is not the department's.
    brief: a shorter label for narrow places. good: whether more or less of it is welcome. watch_above: from here on it deserves attention."""

    name: str
    label: str
    word: str
    definition: str
    measured: Measured
    format: Format = "count"
    watch_above: float | None = None
    brief: str = ""
    good: Literal["more", "less"] = "more"
    formula: str = ""
    law: str = ""

    @property
    def topic(self) -> str:
        """What the figure is about, without its day: `Hóa đơn điện tử`."""
        return self.brief or self.label.removesuffix(" hôm nay")


@dataclass(frozen=True)
class Glass:
    """What the glass says of a department. pairs: the figure drawn by pair of units, where counts name the other unit in their kind (`VR>01901`).
    shares: figures over two departments (`Share`); no events of their own explain them.
    online: the measure that tells which units are on line now. place: its rank among them. silent_after_seconds: a source not heard for longer makes
    figures stale. headline: the figures of its large tiles; trend, ranking, month: those drawn over the day, by unit
    and over this month. law: the rules its figures rest on. places, place_kind: what its units are called, and their kind in the unit
    table. network: the levels of the units that are expected to take part (none: every level). slot_minutes: how finely a day is drawn."""

    name: str
    place: int
    label: str
    short: str
    places: str
    place_kind: str
    slot_minutes: int
    headline: tuple[str, ...]
    trend: str
    ranking: str
    figures: tuple[Figure, ...]
    month: str | None = None
    law: str = ""
    silent_after_seconds: int = 300
    network: tuple[str, ...] = ()
    pairs: str | None = None
    online: str | None = None
    shares: tuple[Figure, ...] = ()

    def figure(self, name: str) -> Figure:
        """The figure of that name (KeyError when there is none)."""
        return {figure.name: figure for figure in self.figures}[name]
