"""The words boards are made of: tile, trend, days, ranking, several, states, note; each gives one panel of classic Grafana JSON."""

from collections.abc import Mapping
from typing import Any

from grafana import sql
from grafana.layout import SOURCE, Panel, Query, plain
from grafana.sdk import (
    bargauge,
    builder,
    common,
    common_model,
    dashboard,
    model,
    stat,
    table,
    text,
    text_model,
    timeseries,
)
from streams.figures import Figure, Glass, Percentile, Share, Sum, Units

ACCENT, QUIET, WATCH, ALARM, GOOD = "#3dbcc8", "#7f93a3", "#f2a93b", "#f0725c", "#6fc38a"
UNKNOWN = "—"
SHADES = (ACCENT, WATCH, GOOD, "#b59ae0", QUIET)
"""Of lines that stand beside one another."""


def finish(panel: Any, **wall: object) -> Panel:
    """The panel as JSON; `wall` goes to options.ioc, which Grafana keeps and does not read."""
    made = plain(panel.datasource(model.DataSourceRef(type_val=SOURCE["type"], uid=SOURCE["uid"])).build())
    for gone in ("repeatDirection", "gridPos", "id"):
        made.pop(gone, None)
    for link in made.get("links", []):
        link.pop("placement", None)  # newer than Grafana 12.2
    told = {key: value for key, value in wall.items() if value is not None}
    if told:
        made["options"] = {**made.get("options", {}), "ioc": told}
    return made


def unit(figure: Figure) -> str:
    """Grafana's unit that writes every digit and the word after it: `14.037 hóa đơn`."""
    return "percent" if figure.format == "percent" else f"currency:financial: {figure.word}:suffix"


def decimals(figure: Figure) -> int:
    return 1 if figure.format in ("seconds", "percent") else 0


def steps(figure: Figure) -> builder.Builder[model.ThresholdsConfig]:
    steps = [model.Threshold(value=None, color=ACCENT)]
    if figure.watch_above is not None:
        steps.append(model.Threshold(value=figure.watch_above, color=WATCH))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def color(fixed: str | None) -> builder.Builder[model.FieldColor]:
    if fixed is None:
        return dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)
    return dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(fixed)


def drill(kind: str) -> dict[str, str]:
    """The data link to the drill-down board of a kind of units; the query gives the unit's code in the column `unit`."""
    return {"title": "Xem chi tiết", "url": f"/d/ioc-{kind}?var-unit=${{__data.fields.unit}}"}


def linked(panel: Panel, kind: str) -> Panel:
    """The panel, its values leading to the drill-down board of a kind of units."""
    defaults = panel["fieldConfig"]["defaults"]
    return {**panel, "fieldConfig": {**panel["fieldConfig"], "defaults": {**defaults, "links": [drill(kind)]}}}


def _tile(glass: Glass, figure: Figure, title: str, calc: str, column: str, *queries: Query) -> Any:
    panel = (
        stat.Panel()
        .title(title)
        .description(figure.definition)
        .unit(unit(figure))
        .decimals(decimals(figure))
        .no_value(UNKNOWN)
        .thresholds(steps(figure))
        .color_scheme(color(None if figure.watch_above is not None else ACCENT))
        .reduce_options(common.ReduceDataOptions().values(False).calcs([calc]).fields(f"/^{column}$/"))
        .graph_mode(common_model.BigValueGraphMode.AREA)
        .color_mode(common_model.BigValueColorMode.NONE)
        .text_mode(common_model.BigValueTextMode.VALUE)
        .links([dashboard.DashboardLink(glass.label).type(model.DashboardLinkType.LINK).url(f"/d/ioc-{glass.name}")])
    )
    for query in queries:
        panel = panel.with_target(query)
    return panel


def tile(glass: Glass, figure: Figure, title: str | None = None, where: str = "") -> Panel:
    """One figure of today, large, with its curve: through the day where it adds up over minutes, else over fourteen days.
    where: sql.HERE for the chosen unit only, which percentiles do not know."""
    said = title or figure.label
    told = {"department": glass.name, "figure": figure.name}
    if isinstance(figure.measured, Sum) and figure.measured.per == 1:  # parts of minutes would be lost slot by slot
        query = Query(sql.through_the_day(glass, figure, where))
        panel = _tile(glass, figure, said, "sum", sql.TODAY, query)
        return finish(panel, **told, form="day", good=figure.good, before=[sql.LAST_WEEK, sql.YESTERDAY])
    if isinstance(figure.measured, Percentile):
        whole = Query(sql.percentile_of_day(figure), "table")
        hours = Query(sql.percentile_by_hour(figure), ref="B")
        return finish(_tile(glass, figure, said, "lastNotNull", figure.label, whole, hours), **told, form="hours")
    if isinstance(figure.measured, Units):
        query = Query(sql.sites_by_day(glass, figure, 14, where))
        return finish(_tile(glass, figure, said, "last", sql.EVERY_DAY, query), **told, form="days", of=[sql.TAKING_PART, sql.NETWORK])
    if isinstance(figure.measured, Share):  # no events of one department explain it
        del told["figure"]
    query = Query(sql.day_by_day(glass, figure, 14, where))
    return finish(_tile(glass, figure, said, "last", sql.EVERY_DAY, query), **told, form="days")


def month(glass: Glass, figure: Figure) -> Panel:
    """One figure of this month so far, with its days."""
    whole, each = Query(sql.month_so_far(glass, figure), "table"), Query(sql.this_month(glass, figure), ref="B")
    panel = _tile(glass, figure, f"{figure.topic} tháng này", "lastNotNull", figure.topic, whole, each)
    return finish(
        panel,
        department=glass.name,
        figure=figure.name,
        form="month",
        good=figure.good,
        last_year=[sql.DAYS_OVER, sql.LAST_YEAR],
        plan=[sql.THIS_YEAR, sql.PLAN],
    )


def style(name: str, **values: object) -> tuple[str, list[model.DynamicConfigValue]]:
    return name, [model.DynamicConfigValue(id_val=key.replace("__", "."), value=value) for key, value in values.items()]


def slot(glass: Glass) -> str:
    """`10 phút`, `giờ`."""
    return "giờ" if glass.slot_minutes == 60 else f"{glass.slot_minutes} phút"


def trend(glass: Glass, figure: Figure, where: str = "") -> Panel:
    """The figure through the day, beside the same weekday of last week (dashed)."""
    earlier = {"mode": "fixed", "fixedColor": QUIET}
    panel = (
        timeseries.Panel()
        .title(f"{figure.topic}, mỗi {slot(glass)} (nét đứt: tuần trước)")
        .description(figure.definition)
        .unit(unit(figure))
        .decimals(decimals(figure))
        .min(0)
        .color_scheme(color(ACCENT))
        .line_width(2)
        .fill_opacity(22)
        .show_points(common_model.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(common_model.LegendDisplayMode.HIDDEN))
        .with_target(Query(sql.through_the_day(glass, figure, where)))
    )
    dashed = {"fill": "dash", "dash": [4, 6]}
    for name, values in (
        style(sql.LAST_WEEK, color=earlier, custom__lineStyle=dashed, custom__fillOpacity=0, custom__lineWidth=1),
        style(sql.YESTERDAY, custom__hideFrom={"viz": True, "legend": True, "tooltip": True}),
    ):
        panel = panel.override_by_name(name, values)
    return finish(panel, department=glass.name, figure=figure.name, form="day")


def looking_back(panel: Panel, over: str) -> Panel:
    """The panel with a range of its own in Grafana (`30d`, up to now): its axis would else be the board's, which is a day."""
    return {**panel, "timeFrom": over, "hideTimeOverride": True}


def days(glass: Glass, figure: Figure, count: int = 30, where: str = "") -> Panel:
    """The figure of each of the last days, as bars."""
    panel = (
        timeseries.Panel()
        .title(f"{figure.topic}, {count} ngày qua")
        .description(figure.definition)
        .unit(unit(figure))
        .decimals(decimals(figure))
        .min(0)
        .color_scheme(color(ACCENT))
        .draw_style(common_model.GraphDrawStyle.BARS)
        .fill_opacity(70)
        .line_width(0)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(common_model.LegendDisplayMode.HIDDEN))
        .with_target(Query(sql.day_by_day(glass, figure, count, where)))
    )
    return looking_back(finish(panel, department=glass.name, figure=figure.name, form="days"), f"{count}d")


def ranking(glass: Glass, figure: Figure, most: int = 8) -> Panel:
    """The units with most of it today, as bars."""
    panel = (
        bargauge.Panel()
        .title(f"{figure.topic} theo {glass.places}")
        .description(figure.definition)
        .unit(unit(figure))
        .decimals(decimals(figure))
        .min(0)
        .no_value(UNKNOWN)
        .color_scheme(color(ACCENT))
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().values(True).limit(most).calcs(["lastNotNull"]).fields(""))
        .with_target(Query(sql.by_unit(glass, figure, most), "table"))
        .override_by_name(*style(figure.label, displayName='${__data.fields["đơn vị"]}'))
    )
    return linked(finish(panel, department=glass.name, figure=figure.name), glass.place_kind)


def pairs(glass: Glass, figure: Figure, most: int = 8) -> Panel:
    """The pairs of units with most of it today."""
    styles: dict[str, dict[str, object]] = {
        figure.label: {"displayName": figure.topic, "unit": unit(figure), "decimals": decimals(figure)},
        "unit": {"custom.hidden": True},
    }
    made = listing(f"{figure.topic} theo cặp {glass.places}", sql.by_pair(glass, figure, most), styles)
    return {**made, "description": f"{figure.definition} Bên trái là nơi hỏi, bên phải là nơi hỗ trợ."}


def online(glass: Glass) -> Panel:
    """How many of the units there are were on line in the last minutes."""
    panel = (
        stat.Panel()
        .title(f"{glass.places[0].upper()}{glass.places[1:]} đang nối")
        .description(f"Số {glass.places} có hiệu lực hôm nay có điểm cầu được đo trong {sql.ONLINE_MINUTES} phút gần nhất, trên tổng số.")
        .unit(f"currency:financial: {glass.places}:suffix")
        .decimals(0)
        .no_value(UNKNOWN)
        .color_scheme(color(ACCENT))
        .reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields(""))
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.NONE)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        .with_target(Query(sql.online(glass), "table"))
    )
    return finish(panel)


def several(glass: Glass, figures: tuple[Figure, ...], title: str) -> Panel:
    """Several small figures of today in one panel."""
    panel = (
        stat.Panel()
        .title(title)
        .no_value(UNKNOWN)
        .color_scheme(color(ACCENT))
        .reduce_options(common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields(""))
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.NONE)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        .with_target(Query(sql.today(glass, figures), "table"))
    )
    for figure in figures:
        name, values = style(figure.label, unit=unit(figure), decimals=decimals(figure))
        panel = panel.override_by_name(name, values)
    return finish(panel, department=glass.name)


def note(content: str, title: str = "") -> Panel:
    """A few words in Markdown."""
    return finish(text.Panel().title(title).mode(text_model.TextMode.MARKDOWN).content(content))


def columns(panel: Any, styles: Mapping[str, Mapping[str, object]]) -> Any:
    """The panel with overrides by column name."""
    for name, values in styles.items():
        panel = panel.override_by_name(*style(name, **values))
    return panel


def listing(title: str, raw: str, styles: Mapping[str, Mapping[str, object]], **wall: object) -> Panel:
    """A table; styles: column -> Grafana's properties (unit, decimals, mappings, custom.*)."""
    panel = table.Panel().title(title).no_value(UNKNOWN).with_target(Query(raw, "table"))
    return finish(columns(panel, styles), **wall)


def alarms(title: str = "Cảnh báo") -> Panel:
    """The list of alarms. The wall shows those of our rules; a Grafana shows its own, which are the same rules where they were compiled for it."""
    options = {
        "viewMode": "list", "groupMode": "default", "groupBy": [], "maxItems": 20, "sortOrder": 3, "dashboardAlerts": False, "alertName": "",
        "alertInstanceLabelFilter": "", "stateFilter": {"firing": True, "pending": False, "noData": True, "normal": False, "error": True},
    }  # fmt: skip
    return {
        "type": "alertlist",
        "title": title,
        "description": "Cảnh báo đang mở, nặng nhất ở trên. Trống nghĩa là mọi quy tắc đã được xét và không có gì.",
        "options": options,
    }
