"""SQL of panels: what a declared figure reads from the views of the schema `board`. Macros as in Grafana, days are Vietnamese days."""
# ruff: noqa: S608 - the text is made of our own declarations only; viewers send ids, never SQL

from streams.figures import Daily, Figure, Glass, Held, Percentile, Share, Sum, Units
from streams.lives import GROWTH

ZONE = "Asia/Ho_Chi_Minh"
TODAY, YESTERDAY, LAST_WEEK, EVERY_DAY, HOURLY = "hôm nay", "hôm qua", "tuần trước", "mỗi ngày", "theo giờ"

DAYS_OVER, LAST_YEAR, THIS_YEAR, PLAN = "các ngày đã qua", "cùng kỳ năm trước", "từ đầu năm", "kế hoạch năm"

FROM, TO = "$__timeFrom()::timestamptz", "$__timeTo()::timestamptz"
DAY = f"({TO} AT TIME ZONE '{ZONE}')::date"
CHOSEN = "${unit:sqlstring}"
HERE = f" AND unit = {CHOSEN}"
"""Narrows a panel to the unit chosen on a drill-down board; the empty text takes the whole province."""


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def named(text: str) -> str:
    """A quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


def _sum(measured: Sum, of: str = "") -> str:
    total = f"sum({of}{measured.measure})"
    return total if measured.per == 1 else f"div({total}, {measured.per})"


def through_the_day(glass: Glass, figure: Figure, where: str = "") -> str:
    """Columns time, hôm nay, tuần trước, hôm qua: the figure in slots of `slot_minutes`; both earlier days moved onto this one.

    A slot without rows is 0 only where the ledger says that the department was heard in that hour; else it is null. where: HERE or nothing.
    """
    if not isinstance(figure.measured, Sum) or figure.measured.per != 1 or glass.slot_minutes % 10:
        raise TypeError(f"{figure.name} does not add up over slots of ten minutes")
    slot = f"{glass.slot_minutes} minutes"
    seen = "\n  UNION\n".join(
        f"  SELECT date_bin('{slot}', slot, timestamptz '2020-01-01Z') AS slot, {_sum(figure.measured)} AS n FROM {glass.name}_10m\n"
        f"  WHERE slot BETWEEN {FROM} - interval '{ago}' AND {TO} - interval '{ago}'{where} GROUP BY 1"
        for ago in ("0 days", "1 day", "7 days")
    )
    return f"""WITH seen AS (
{seen}
), heard AS (
  SELECT DISTINCT hour FROM ledger
  WHERE department = {quoted(glass.name)} AND received > 0 AND hour BETWEEN {FROM} - interval '7 days' AND {TO}
), known AS (
  SELECT slot, n FROM seen
  UNION ALL
  SELECT slot, 0 FROM heard, generate_series(hour, least(hour + interval '59 minutes', now()), interval '{slot}') AS slot
)
SELECT slot + ago AS time,
  sum(n) FILTER (WHERE ago = interval '0 days') AS {named(TODAY)},
  sum(n) FILTER (WHERE ago = interval '7 days') AS {named(LAST_WEEK)},
  sum(n) FILTER (WHERE ago = interval '1 day') AS {named(YESTERDAY)}
FROM known JOIN (VALUES (interval '0 days'), (interval '1 day'), (interval '7 days')) AS back(ago)
  ON slot + ago BETWEEN {FROM} AND {TO}
GROUP BY 1 ORDER BY 1"""


def _of_days(glass: Glass, figure: Figure) -> str:
    """The figure over the rows `d` of one day, null where there is none."""
    measured = figure.measured
    if isinstance(measured, Sum):
        return _sum(measured, "d.")
    if isinstance(measured, Units):
        return f"CASE WHEN count(d.day) > 0 THEN count(DISTINCT d.unit) FILTER (WHERE d.{measured.measure} > 0) END"
    if isinstance(measured, Daily):
        return f"max(d.{measured.measure})"
    raise TypeError(f"{figure.name} is not kept by day")


def _day_view(glass: Glass, figure: Figure) -> str:
    return figure.measured.view if isinstance(figure.measured, Daily) else f"{glass.name}_1d"


def day_by_day(glass: Glass, figure: Figure, days: int, where: str = "") -> str:
    """Columns time, mỗi ngày: the figure of each of the last `days` Vietnamese days, today last. where: HERE or nothing."""
    if isinstance(figure.measured, Share):
        return _share_by_day(glass, figure.measured, days, where)
    return f"""SELECT each::timestamp AT TIME ZONE '{ZONE}' AS time, {_of_days(glass, figure)} AS {named(EVERY_DAY)}
FROM generate_series({DAY} - {days - 1}, {DAY}, interval '1 day') AS each
LEFT JOIN {_day_view(glass, figure)} d ON d.day = each::date AND d.day BETWEEN {DAY} - {days - 1} AND {DAY}{where}
GROUP BY 1 ORDER BY 1"""


TAKING_PART, NETWORK = "tham gia", "mạng lưới"


def sites_by_day(glass: Glass, figure: Figure, days: int, where: str = "") -> str:
    """As `day_by_day`, of a figure that counts units; tham gia: those of them that are of the department's network on that day; mạng lưới: how many
    units that has."""
    if not isinstance(figure.measured, Units):
        raise TypeError(f"{figure.name} does not count units")
    of = _in_network(glass, "each::date")
    return f"""SELECT each::timestamp AT TIME ZONE '{ZONE}' AS time, {_of_days(glass, figure)} AS {named(EVERY_DAY)},
  count(DISTINCT u.code) FILTER (WHERE d.{figure.measured.measure} > 0) AS {named(TAKING_PART)},
  (SELECT count(*) FROM unit_ever u WHERE {of}) AS {named(NETWORK)}
FROM generate_series({DAY} - {days - 1}, {DAY}, interval '1 day') AS each
LEFT JOIN {_day_view(glass, figure)} d ON d.day = each::date AND d.day BETWEEN {DAY} - {days - 1} AND {DAY}{where}
LEFT JOIN unit_ever u ON u.code = d.unit AND {of}
GROUP BY each ORDER BY 1"""


def _share_by_day(glass: Glass, share: Share, days: int, where: str) -> str:
    """A day is null where no unit of the other department has anything."""
    within = f"day BETWEEN {DAY} - {days - 1} AND {DAY} AND unit IS NOT NULL{where}"
    return f"""SELECT each::timestamp AT TIME ZONE '{ZONE}' AS time, round(100 * sum(coalesce(p.n, 0)) / sum(w.n), 1)::float8 AS {named(EVERY_DAY)}
FROM generate_series({DAY} - {days - 1}, {DAY}, interval '1 day') AS each
LEFT JOIN (SELECT day, unit, sum({share.whole}) AS n FROM {share.of}_1d WHERE {within} GROUP BY 1, 2 HAVING sum({share.whole}) > 0) AS w
  ON w.day = each::date
LEFT JOIN (SELECT day, unit, sum({share.part}) AS n FROM {glass.name}_1d WHERE {within} GROUP BY 1, 2) AS p
  ON p.day = w.day AND p.unit = w.unit
GROUP BY 1 ORDER BY 1"""


def this_month(glass: Glass, figure: Figure) -> str:
    """Columns time, mỗi ngày: each day of this month up to today."""
    return f"""SELECT each::timestamp AT TIME ZONE '{ZONE}' AS time, {_of_days(glass, figure)} AS {named(EVERY_DAY)}
FROM generate_series(date_trunc('month', {DAY}::timestamp), {DAY}::timestamp, interval '1 day') AS each
LEFT JOIN {_day_view(glass, figure)} d ON d.day = each::date AND d.day BETWEEN date_trunc('month', {DAY}::timestamp)::date AND {DAY}
GROUP BY 1 ORDER BY 1"""


def month_so_far(glass: Glass, figure: Figure) -> str:
    """One row: the figure of this month up to today, named after its topic; of this month's days that are over, and of the same days
    of last year (null where last year's month was not watched from its first day); of this year, and what is planned for it (null where
    nothing is, or the year was not watched from its first day)."""
    if not isinstance(figure.measured, Sum):
        raise TypeError(f"{figure.name} does not add up over days")
    days, total = f"{glass.name}_1d", _sum(figure.measured)
    first = f"date_trunc('month', {DAY}::timestamp)::date"
    january, year = f"date_trunc('year', {DAY}::timestamp)::date", "- interval '1 year'"
    planned = f"department = {quoted(glass.name)} AND figure = {quoted(figure.name)} AND year = extract(year FROM {DAY})"
    return f"""SELECT
  (SELECT {total} FROM {days} WHERE day BETWEEN {first} AND {DAY}) AS {named(figure.topic)},
  (SELECT {total} FROM {days} WHERE day >= {first} AND day < {DAY}) AS {named(DAYS_OVER)},
  (SELECT {total} FROM {days} WHERE day >= {first} {year} AND day < {DAY} {year}
    AND EXISTS (SELECT FROM {days} WHERE day <= {first} {year})) AS {named(LAST_YEAR)},
  (SELECT {total} FROM {days} WHERE day BETWEEN {january} AND {DAY} AND EXISTS (SELECT FROM plan WHERE {planned})) AS {named(THIS_YEAR)},
  (SELECT value FROM plan WHERE {planned} AND EXISTS (SELECT FROM {days} WHERE day = {january})) AS {named(PLAN)}"""


def _percentile(measured: Percentile, column: str) -> str:
    """The percentile of the histogram rows `h(bound, n)`, one value per group of `column`; the bound below 0 holds exact zeros."""
    return f"""SELECT {column}, CASE WHEN min(bound) < 0 THEN 0 ELSE power({GROWTH}, min(bound) - 0.5) END AS value FROM (
  SELECT {column}, bound, sum(n) OVER (PARTITION BY {column} ORDER BY bound) AS upto, sum(n) OVER (PARTITION BY {column}) AS total FROM h
) AS c WHERE total > 0 AND upto >= {measured.at} * total GROUP BY 1"""


def percentile_of_day(figure: Figure) -> str:
    """One row, one column named after the figure's label: the percentile over the whole range."""
    measured = figure.measured
    if not isinstance(measured, Percentile):
        raise TypeError(f"{figure.name} is no percentile")
    return f"""WITH h AS (
  SELECT 0 AS part, bound, sum(n) AS n FROM {measured.view} WHERE $__timeFilter(minute) GROUP BY 2
)
SELECT value AS {named(figure.label)} FROM (
{_percentile(measured, "part")}
) AS p"""


def percentile_by_hour(figure: Figure) -> str:
    """Columns time, theo giờ."""
    measured = figure.measured
    if not isinstance(measured, Percentile):
        raise TypeError(f"{figure.name} is no percentile")
    return f"""WITH h AS (
  SELECT date_trunc('hour', minute) AS hour, bound, sum(n) AS n FROM {measured.view} WHERE $__timeFilter(minute) GROUP BY 1, 2
)
SELECT hour AS time, value AS {named(HOURLY)} FROM (
{_percentile(measured, "hour")}
) AS p ORDER BY 1"""


def today(glass: Glass, figures: tuple[Figure, ...]) -> str:
    """One row, one column per figure (named by its label): the figures of the day the range ends in."""
    added = [figure for figure in figures if isinstance(figure.measured, Sum | Units)]
    sums = ", ".join(f"{_of_days(glass, figure)} AS {figure.name}" for figure in added)
    each = (f"  {f'added.{figure.name}' if figure in added else _scalar(glass, figure)} AS {named(figure.label)}" for figure in figures)
    once = f"\nFROM (SELECT {sums} FROM {glass.name}_1d d WHERE d.day = {DAY}) AS added" if added else ""
    return "SELECT\n" + ",\n".join(each) + once


def _scalar(glass: Glass, figure: Figure) -> str:
    measured = figure.measured
    if isinstance(measured, Percentile):
        return f"({percentile_of_day(figure)})"
    if isinstance(measured, Held):
        within = f"department = {quoted(glass.name)} AND $__timeFilter(hour)"
        return (
            f"coalesce((SELECT sum(n) FROM quarantine WHERE {within} AND cause = {quoted(measured.cause)}),\n"
            f"    (SELECT 0 FROM ledger WHERE {within} AND received > 0 LIMIT 1))"
        )
    return f"(SELECT {_of_days(glass, figure)} FROM {_day_view(glass, figure)} d WHERE d.day = {DAY})"


_THIS_DAY = f"(now() AT TIME ZONE '{ZONE}')::date"
ESTIMATED = "ước tính"
_MARKED = f"name || CASE WHEN e.code IS NULL THEN '' ELSE ' ({ESTIMATED})' END AS name"
"""The name of a unit, marked where its figures rest in part on sellers placed by estimate."""


def _stands(day: str) -> str:
    return f"u.valid_from <= {day} AND (u.valid_to IS NULL OR u.valid_to >= {day})"


def _in_network(glass: Glass, day: str) -> str:
    """Whether `u` of unit_ever is of the department's network on a day."""
    levels = f" AND u.level IN ({', '.join(map(quoted, glass.network))})" if glass.network else ""
    return f"u.kind = {quoted(glass.place_kind)}{levels} AND {_stands(day)}"


def named_units(glass: Glass, alias: str = "u") -> str:
    """The units of a department as they are on the day the range ends in (of sellers: as they are now, for so are they registered): rows
    `alias(code, name, latitude, longitude)`."""
    registered = any(isinstance(figure.measured, Daily) for figure in glass.figures)
    day = _THIS_DAY if registered else DAY
    return (
        f"(SELECT code, {_MARKED}, latitude, longitude FROM unit_ever u LEFT JOIN estimated e USING (code)\n"
        f"  WHERE kind = {quoted(glass.place_kind)} AND {_stands(day)}) AS {alias}"
    )


def units(kind: str) -> str:
    """The choices of a drill-down board: every unit of a kind, by name."""
    return (
        f"SELECT code AS __value, {_MARKED.removesuffix(' AS name')} AS __text FROM unit LEFT JOIN estimated e USING (code)\n"
        f"WHERE kind = {quoted(kind)} ORDER BY name, code"
    )


def by_unit(glass: Glass, figure: Figure, most: int) -> str:
    """Columns đơn vị, the figure under its label, unit (its code, for drill-down): the units with most of it today, named as on that day."""
    if not isinstance(figure.measured, Sum):
        raise TypeError(f"{figure.name} does not add up by unit")
    return f"""SELECT coalesce(u.name, t.unit) AS "đơn vị", t.n AS {named(figure.label)}, t.unit AS unit FROM (
  SELECT unit, {_sum(figure.measured)} AS n FROM {glass.name}_1d WHERE day = {DAY} AND unit IS NOT NULL GROUP BY 1
) AS t
LEFT JOIN {named_units(glass)} ON u.code = t.unit
WHERE t.n > 0 ORDER BY t.n DESC, 1 LIMIT {most}"""


def by_pair(glass: Glass, figure: Figure, most: int) -> str:
    """Columns cặp, the figure under its label, unit (the asking one's code): the pairs of units with most of it today."""
    if not isinstance(figure.measured, Sum):
        raise TypeError(f"{figure.name} does not add up by pair")
    return f"""SELECT coalesce(a.name, t.unit, '—') || ' → ' || coalesce(b.name, t.other) AS "cặp", t.n AS {named(figure.label)}, t.unit AS unit FROM (
  SELECT unit, split_part(kind, '>', 2) AS other, {_sum(figure.measured)} AS n FROM {glass.name}_1d
  WHERE day = {DAY} AND position('>' IN kind) > 0 GROUP BY 1, 2
) AS t
LEFT JOIN {named_units(glass, "a")} ON a.code = t.unit
LEFT JOIN {named_units(glass, "b")} ON b.code = t.other
WHERE t.n > 0 ORDER BY t.n DESC, 1 LIMIT {most}"""


ONLINE, OF_ALL = "đang nối", "trên tổng số"
ONLINE_MINUTES = 3


def online(glass: Glass) -> str:
    """One row: of the units valid that day how many were measured in the last minutes (null while no source of the department is heard), and how
    many there are."""
    at = f"least({TO}, now())"
    lately = f"minute > {at} - interval '{ONLINE_MINUTES} minutes' AND minute <= {at}"
    return f"""SELECT CASE WHEN EXISTS (SELECT FROM freshness WHERE department = {quoted(glass.name)} AND heard_at > {at} - interval '{ONLINE_MINUTES} minutes')
  THEN count(*) FILTER (WHERE s.n > 0) END AS {named(ONLINE)}, nullif(count(*), 0) AS {named(OF_ALL)}
FROM unit_ever u
LEFT JOIN (SELECT unit, sum({glass.online}) AS n FROM {glass.name}_1m WHERE {lately} GROUP BY 1) AS s ON s.unit = u.code
WHERE {_in_network(glass, DAY)}"""


def on_the_map(glass: Glass, figure: Figure) -> str:
    """Columns unit, đơn vị, latitude, longitude and the figure under its label: every unit there is, null where nothing is known of it."""
    if not isinstance(figure.measured, Sum):
        raise TypeError(f"{figure.name} does not add up by unit")
    return f"""SELECT u.code AS unit, u.name AS "đơn vị", u.latitude, u.longitude, t.n AS {named(figure.label)}
FROM {named_units(glass)}
LEFT JOIN (SELECT unit, {_sum(figure.measured)} AS n FROM {glass.name}_1d WHERE day = {DAY} GROUP BY 1) AS t ON t.unit = u.code
WHERE u.latitude IS NOT NULL ORDER BY u.code"""


ON_THE_DAY, THE_DAY_BEFORE, A_WEEK_BEFORE, OF_THE_MONTH = "trong ngày", "hôm trước", "cùng thứ tuần trước", "từ đầu tháng"


def compared(glass: Glass, figures: tuple[Figure, ...], where: str = "") -> str:
    """A row per figure: chỉ tiêu, trong ngày, hôm trước, cùng thứ tuần trước, từ đầu tháng; null where a figure does not add up so.

    where: HERE or nothing; figures that have no unit are left out by the caller.
    """
    month = f"date_trunc('month', {DAY}::timestamp)::date"
    kept = {f.name: f.measured for f in figures if isinstance(f.measured, Sum | Units)}
    columns = ", ".join(
        f"sum({m.measure}) AS {n}" if isinstance(m, Sum) else f"count(DISTINCT unit) FILTER (WHERE {m.measure} > 0) AS {n}"
        for n, m in kept.items()
    )
    rows, others = [], []
    for place, figure in enumerate(figures):
        said = quoted(figure.topic if figure.format == "count" else f"{figure.topic} ({figure.word})")
        measured = figure.measured
        if isinstance(measured, Sum | Units):
            per, adds = (measured.per, "true") if isinstance(measured, Sum) else (1, "false")
            rows.append(f"({place}, {said}, {figure.name}::numeric, {per}, {adds})")
        else:
            others.append(f"UNION ALL SELECT {place}, {said}, ({_scalar(glass, figure)})::float8, NULL, NULL, NULL")
    days = ", ".join(
        f"div(sum(n) FILTER (WHERE day = {DAY} - {ago}), max(per))::float8 AS {named(word)}"
        for ago, word in ((0, ON_THE_DAY), (1, THE_DAY_BEFORE), (7, A_WEEK_BEFORE))
    )
    return f"""WITH d AS (
  SELECT day, {columns} FROM {glass.name}_1d WHERE day BETWEEN least({month}, {DAY} - 7) AND {DAY}{where} GROUP BY day
), f AS (
  SELECT place, said, {days}, div(sum(n) FILTER (WHERE adds AND day >= {month}), max(per))::float8 AS {named(OF_THE_MONTH)}
  FROM d, LATERAL (VALUES {", ".join(rows)}) AS v(place, said, n, per, adds) GROUP BY 1, 2
  {" ".join(others)}
)
SELECT said AS "chỉ tiêu", {", ".join(map(named, (ON_THE_DAY, THE_DAY_BEFORE, A_WEEK_BEFORE, OF_THE_MONTH)))} FROM f ORDER BY place"""
