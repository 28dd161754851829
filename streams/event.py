"""One event: the header every department's contract begins with, its codec, its times."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, TypeVar

import msgspec

VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no daylight saving since 1975, so a fixed offset is the zone
DAY_US = 86_400_000_000
VIETNAM_OFFSET_US = 7 * 3_600_000_000


# What a field of a contract is in the database; `sinks.derive` makes the columns from these.
Id = Annotated[str, msgspec.Meta(min_length=32, max_length=32, extra={"column": "uuid"})]  # 32 hex digits
Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]  # the same inside nested facts, where no encoder would notice
# Who, not what: a copy of an event (streams.scenarios) is about other things, but of the same people.
Party = Annotated[str, msgspec.Meta(min_length=32, max_length=32, extra={"column": "uuid", "party": True})]
PartyKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", extra={"party": True})]
Word = Annotated[str, msgspec.Meta(max_length=64)]  # one of few: a code, a name, a kind
Body = Annotated[str, msgspec.Meta(extra={"column": "hash"})]  # 16 hex digits
TimeUs = Annotated[  # microseconds since 1970, UTC; bounded, because what no table can hold must not get past the contract
    int, msgspec.Meta(ge=-2_208_988_800_000_000, lt=7_258_118_400_000_000, extra={"column": "timestamptz"})
]
Day = Annotated[int, msgspec.Meta(ge=-25_567, lt=84_006)]  # days since 1970-01-01, the years 1900 to 2199
Dong = Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]  # whole đồng; beyond a million billion it is a mistake


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact of a department. One event is one Kafka record, JSON, keyed by unit or subject.

    id: 32 hex digits, keyed pseudonym of the standard's own identity: the same fact has the same id for ever, whoever delivers it.
    body: 16 hex digits, keyed hash of the canonical content: same id and other body is a conflict.
    event_time_us: the record's own time; known_at_us: when the connector received it; microseconds since 1970, UTC.
    unit: code of the commune, hospital or agency; None where the record does not say.
    kind: the department's own type of event.
    contract: version of the department's contract that wrote it.
    """

    id: Id
    body: Body
    source: Word
    event_time_us: TimeUs
    known_at_us: TimeUs
    kind: Word
    unit: Word | None = None
    contract: int = 1


E = TypeVar("E", bound=Event)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be understood, on its way to quarantine (topic `ioc.rejects`).

    id: 32 hex digits, keyed hash of source and raw bytes, so that the same bytes twice are a repeat. sealed: the raw record,
    encrypted (base64). cause, wrong: as in `errors.Reject`.
    """

    id: str
    source: str
    department: str
    known_at_us: int
    cause: str
    wrong: str
    sealed: str
    size_bytes: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A connector asked its source (topic `ioc.asked`): so that a source that has nothing new is not taken for one that is silent.

    answered: whether it answered. every_seconds: how often it is asked. news_us: when the newest event it has sent so far arrived (0: none
    since the connector began): figures reach as far as the answer only once that event is among them.
    """

    source: str
    department: str
    at_us: int
    every_seconds: float
    answered: bool
    news_us: int = 0


class Fused(msgspec.Struct, frozen=True, kw_only=True):
    """What a door says of its source's fuse (topic `ioc.asked`): it blew, or somebody reset it."""

    source: str
    department: str
    at_us: int
    blown: bool


class Touched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something was committed (topic `ioc.touched`): a wake-up, never the only copy of anything.

    stage: `events` when raw events were committed, `figures` when what follows from them was, `asked` when a source did not answer.
    hours: the event hours touched (whole hours since 1970). watermark_us: greatest event time committed.
    """

    space: str
    department: str
    stage: str
    hours: tuple[int, ...] = ()
    watermark_us: int | None = None


def encode(record: msgspec.Struct) -> bytes:
    """The record as one line of JSON."""
    return msgspec.json.encode(record)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def moment(us: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def vietnam_day(us: int) -> int:
    """The Vietnamese calendar day of an instant, as days since 1970-01-01 (doors.md: a day is a Vietnamese day)."""
    return (us + VIETNAM_OFFSET_US) // DAY_US


def day_start_us(day: int) -> int:
    """The instant at which a Vietnamese day (days since 1970-01-01) begins."""
    return day * DAY_US - VIETNAM_OFFSET_US
