"""What the wall draws and how people go through it: panel kinds, the map, choices, links, keys, and what axe-core says of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from grafana.wall import assets, hub
from grafana.wall.hub import Hub, Viewer
from grafana.wall.library import View
from streams.errors import Retry
from streams.event import VIETNAM
from streams.settings import Settings
from tests import chrome, glass, lively
from tests.glass import Served

GALLERY = "/d/test-gallery"
UIDS = ["test-gallery", *sorted(path.stem for path in glass.BOARDS.glob("*.json"))]
SIZES = {"wall": (1920, 1080), "phone": (390, 844)}
AXE = assets.MODULES / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def wall(settings: Settings, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with glass.served(dsn, settings.model_copy(update={"space": "glass"}), tmp_path_factory.mktemp("boards")) as found:
        yield found


@pytest.fixture(scope="module")
def dsn(parts: Any) -> str:
    return str(parts.dsn)


@pytest.fixture(autouse=True)
def _just_heard(wall: Served, dsn: str) -> None:
    """However long the tests before took: nothing is old on the glass."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "update glass.heard set known_at = known_at + late, watermark = watermark + late, committed_at = committed_at + late "
            "from (select now() - interval '3 seconds' - max(known_at) as late from glass.heard) l"
        )


@contextmanager
def shown(browser: Browser, wall: Served, path: str = GALLERY, size: tuple[int, int] = (1920, 1080)) -> Iterator[Page]:
    """A page of the wall with everything on it."""
    with chrome.shown(browser, wall.url, path, *size) as page:
        glass.stands(page)
        yield page


def tile(page: Page, title: str) -> Any:
    return page.locator(".tile", has=page.locator("h2", has_text=title)).first


def test_every_kind_of_panel_is_drawn(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        gauge = tile(page, "Phiên hoàn thành")
        expect(gauge.locator(".value")).to_have_text(re.compile(r"^[\d,]+ %$"))
        expect(gauge.locator(".limit")).to_have_count(3)
        states = tile(page, "Tín hiệu của nguồn")
        expect(states.locator("li", has_text="bank-payos").locator(".piece")).to_have_count(2)
        expect(states.locator("li", has_text="bank-payos").locator(".piece[data-look=alarm]")).to_have_text("mất tín hiệu")
        expect(states.locator(".legend .mark")).to_have_count(3)
        expect(tile(page, "Hóa đơn theo vùng").locator(".legend .line")).to_have_text(["phía bắc", "phía nam"])
        expect(tile(page, "Bệnh viện hôm nay").locator("tbody tr")).not_to_have_count(0)
        expect(tile(page, "Bệnh viện hôm nay").locator("th")).to_have_text(["bệnh viện", "phiên", "hoàn thành"])
        expect(tile(page, "Đọc bảng này").locator("li")).to_have_count(2)
        expect(tile(page, "Đọc bảng này").locator("h3")).to_have_text(re.compile("^BVĐK "))
        expect(page.locator("[data-type=row] h2")).to_have_text("Chi tiết")


def test_no_rules_is_not_said_to_be_no_alarm(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        expect(tile(page, "Cảnh báo")).to_contain_text("Chưa có quy tắc cảnh báo nào")
        expect(tile(page, "Cảnh báo")).to_contain_text("không có nghĩa là mọi việc đều ổn")


def test_the_map_has_a_cell_per_commune_and_tells_its_figure(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        map = tile(page, "Hóa đơn theo xã")
        expect(map.locator(".cell")).to_have_count(166)
        expect(map.locator(".point")).to_have_count(27)
        named = map.locator(".cell[aria-label^='Xã Hiền Kiệt: ']")
        expect(named).to_have_attribute("aria-label", re.compile(r": ([\d.]+ hóa đơn|chưa có số liệu)$"))
        shares = map.locator(".cell").evaluate_all("cells => cells.map((cell) => parseFloat(cell.style.getPropertyValue('--share') || 0))")
        assert max(shares) == 100, "the commune with most of it has the full colour"
        assert len({round(share) for share in shares}) > 5
        named.locator("path").hover()
        expect(map.locator(".hover")).to_contain_text("Xã Hiền Kiệt")


def test_a_commune_with_sellers_placed_by_estimate_says_so_on_the_glass(browser: Browser, wall: Served) -> None:
    with shown(browser, wall, "/d/ioc-overview") as page:
        cells = tile(page, "theo xã").locator(".cell")
        expect(cells).to_have_count(166)
        expect(tile(page, "theo xã").locator(".cell[aria-label*='(ước tính): ']")).to_have_count(9)
        expect(tile(page, "theo xã").locator(".cell.estimated")).to_have_count(9)
        expect(tile(page, "theo xã").locator(".key .guess")).to_have_text("ước tính")
    with shown(browser, wall, "/d/ioc-commune") as page:
        expect(page.locator("select option", has_text="(ước tính)")).to_have_count(9)


def test_sites_are_told_of_the_network_that_stands_today(browser: Browser, wall: Served) -> None:
    with shown(browser, wall, "/d/ioc-telehealth") as page:
        expect(tile(page, "Bệnh viện có phiên khám").locator(".sub")).to_have_text(re.compile(r"^27/27\s*trong mạng lưới \(100 %\)$"))


def test_a_hospital_without_a_signal_is_told_by_shape_and_word(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        silent = page.locator(f".point[data-code='{lively.SILENT}']")
        expect(silent.locator(".ring")).to_have_count(1)
        expect(silent).to_have_attribute("aria-label", "BVĐK Thường Xuân: mất tín hiệu")


def test_a_click_on_the_map_leads_to_the_hospital(browser: Browser, wall: Served) -> None:
    with shown(browser, wall, f"{GALLERY}?theme=light") as page:
        page.locator(f".point[data-code='{lively.SILENT}'] .dot").click()
        expect(page.locator("h1")).to_have_text("Mọi loại ô: BVĐK Thường Xuân")
        assert f"var-unit={lively.SILENT}" in page.url
        assert "theme=light" in page.url, "how it looks stays"


def test_rows_of_rankings_and_tables_lead_on_and_never_out_of_the_house(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        link = tile(page, "nhiều phiên nhất").locator("li a").first
        href = link.get_attribute("href") or ""
        assert re.fullmatch(r"/d/test-gallery\?var-unit=380\d\d", href)
        rows = tile(page, "Bệnh viện hôm nay").locator("tbody tr").first
        expect(rows.locator("a")).to_have_count(1), "the link to example.com is no link here"
        link.click()
        expect(page.get_by_label("Bệnh viện", exact=True)).to_have_value(href[-5:])


def test_a_choice_changes_the_figures_and_the_address(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        page.get_by_label("Bệnh viện", exact=True).select_option("38012")
        page.wait_for_url("**var-unit=38012**")
        expect(tile(page, "Phiên khám của BVĐK Mường Lát").locator(".big")).to_have_text(re.compile(r"^\d+phiên$"))


def test_another_period_can_be_chosen_where_the_board_offers_it(browser: Browser, wall: Served) -> None:
    with shown(browser, wall) as page:
        page.get_by_label("Thời gian").select_option(label="7 ngày")
        page.wait_for_url("**from=now-6d**")
        page.wait_for_selector("html[data-ready]")
        expect(page.get_by_label("Thời gian").locator("option:checked")).to_have_text("7 ngày")
        page.get_by_label("Thời gian").select_option(label="tự chọn")
        page.get_by_label("từ ngày").fill("2026-11-01")
        page.get_by_label("đến ngày").fill("2026-11-03")
        page.get_by_label("đến ngày").dispatch_event("change")
        page.wait_for_url("**from=2026-11-01T00%3A00&to=2026-11-03T23%3A59**")


def test_an_address_that_asks_for_what_is_not_offered_says_so(browser: Browser, wall: Served) -> None:
    page = browser.new_page()
    page.goto(f"{wall.url}{GALLERY}?var-unit=nobody")
    expect(page.locator("h1")).to_have_text("Không có lựa chọn này")
    page.get_by_role("link", name="Xem bảng này").click()
    expect(page.locator(".tile")).not_to_have_count(0)
    page.close()


@pytest.mark.parametrize(
    "asked",
    [
        "board=test-gallery&var-unit=nobody",
        "board=test-gallery&var-unit=38001'+OR+'1'='1",
        "board=test-gallery&var-other=38001",
        "board=test-gallery&unit=38001",
        "board=test-gallery&from=now-900d&to=now",
        "board=test-gallery&from=x",
        "board=ioc-overview&from=now-7d&to=now",
        "board=ioc-overview&var-unit=38001",
    ],
)
def test_only_declared_choices_are_taken(wall: Served, asked: str) -> None:
    answer = httpx.get(f"{wall.url}/api/live?{asked}", timeout=20)
    assert answer.status_code == 400
    assert "select" not in answer.text.lower()


def test_choices_are_told_with_the_board(wall: Served) -> None:
    board = httpx.get(f"{wall.url}/api/boards/test-gallery?var-unit=38012&from=now-6d/d", timeout=20).json()
    (unit,) = board["variables"]
    assert unit["name"] == "unit"
    assert unit["label"] == "Bệnh viện"
    assert unit["current"] == "38012"
    assert len(unit["options"]) == 27
    assert board["from"] == "now-6d/d"
    assert "SELECT" not in str(board)


def test_viewers_cannot_make_the_server_keep_views_without_end(wall: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_VIEWS", 4)
    with httpx.Client(base_url=wall.url, timeout=20) as client:
        for number in range(38001, 38013):
            assert client.get(f"/api/boards/test-gallery/panels/3?var-unit={number}").status_code == 200
    assert wall.hub.views <= 4


def test_a_view_too_many_is_refused_while_every_other_has_its_screen(wall: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_VIEWS", 1)
    full = Hub({}, None)  # type: ignore[arg-type]  # nothing is read here
    view = View("a")
    full._read_at[view] = 0.0
    full._viewers.add(Viewer(view))
    with pytest.raises(Retry, match="too many different views"):
        full._room(View("b"))
    full._viewers.clear()
    full._room(View("b"))
    assert {*full._read_at} == {View("b")}


def test_the_wall_can_be_gone_through_by_keyboard_alone(browser: Browser, wall: Served) -> None:
    focused = "document.activeElement.closest('.tile')?.querySelector('h2').textContent ?? ''"
    with shown(browser, wall) as page:
        page.keyboard.press("ArrowRight")
        assert "Hóa đơn theo xã" in page.evaluate(focused), "the first arrow goes to where the tab key would"
        page.keyboard.press("ArrowRight")
        assert "Tín hiệu" in page.evaluate(focused) or "hoàn thành" in page.evaluate(focused)
        page.keyboard.press("ArrowLeft")
        assert "Hóa đơn theo xã" in page.evaluate(focused)
        page.keyboard.press("Enter")
        before = page.evaluate("document.activeElement.dataset.name")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.dataset.name") != before, "on the map, arrows go from place to place"
        expect(page.locator(".hover")).to_be_visible()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.classList.contains('tile')")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Phím tắt")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.keyboard.press("Escape")
        page.wait_for_url("**/d/ioc-overview")
        page.wait_for_selector("html[data-ready]")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/d/ioc-einvoice")


def test_only_changes_of_state_are_read_out(browser: Browser, wall: Served) -> None:
    with shown(browser, wall, "/d/ioc-overview") as page:
        expect(page.locator("[role=status]")).to_have_count(1)
        expect(page.locator("[role=status]")).to_have_attribute("aria-live", "polite")
        expect(page.locator("[role=status]")).not_to_be_empty()


def resized(page: Page, width: int, height: int) -> None:
    """Another window; everything in it is drawn anew."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))")


@pytest.mark.parametrize("uid", UIDS)
def test_axe_finds_nothing_serious_dark_or_light_on_a_wall_or_a_phone(browser: Browser, wall: Served, uid: str) -> None:
    serious = []
    with shown(browser, wall, f"/d/{uid}?theme=dark") as page:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for size, (width, height) in SIZES.items():
            resized(page, width, height)
            for theme in ("dark", "light"):
                page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                serious += [
                    (theme, size, each["id"], node["html"][:200], node["failureSummary"][:300])
                    for each in page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
                    if each["impact"] in ("serious", "critical")
                    for node in each["nodes"]
                ]
    assert serious == []


@pytest.mark.parametrize("uid", UIDS)
def test_head_and_tiles_stay_in_their_places_at_every_size(browser: Browser, wall: Served, uid: str) -> None:
    with shown(browser, wall, f"/d/{uid}") as page:
        for width, height in [(1280, 720), (1920, 1080), (3840, 2160)]:
            resized(page, width, height)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            clock = page.locator("#clock").bounding_box()
            assert clock is not None
            assert clock["x"] + clock["width"] <= width
            out = page.evaluate(
                "() => [...document.querySelectorAll('.tile > h2, .big, .value, .foot, .gauge, .states, .key, .table')]"
                ".filter((e) => e.scrollWidth > 1.01 * e.clientWidth + 3).map((e) => e.className + ': ' + e.textContent)"
            )
            assert out == [], width
        resized(page, *SIZES["phone"])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone is never scrolled sideways"


@pytest.mark.parametrize(
    ("today", "yesterday", "said"),
    [
        ([300, 900], [100, 100], "↑ 200 %so với hôm qua"),
        ([-700, 900], [100, 100], "chưa đủ số liệu ngày trước để so"),  # more was given back than came in
        ([300, 900], [-100, 100], "chưa đủ số liệu ngày trước để so"),
        ([3000, 900], [100, 100], "chưa đủ số liệu ngày trước để so"),
    ],
)
def test_a_day_below_zero_is_not_compared(browser: Browser, wall: Served, today: list[int], yesterday: list[int], said: str) -> None:
    drawn = """async ([today, yesterday]) => {
        const { stat } = await import('/static/panels/stat.js');
        const named = (name) => ({ name, type: 'number' }), box = document.createElement('div');
        const options = { graphMode: 'none', reduceOptions: { calcs: ['sum'], fields: '/^now$/' }, ioc: { form: 'day', before: ['week', 'before'] } };
        const frame = { fields: [{ name: 'time' }, ...['now', 'week', 'before'].map(named)], columns: [[0, 600], today, [null, null], yesterday] };
        document.body.append(box);
        stat(box, { options }, { from: 0, to: 1200, frames: [frame] }, 700);
        return box.querySelector('.sub').textContent;
    }"""
    with shown(browser, wall) as page:
        assert page.evaluate(drawn, [today, yesterday]) == said


@pytest.mark.parametrize(("then", "said"), [(None, "—so với cùng kỳ năm trước"), (2, "↑ 100 %so với cùng kỳ năm trước")])
def test_a_month_stands_beside_the_same_days_of_last_year(browser: Browser, wall: Served, dsn: str, then: int | None, said: str) -> None:
    month = "(date_trunc('month', now() at time zone 'Asia/Ho_Chi_Minh'))::date"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("delete from glass.telehealth_1d where day < now() - interval '200 days'")
        if then is not None:
            connection.execute(
                f"""insert into glass.telehealth_1d select {month} - interval '1 year', '38001', 'thường', sum(sessions), 0, 0, sum(seconds) / {then}, 0
                from glass.telehealth_1d where day >= {month} and day < (now() at time zone 'Asia/Ho_Chi_Minh')::date
                having count(*) > 0""".encode()
            )
    if datetime.now(VIETNAM).day == 1:
        said = "—so với cùng kỳ năm trước"  # no day of this month is over
    with shown(browser, wall, "/d/ioc-telehealth") as page:
        expect(tile(page, "Phút tư vấn từ xa tháng này").locator(".sub")).to_have_text(said)


def test_a_month_stands_beside_the_plan_of_its_year(browser: Browser, wall: Served, dsn: str) -> None:
    year = datetime.now(VIETNAM).year
    with psycopg.connect(dsn, autocommit=True) as connection:
        first = f"insert into glass.telehealth_1d values ('{year}-01-01', '38001', 'thử', 1, 0, 0, 60, 0) on conflict do nothing"
        connection.execute(first.encode())
        query = (
            "select div(sum(seconds), 60) from glass.telehealth_1d where day >= %s and day <= (now() at time zone 'Asia/Ho_Chi_Minh')::date"
        )
        reached = connection.execute(query, [f"{year}-01-01"]).fetchone()
        assert reached is not None
        connection.execute("insert into glass.plan values ('telehealth', 'minutes', %s, %s)", [year, int(reached[0]) * 4])
    try:
        with shown(browser, wall, "/d/ioc-telehealth") as page:
            expect(tile(page, "Phút tư vấn từ xa tháng này").locator(".sub")).to_have_text(re.compile("25 %kế hoạch năm$"))
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("delete from glass.plan")
            connection.execute("delete from glass.telehealth_1d where kind = 'thử'")
