"""What a figure is made of: its value, its definition, and the very events that sum to it, read by the role of the boards."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import dict_row

from sinks.figures import percentile
from sinks.parts import STEP, Cell, Connection, Part, Position, Where, steps
from streams.department import Department, department
from streams.errors import Misconfigured
from streams.event import VIETNAM, micros, moment
from streams.figures import Daily, Figure, Held, Measured, Percentile, Share, Sum, Units
from streams.lives import bound

MOST_COUNTED = 40_000  # records that are looked through to count a figure's events at once; beyond it the pages still hold them all
STEPS_A_PAGE = 5
COLUMNS = ("event", "event_time", "known_at", "settled_at", "late", "source", "unit", "kind", "subject", "member", "amount")


@contextmanager
def snapshot(connection: Connection, board: str) -> Iterator[None]:
    """All that is read inside is of one moment. board: the schema of the boards' views."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        connection.execute(sql.SQL("set local search_path = {}").format(sql.Identifier(board)))
        connection.execute("set local timezone = 'UTC'")
        yield


def chosen(name: str, figure: str) -> tuple[Department, Figure]:
    """The department and its figure. Raises Misconfigured, naming those there are."""
    found = department(name)
    names = [each.name for each in found.glass.figures]
    if figure not in names:
        raise Misconfigured(f"{name} has no figure {figure[:40]!r}", f"choose one of {', '.join(names)}")
    return found, found.glass.figure(figure)


def about(connection: Connection, owner: Department, figure: Figure, cell: Cell) -> dict[str, Any]:
    """What the figure means and is: words, value, how many events, late and contested ones, what was taken out again. counts: which of an event's
    keys the figure sums, or counts the different ones of. `equal`: whether the
    events sum to the value (null when there are too many to count at once). Call inside `snapshot`."""
    now = value(connection, owner, figure, cell)
    some: list[Part] = []
    late = contested = scanned = 0
    contracts: set[int] = set()
    events: set[str] = set()
    complete = True
    for found, _ in steps(connection, owner, figure, cell):
        some += found
        for event, row in told(connection, owner, figure, found).items():
            late += event not in events and _late(owner, row)
            contested += event not in events and row["contract"] is not None and row["conflict"]
            contracts |= {row["contract"]} - {None}
            events.add(event)
        scanned += STEP
        if scanned >= MOST_COUNTED:
            complete = False
            break
    measured = figure.measured
    return {
        "department": owner.name, "figure": figure.name, "label": figure.label, "word": figure.word, "definition": figure.definition,
        "formula": figure.formula, "law": figure.law or owner.glass.law, "contracts": sorted(contracts), "value": now,
        "from": _text(cell.since), "to": _text(cell.until), "unit": cell.unit, "kind": cell.kind,
        "counts": "member" if isinstance(measured, Daily) else "unit" if isinstance(measured, Units) else "amount",
        "amount_word": "giây" if isinstance(measured, Percentile) or (isinstance(measured, Sum) and measured.per == 60) else "",
        "events": len(events), "late": late, "conflict": contested, "taken_out": taken_out(connection, owner, figure, cell),
        "complete": complete, "equal": (total(measured, some) or 0) == (now or 0) if complete else None,
    }  # fmt: skip


def page(
    connection: Connection, owner: Department, figure: Figure, cell: Cell, after: Position | None, size: int
) -> tuple[list[dict[str, Any]], Position | None]:
    """At most `size` of the figure's events, and after what to go on (None: these are the last). Call inside `snapshot`."""
    some: list[Part] = []
    following = None
    for taken, (found, position) in enumerate(steps(connection, owner, figure, cell, after, size + 1), 1):
        some += found
        if len(some) > size:
            del some[size:]
            following = (some[-1].at, some[-1].key)
            break
        if taken == STEPS_A_PAGE:
            following = position
            break
    return rows(connection, owner, figure, some), following


def pages(connection: Connection, owner: Department, figure: Figure, cell: Cell, size: int) -> Iterator[list[dict[str, Any]]]:
    """All of the figure's events, `size` at a time. Call inside `snapshot`."""
    some, following = page(connection, owner, figure, cell, None, size)
    yield some
    while following is not None:
        some, following = page(connection, owner, figure, cell, following, size)
        yield some


def position(text: str) -> Position:
    """Where to go on, of what `Position` was written as. Raises Misconfigured."""
    at, _, key = text.partition("-")
    if not (at.isdigit() and len(at) <= 17 and len(key) == 32 and set(key) <= set("0123456789abcdef")):
        raise Misconfigured("this is no place to go on from", "send the `next` of the page before")
    return moment(int(at)), key


def written(place: Position | None) -> str | None:
    """A position as text."""
    return place and f"{micros(place[0])}-{place[1]}"


def span(day: str | None, hour: str | None, minute: str | None) -> tuple[datetime, datetime] | None:
    """The minutes of `2026-11-22`, `2026-11-22T09` or `2026-11-22T09:17` in Viet Nam; None when none is given. Raises Misconfigured."""
    given = [
        (text, length) for text, length in ((day, timedelta(days=1)), (hour, timedelta(hours=1)), (minute, timedelta(minutes=1))) if text
    ]
    if not given:
        return None
    try:
        ((text, length),) = given
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(
            "one of day, hour, minute is wanted", "write day=2026-11-22, hour=2026-11-22T09 or minute=2026-11-22T09:17"
        ) from error
    start = (at if at.tzinfo else at.replace(tzinfo=VIETNAM)).astimezone(VIETNAM).replace(second=0, microsecond=0)
    start = start if length < timedelta(hours=1) else start.replace(minute=0)
    start = start if length < timedelta(days=1) else start.replace(hour=0)
    return start, start + length


def rows(connection: Connection, owner: Department, figure: Figure, some: Sequence[Part]) -> list[dict[str, Any]]:
    """The parts as people and scripts are shown them. Call inside `snapshot`."""
    said = told(connection, owner, figure, some)
    return [
        {
            "event": part.event, "event_time": _text(said[part.event]["event_time"]), "known_at": _text(said[part.event]["known_at"]),
            "settled_at": _text(part.settled_at), "late": _late(owner, said[part.event]), "source": said[part.event]["source"],
            "unit": part.unit or None, "kind": part.kind or None, "subject": part.subject, "member": part.member, "amount": part.amount,
        }
        for part in some
    ]  # fmt: skip


def value(connection: Connection, owner: Department, figure: Figure, cell: Cell) -> float | None:
    """The figure from the rollups, as the boards have it; None where nothing is known. Call inside `snapshot`."""
    measured, where = figure.measured, Where(cell)
    some = sql.SQL(" or ").join(sql.SQL("bool_or({} <> 0)").format(sql.Identifier(m)) for m in owner.measures)
    minutes = sql.Identifier(f"{owner.name}_1m")

    def one(query: sql.Composed) -> Any:
        row = connection.execute(query, where.values).fetchone()
        return row[0] if row else None

    if isinstance(measured, Share):
        return None  # no events of one department make it
    if isinstance(measured, Daily):
        return one(where.of("select count(distinct member) from {0}", sql.Identifier(f"{owner.name}_counted"))) or None
    if isinstance(measured, Percentile):
        spread = where.of(
            "select bound, sum(n)::bigint from {0}", sql.Identifier(measured.view), "group by 1 having sum(n) <> 0 order by 1"
        )
        return percentile(connection.execute(spread, where.values).fetchall(), round(100 * measured.at))
    known = one(where.of("select {1} from {0}", minutes, "", some))
    if isinstance(measured, Held):
        held = sum(len(found) for found, _ in steps(connection, owner, figure, cell))
        return held or (0 if known else None)
    if not known:
        return None
    column = sql.Identifier(measured.measure)
    if isinstance(measured, Units):
        end: LiteralString = "and unit is not null group by 1 having sum({1}) > 0) u"
        return int(one(where.of("select count(*) from (select unit from {0}", minutes, end, column)))
    return int(one(where.of("select sum({1}) from {0}", minutes, "", column))) // measured.per


def taken_out(connection: Connection, owner: Department, figure: Figure, cell: Cell) -> int:
    """How much of the figure was counted and taken out again: cancelled, replaced, corrected, moved. Call inside `snapshot`."""
    measured, where = figure.measured, Where(cell)
    if not isinstance(measured, Sum | Units):
        return 0
    query = where.of(
        "select coalesce(sum(-least({1}, 0)), 0) from {0}", sql.Identifier(f"{owner.name}_1m"), "", sql.Identifier(measured.measure)
    )
    row = connection.execute(query, where.values).fetchone()
    return int(row[0]) if row else 0


def told(connection: Connection, owner: Department, figure: Figure, some: Sequence[Part]) -> dict[str, Mapping[str, Any]]:
    """event -> source, event_time, known_at, contract, and whether another body came under its id. Call inside `snapshot`."""
    if not some:
        return {}
    event, identity = sql.Identifier(f"{owner.name}_event"), sql.Identifier(f"{owner.name}_identity")
    query: sql.SQL | sql.Composed = sql.SQL(
        "select e.id, e.source, e.event_time, e.known_at, e.contract, "
        "exists (select from conflict c where c.department = %(department)s and c.id = e.id) as conflict "
        "from {} i join {} e on e.event_time = i.event_time and e.id = i.id where i.id = any(%(ids)s::uuid[])"
    ).format(identity, event)
    if isinstance(figure.measured, Held):
        query = sql.SQL(
            "select id, source, null::timestamptz as event_time, known_at, null::int as contract, false as conflict "
            "from quarantined where department = %(department)s and id = any(%(ids)s::uuid[])"
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        values = {"department": owner.name, "ids": [*{part.event for part in some}]}
        return {row["id"].hex: row for row in cursor.execute(query, values)}


def total(measured: Measured, some: Iterable[Part]) -> float | None:
    """The figure of these parts; None when there are none."""
    held = [*some]
    if not held:
        return None
    if isinstance(measured, Units):
        return len({part.unit for part in held})
    if isinstance(measured, Daily):
        return len({part.member for part in held})
    if isinstance(measured, Percentile):
        spread: dict[int, int] = defaultdict(int)
        for part in held:
            spread[bound(part.amount)] += 1
        return percentile(sorted(spread.items()), round(100 * measured.at))
    whole = sum(part.amount for part in held)
    return whole // measured.per if isinstance(measured, Sum) else whole


def _late(owner: Department, row: Mapping[str, Any]) -> bool:
    if row["event_time"] is None:
        return False
    return bool((row["known_at"] - row["event_time"]).total_seconds() > owner.late_after_seconds)


def _text(at: datetime | None) -> str | None:
    return at.astimezone(VIETNAM).isoformat() if at else None
