"""A province that looks alive: nine days of plausible figures in a space, for pictures and for what only shows with figures."""

import psycopg
from psycopg import sql

from sinks import communes, migrations, units
from sinks.derive import add_slots
from sinks.migrations import schema
from streams.department import department as declared
from streams.settings import Settings

SILENT = "38024"
"""The hospital of which no bank has told anything for four hours."""

_HOURS = "(0.06 + exp(-power((h - 9.3) / 1.9, 2)) + 0.75 * exp(-power((h - 15.2) / 1.7, 2)))"
_SLOTS = """
select t as minute, extract(epoch from (t at time zone 'Asia/Ho_Chi_Minh')::time) / 3600 as h, (t at time zone 'Asia/Ho_Chi_Minh')::date as day
from generate_series(date_trunc('day', now(), 'Asia/Ho_Chi_Minh') - interval '8 days', now(), interval '10 minutes') as t"""

_FIGURES = {
    "einvoice": ("commune", "n * 3, n, n - n / 40, n / 60, n / 90, n / 200, n / 300, n * 1830000, n * 166000", 900),
    "telehealth": ("hospital", "n, n * 9 / 10, n / 12, n * 1260, n / 7", 24),
    "payment": ("hospital", "n, n * 412500, n / 50, n / 70, n / 90", 90),
}


def fill(dsn: str, settings: Settings) -> None:
    """Put them in, through today up to now; every source was just heard, and one quality figure is not whole.

    Each unit has one at midnight, so that no hour of the day finds it empty. A space that has a now() of its own is filled up to that.
    """
    migrations.migrate(dsn, settings)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("set search_path = {}, pg_catalog, public").format(sql.Identifier(schema(settings.space))))
        units.load(connection, settings.space, *communes.given())
        connection.execute(
            "insert into seller (seller, unit, estimated) select md5(code)::uuid, successor, true from succession "
            "where kind = 'commune' and main and not whole on conflict do nothing"
        )
        connection.execute("select setseed(0.42)")
        for department, (kind, measures, size) in _FIGURES.items():
            _department(connection, department, kind, measures, size)
            _work(connection, department, size)
        _codes(connection)
        _heard(connection)


def _department(connection: psycopg.Connection[tuple[object, ...]], department: str, kind: str, measures: str, size: int) -> None:
    connection.execute(f"truncate {department}_1m, {department}_10m, {department}_1d")
    connection.execute(
        f"""insert into {department}_1m
        select minute, minute + interval '1 minute', code, 'thường', {measures} from (
          select minute, code, greatest(floor({size} * {_HOURS} * (0.7 + 0.6 * random()) * share)::bigint, (h = 0)::int) as n
          from ({_SLOTS}) as slot, (
            select code, power(row_number() over (order by md5(code)), -0.8) / 4 as share from unit where kind = %s and valid_to is null
          ) as place
        ) as counted where n > 0 and not (code is not distinct from %s and minute > now() - interval '4 hours')""".encode(),
        [kind, SILENT if department == "payment" else None],
    )
    connection.execute(add_slots(declared(department), f"{department}_1m"))
    columns = [
        row[0]
        for row in connection.execute(
            "select column_name from information_schema.columns where table_schema = current_schema and table_name = %s order by ordinal_position",
            [f"{department}_1d"],
        ).fetchall()
    ]
    sums = ", ".join(f"sum({name})" for name in columns[3:])
    connection.execute(
        f"insert into {department}_1d select (minute at time zone 'Asia/Ho_Chi_Minh')::date, unit, kind, {sums} from {department}_1m group by 1, 2, 3".encode()
    )


def _work(connection: psycopg.Connection[tuple[object, ...]], department: str, size: int) -> None:
    """The last day's batches, and what could not be read."""
    connection.execute("delete from batch where department = %s", [department])
    connection.execute("delete from quarantine where department = %s", [department])
    connection.execute(
        """insert into batch (department, events, first_time, last_time, committed_at, followed_at)
        select %s, ceil(%s * (0.2 + random())), at - interval '3 seconds', at - (0.2 + 0.9 * random()) * interval '1 second', at,
          at + (0.1 + 0.4 * random()) * interval '1 second'
        from generate_series(now() - interval '1 day', now(), interval '20 seconds') as at""",
        [department, size / 9],
    )
    connection.execute(
        """insert into quarantine select gen_random_uuid(), %(name)s, %(name)s || '-feed', now() - random() * interval '5 hours', cause, '', '', 900
        from (values ('contract', 19), ('json', 7), ('unsigned', 3)) as held(cause, n), generate_series(1, n)""",
        {"name": department},
    )


def _codes(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("truncate einvoice_code_seconds_1m")
    connection.execute(
        "insert into einvoice_code_seconds_1m select minute, known, unit, kind, 4 + (row_number() over ())::int %% 14, invoices "
        "from einvoice_1m where minute > now() - interval '1 day'".replace("%%", "%")
    )


def _heard(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("truncate heard, ledger, followed")
    sources = [
        ("einvoice", "tax-feed"),
        ("telehealth", "telehealth"),
        *(("payment", f"bank-{bank}") for bank in ("hdbank", "vnpay", "payos")),
    ]
    for department, source in sources:
        late = "interval '3 seconds'" if source != "bank-payos" else "interval '3 hours'"
        connection.execute(
            f"insert into heard select %s, %s, at, at - interval '1 second', at from (select now() - {late} as at) as moment".encode(),
            [department, source],
        )
        connection.execute(
            """insert into followed select department, date_trunc('minute', known_at), known_at, known_at + interval '0.4 seconds' from heard
            where department = %s order by known_at desc limit 1 on conflict do nothing""",
            [department],
        )
        connection.execute(
            """insert into ledger select %s, %s, hour, n + n / 20 + n / 50 + n / 400, n, n / 20, n / 50, 0, n / 400
            from (select hour, (1000 + 4000 * random())::bigint as n
              from generate_series(date_trunc('hour', now()) - interval '7 days', now(), interval '1 hour') as hour) as counted""",
            [department, source],
        )
