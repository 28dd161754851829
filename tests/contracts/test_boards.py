"""What every board promises: it is what the code builds, Grafana takes it, the wall can draw it, and its SQL avoids the known traps."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from grafana import build, lint
from grafana.layout import Board
from grafana.macros import Range, expand, period
from grafana.wall import assets, library
from streams.department import departments, glasses
from streams.errors import Misconfigured
from streams.figures import Figure, Glass, Held, Sum

BOARDS = {name: json.loads(text) for name, text in build.emitted().items()}
PANELS = [pytest.param(panel, id=f"{board['uid']}-{panel['id']}") for board in BOARDS.values() for panel in board["panels"]]
DAY = Range(datetime(2026, 4, 12, 18, tzinfo=UTC), datetime(2026, 4, 12, 20, tzinfo=UTC))

DOORS = {
    "einvoice": "messages invoices accepted rejected pending cancelled replaced value_vnd tax_vnd sellers code_seconds_p50 code_seconds_p95 "
    "unlisted flagged signed unsigned invalid",
    "telehealth": "sessions finished cancelled planned minutes sites not_telehealth",
    "telequality": "measured_minutes bad_minutes slow_minutes lossy_minutes sites",
    "payment": "receipts paid_vnd mismatched failed unknown refused hospitals refunds refunded_vnd matched unstated unnotified differs stated_vnd",
}


def test_the_files_are_what_the_code_builds() -> None:
    assert build.differing() == []


def test_a_file_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    build.write(tmp_path)
    changed = tmp_path / "ioc-overview.json"
    changed.write_text(changed.read_text(encoding="utf-8").replace("10s", "1s"), encoding="utf-8")
    (tmp_path / "ioc-strange.json").write_text("{}")
    assert build.differing(tmp_path) == ["ioc-overview.json", "ioc-strange.json"]


@pytest.mark.parametrize("name", DOORS)
def test_every_figure_of_the_doors_has_its_words(name: str) -> None:
    glass = next(glass for glass in glasses() if glass.name == name)
    assert sorted(figure.name for figure in glass.figures) == sorted(DOORS[name].split())
    assert all(figure.label and figure.word and figure.definition.endswith(".") for figure in glass.figures)
    assert {*glass.headline, glass.trend, glass.ranking} <= set(DOORS[name].split())


def test_every_department_has_a_board() -> None:
    assert {f"ioc-{department.name}.json" for department in departments()} < BOARDS.keys()


def invented() -> Glass:
    """A department that nobody wrote a line of board code for."""
    parcels = Figure("parcels", "Bưu gửi hôm nay", "bưu gửi", "Số bưu gửi đã phát.", Sum("parcels"))
    late = Figure("late_parcels", "Bưu gửi chậm", "bưu gửi", "Số bưu gửi phát chậm.", Sum("late_parcels"), good="less")
    wrong = Figure("refused", "Không đọc được", "bản ghi", "Bản ghi không đọc được.", Held("json"))
    return Glass("parcel", 9, "Bưu chính", "Bưu chính", "bưu cục", "office", 10, ("parcels",), "parcels", "parcels", (parcels, late, wrong))


def test_a_new_department_gets_everything_from_its_declaration_alone() -> None:
    made = {board.uid: board.json() for board in build.derived((*glasses(), invented()))}
    titles = {uid: [panel["title"] for panel in board["panels"]] for uid, board in made.items()}
    queries = {uid: json.dumps(board["panels"], ensure_ascii=False) for uid, board in made.items()}
    assert made["ioc-parcel"]["title"] == "Bưu chính"
    assert "Bưu gửi hôm nay" in titles["ioc-parcel"]
    assert "Bưu chính" in titles["ioc-quality"], "its quality tile"
    assert made["ioc-office"]["title"] == "Bưu cục", "its drill-down"
    assert "/d/ioc-office?var-unit=${__data.fields.unit}" in queries["ioc-parcel"], "its ranking leads there"
    assert "parcel_10m" in queries["ioc-office"]
    assert "kind = 'office'" in made["ioc-office"]["templating"]["list"][0]["query"]
    assert all("'parcel'" in queries[uid] for uid in ("ioc-quality", "ioc-operations", "ioc-daily"))
    assert "Bưu chính" in titles["ioc-daily"]
    whole = {"ioc-overview": BOARDS["ioc-overview.json"], **made}
    assert lint.check([(f"{uid}.json", board) for uid, board in whole.items()]) == []


def test_a_new_department_at_the_hospitals_joins_their_drill_down() -> None:
    glass = replace(invented(), places="bệnh viện", place_kind="hospital")
    made = {board.uid: board.json() for board in build.derived((*glasses(), glass))}
    assert "ioc-office" not in made
    assert "parcel_10m" in json.dumps(made["ioc-hospital"]["panels"])


def test_titles_and_uids_are_not_used_twice() -> None:
    assert len({board["title"] for board in BOARDS.values()}) == len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("uid", BOARDS)
def test_no_two_panels_of_a_board_have_one_title(uid: str) -> None:
    titles = [panel["title"] for panel in BOARDS[uid]["panels"]]
    assert len(set(titles)) == len(titles)


def test_boards_stand_in_the_order_they_are_read_in_and_strange_ones_after_them() -> None:
    departments = [f"ioc-{glass.name}" for glass in glasses()]
    order = ["ioc-overview", *departments, "ioc-hospital", "ioc-commune", "ioc-quality", "ioc-operations", "ioc-daily"]
    assert list(library.load(library.BOARDS)) == order
    assert sorted(["zoo", "a-board", *reversed(order)], key=library.rank) == [*order, "a-board", "zoo"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_what_the_reader_can_answer(panel: dict[str, Any]) -> None:
    for target in panel.get("targets", []):
        text = expand(target["rawSql"], DAY, {"unit": "38'001"})
        assert "$__" not in text
        assert "${" not in text
        assert "time_bucket(" not in text, "the reader need not see the schema of the extension"


def test_what_a_viewer_chooses_is_a_quoted_text() -> None:
    panel = next(panel for panel in BOARDS["ioc-hospital.json"]["panels"] if panel["type"] == "timeseries")
    assert "unit = '38''; drop table x; --'" in expand(panel["targets"][0]["rawSql"], DAY, {"unit": "38'; drop table x; --"})


def test_rankings_and_the_map_lead_to_the_drill_down() -> None:
    links = json.dumps(BOARDS["ioc-overview.json"]["panels"])
    assert "/d/ioc-hospital?var-unit=${__data.fields.unit}" in links
    assert "/d/ioc-commune?var-unit=${__data.fields.unit}" in links


def test_the_widths_of_a_row_must_fill_it() -> None:
    with pytest.raises(ValueError, match="add up to 24"):
        Board("x", "X").row(4, (12, {}))


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("$__timeFilter(ts)", "ts BETWEEN '2026-04-12T18:00:00Z' AND '2026-04-12T20:00:00Z'"),
        ("$__timeFrom()::timestamptz", "'2026-04-12T18:00:00Z'::timestamptz"),
        ("$__timeGroup(ts,'5m')", "time_bucket('300.000s',ts)"),
        ("$__timeGroup(ts, '5m', NULL)", "time_bucket('300.000s',ts)"),
        ("$__timeGroupAlias(ts,1h)", "time_bucket('3600.000s',ts) AS \"time\""),
        ("$__time(ts)", 'ts AS "time"'),
        ("$__timeEpoch(ts)", 'extract(epoch from ts) as "time"'),
        ("$__unixEpochFilter(n)", "n >= 1776016800 AND n <= 1776024000"),
        ("$__unixEpochFrom() + $__unixEpochTo()", "1776016800 + 1776024000"),
        ("$__unixEpochNanoFrom()", "1776016800000000000"),
        ("$__unixEpochGroup(n,'5m')", "floor((n)/300)*300"),
        ("'$__interval'", "'10s'"),
        ("$__interval_ms", "10000"),
        ("$1 and $f(x)", "$1 and $f(x)"),
    ],
)
def test_macros_become_what_grafana_makes_of_them(written: str, becomes: str) -> None:
    assert expand(written, DAY) == becomes


def test_an_unknown_macro_is_refused() -> None:
    with pytest.raises(Misconfigured, match="unknown macro"):
        expand("$__nothing(x)", DAY)


def test_a_day_is_a_vietnamese_day() -> None:
    late = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)  # 01:30 of the 23rd in Viet Nam
    found = period("now/d", "now/d", late)
    assert found.start == datetime(2026, 11, 22, 17, tzinfo=UTC)
    assert found.end == datetime(2026, 11, 23, 17, tzinfo=UTC) - timedelta(milliseconds=1)


def test_periods_are_read_as_grafana_reads_them() -> None:
    now = datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert period("now-24h", "now", now).start == now - timedelta(hours=24)
    assert period("now/M", "now", now).start == datetime(2026, 10, 31, 17, tzinfo=UTC)
    assert period("2026-11-21T00:00", "1795363200000", now).start == datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end"),
    [("now", "now-1h"), ("'; drop table x", "now"), ("now-900d", "now"), ("now-1h", "0 or 1"), ("99999999999999", "now"), ("now/x", "now")],
)
def test_a_strange_period_is_refused(start: str, end: str) -> None:
    with pytest.raises(Misconfigured):
        period(start, end, datetime(2026, 11, 22, tzinfo=UTC))


def test_what_viewers_see_of_a_board_holds_no_sql() -> None:
    for board in library.load(library.BOARDS).values():
        assert "SELECT" not in json.dumps(board.public)
        assert "rawSql" not in json.dumps(board.public)


def test_a_board_the_wall_cannot_draw_is_refused_at_start(tmp_path: Path) -> None:
    board = json.loads(json.dumps(BOARDS["ioc-overview.json"]))
    board["panels"][0]["type"] = "canvas"
    (tmp_path / "x.json").write_text(json.dumps(board))
    with pytest.raises(Misconfigured, match="cannot draw: canvas"):
        library.load(tmp_path)


def test_the_lock_of_the_walls_packages_names_no_registry() -> None:
    lock = json.loads((assets.HERE / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_pages_carry_no_script_or_style_of_their_own_and_ask_nobody_else() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in assets.STATIC.rglob("*") if path.suffix in (".html", ".css", ".js")}
    page = texts[assets.STATIC / "index.html"]
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*src=)", page)
    outside = [f"{path.name}: {found}" for path, text in texts.items() for found in re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}", text)]
    assert outside == ["dom.js: http://www.w3.org"], "only the name of the SVG namespace"


def test_the_provisioned_source_is_the_one_the_boards_name() -> None:
    folder = library.BOARDS.parent / "provisioning"
    source = (folder / "datasources" / "ioc.yaml").read_text(encoding="utf-8")
    assert "    uid: ioc-tsdb\n" in source
    assert "    type: grafana-postgresql-datasource\n" in source
    assert "timescaledb: true\n" in source, "quoted, Grafana cannot read it"
    assert "password: $IOC_DB_READER_PASSWORD\n" in source, "with braces it would be expanded twice"
    provider = (folder / "dashboards" / "ioc.yaml").read_text(encoding="utf-8")
    assert "allowUiUpdates: false\n" in provider
