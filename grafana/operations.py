"""The operators' panels: lag in seconds of event time, throughput, what is owed, quarantine by cause, the sources."""
# ruff: noqa: S608 - the text is made of our own declarations only; viewers send ids, never SQL

from grafana import quality
from grafana.board import ACCENT, UNKNOWN, WATCH, alarms, color, finish, listing
from grafana.layout import Board, Panel, Query
from grafana.sdk import bargauge, common, common_model, dashboard, model, stat
from grafana.sql import FROM, TO, named, quoted
from streams.causes import CAUSES
from streams.figures import Glass

SLOW_SECONDS = 60
PERIODS = (("6 giờ qua", "now-6h", "now"), ("24 giờ qua", "now-24h", "now"), ("7 ngày qua", "now-7d", "now"))


def _slot() -> str:
    """As long a slot as gives some 360 of them over the range, whole minutes."""
    return f"make_interval(mins => greatest(1, ceil(extract(epoch FROM {TO} - {FROM}) / 21600)::int))"


def _per_department(glasses: tuple[Glass, ...], of: str) -> str:
    return ",\n  ".join(f"{of} FILTER (WHERE department = {quoted(glass.name)}) AS {named(glass.short)}" for glass in glasses)


def lag(glasses: tuple[Glass, ...]) -> str:
    """One row, a column per department: seconds from the newest event time committed to now, of the source that is furthest."""
    each = ",\n  ".join(
        f"extract(epoch FROM now() - min(watermark) FILTER (WHERE department = {quoted(d.name)})) AS {named(d.short)}" for d in glasses
    )
    return f"SELECT {each}\nFROM freshness"


def lag_by_slot(glasses: tuple[Glass, ...]) -> str:
    """Columns time and one per department: seconds from the newest event of a batch to its commit, the worst batch of each slot."""
    worst = _per_department(glasses, "max(greatest(0, extract(epoch FROM committed_at - last_time)))")
    return f"SELECT date_bin({_slot()}, committed_at, timestamptz '2020-01-01Z') AS time,\n  {worst}\nFROM batch WHERE $__timeFilter(committed_at) GROUP BY 1 ORDER BY 1"


def throughput(glasses: tuple[Glass, ...]) -> str:
    """Columns time and one per department: new events committed per second."""
    share = _per_department(glasses, "sum(events)")
    seconds = f"extract(epoch FROM {_slot()})"
    each = ", ".join(f"{named(glass.short)} / {seconds} AS {named(glass.short)}" for glass in glasses)
    return (
        f"SELECT time, {each}\nFROM (\nSELECT date_bin({_slot()}, committed_at, timestamptz '2020-01-01Z') AS time,\n  {share}\n"
        "FROM batch WHERE $__timeFilter(committed_at) GROUP BY 1) AS slots ORDER BY 1"
    )


def followed(glasses: tuple[Glass, ...]) -> str:
    """Columns time and one per department: seconds from a commit to its figures, the worst batch of each slot."""
    worst = _per_department(glasses, "max(extract(epoch FROM followed_at - committed_at))")
    return f"SELECT date_bin({_slot()}, committed_at, timestamptz '2020-01-01Z') AS time,\n  {worst}\nFROM batch WHERE $__timeFilter(committed_at) GROUP BY 1 ORDER BY 1"


def owed(glasses: tuple[Glass, ...]) -> str:
    """One row, a column per department: committed batches whose figures still have to follow."""
    rows = ",\n  ".join(f"coalesce((SELECT batches FROM owed WHERE department = {quoted(d.name)}), 0) AS {named(d.short)}" for d in glasses)
    return f"SELECT {rows}"


def causes(glasses: tuple[Glass, ...]) -> str:
    """Columns nguyên nhân, bản ghi: what was held in the range, by department and cause, most first."""
    names = ", ".join(f"({quoted(d.name)}, {quoted(d.short)})" for d in glasses)
    words = ", ".join(f"({quoted(code)}, {quoted(sentence.removesuffix('.'))})" for code, sentence in CAUSES.items())
    return f"""SELECT label || ': ' || coalesce(said, cause) AS "nguyên nhân", sum(n) AS "bản ghi"
FROM quarantine JOIN (VALUES {names}) AS named(department, label) USING (department)
LEFT JOIN (VALUES {words}) AS words(cause, said) USING (cause)
WHERE $__timeFilter(hour) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"""


def sources(glasses: tuple[Glass, ...]) -> str:
    """A row per source: nguồn, ngành, tin mới nhất, trễ theo giờ sự kiện (seconds), tình trạng; silent ones first."""
    return f"""WITH {quality.limits(glasses)}
SELECT source AS "nguồn", label AS "ngành", known_at AS "tin mới nhất", watermark AS "giờ sự kiện",
  extract(epoch FROM now() - watermark) AS "trễ", CASE WHEN fuse.blown_at IS NOT NULL THEN -1
    WHEN answers AND heard_at > now() - coalesce(speaks_within, silent_after) THEN 1 ELSE 0 END AS "tình trạng"
FROM freshness JOIN limits USING (department) LEFT JOIN fuse USING (department, source) ORDER BY 6, 2, 1 LIMIT 40"""


def _several(title: str, said: str, raw: str, watch_above: float, unit: str, decimals: int) -> Panel:
    steps = [model.Threshold(value=None, color=ACCENT), model.Threshold(value=watch_above, color=WATCH)]
    panel = (
        stat.Panel()
        .title(title)
        .description(said)
        .unit(unit)
        .decimals(decimals)
        .no_value(UNKNOWN)
        .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(color(None))
        .reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields(""))
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        .with_target(Query(raw, "table"))
    )
    return finish(panel)


def _causes(glasses: tuple[Glass, ...]) -> Panel:
    panel = (
        bargauge.Panel()
        .title("Giữ lại theo nguyên nhân")
        .description("Bản ghi không đọc được trong khoảng thời gian đang xem, theo ngành và nguyên nhân; `ioc quarantine` xem và thử lại.")
        .unit("locale")
        .decimals(0)
        .min(0)
        .no_value(UNKNOWN)
        .color_scheme(color(WATCH))
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().values(True).limit(10).calcs(["lastNotNull"]).fields(""))
        .with_target(Query(causes(glasses), "table"))
    )
    return finish(panel)


def _sources(glasses: tuple[Glass, ...]) -> Panel:
    return listing(
        "Nguồn dữ liệu",
        sources(glasses),
        {
            "tin mới nhất": {"unit": "time:DD/MM HH:mm:ss"},
            "giờ sự kiện": {"unit": "time:DD/MM HH:mm:ss"},
            "trễ": {"unit": "s", "decimals": 0},
            "tình trạng": quality.HEARD,
        },
        form="states",
    )


def board(glasses: tuple[Glass, ...]) -> Board:
    """What operators look at; the last hours rather than the day."""
    return (
        Board("ioc-operations", "Vận hành hệ thống", ("ioc", "Vận hành"), PERIODS)
        .row(
            4,
            (
                16,
                _several(
                    "Trễ theo giờ sự kiện",
                    "Từ giờ của sự kiện mới nhất đã ghi đến bây giờ, theo ngành.",
                    lag(glasses),
                    SLOW_SECONDS,
                    "currency:financial: giây:suffix",
                    0,
                ),
            ),
            (
                8,
                _several(
                    "Lô còn nợ số liệu", "Lô đã ghi mà số liệu chưa tính xong.", owed(glasses), 100, "currency:financial: lô:suffix", 0
                ),
            ),
        )
        .row(
            9,
            (
                12,
                quality.lines(
                    "Sự kiện ghi mỗi giây",
                    throughput(glasses),
                    "currency:financial: /giây:suffix",
                    glasses,
                    said="Sự kiện mới được ghi, mỗi giây.",
                ),
            ),
            (
                12,
                quality.lines(
                    "Trễ lúc ghi",
                    lag_by_slot(glasses),
                    "s",
                    glasses,
                    said="Từ giờ của sự kiện mới nhất trong lô đến lúc ghi, lô chậm nhất.",
                ),
            ),
        )
        .row(
            9,
            (6, quality.lines("Từ lúc ghi đến số liệu", followed(glasses), "s", glasses, said="Lô chậm nhất.")),
            (5, _causes(glasses)),
            (7, _sources(glasses)),
            (6, alarms()),
        )
    )
