"""A scenario as it is written: a label, and changes, each with where, when and what."""

from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from streams.department import NAMES
from streams.errors import Misconfigured
from streams.event import DAY_US, VIETNAM, VIETNAM_OFFSET_US, Event, micros
from streams.rules.reading import Wrong, read_as

READY = Path(__file__).parent / "ready"
"""The scenarios that come with the house."""

Word = Annotated[str, Field(min_length=1, max_length=64)]


class Change(BaseModel):
    """What becomes of some events. departments, units, sources, kinds: of whom, none said: of all. from, to: of which event times: moments
    (`2026-11-22T09:00`, Vietnamese), or clock times (`09:00`) of every Vietnamese day; `to` is not included. share: of how many of them, chosen by
    their ids, so always the same ones. And one of:

    drop: they never come. scale: their money is so many times as much. surge: each comes so many times, as events of their own.
    delay_minutes: they arrive so much later. fault: they come again (duplicate), come again with another body (conflict), or cannot be read (reject).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    departments: tuple[str, ...] = ()
    units: tuple[Word, ...] = ()
    sources: tuple[Word, ...] = ()
    kinds: tuple[Word, ...] = ()
    since: datetime | time | None = Field(None, alias="from")
    until: datetime | time | None = Field(None, alias="to")
    share: float = Field(1.0, gt=0, le=1)
    drop: Literal[True] | None = None
    scale: float | None = Field(None, gt=0, le=1000)
    surge: int | None = Field(None, ge=2, le=50)
    delay_minutes: int | None = Field(None, ge=1, le=1440)
    fault: Literal["duplicate", "conflict", "reject"] | None = None

    @field_validator("departments")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        lost = [name for name in value if name not in NAMES]
        if lost:
            raise ValueError(f"there is no department {lost[0]!r}; known: {', '.join(NAMES)}")
        return value

    @field_validator("since", "until", mode="before")
    @classmethod
    def _is_moment_or_clock(cls, value: object) -> datetime | time | None:
        if value is None or isinstance(value, datetime | time):
            return value
        try:
            return time.fromisoformat(str(value)) if len(str(value)) <= 5 else _aware(datetime.fromisoformat(str(value)))
        except ValueError as error:
            raise ValueError("write 2026-11-22T09:00, or 09:00 for every day") from error

    @model_validator(mode="after")
    def _does_one_thing(self) -> "Change":
        said = [name for name in ("drop", "scale", "surge", "delay_minutes", "fault") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"a change does one thing: drop, scale, surge, delay_minutes or fault (here: {', '.join(said) or 'none'})")
        if self.surge is not None and self.share != 1.0:
            raise ValueError("share: a surge is of all events chosen: answers must meet the questions they are copied with")
        if self.since is not None and self.until is not None:
            if type(self.since) is not type(self.until):
                raise ValueError("from: from and to are both moments, or both clock times")
            if isinstance(self.since, datetime) and isinstance(self.until, datetime) and self.until <= self.since:
                raise ValueError("to: it ends before it begins")
        return self

    def within(self, event_time_us: int) -> bool:
        """Whether an event time is meant. Clock times may reach over midnight."""
        if isinstance(self.since, time) or isinstance(self.until, time):
            clock = (event_time_us + VIETNAM_OFFSET_US) % DAY_US
            first, last = _clock_us(self.since, 0), _clock_us(self.until, DAY_US)
            return first <= clock < last if first < last else clock >= first or clock < last
        if isinstance(self.since, datetime) and event_time_us < micros(self.since):
            return False
        return not (isinstance(self.until, datetime) and event_time_us >= micros(self.until))

    def chooses(self, department: str, event: Event, unit: str | None) -> bool:
        """Whether an event is meant, but for its share. unit: where the event belongs, whether or not it says so itself."""
        return (
            (not self.departments or department in self.departments)
            and (not self.units or unit in self.units)
            and (not self.sources or event.source in self.sources)
            and (not self.kinds or event.kind in self.kinds)
            and self.within(event.event_time_us)
        )

    def silences(self, department: str, source: str, at_us: int) -> bool:
        """Whether a source as a whole is dropped at a moment: then it does not answer either."""
        whole = self.drop and self.share == 1.0 and not (self.units or self.kinds)
        chosen = (not self.departments or department in self.departments) and (not self.sources or source in self.sources)
        return bool(whole and chosen and self.within(at_us))


class Scenario(BaseModel):
    """One scenario. label: what the glass says of a replay it is laid over. changes: one after the other, each to what the ones before left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    label: str = Field(min_length=3, max_length=80)
    why: str = ""
    changes: tuple[Change, ...] = Field(min_length=1, max_length=50)


def read(text: str) -> Scenario | list[Wrong]:
    """The scenario that the text of a file says, or what is wrong with it, with line and column."""
    return read_as(text, Scenario, "scenario")


def ready() -> dict[str, Path]:
    """The scenarios that come with the house, by name."""
    return {path.stem: path for path in sorted(READY.glob("*.yaml"))}


def text_of(name: str) -> str:
    """The text of a scenario: a file, or the name of a ready one. Raises Misconfigured, naming those there are."""
    path = ready().get(name, Path(name))
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"there is no scenario {name}", f"give a file, or one of {', '.join(ready())}") from error


def load(text: str) -> Scenario:
    """The scenario of a text. Raises Misconfigured, naming line and column of what is wrong."""
    found = read(text)
    if isinstance(found, Scenario):
        return found
    raise Misconfigured("the scenario is wrong: " + "; ".join(map(str, found)), "`ioc scenarios lint FILE` says the same")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)


def _clock_us(clock: datetime | time | None, default: int) -> int:
    return (clock.hour * 60 + clock.minute) * 60_000_000 if isinstance(clock, time) else default
