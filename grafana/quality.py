"""The data-quality panels, from the ledger and the freshness of sources: đúng, đủ, sạch, sống, and each source's state."""
# ruff: noqa: S608 - the text is made of our own declarations only; viewers send ids, never SQL

from grafana.board import ACCENT, UNKNOWN, WATCH, Panel, Query, color, columns, finish, listing
from grafana.sdk import common, common_model, stat
from grafana.sql import FROM, quoted
from streams.figures import Glass

RIGHT, COMPLETE, CLEAN, ALIVE = "đúng", "đủ", "sạch", "sống"
BALANCE = ("nhận", "đúng giờ", "muộn", "trùng", "xung đột", "giữ lại")


def _limits(glasses: tuple[Glass, ...]) -> str:
    rows = ", ".join(f"({quoted(d.name)}, {quoted(d.short)}, interval '{d.silent_after_seconds} seconds')" for d in glasses)
    return f"limits(department, label, silent_after) AS (VALUES {rows})"


def four_words(glasses: tuple[Glass, ...]) -> str:
    """One row: đúng, đủ, sạch in percent, sống in seconds.

    đúng: without contradicting repeats. đủ: share of the new facts of the last week that came from sources heard now.
    sạch: readable. sống: from arrival to commit of the newest batch.
    """
    return f"""WITH {_limits(glasses)}, today AS (
  SELECT sum(received) AS received, sum(conflict) AS conflict, sum(quarantined) AS quarantined
  FROM ledger JOIN limits USING (department) WHERE $__timeFilter(hour)
), usual AS (
  SELECT department, source, sum(on_time + late) AS n FROM ledger JOIN limits USING (department) WHERE hour >= {FROM} - interval '7 days' GROUP BY 1, 2
), heard AS (
  SELECT sum(n) FILTER (WHERE f.known_at > now() - silent_after) AS n, sum(n) AS of
  FROM usual JOIN limits USING (department) LEFT JOIN freshness f USING (department, source)
)
SELECT 100.0 * (received - conflict) / nullif(received, 0) AS {RIGHT},
  (SELECT 100.0 * coalesce(n, 0) / nullif(of, 0) FROM heard) AS {COMPLETE},
  100.0 * (received - quarantined) / nullif(received, 0) AS {CLEAN},
  (SELECT extract(epoch FROM committed_at - known_at) FROM freshness JOIN limits USING (department) ORDER BY committed_at DESC LIMIT 1) AS {ALIVE}
FROM today"""


def balance(glasses: tuple[Glass, ...]) -> str:
    """One row: nhận = đúng giờ + muộn + trùng + xung đột + giữ lại, of the range."""
    keys = ("received", "on_time", "late", "duplicate", "conflict", "quarantined")
    columns = ",\n  ".join(f'sum({key}) AS "{word}"' for key, word in zip(keys, BALANCE, strict=True))
    names = ", ".join(quoted(d.name) for d in glasses)
    return f"SELECT {columns}\nFROM ledger WHERE $__timeFilter(hour) AND department IN ({names})"


def sources(glasses: tuple[Glass, ...]) -> str:
    """A row per source: nguồn, ngành, tin mới nhất, nhận, muộn, trùng, giữ lại, tình trạng (1 heard, 0 silent); silent ones first."""
    return f"""WITH {_limits(glasses)}
SELECT coalesce(f.source, l.source) AS "nguồn", limits.label AS "ngành", f.known_at AS "tin mới nhất",
  l.received AS "nhận", l.late AS "muộn", l.duplicate AS "trùng", l.quarantined AS "giữ lại",
  CASE WHEN f.known_at > now() - limits.silent_after THEN 1 ELSE 0 END AS "tình trạng"
FROM (SELECT department, source, max(known_at) AS known_at FROM freshness GROUP BY 1, 2) AS f
FULL JOIN (
  SELECT department, source, sum(received) AS received, sum(late) AS late, sum(duplicate) AS duplicate, sum(quarantined) AS quarantined
  FROM ledger WHERE $__timeFilter(hour) GROUP BY 1, 2
) AS l USING (department, source)
JOIN limits USING (department)
ORDER BY "tình trạng", 2, 1 LIMIT 12"""


def words(glasses: tuple[Glass, ...], title: str = "Dữ liệu hôm nay") -> Panel:
    """đúng, đủ, sạch, sống of these departments' data, and the balance of the ledger below."""
    panel = (
        stat.Panel()
        .title(title)
        .description(
            "đúng: không mâu thuẫn với bản đã nhận. đủ: phần tin mới thường có từ các nguồn đang có tín hiệu. "
            "sạch: đọc được. sống: từ lúc nhận đến lúc ghi xong lô mới nhất."
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


def states(glasses: tuple[Glass, ...], title: str = "Nguồn dữ liệu") -> Panel:
    """A table of the sources: when heard last, what they sent today, and whether they are silent."""
    whole = {"unit": "locale", "decimals": 0}
    state = {
        "0": {"text": "mất tín hiệu", "color": WATCH, "index": 1},
        "1": {"text": "có tín hiệu", "color": ACCENT, "index": 0},
    }
    return listing(
        title,
        sources(glasses),
        {
            "tin mới nhất": {"unit": "time:DD/MM HH:mm:ss"},
            "nhận": whole,
            "muộn": whole,
            "trùng": whole,
            "giữ lại": whole,
            "tình trạng": {"mappings": [{"type": "value", "options": state}], "custom.cellOptions": {"type": "color-text"}},
        },
        form="states",
    )
