"""Ninety days of figures as that many events would leave them, made by SQL in a database of their own: what `ioc boards test` measures on."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.embedded import timescale
from deploy.embedded.places import Say, locked
from sinks import communes, migrations, units
from sinks.derive import add_slots
from streams.department import NAMES, Department, department, departments
from streams.event import VIETNAM
from streams.figures import Held, Sum
from streams.settings import Settings

DAYS = 90
FORM = 5  # counts up when what is filled changes
SHARES = {"einvoice": 12, "payment": 4}  # parts of all events; any other department: OTHERS
OTHERS = 4
EVENTS_PER_SUBJECT = 3  # an invoice is sent, acknowledged, answered
_START_SECONDS = 300.0
_SHARED = ("ledger", "ledger_1m", "heard", "heard_1m", "asked_1m", "followed", "quarantine", "batch")
_BY_MINUTE = {
    "ledger_1m": "n, n - n / 50 - n / 40 - n / 2000, n / 50, n / 40, 0, n / 2000",
    "heard_1m": "minute + interval '58 seconds', minute + interval '57 seconds', minute + interval '58.2 seconds'",
    "asked_1m": "minute + interval '59 seconds', null, 2, null",
}
"""What the past is read from, minute by minute and source by source: the columns after department, source and minute."""

Connection = psycopg.Connection[Any]
Tell = Callable[[int], None]


@contextlib.contextmanager
def database(state_dir: Path, say: Say) -> Iterator[tuple[str, Settings]]:
    """A TimescaleDB of its own below `state_dir`, up to this code's tables: (DSN, its settings). It is ended afterwards, its data stay."""
    home = (state_dir / "boards").resolve()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = Settings(state_dir=home)
    with locked(home / "lock", _START_SECONDS, say):
        dsn = timescale.ensure(home, say)
        try:
            own = own.model_copy(update={"database": own.database.model_copy(update={"dsn": dsn})})
            migrations.migrate(dsn, own)
            yield dsn, own
        finally:
            timescale.stop(home)


def steps(names: Sequence[str] = NAMES) -> int:
    """How often `fill` tells that a step is done."""
    return DAYS * len(names)


def fill(dsn: str, settings: Settings, events: int, told: Tell, now: datetime | None = None, names: Sequence[str] = NAMES) -> bool:
    """Leave what about `events` events of the last ninety days would have left. False when the same was there already.

    names: only these departments', each as if the others' were there.
    """
    now = now or datetime.now(UTC)
    today = now.astimezone(VIETNAM).date()
    mark = f"{events} events up to {today}, form {FORM}: {', '.join(names)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        space = migrations.schema(settings.space)
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(space)))
        connection.execute("set synchronous_commit = off")
        held = connection.execute("select obj_description(%s::regnamespace)", [space]).fetchone()
        if held and held[0] == mark:
            return False
        connection.execute(sql.SQL("comment on schema {} is null").format(sql.Identifier(space)))
        _empty(connection)
        units.load(connection, settings.space, *communes.given())
        with ThreadPoolExecutor(len(names)) as pool:
            each = [pool.submit(_department, dsn, space, department(name), events, today, told) for name in names]
        for done in each:
            done.result()
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        connection.execute(sql.SQL("comment on schema {} is {}").format(sql.Identifier(space), sql.Literal(mark)))
    return True


def _tables(department: Department) -> Iterator[str]:
    yield from (f"{department.name}_1m", f"{department.name}_10m", f"{department.name}_1d")
    yield f"{department.name}_{next(iter(department.life.states))}"
    if department.histogram:
        yield f"{department.name}_{department.histogram}_1m"
    if department.members:
        yield f"{department.name}_member_1d"


def _department(dsn: str, space: str, department: Department, events: int, today: date, told: Tell) -> None:
    with psycopg.connect(dsn, autocommit=True, options=f"-c search_path={space},public -c synchronous_commit=off") as connection:
        _figures(connection, department, events, today, told)
        _quality(connection, department, events, today)


def _empty(connection: Connection) -> None:
    names = [*_SHARED, *(table for department in departments() for table in _tables(department))]
    connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(map(sql.Identifier, names))))


def _figures(connection: Connection, department: Department, events: int, today: date, told: Tell) -> None:
    shares = {each.name: SHARES.get(each.name, OTHERS) for each in departments()}
    a_day = max(1, events * shares[department.name] // sum(shares.values()) // DAYS)
    for ago in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=ago)
        midnight = datetime(day.year, day.month, day.day, tzinfo=VIETNAM)
        within = {"midnight": midnight, "n": a_day, "kind": department.glass.place_kind, "subjects": max(1, a_day // EVENTS_PER_SUBJECT)}
        with connection.transaction():
            connection.execute(_seen(), within)
            connection.execute(_minutes(department))
            if department.histogram:
                connection.execute(_spread(department))
            if department.members:
                connection.execute(_members(department), within)
                connection.execute(_members_of_day(department), {"day": day})
            connection.execute(_day(department), {"midnight": midnight, "day": day})
            connection.execute("drop table seen")
        told(1)
    connection.execute(add_slots(department, f"{department.name}_1m"))


def _seen() -> sql.SQL:
    """Events of a day: more of them by day than by night, a few large units, known up to some minutes later, a part corrected once."""
    return sql.SQL("""create temp table seen as
with place as materialized (select array_agg(code order by code) as codes from unit where kind = %(kind)s and valid_to is null)
select date_trunc('minute', %(midnight)s::timestamptz + interval '1 day' * (0.5 + 0.5 * sin((i::float8 / %(n)s - 0.5) * pi()) * (0.8 + 0.2 * x))) as minute,
  interval '1 minute' * (i %% 3) as minutes, codes[1 + floor(y * y * cardinality(codes))::int] as unit, 'kind ' || (i %% 4) as kind, i %% 3 = 0 as first, x, i
from place, (select i, abs(hashint8(i)::bigint) / 2147483649.0 as x, abs(hashint8(i * 7 + 1)::bigint) / 2147483649.0 as y
  from generate_series(0, %(n)s - 1) as i) as events""")


def _measures(department: Department) -> list[sql.Composed]:
    """What an event adds to each measure: money, seconds of a duration, or one for a part of the events."""
    said = {f.measured.measure: f for f in department.glass.figures if isinstance(f.measured, Sum)}
    out = []
    for place, name in enumerate(department.measures):
        figure = said.get(name)
        money = figure is not None and figure.format == "money"
        one = "case when first then (50000 + 4950000 * x * x)::bigint else 0 end" if money else f"(i % {3 * place or 1} = 0)::int"
        if figure is not None and isinstance(figure.measured, Sum) and figure.measured.per > 1:
            one = f"case when first then (900 * x)::bigint * {figure.measured.per} / 60 else 0 end"
        out.append(sql.SQL("sum({}) as {}").format(sql.SQL(one), sql.Identifier(name)))
    return out


def _minutes(department: Department) -> sql.Composed:
    return sql.SQL("insert into {} select minute, minute + minutes, unit, kind, {} from seen group by 1, 2, 3, 4 order by 1").format(
        sql.Identifier(f"{department.name}_1m"), sql.SQL(", ").join(_measures(department))
    )


def _spread(department: Department) -> sql.Composed:
    return sql.SQL(
        "insert into {} select minute, minute + minutes, unit, kind, 5 + (30 * x * x)::int, count(*) from seen where first group by 1, 2, 3, 4, 5 order by 1"
    ).format(sql.Identifier(f"{department.name}_{department.histogram}_1m"))


def _members(department: Department) -> sql.Composed:
    """One subject per three events, with the state as large as they are; sellers come back day after day."""
    return sql.SQL(
        "insert into {} select md5(i || %(midnight)s::text)::uuid, decode(repeat('00', 180), 'hex'), minute, unit, kind, "
        "md5('member ' || (20000 * x * x)::int)::uuid from seen where first order by minute"
    ).format(sql.Identifier(f"{department.name}_{next(iter(department.life.states))}"))


def _members_of_day(department: Department) -> sql.Composed:
    return sql.SQL(
        "insert into {} select %(day)s, md5('member ' || (20000 * x * x)::int)::uuid, min(minute), count(*) from seen where first group by 2"
    ).format(sql.Identifier(f"{department.name}_member_1d"))


def _day(department: Department) -> sql.Composed:
    sums = sql.SQL(", ").join(sql.SQL("sum({})").format(sql.Identifier(name)) for name in department.measures)
    return sql.SQL(
        "insert into {} select %(day)s, unit, kind, {} from {} where minute >= %(midnight)s and minute < %(midnight)s + interval '1 day' group by 2, 3"
    ).format(sql.Identifier(f"{department.name}_1d"), sums, sql.Identifier(f"{department.name}_1m"))


def _quality(connection: Connection, department: Department, events: int, today: date) -> None:
    """Ledger, freshness and quarantine of four sources: one in fifty late, one in forty repeated, one in two thousand held."""
    midnight = datetime(today.year, today.month, today.day, tzinfo=VIETNAM)
    causes = ["json", "contract", *(f.measured.cause for f in department.glass.figures if isinstance(f.measured, Held))]
    within = {
        "department": department.name, "first": midnight - timedelta(days=DAYS - 1), "last": midnight + timedelta(hours=23),
        "an_hour": max(40, events // DAYS // 24 // len(departments()) // 4), "held": max(10, events // 2000 // len(departments())), "causes": causes,
    }  # fmt: skip
    connection.execute(
        sql.SQL("""insert into ledger select %(department)s, %(department)s || '-' || source, hour, n, n - n / 50 - n / 40 - n / 2000, n / 50, n / 40, 0, n / 2000
from generate_series(1, 4) as source, generate_series(%(first)s::timestamptz, %(last)s, interval '1 hour') as hour, (values (%(an_hour)s)) as each(n)"""),
        within,
    )
    connection.execute(
        sql.SQL(
            """insert into heard select %(department)s, %(department)s || '-' || source, now(), now(), now() from generate_series(1, 4) as source"""
        ),
        within,
    )
    connection.execute(
        sql.SQL("""insert into followed select %(department)s, minute, minute, minute + interval '0.4 seconds'
from generate_series(%(first)s::timestamptz, now(), interval '1 minute') as minute"""),
        within,
    )
    for table, columns in _BY_MINUTE.items():
        connection.execute(
            sql.SQL("""insert into {} select %(department)s, %(department)s || '-' || source, minute, {}
from generate_series(%(first)s::timestamptz, now(), interval '1 minute') as minute, generate_series(1, 4) as source, (values (%(a_minute)s)) as each(n)""").format(
                sql.Identifier(table), sql.SQL(columns)
            ),
            {**within, "a_minute": max(1, events // DAYS // 1440 // len(departments()) // 4)},
        )
    connection.execute(
        sql.SQL("""insert into quarantine select md5(%(department)s || i)::uuid, %(department)s, %(department)s || '-' || (1 + i %% 4),
  %(first)s + (%(last)s - %(first)s) * (i::float8 / %(held)s), (%(causes)s::text[])[1 + i %% cardinality(%(causes)s::text[])],
  'as made for a measurement', repeat('x', 800), 600
from generate_series(1, %(held)s) as i"""),
        within,
    )
    connection.execute(
        sql.SQL("""insert into batch (department, events, first_time, last_time, committed_at, followed_at)
select %(department)s, 50, at - interval '2 seconds', at - interval '1 second', at, at + interval '0.4 seconds'
from (select %(first)s + (%(last)s - %(first)s) * (i::float8 / %(batches)s) as at from generate_series(1, %(batches)s) as i) as each"""),
        {**within, "batches": max(1000, events // 50 // len(departments()))},
    )
