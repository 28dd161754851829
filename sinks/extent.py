"""How much a space holds of a period, and between which times."""

from collections.abc import Sequence

from psycopg import sql

from sinks.history import Follows, Period, bounds, where
from sinks.session import Connection
from streams.department import department
from streams.event import micros

_ARRIVED = """
with m as (select minute from ledger_1m where department = any(%(names)s) and on_time + late > 0)
select (select hour from ledger where department = any(%(names)s) and on_time + late > 0 order by hour limit 1),
  (select minute from m order by minute limit 1), (select minute from m order by minute desc limit 1)"""


def between(connection: Connection, names: Sequence[str], follows: Follows) -> tuple[int, int] | None:
    """Between which times lies what is stored of these departments, microseconds since 1970; None where nothing is. Of arrivals whole minutes, by the
    ledger (whole hours of before there were minutes in it)."""
    if follows == "known_at":
        ((hour, first, last),) = connection.execute(_ARRIVED, {"names": [*names]}).fetchall()
        if hour is None:
            return None
        if first is None:
            return micros(hour), micros(hour) + 3_600_000_000 - 1
        return micros(first if hour >= first.replace(minute=0) else hour), micros(last) + 60_000_000 - 1
    parts = [sql.SQL("select min(event_time), max(event_time) from {}").format(sql.Identifier(f"{n}_event")) for n in names]
    query = sql.SQL("select min(a), max(b) from ({}) e(a, b)").format(sql.SQL(" union all ").join(parts))
    found = connection.execute(query).fetchone()
    return (micros(found[0]), micros(found[1])) if found and found[0] else None


def count(connection: Connection, period: Period) -> int:
    """How many events there are to play."""
    total = 0
    for name in period.departments:
        chosen, values = where(department(name), period)
        row = connection.execute(
            sql.SQL("select count(*) from {} where {}").format(sql.Identifier(f"{name}_event"), chosen),
            values | bounds(period.since_us, period.until_us),
        ).fetchone()
        total += row[0] if row else 0
    return total


def count_again(connection: Connection, period: Period) -> int:
    """How many duplicates and conflicts arrived in the minutes of the period, of whichever unit."""
    found = connection.execute(
        "select coalesce(sum(duplicate + conflict), 0)::bigint from ledger_1m "
        "where department = any(%(names)s) and minute >= date_trunc('minute', %(since)s) and minute < %(until)s",
        bounds(period.since_us, period.until_us) | {"names": [*period.departments]},
    ).fetchone()
    return found[0] if found else 0
