"""Times as the departments write them: microseconds since 1970 here, Vietnamese or UTC text in the documents."""

import time
from datetime import date, timedelta
from functools import lru_cache

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
VIETNAM_US = 7 * HOUR_US


def now_us() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000


def vietnam_day(us: int) -> int:
    """Days since 1970-01-01 of the Vietnamese day of an instant."""
    return (us + VIETNAM_US) // DAY_US


def midnight_us(us: int) -> int:
    """The instant at which the Vietnamese day of `us` began."""
    return vietnam_day(us) * DAY_US - VIETNAM_US


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """2026-11-22."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def stamp(us: int) -> str:
    """2026-11-22T09:00:01, Vietnamese, without an offset, as e-invoices have it."""
    day, second = divmod((us + VIETNAM_US) // SECOND_US, 86_400)
    return f"{day_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def digits(us: int) -> str:
    """20261122090001 of the shift given: add VIETNAM_US for Vietnamese time, nothing for UTC."""
    day, second = divmod(us // SECOND_US, 86_400)
    return f"{day_text(day).replace('-', '')}{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
