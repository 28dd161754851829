"""The data-quality panels, from the ledger and the freshness of sources: đúng, đủ, sạch, sống, and each source's state."""
# ruff: noqa: S608 - the text is made of our own declarations only; viewers send ids, never SQL

from grafana.board import ACCENT, SHADES, UNKNOWN, WATCH, color, columns, finish, listing, looking_back
from grafana.layout import Board, Panel, Query, widths
from grafana.sdk import common, common_model, stat, statetimeline, timeseries
from grafana.sql import FROM, TO, ZONE, named, quoted
from streams.figures import Glass

RIGHT, COMPLETE, CLEAN, ALIVE = "đúng", "đủ", "sạch", "sống"
BALANCE = ("nhận", "đúng giờ", "muộn", "trùng", "xung đột", "giữ lại")

_STATES = [
    {
        "type": "value",
        "options": {"0": {"text": "mất tín hiệu", "color": WATCH, "index": 1}, "1": {"text": "có tín hiệu", "color": ACCENT, "index": 0}},
    }
]
_STATES_OF_SOURCES = [
    {
        "type": "value",
        "options": {
            "-1": {"text": "đã ngắt: quá nhiều bản ghi hỏng", "color": WATCH, "index": 2},
            "0": {"text": "mất tín hiệu", "color": WATCH, "index": 1},
            "1": {"text": "có tín hiệu", "color": ACCENT, "index": 0},
        },
    }
]
HEARD: dict[str, object] = {"mappings": _STATES_OF_SOURCES, "custom.cellOptions": {"type": "color-text"}}
"""The look of a column that is 1 where a source is heard, 0 where it is silent and -1 where its fuse has blown."""


def limits(glasses: tuple[Glass, ...]) -> str:
    rows = ", ".join(f"({quoted(d.name)}, {quoted(d.short)}, interval '{d.silent_after_seconds} seconds')" for d in glasses)
    return f"limits(department, label, silent_after) AS (VALUES {rows})"


def four_words(glasses: tuple[Glass, ...]) -> str:
    """One row: đúng, đủ, sạch in percent, sống in seconds.

    đúng: without contradicting repeats. đủ: share of the new facts of the last week that came from sources heard now.
    sạch: readable. sống: from the arrival of the newest event in the figures until it was there.
    """
    return f"""WITH {limits(glasses)}, today AS (
  SELECT sum(received) AS received, sum(conflict) AS conflict, sum(quarantined) AS quarantined
  FROM ledger JOIN limits USING (department) WHERE $__timeFilter(hour)
), usual AS (
  SELECT department, source, sum(on_time + late) AS n FROM ledger JOIN limits USING (department) WHERE hour >= {FROM} - interval '7 days' GROUP BY 1, 2
), heard AS (
  SELECT sum(n) FILTER (WHERE f.answers AND f.heard_at > now() - coalesce(f.speaks_within, silent_after)) AS n, sum(n) AS of
  FROM usual JOIN limits USING (department) LEFT JOIN freshness f USING (department, source)
)
SELECT 100.0 * (received - conflict) / nullif(received, 0) AS {RIGHT},
  (SELECT 100.0 * coalesce(n, 0) / nullif(of, 0) FROM heard) AS {COMPLETE},
  100.0 * (received - quarantined) / nullif(received, 0) AS {CLEAN},
  (SELECT extract(epoch FROM followed_at - known_at) FROM followed JOIN limits USING (department) ORDER BY known_at DESC, followed_at DESC LIMIT 1) AS {ALIVE}
FROM today"""


def balance(glasses: tuple[Glass, ...]) -> str:
    """One row: nhận = đúng giờ + muộn + trùng + xung đột + giữ lại, of the range."""
    keys = ("received", "on_time", "late", "duplicate", "conflict", "quarantined")
    columns = ",\n  ".join(f'sum({key}) AS "{word}"' for key, word in zip(keys, BALANCE, strict=True))
    names = ", ".join(quoted(d.name) for d in glasses)
    return f"SELECT {columns}\nFROM ledger WHERE $__timeFilter(hour) AND department IN ({names})"


def sources(glasses: tuple[Glass, ...], most: int = 12) -> str:
    """A row per source: nguồn, ngành, tin mới nhất, nhận, muộn, trùng, giữ lại, tình trạng (1 heard, 0 silent, -1 stopped by its fuse); those first."""
    return f"""WITH {limits(glasses)}
SELECT coalesce(f.source, l.source) AS "nguồn", limits.label AS "ngành", f.known_at AS "tin mới nhất",
  l.received AS "nhận", l.late AS "muộn", l.duplicate AS "trùng", l.quarantined AS "giữ lại",
  CASE WHEN fuse.blown_at IS NOT NULL THEN -1
    WHEN f.answers AND f.heard_at > now() - coalesce(f.speaks_within, limits.silent_after) THEN 1 ELSE 0 END AS "tình trạng"
FROM freshness AS f
FULL JOIN (
  SELECT department, source, sum(received) AS received, sum(late) AS late, sum(duplicate) AS duplicate, sum(quarantined) AS quarantined
  FROM ledger WHERE $__timeFilter(hour) GROUP BY 1, 2
) AS l USING (department, source)
LEFT JOIN fuse USING (department, source)
JOIN limits USING (department)
ORDER BY "tình trạng", 2, 1 LIMIT {most}"""


def words(glasses: tuple[Glass, ...], title: str = "Dữ liệu hôm nay") -> Panel:
    """đúng, đủ, sạch, sống of these departments' data, and the balance of the ledger below."""
    panel = (
        stat.Panel()
        .title(title)
        .description(
            "đúng: không mâu thuẫn với bản đã nhận. đủ: phần tin mới thường có từ các nguồn đang có tín hiệu. "
            "sạch: đọc được. sống: từ lúc nhận đến lúc tin mới nhất vào số liệu."
        )
        .unit("percent")
        .decimals(2)
        .no_value(UNKNOWN)
        .color_scheme(color(ACCENT))
        .reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields(f"/^({RIGHT}|{COMPLETE}|{CLEAN}|{ALIVE})$/"))
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.NONE)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        .with_target(Query(four_words(glasses), "table"))
        .with_target(Query(balance(glasses), "table", "B"))
    )
    panel = columns(
        panel,
        {
            COMPLETE: {"decimals": 1, "color": {"mode": "thresholds"}, "thresholds": _at_least(95)},
            ALIVE: {"unit": "s", "decimals": 1},
        },
    )
    return finish(panel, form="quality", balance=list(BALANCE))


def _at_least(good: float) -> dict[str, object]:
    return {"mode": "absolute", "steps": [{"value": None, "color": WATCH}, {"value": good, "color": ACCENT}]}


def states(glasses: tuple[Glass, ...], title: str = "Nguồn dữ liệu", most: int = 12) -> Panel:
    """A table of the sources: when heard last, what they sent today, and whether they are silent."""
    whole = {"unit": "locale", "decimals": 0}
    return listing(
        title,
        sources(glasses, most),
        {
            "tin mới nhất": {"unit": "time:DD/MM HH:mm:ss"},
            "nhận": whole,
            "muộn": whole,
            "trùng": whole,
            "giữ lại": whole,
            "tình trạng": HEARD,
        },
        form="states",
    )


def by_hour(glasses: tuple[Glass, ...]) -> str:
    """Columns time, metric, heard: for every hour of the last day and every source 1 where something came, else 0."""
    names = ", ".join(f"({quoted(d.name)}, {quoted(d.short)})" for d in glasses)
    return f"""SELECT hour AS time, label || ': ' || source AS metric, CASE WHEN coalesce(received, 0) > 0 THEN 1 ELSE 0 END AS heard
FROM (SELECT DISTINCT department, source FROM freshness) AS s JOIN (VALUES {names}) AS named(department, label) USING (department)
CROSS JOIN generate_series(date_trunc('hour', least({TO}, now()) - interval '23 hours'), least({TO}, now()), interval '1 hour') AS hour
LEFT JOIN ledger USING (department, source, hour)
ORDER BY 1, 2"""


def hours(glasses: tuple[Glass, ...]) -> Panel:
    """Which source was heard in which of the last 24 hours."""
    panel = (
        statetimeline.Panel()
        .title("Có tín hiệu theo giờ, 24 giờ qua")
        .description("Mỗi dòng một nguồn, mỗi ô một giờ: trong giờ đó có bản ghi nào đến không.")
        .no_value(UNKNOWN)
        .min(0)
        .mappings([])
        .show_value(common_model.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(common_model.LegendDisplayMode.HIDDEN))
        .with_target(Query(by_hour(glasses)))
    )
    made = finish(panel, form="hours")
    made["fieldConfig"]["defaults"]["mappings"] = _STATES
    return looking_back(made, "24h")


def by_day(glasses: tuple[Glass, ...], of: str) -> str:
    """Columns time and one per department: percent of `of` (late, duplicate, quarantined) among what was received, by day of a month."""
    each = ",\n  ".join(
        f"100.0 * sum({of}) FILTER (WHERE department = {quoted(d.name)}) / nullif(sum(received) FILTER (WHERE department = {quoted(d.name)}), 0) AS {named(d.short)}"
        for d in glasses
    )
    return f"""SELECT date_trunc('day', hour, '{ZONE}') AS time, {each}
FROM ledger WHERE hour BETWEEN {TO} - interval '30 days' AND {TO} GROUP BY 1 ORDER BY 1"""


def lines(title: str, raw: str, unit: str, glasses: tuple[Glass, ...], decimals: int = 1, said: str | None = None) -> Panel:
    """A line per department over time; the query's columns are named after them."""
    panel = (
        timeseries.Panel()
        .title(title)
        .unit(unit)
        .decimals(decimals)
        .min(0)
        .line_width(2)
        .fill_opacity(0)
        .show_points(common_model.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(common_model.LegendDisplayMode.LIST))
        .with_target(Query(raw))
    )
    if said is not None:
        panel.description(said)
    shades = {glass.short: {"color": {"mode": "fixed", "fixedColor": SHADES[i % len(SHADES)]}} for i, glass in enumerate(glasses)}
    return finish(columns(panel, shades), form="lines")


def shares(glasses: tuple[Glass, ...], of: str, title: str) -> Panel:
    """What part of the records was late, repeated or held, day by day."""
    return looking_back(lines(title, by_day(glasses, of), "percent", glasses, 2), "30d")


def board(glasses: tuple[Glass, ...]) -> Board:
    """The data of every department: how right, complete, clean and alive they are; a new department gets its tile by itself."""
    made = Board("ioc-quality", "Chất lượng dữ liệu", ("ioc", "Chất lượng"))
    for at in range(0, len(glasses), 4):
        row = glasses[at : at + 4]
        made.row(7, *((width, words((glass,), glass.label)) for width, glass in zip(widths(len(row)), row, strict=True)))
    return made.row(9, (10, hours(glasses)), (14, states(glasses, most=30))).row(
        9,
        (8, shares(glasses, "late", "Đến muộn, 30 ngày")),
        (8, shares(glasses, "duplicate", "Gửi trùng, 30 ngày")),
        (8, shares(glasses, "quarantined", "Giữ lại, 30 ngày")),
    )
