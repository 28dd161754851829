"""The day's curve: when in a Vietnamese day, and on which days of the month, a department is busy."""

from bisect import bisect_right
from collections.abc import Callable
from datetime import date, timedelta
from itertools import accumulate
from random import Random

from deploy.simulators.clock import DAY_US, HOUR_US, MINUTE_US, VIETNAM_US, vietnam_day

Weight = Callable[[int], float]


def offices(us: int) -> float:
    """Invoices: office hours with a pause at noon, a little in the evening, double on the last two days of a month."""
    hour = (us + VIETNAM_US) % DAY_US / HOUR_US
    if 8 <= hour < 11.5 or 13.5 <= hour < 17:
        weight = 1.0
    elif 7 <= hour < 8 or 11.5 <= hour < 13.5 or 17 <= hour < 21:
        weight = 0.4
    else:
        weight = 0.04
    return weight * (2.0 if _month_end(us) else 1.0)


def hospitals(us: int) -> float:
    """Hospitals: six tenths of the day between 07:30 and 10:30 (domain.md 8), the rest until the evening, emergencies at night."""
    hour = (us + VIETNAM_US) % DAY_US / HOUR_US
    if 7.5 <= hour < 10.5:
        return 1.0
    if 6.5 <= hour < 7.5 or 10.5 <= hour < 16.5:
        return 0.26
    return 0.04


def _month_end(us: int) -> bool:
    """Whether it is one of the last two days of a month."""
    return (date(1970, 1, 1) + timedelta(days=vietnam_day(us) + 2)).day <= 2


def spread(random: Random, begin_us: int, end_us: int, count: int, weight: Weight) -> list[int]:
    """`count` instants between begin and end, ascending, as dense as the curve says."""
    minutes = range(begin_us, end_us, MINUTE_US)
    heights = list(accumulate(weight(minute) for minute in minutes))
    if not heights or count <= 0:
        return []
    draws = (random.random() * heights[-1] for _ in range(count))
    starts = (minutes[bisect_right(heights, draw)] + random.randrange(MINUTE_US) for draw in draws)
    return sorted(min(start, end_us - 1) for start in starts)
