"""What rings: from the firings of one alarm, and what people were told of them, to what they are told next."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from streams.event import VIETNAM

Told = Literal["firing", "over", "withdrawn", "never"]
"""What people were told last of an alarm: that it lasts, that it is over, that it never was; never: nothing, and nothing will be."""

Word = Literal["firing", "more", "resolved", "withdrawn", "missed", "again", "corrected", "escalated"]
"""firing: began. more: others joined, or some of it never was. resolved: ended. withdrawn: never was. missed: is over and was found late.
again: was said to be over, and lasts. corrected: was told as over, and some of it never was. escalated: nobody has acknowledged it."""


@dataclass(frozen=True)
class Member:
    """A firing of an alarm. since, until: minutes since 1970. value: what its group is at now. withdrawn: never was, as is known now.
    told: whether people were told of it, and that it never was."""

    id: int
    unit: str
    since: int
    until: int | None = None
    peak: float | None = None
    value: float | None = None
    withdrawn: bool = False
    told: Literal["fired", "withdrawn"] | None = None

    @property
    def lasts(self) -> bool:
        """Whether it is firing now."""
        return self.until is None and not self.withdrawn


@dataclass(frozen=True)
class Alarm:
    """An alarm as it is now. told_at: from when on people could know what they were told last."""

    opened_at: datetime
    members: tuple[Member, ...]
    told: Told | None = None
    told_at: datetime | None = None

    @property
    def lasts(self) -> bool:
        """Whether any of its firings is firing now."""
        return any(member.lasts for member in self.members)


@dataclass(frozen=True)
class Telling:
    """What to tell now. told: what people then know of the alarm. news: the firings that it is about, those that never were among them."""

    word: Word | None
    told: Told
    news: tuple[Member, ...] = ()


def tell(alarm: Alarm, silenced: Set[str], now: datetime, regroup: timedelta) -> Telling | None:
    """What people are told of an alarm now; None when it is nothing.

    It follows from how things are and what was said, not from how they came to be: asked twice it says nothing the second time. Nothing
    silenced begins to ring, but the end of what was told is always told, once. Firings that join, that never were, and those found when
    they were over already are told together, `regroup` after what was told last. silenced: the units that are.
    """
    real = [member for member in alarm.members if not member.withdrawn]
    audible = [member for member in real if member.unit not in silenced]
    lasting = tuple(member for member in audible if member.lasts)
    gone = tuple(member for member in alarm.members if member.withdrawn and member.told == "fired")
    waited = now >= (alarm.told_at or alarm.opened_at) + regroup
    if alarm.told is None or alarm.told == "never":
        return _begin(alarm, audible, lasting, waited)
    if alarm.told == "firing":
        joined = tuple(member for member in lasting if member.told is None)
        if alarm.lasts:
            return Telling("more", "firing", joined + gone) if (joined or gone) and waited else None
        heard = tuple(member for member in real if member.told or member in audible)
        return Telling("resolved", "over", heard + gone) if real else Telling("withdrawn", "withdrawn", gone)
    if alarm.told == "over":
        if lasting:
            return Telling("again", "firing", lasting)
        if not real:
            return Telling("withdrawn", "withdrawn", gone) if gone else None
        return Telling("corrected", "over", gone) if gone and waited else None
    return None


def _begin(alarm: Alarm, audible: list[Member], lasting: tuple[Member, ...], waited: bool) -> Telling | None:
    """Of an alarm that nobody knows of yet."""
    if lasting:
        return Telling("firing", "firing", lasting)
    if alarm.told == "never" or alarm.lasts:
        return None
    if not audible:
        return Telling(None, "never")
    return Telling("missed", "over", tuple(audible)) if waited else None


def quiet_until(hours: str | None, now: datetime) -> datetime | None:
    """When the quiet hours (`22:00-06:00`, Vietnamese time) that `now` lies in end; None outside of them."""
    if hours is None:
        return None
    first, last = (time.fromisoformat(moment) for moment in hours.split("-"))
    local = now.astimezone(VIETNAM)
    at = local.time()
    inside = first <= at < last if first < last else at >= first or at < last
    if not inside:
        return None
    end = datetime.combine(local.date(), last, VIETNAM)
    return end if end > local else end + timedelta(days=1)
