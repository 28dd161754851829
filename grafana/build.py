"""Which boards there are: overview, departments, drill-downs, quality, operations, daily report, all from the declared figures; emitted to boards/*.json."""

import json
from pathlib import Path

from grafana import operations, places, quality, report
from grafana.board import alarms, days, month, online, pairs, ranking, several, tile, trend
from grafana.layout import Board, widths
from grafana.wall.library import BOARDS
from streams.department import department, glasses
from streams.figures import Glass


def overview() -> Board:
    """The whole province on one screen."""
    invoices, sessions, payments = (department(name).glass for name in ("einvoice", "telehealth", "payment"))
    return (
        Board("ioc-overview", "Trung tâm điều hành Thanh Hóa", ("ioc", "Toàn tỉnh"))
        .row(
            7,
            (6, tile(invoices, invoices.figure("invoices"))),
            (5, tile(sessions, sessions.figure("sessions"))),
            (6, tile(payments, payments.figure("paid_vnd"))),
            of=17,
        )
        .row(
            9,
            (11, trend(invoices, invoices.figure("invoices"))),
            (6, ranking(payments, payments.figure("paid_vnd"), 7)),
            of=17,
        )
        .beside(17, 0, places.province(invoices, invoices.figure("invoices"), payments, payments.figure("paid_vnd")))
        .row(
            8,
            (6, tile(invoices, invoices.figure("value_vnd"))),
            (5, month(sessions, sessions.figure("minutes"))),
            (6, quality.words(glasses())),
            (7, alarms()),
        )
    )


def of(glass: Glass) -> Board:
    """The board of a department; a new department gets it from its declaration alone."""
    headline = [glass.figure(name) for name in glass.headline]
    rest = tuple(figure for figure in glass.figures if figure.name not in glass.headline)
    main, ranked = glass.figure(glass.trend), glass.figure(glass.ranking)
    large = [
        *(tile(glass, figure) for figure in headline),
        *([online(glass)] if glass.online else []),
    ]
    beside = [pairs(glass, glass.figure(glass.pairs))] if glass.pairs else [tile(glass, share) for share in glass.shares]
    third = [*zip(widths(len(beside), 8), beside, strict=True)] if beside else []
    return (
        Board(f"ioc-{glass.name}", glass.label, ("ioc", glass.short))
        .row(7, *zip(widths(len(large)), large, strict=True))
        .row(9, (8 if third else 16, trend(glass, main)), (8, ranking(glass, ranked)), *third)
        .row(
            8,
            (9, several(glass, rest, "Chi tiết hôm nay")),
            (9, month(glass, glass.figure(glass.month)) if glass.month else days(glass, main)),
            (6, quality.words((glass,), "Dữ liệu của ngành hôm nay")),
        )
    )


def derived(shown: tuple[Glass, ...]) -> list[Board]:
    """What these departments get without a line of board code: boards, drill-downs, quality, operations, the daily report."""
    return [*(of(glass) for glass in shown), *places.boards(shown), quality.board(shown), operations.board(shown), report.board(shown)]


def boards() -> list[Board]:
    """Every board, the overview first."""
    return [overview(), *derived(glasses())]


def emitted() -> dict[str, str]:
    """File name -> text of each board."""
    return {f"{board.uid}.json": json.dumps(board.json(), ensure_ascii=False, indent=2) + "\n" for board in boards()}


def write(directory: Path = BOARDS) -> list[Path]:
    """Write every board's file, remove those no longer built; the files, sorted."""
    texts = emitted()
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return sorted(directory / name for name in texts)


def differing(directory: Path = BOARDS) -> list[str]:
    """Names of the files that are not what the code builds: changed, missing, or not built any more."""
    texts = emitted()
    there = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    return sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))
