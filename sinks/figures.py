"""Figures, ledger and freshness as people and scripts are shown them (doors.md)."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from sinks import units
from sinks.archive.chain import events_name
from sinks.migrations import schema
from sinks.shares import shares
from streams.department import Department, department, departments
from streams.event import VIETNAM
from streams.figures import Held
from streams.lives import middle

By = Literal["total", "day", "hour", "minute", "unit", "kind", "pair"]
_GROUP: Mapping[str, sql.SQL] = {
    "total": sql.SQL("null::text"),
    "day": sql.SQL("(minute at time zone 'Asia/Ho_Chi_Minh')::date"),
    "hour": sql.SQL("date_trunc('hour', minute)"),
    "minute": sql.SQL("minute"),
    "unit": sql.SQL("nullif(place, '')"),
    "kind": sql.SQL("kind"),
    "pair": sql.SQL("case when kind like '%%>%%' then unit || '>' || split_part(kind, '>', 2) end"),
}
Connection = psycopg.Connection[Any]
EVER = datetime(2200, 1, 1, tzinfo=UTC)
NEVER = datetime(1900, 1, 1, tzinfo=UTC)


class Places(NamedTuple):
    """As what a row counts by unit: from `since` up to `until`, what has the code counts as `place`; other rows as the code they have."""

    code: list[str]
    since: list[datetime]
    until: list[datetime]
    place: list[str]


def figures(
    connection: Connection,
    space: str,
    name: str,
    by: By,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None = None,
    places: Places | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The figures of a department between two instants (None: no bound), as `ioc figures` answers: a key without a value is null.

    as_of: from what was known before that whole minute (None: now). Then members are known by whole days only, else they are null.
    places: as which units codes count (`sinks.byunit`).
    """
    chosen = department(name)
    with connection.transaction():
        connection.execute(sql.SQL("set local search_path = {}, public").format(sql.Identifier(schema(space))))
        bounds = {"since": since or NEVER, "until": until or EVER, "as_of": as_of or EVER}
        if places is not None:
            bounds |= {f"places_{key}": held for key, held in places._asdict().items()}
        rows = _sums(connection, chosen, by, bounds)
        if chosen.members and as_of:
            _members_then(connection, chosen, by, bounds, rows)
        elif chosen.members:
            _members(connection, chosen, by, bounds, rows)
        else:
            _distinct_units(connection, chosen, by, bounds, rows)
            if by in ("total", "day"):
                _sites(connection, space, chosen, by, bounds, rows)
        if chosen.histogram:
            _percentiles(connection, chosen, by, bounds, rows)
        if chosen.glass.online and by == "total" and rows:
            _online(connection, chosen, rows[None], as_of)
        if places is None:
            for share, found in shares(connection, chosen, by, bounds).items():
                for key, percent in found.items():
                    rows.setdefault(key, _empty(chosen))[share] = percent
        for name_held, cause in _held(chosen).items():
            _count_held(connection, chosen, by, bounds, rows, name_held, cause)
        said = "heard_1m where department = %(name)s and minute < %(as_of)s" if as_of else "heard where department = %(name)s"
        heard = connection.execute(
            sql.SQL("select max(committed_at), max(watermark) from {}").format(sql.SQL(said)), {"name": name, "as_of": as_of}
        ).fetchone()
    ordered = sorted(rows.items(), key=lambda item: (item[0] is None, str(item[0])))
    shown = [({} if by == "total" else {by: _key(key)}) | row for key, row in ordered]
    if by == "total" and not shown:
        shown = [_empty(chosen)]
    committed_at, watermark = heard or (None, None)
    return {"department": name, "space": space, "as_of": _text(as_of or committed_at), "watermark": _text(watermark), "rows": shown}


def _keys(chosen: Department) -> list[str]:
    keys = [*chosen.finish(dict.fromkeys(chosen.measures, 0)), chosen.distinct]
    keys += [f"{chosen.histogram}_p50", f"{chosen.histogram}_p95"] if chosen.histogram else []
    keys += ["online", "valid"] if chosen.glass.online else []
    keys += [share.name for share in chosen.glass.shares]
    return [*keys, *_held(chosen)]


def _held(chosen: Department) -> dict[str, str]:
    """Figures that count quarantined records: name -> cause."""
    return {figure.name: figure.measured.cause for figure in chosen.glass.figures if isinstance(figure.measured, Held)}


def _empty(chosen: Department) -> dict[str, Any]:
    return dict.fromkeys(_keys(chosen))


def _placed(table: str, bounds: Mapping[str, Any]) -> sql.Composed:
    """The rows of a table with minute and unit, and the `place` they count for."""
    if "places_code" not in bounds:
        return sql.SQL("(select *, unit as place from {}) t").format(sql.Identifier(table))
    return sql.SQL(
        "(select t.*, coalesce(p.place, t.unit) as place from {} t left join unnest(%(places_code)s::text[], %(places_since)s::timestamptz[], "
        "%(places_until)s::timestamptz[], %(places_place)s::text[]) p(code, since, until, place) "
        "on p.code = t.unit and t.minute >= p.since and t.minute < p.until) t"
    ).format(sql.Identifier(table))


def _sums(connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
    # `hits` of an invoice-like measure tells a group that has none (null) from one whose sum is 0.
    measures = sql.SQL(", ").join(
        sql.SQL("sum({0})::bigint as {0}, bool_or({0} <> 0) as {1}").format(sql.Identifier(m), sql.Identifier(f"has_{m}"))
        for m in chosen.measures
    )
    query = sql.SQL(
        "select {} as key, {} from {} where minute >= %(since)s and minute < %(until)s and known < %(as_of)s group by 1"
    ).format(_GROUP[by], measures, _placed(f"{chosen.name}_1m", bounds))
    rows: dict[Any, dict[str, Any]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for found in cursor.execute(query, bounds):
            if any(found[f"has_{m}"] for m in chosen.measures):
                rows[found["key"]] = _empty(chosen) | dict(chosen.finish({m: found[m] for m in chosen.measures}))
    return rows


def _members(connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    table = _placed(f"{chosen.name}_{next(iter(chosen.life.states))}", bounds)
    query = sql.SQL("select {}, count(distinct member) from {} where minute >= %(since)s and minute < %(until)s group by 1").format(
        _GROUP[by], table
    )
    for key, n in connection.execute(query, bounds):
        rows.setdefault(key, _empty(chosen))[chosen.distinct] = n


def _members_then(connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    ends = [bounds[end] for end in ("since", "until") if bounds[end].year not in (1900, 2200)]
    if by not in ("total", "day") or any(end.astimezone(VIETNAM).time() != time() for end in ends):
        return
    query = sql.SQL(
        "select {}, count(distinct member) from (select day, member from {} where day >= (%(since)s at time zone 'Asia/Ho_Chi_Minh')::date "
        "and day < (%(until)s at time zone 'Asia/Ho_Chi_Minh')::date and known < %(as_of)s group by 1, 2 having sum(n) > 0) m group by 1"
    ).format(sql.SQL("day" if by == "day" else "null::text"), sql.Identifier(f"{chosen.name}_member_1d"))
    for key, n in connection.execute(query, bounds):
        rows.setdefault(key, _empty(chosen))[chosen.distinct] = n


def _distinct_units(connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    table = _placed(f"{chosen.name}_1m", bounds)
    query = sql.SQL(
        "select key, count(*) from (select {} as key, place from {} where minute >= %(since)s and minute < %(until)s and known < %(as_of)s and place <> '' "
        "group by 1, place having sum({}) > 0) n group by 1"
    ).format(_GROUP[by], table, sql.Identifier(chosen.measures[0]))
    found = dict(connection.execute(query, bounds).fetchall())
    for key, row in rows.items():
        row[chosen.distinct] = found.get(key, 0)


def _sites(
    connection: Connection, space: str, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]]
) -> None:
    """How many units of the department's network stood on the day (in total: the last day asked for), and how many of these took part."""
    told = connection.execute("select least(%(until)s - interval '1 microsecond', %(as_of)s, clock())", bounds).fetchone()
    last = told[0].astimezone(VIETNAM).date() if told else date.max
    query = sql.SQL(
        "select (minute at time zone 'Asia/Ho_Chi_Minh')::date, unit from {} where minute >= %(since)s and minute < %(until)s and known < %(as_of)s "
        "and unit <> '' group by 1, 2 having sum({}) > 0"
    ).format(sql.Identifier(f"{chosen.name}_1m"), sql.Identifier(chosen.measures[0]))
    seen = connection.execute(query, bounds).fetchall()
    held, kind = units.known(connection, space), chosen.glass.place_kind
    for key, row in rows.items():
        on = key if by == "day" else last
        network = {unit for unit in held.valid(kind, on).values() if not chosen.glass.network or unit.level in chosen.glass.network}
        taking = {held.version(kind, code, day): day for day, code in seen if by == "total" or day == on}
        there = {piece.unit for unit, day in taking.items() if unit for piece in held.pieces(unit, day, on)}
        row[f"{chosen.distinct}_valid"] = len(network) or None
        row[f"{chosen.distinct}_taking_part"] = len(network & there) if network else None


def _online(connection: Connection, chosen: Department, row: dict[str, Any], as_of: datetime | None) -> None:
    """`online`: of the units valid on the day how many were measured in the last three minutes, as of then; `valid`: how many there are."""
    query = sql.SQL(
        "with t as (select coalesce(%(as_of)s, clock()) as at), u as (select distinct code from unit, t where kind = %(kind)s and valid_from <= "
        "(at at time zone 'Asia/Ho_Chi_Minh')::date and (valid_to is null or valid_to >= (at at time zone 'Asia/Ho_Chi_Minh')::date)) "
        "select count(*) filter (where code in (select unit from {}, t where minute > at - interval '3 minutes' and minute <= at and known <= at "
        "group by 1 having sum({}) > 0)), count(*) from u"
    ).format(sql.Identifier(f"{chosen.name}_1m"), sql.Identifier(chosen.glass.online or ""))
    found = connection.execute(query, {"as_of": as_of, "kind": chosen.glass.place_kind}).fetchone()
    row["online"], row["valid"] = found or (None, None)


def _percentiles(connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    table = _placed(f"{chosen.name}_{chosen.histogram}_1m", bounds)
    query = sql.SQL(
        "select {}, bound, sum(n) from {} where minute >= %(since)s and minute < %(until)s and known < %(as_of)s group by 1, 2 having sum(n) <> 0 order by 1, 2"
    )
    spread: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for key, bound, n in connection.execute(query.format(_GROUP[by], table), bounds):
        spread[key].append((bound, int(n)))
    for key, counts in spread.items():
        row = rows.setdefault(key, _empty(chosen))
        for percent in (50, 95):
            row[f"{chosen.histogram}_p{percent}"] = percentile(counts, percent)


def percentile(counts: list[tuple[int, int]], percent: int) -> float | None:
    """The nearest-rank percentile of a histogram of (bound, n), ascending; None when it is empty. Off by 5 % at most."""
    total = sum(n for _, n in counts)
    rank, below = -(-total * percent // 100), 0
    for bound, n in counts:
        below += n
        if n and below >= rank:
            return round(middle(bound), 2)
    return None


def _count_held(
    connection: Connection, chosen: Department, by: By, bounds: Mapping[str, Any], rows: dict[Any, dict[str, Any]], figure: str, cause: str
) -> None:
    """Quarantined records: nothing in them can be trusted, so they stand at their arrival and without unit or kind."""
    place = {
        "unit": sql.SQL("null::text"),
        "kind": sql.SQL("null::text"),
        "pair": sql.SQL("null::text"),
        "minute": sql.SQL("date_trunc('minute', minute)"),
    }.get(by, _GROUP[by])
    query = sql.SQL(
        "select {}, count(*) from (select known_at as minute from quarantine where department = %(department)s and cause = %(cause)s "
        "and known_at >= %(since)s and known_at < %(until)s and known_at < %(as_of)s) n group by 1"
    ).format(place)
    for key, n in connection.execute(query, {**bounds, "department": chosen.name, "cause": cause}):
        rows.setdefault(key, _empty(chosen))[figure] = n
    for row in rows.values():
        row[figure] = row[figure] or 0


def ledger(
    connection: Connection, space: str, since: datetime | None, until: datetime | None, by: Literal["source", "hour"]
) -> dict[str, Any]:
    """Conservation of events: every row must balance, and the tables must hold what the ledger says (checked when no bound is given)."""
    with connection.transaction():
        connection.execute(sql.SQL("set local transaction isolation level repeatable read"))
        connection.execute(sql.SQL("set local search_path = {}, public").format(sql.Identifier(schema(space))))
        keys = "source, department" if by == "source" else "hour, source, department"
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                sql.SQL(
                    "select {keys}, sum(received)::bigint as received, sum(on_time)::bigint as on_time, sum(late)::bigint as late, "
                    "sum(duplicate)::bigint as duplicate, sum(conflict)::bigint as conflict, sum(quarantined)::bigint as quarantined "
                    "from ledger where hour >= %s and hour < %s group by {keys} order by {keys}"
                ).format(keys=sql.SQL(keys)),
                [since or datetime(1900, 1, 1, tzinfo=UTC), until or datetime(2200, 1, 1, tzinfo=UTC)],
            ).fetchall()
        wrong = [f"{r['department']}/{r['source']}: the parts do not sum to what was received" for r in rows if _parts(r) != r["received"]]
        if since is None and until is None:
            wrong += _audit(connection, space, rows)
    for row in rows:
        if "hour" in row:
            row["hour"] = _text(row["hour"])
    return {"balanced": not wrong, "wrong": wrong, "rows": rows}


def _parts(row: Mapping[str, Any]) -> int:
    return int(row["on_time"] + row["late"] + row["duplicate"] + row["conflict"] + row["quarantined"])


def _audit(connection: Connection, space: str, rows: list[dict[str, Any]]) -> list[str]:
    """The ledger against the tables, counted independently: raw events (and those that only the archive has), identities and quarantine."""
    wrong = []
    archived = dict(connection.execute("select chain, dropped from archived").fetchall())
    for chosen in departments():
        name = chosen.name
        said = sum(r["on_time"] + r["late"] for r in rows if r["department"] == name)
        held = connection.execute(sql.SQL("select count(*), count(distinct id) from {}").format(sql.Identifier(f"{name}_event"))).fetchone()
        known = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(f"{name}_identity"))).fetchone()
        gone = archived.get(events_name(name, space), 0)
        if held is None or known is None or not said - gone == held[0] == held[1] == known[0] - gone:
            wrong.append(f"{name}: the ledger says {said} events, the table holds {held}, identities {known}, only the archive {gone}")
    said = sum(r["quarantined"] for r in rows)
    found = connection.execute("select count(*) from quarantine").fetchone()
    if found is None or found[0] != said:
        wrong.append(f"quarantine: the ledger says {said}, the table holds {found}")
    return wrong


def _key(key: Any) -> Any:
    return key.isoformat() if type(key) is date else _text(key) if isinstance(key, datetime) else key


def _text(at: datetime | None) -> str | None:
    return at.astimezone(VIETNAM).isoformat() if at else None
