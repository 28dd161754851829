"""When a rule is awake: hours of the day, days of the week, public holidays, Vietnamese time."""

from datetime import date, timedelta
from functools import lru_cache

import holidays
import numpy as np
from numpy.typing import NDArray

from streams.event import VIETNAM_OFFSET_US
from streams.rules.measure import DAY
from streams.rules.rule import DAYS, Calendar, clock

_OFFSET = VIETNAM_OFFSET_US // 60_000_000
_EPOCH = date(1970, 1, 1)


@lru_cache(256)
def awake(calendar: Calendar, start: int, minutes: int) -> NDArray[np.bool_]:
    """For each of so many minutes from `start` (since 1970): whether the rule looks.
    The answer is shared: not to be written to."""
    local = np.arange(start + _OFFSET, start + _OFFSET + minutes)
    of_day = local % DAY
    first, last = (clock(moment) for moment in calendar.hours.split("-"))
    over_midnight = last < first
    inside = (of_day >= first) | (of_day < last) if over_midnight else (of_day >= first) & (of_day < last)
    # A night belongs to the day it begins.
    day = local // DAY - (over_midnight & (of_day < last) if over_midnight else 0)
    known, place = np.unique(day, return_inverse=True)
    works = np.array([_works(calendar, _EPOCH + timedelta(days=int(number))) for number in known], dtype=bool)
    return np.asarray(inside & works[place])


def _works(calendar: Calendar, day: date) -> bool:
    return DAYS[day.weekday()] in calendar.days and (calendar.holidays or not is_holiday(day))


@lru_cache(4096)
def is_holiday(day: date) -> bool:
    """A public holiday in Việt Nam, those of the lunar year too (Bộ luật Lao động 45/2019/QH14, Điều 112)."""
    return day in _HOLIDAYS


_HOLIDAYS = holidays.country_holidays("VN")
