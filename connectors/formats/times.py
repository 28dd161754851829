"""Times as departments write them -> microseconds since 1970, and the bounds an event time must keep."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo

from streams.errors import Reject
from streams.event import DAY_US, VIETNAM, VIETNAM_OFFSET_US, micros

_OFFSETS_US: Mapping[tzinfo, int] = {UTC: 0, VIETNAM: VIETNAM_OFFSET_US}
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EARLIEST_US = micros(datetime(1920, 1, 1, tzinfo=VIETNAM))
_END_US = micros(datetime(2200, 1, 1, tzinfo=UTC))


def instant(text: str) -> int | None:
    """An ISO 8601 date and time; without an offset it is GMT+7 (Decision 1450). None when it cannot be read."""
    try:
        read = datetime.fromisoformat(text)
        return micros(read if read.tzinfo else read.replace(tzinfo=VIETNAM))
    except (ValueError, OverflowError):
        return None


def compact(text: str, zone: tzinfo = UTC) -> int | None:
    """yyyyMMddHHmmss, as banks write it; zone: UTC or VIETNAM. None when it cannot be read."""
    if len(text) != 14 or not (text.isascii() and text.isdecimal()):
        return None
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    hour, minute, second = int(text[8:10]), int(text[10:12]), int(text[12:])
    if hour > 23 or minute > 59 or second > 59:
        return None
    return (day * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 - _OFFSETS_US[zone]


def hospital(text: str) -> int | None:
    """yyyymmddHHMM in Vietnam, as health-insurance files write it; some leave the time out, some add seconds. None when it cannot be read."""
    return compact(text.ljust(14, "0"), VIETNAM) if len(text) in (8, 12, 14) else None


def day(text: str) -> int | None:
    """Days since 1970 of YYYY-MM-DD (a time behind it is left out) or DD/MM/YYYY. None when it cannot be read."""
    try:
        if text[2:3] == "/":
            return date(int(text[6:10]), int(text[3:5]), int(text[:2])).toordinal() - _EPOCH_DAY
        return date.fromisoformat(text[:10]).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def fhir(text: str) -> int | None:
    """A FHIR dateTime or instant, which may be a year, a month or a day (its beginning in Vietnam). None when it cannot be read."""
    return instant(text + {4: "-01-01", 7: "-01"}.get(len(text), ""))


def not_too_old(us: int, what: str) -> int:
    """`us` itself. Raises Reject `time_out_of_range` before 1920: hospitals hand over old histories, nobody a century of them; and after
    2199, where the contract ends (`event.TimeUs`)."""
    if us < _EARLIEST_US:
        raise Reject("time_out_of_range", f"{what} lies before 1920")
    if us >= _END_US:
        raise Reject("time_out_of_range", f"{what} lies after 2199")
    return us


def in_range(us: int, known_at_us: int, what: str) -> int:
    """`us` itself. Raises Reject `time_out_of_range` before 1920 or more than a day after the record arrived."""
    not_too_old(us, what)
    if us > known_at_us + DAY_US:
        raise Reject("time_out_of_range", f"{what} lies more than a day after the record arrived")
    return us
