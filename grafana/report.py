"""The daily report: a page of tables that prints well, every department in the same form."""

from grafana import quality, sql
from grafana.board import UNKNOWN, decimals, listing, note, unit
from grafana.layout import Board, Panel
from streams.figures import Glass

PERIODS = (("hôm qua", "now-1d/d", "now-1d/d"), ("hôm nay", "now/d", "now/d"), ("hôm kia", "now-2d/d", "now-2d/d"))
MOST = 10


def figures(glass: Glass) -> Panel:
    """Every figure of a department on the day of the report, beside the day before, the same weekday and the month."""
    whole = {"unit": "locale", "decimals": 0}
    words = (sql.ON_THE_DAY, sql.THE_DAY_BEFORE, sql.A_WEEK_BEFORE, sql.OF_THE_MONTH)
    return listing(glass.label, sql.compared(glass, glass.figures), dict.fromkeys(words, whole), department=glass.name)


def largest(glass: Glass) -> Panel:
    """The units with most of the figure that the department ranks by."""
    figure = glass.figure(glass.ranking)
    styles: dict[str, dict[str, object]] = {
        figure.label: {"displayName": figure.topic, "unit": unit(figure), "decimals": decimals(figure)},
        "unit": {"custom.hidden": True},
    }
    return listing(f"{figure.topic}: {MOST} {glass.places} cao nhất", sql.by_unit(glass, figure, MOST), styles, department=glass.name)


def board(glasses: tuple[Glass, ...]) -> Board:
    """The report of one day, yesterday's at first; made for paper: tables and words, a page per two departments."""
    made = Board("ioc-daily", "Báo cáo ngày", ("ioc", "Báo cáo"), PERIODS, refresh="1m")
    made.row(2, (24, note(f"Báo cáo của một ngày theo giờ Việt Nam. Dấu {UNKNOWN}: chưa biết, không phải là không có.", "Cách đọc")))
    for glass in glasses:
        made.row(max(9, 4 + len(glass.figures) * 3 // 5), (15, figures(glass)), (9, largest(glass)))
    return made.row(8, (8, quality.words(glasses, "Dữ liệu trong ngày")), (16, quality.states(glasses)))
