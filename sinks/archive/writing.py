"""Events into the archive: hour by hour of arrival, until the archive holds of each as many as the ledger counts."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from psycopg import sql

from sinks import history
from sinks.archive import chain, packing
from sinks.archive.chain import Line
from sinks.archive.keeping import Keeping
from sinks.history import Period, Record
from sinks.migrations import schema
from sinks.session import Connection
from streams.department import Department
from streams.event import micros, moment

PART_EVENTS = 50_000
HOUR = timedelta(hours=1)


class Head(msgspec.Struct, gc=False):
    """What the archive reads of an event."""

    id: str
    source: str
    event_time_us: int
    known_at_us: int


head = msgspec.json.Decoder(Head).decode


def due(connection: Connection, space: str, department: str, lines: list[Line], until: datetime) -> list[tuple[datetime, int]]:
    """The hours of arrival before `until` of which the archive holds fewer events than the ledger counts, and how many those are."""
    held: Counter[str] = Counter()
    for line in lines:
        held[line.hour] += line.records
    rows = connection.execute(
        sql.SQL(
            "select hour, sum(on_time + late)::bigint from {} where department = %s and hour + interval '1 hour' <= %s group by 1 order by 1"
        ).format(sql.Identifier(schema(space), "ledger")),
        [department, until],
    ).fetchall()
    return [(hour, counted - held[chain.hour_of(hour)]) for hour, counted in rows if counted > held[chain.hour_of(hour)]]


def write(connection: Connection, keeping: Keeping, chosen: Department, hour: datetime) -> int:
    """Write one hour's events that are not in the archive yet, in parts; how many. The same events give the same files.

    `connection` sees the tables of the space. Raises Retry, Misconfigured; what was done until then need not be done again.
    """
    name = chain.hour_of(hour)
    parts = [line for line in keeping.lines if line.hour == name]
    known = {head(record).id for line in parts for record in packing.lines_of(keeping.store, keeping.name, line)}
    period = Period(micros(hour), micros(hour + HOUR), "known_at", (chosen.name,))
    fresh = ((head(r.value), r) for r in history.events(connection, chosen, period))
    left = ((h, r) for h, r in fresh if h.id not in known)
    written = 0
    for number, part in enumerate(_parts(left), len(parts)):
        line, file = _filed(name, number, part)
        keeping.add(line, file)
        written += line.records
    return written


def _parts(events: Iterator[tuple[Head, Record]]) -> Iterator[list[tuple[Head, Record]]]:
    """In the order of arrival, so that a part's arrivals lie together; inside a part by event time, so that replays read it as it lies."""
    while part := [*islice(events, PART_EVENTS)]:
        part.sort(key=lambda held: (held[0].event_time_us, held[0].id))
        yield part


def _filed(hour: str, number: int, part: list[tuple[Head, Record]]) -> tuple[Line, bytes]:
    content, file = packing.packed([record.value for _, record in part])
    heads = [held for held, _ in part]
    days = Counter(moment(held.event_time_us).date().isoformat() for held in heads)
    line = Line(
        hour=hour,
        path=chain.file_path(hour, number, packing.ENDING),
        records=len(part),
        bytes=len(content),
        content=chain.digest(content),
        file=chain.digest(file),
        sources=dict(sorted(Counter(held.source for held in heads).items())),
        first_known_us=min(held.known_at_us for held in heads),
        last_known_us=max(held.known_at_us for held in heads),
        first_us=heads[0].event_time_us,
        last_us=heads[-1].event_time_us,
        days=dict(sorted(days.items())),
    )
    return line, file


def run(
    connection: Connection,
    keeping: Keeping,
    space: str,
    chosen: Department,
    until: datetime,
    shown: Callable[[int], None] = lambda events: None,
) -> tuple[int, int]:
    """Archive all that is due before `until`: (events written, events that the ledger counts and the table does not hold)."""
    written = missing = 0
    for hour, lacking in due(connection, space, chosen.name, keeping.lines, until):
        with connection.transaction():
            done = write(connection, keeping, chosen, hour)
        written, missing = written + done, missing + max(0, lacking - done)
        shown(done)
    keeping.save()
    return written, missing
