"""What a rule may measure, and the words all parts of a rule share."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

HOUR, DAY, WEEK = 60, 1_440, 10_080
MOST_WEEKS = 8
ABSENT_MOST, SIGN_MOST, SILENT_MOST, ACTIVE_WITHIN = 2 * DAY, DAY, 2 * HOUR, 14 * DAY
"""How far back absence, the freshness of sources, their signs of life and the sites that are expected to speak are looked for, in minutes: a decision
has a finite memory."""

LEDGER = ("received", "on_time", "late", "duplicate", "conflict", "quarantined")
"""What the ledger counts, by minute of arrival and source."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")


def _minutes(value: Any) -> int:
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if not found:
        raise ValueError("write a duration of whole minutes: 15m, 2h, 1h30m, 7d, 0m")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return days * DAY + hours * HOUR + minutes


Minutes = Annotated[int, BeforeValidator(_minutes, json_schema_input_type=str)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{2,59}$")]
Sentence = Annotated[str, Field(min_length=3, max_length=400)]


class Part(BaseModel):
    """A part of a rule: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Sum(Part):
    """The measure, summed over the window."""

    sum: str


class Count(Part):
    """As sum, of a measure that counts."""

    count: str


class Rate(Part):
    """The measure, summed over the window, as so many in `per`."""

    rate: str
    per: Minutes = HOUR


class Ratio(Part):
    """Percent: the measure of that of `to`, over the window; no value while `to` is below at_least."""

    ratio: str
    to: str
    at_least: int = Field(1, ge=1)


class Percentile(Part):
    """Of the department's histogram, over the window; no value while it holds fewer than at_least."""

    percentile: str
    at: float = Field(95, gt=0, le=100)
    at_least: int = Field(1, ge=1)


class Distinct(Part):
    """How many units had a positive sum of `of` in the window."""

    distinct: Literal["unit"]
    of: str


class Change(Part):
    """Percent by which the sum over the window differs from the same window a week ago; of `weeks`, from their median. No value while that is
    below at_least."""

    change: str
    weeks: int = Field(1, ge=1, le=MOST_WEEKS)
    at_least: int = Field(1, ge=1)


class Absence(Part):
    """Minutes since the measure last was not zero, 2 days at most. The window plays no part."""

    absence: str


class Offline(Part):
    """How many units that had some of the measure in the last 14 days have none in the window."""

    offline: str


class Freshness(Part):
    """Seconds since a source last gave a sign of life, at the end of the minute, 1 day at most; of all sources the longest."""

    freshness: Literal["source"]


class Completeness(Part):
    """Percent of what arrived in the window that was understood: neither quarantined nor in conflict. No value while less than at_least arrived."""

    completeness: Literal["source"]
    at_least: int = Field(1, ge=1)


_MEASURES = (Sum, Count, Rate, Ratio, Percentile, Distinct, Change, Absence, Offline, Freshness, Completeness)
MEASURES = tuple(each.__name__.lower() for each in _MEASURES)


def _kind(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        return type(value).__name__.lower()
    return next((key for key in value if key in MEASURES), None) if isinstance(value, dict) else None


Measure = Annotated[
    Annotated[Sum, Tag("sum")]
    | Annotated[Count, Tag("count")]
    | Annotated[Rate, Tag("rate")]
    | Annotated[Ratio, Tag("ratio")]
    | Annotated[Percentile, Tag("percentile")]
    | Annotated[Distinct, Tag("distinct")]
    | Annotated[Change, Tag("change")]
    | Annotated[Absence, Tag("absence")]
    | Annotated[Offline, Tag("offline")]
    | Annotated[Freshness, Tag("freshness")]
    | Annotated[Completeness, Tag("completeness")],
    Discriminator(
        _kind, custom_error_type="measure", custom_error_message=f"a measure begins with one of {', '.join(MEASURES)}: {{sum: receipts}}"
    ),
]
