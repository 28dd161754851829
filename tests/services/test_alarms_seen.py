"""Alarms on the glass: the list of a board says what is open, who took it, and whether anybody watches; now, and as of a minute gone by."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from deploy.embedded.parts import Parts
from streams.event import VIETNAM
from streams.settings import Settings
from tests import chrome, duty
from tests.duty import Desk
from tests.wall_door import Door

OVERVIEW, OPERATIONS = "/d/ioc-overview", "/d/ioc-operations"


@pytest.fixture(scope="module")
def wall(settings: Settings, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Everyone who reaches it may look: a desk of its own on loopback."""
    with duty.door(duty.prepared(settings, parts), tmp_path_factory.mktemp("open"), requests_per_second=1000) as found:
        yield found


@pytest.fixture
def desk(parts: Parts, wall: Door) -> Desk:
    """No rule, no alarm."""
    made = Desk(parts.dsn)
    made.empty()
    return made


def listed(page: Page) -> Locator:
    return page.locator(".tile[data-type=alertlist]")


def test_open_alarms_are_listed_the_worst_first_with_places_value_and_who_took_them(browser: Browser, wall: Door, desk: Desk) -> None:
    desk.beats()
    rule = desk.rule()
    desk.alarm(rule, "Chỉ để biết", "", severity="info", minutes_ago=1)
    taken = desk.alarm(desk.rule("taken-one"), "Đã có người nhận", "38001", minutes_ago=3)
    desk.run("update alarm set acknowledged_at = now(), acknowledged_by = 'Lan' where id = %s", taken)
    desk.alarm(desk.rule("failing-two"), "Thanh toán lỗi nhiều", "38001", "38002", "38003", "38012", "38024")
    desk.close(desk.alarm(desk.rule("over"), "Đã hết", "38001"))
    with chrome.shown(browser, wall.url, OVERVIEW) as page:
        rows = listed(page).locator(".alarms > li")
        expect(rows.locator(".title")).to_have_text(["Thanh toán lỗi nhiều", "Đã có người nhận", "Chỉ để biết"])
        expect(rows.locator(".severity")).to_have_text(["khẩn cấp", "khẩn cấp", "lưu ý"])
        expect(rows.nth(0).locator(".said")).to_contain_text(" · 12,5 % · chưa ai nhận · BVĐK")
        expect(rows.nth(0).locator(".said")).to_contain_text("và 2 nơi khác")
        expect(rows.nth(1).locator(".said")).to_contain_text("Lan đã nhận lúc")
        marks = rows.locator(".severity").evaluate_all("all => all.map((one) => getComputedStyle(one, '::before').content)")
        assert len({*marks}) == 2, "how bad is told by shape too"


def test_an_alarm_that_opens_and_ends_is_seen_without_a_reload_and_said_once(browser: Browser, wall: Door, desk: Desk) -> None:
    desk.beats()
    rule = desk.rule()
    with chrome.shown(browser, wall.url, OPERATIONS) as page:
        expect(listed(page)).to_contain_text("Không có cảnh báo")
        opened = desk.alarm(rule, "Thanh toán lỗi nhiều", "38001")
        expect(listed(page).locator(".title")).to_have_text("Thanh toán lỗi nhiều")
        expect(page.locator("#announce")).to_have_text("Cảnh báo mới: Thanh toán lỗi nhiều")
        desk.close(opened)
        expect(listed(page)).to_contain_text("Không có cảnh báo")


def test_an_empty_list_says_when_nobody_watches(browser: Browser, wall: Door, desk: Desk) -> None:
    with chrome.shown(browser, wall.url, OPERATIONS) as page:
        expect(listed(page)).to_contain_text("Chưa có quy tắc cảnh báo nào")
        desk.rule()
        expect(listed(page)).to_contain_text("bộ đánh giá cảnh báo chưa chạy lần nào")
        desk.beats(seconds_ago=300)
        since = (datetime.now(VIETNAM) - timedelta(seconds=300)).strftime("%H:%M")
        expect(listed(page)).to_contain_text(f"bộ đánh giá cảnh báo không chạy từ {since}")
        expect(listed(page)).to_contain_text("không có nghĩa là mọi việc đều ổn")
        desk.beats()
        expect(listed(page)).to_contain_text("Không có cảnh báo")


def test_the_past_shows_the_alarms_that_were_open_then(browser: Browser, wall: Door, desk: Desk) -> None:
    desk.beats()
    ended = desk.alarm(desk.rule(), "Đã hết từ lâu", "38001", minutes_ago=90)
    desk.run("update firing set until = now() - interval '40 minutes' where alarm = %s", ended)
    desk.run("update alarm set closed_at = now() - interval '40 minutes' where id = %s", ended)
    desk.alarm(desk.rule("newer"), "Mới đây", "38001", minutes_ago=20)
    at = (datetime.now(VIETNAM) - timedelta(minutes=60)).strftime("%Y-%m-%dT%H:%M")
    with chrome.shown(browser, wall.url, f"{OVERVIEW}?at={at}") as page:
        expect(listed(page).locator(".title")).to_have_text("Đã hết từ lâu")
        expect(listed(page)).not_to_contain_text("không chạy")


def test_the_public_is_not_shown_alarms(
    wall: Door, desk: Desk, settings: Settings, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk.alarm(desk.rule(), "Không dành cho công chúng", "38001")
    own = settings.model_copy(update={"space": duty.SPACE})
    with duty.door(own, tmp_path_factory.mktemp("public"), login=["link"], public=["ioc-overview"]) as open_to_some:
        panels = open_to_some.get("/api/boards/ioc-overview").json()["panels"]
        number = next(panel["id"] for panel in panels if panel["type"] == "alertlist")
        said = open_to_some.get(f"/api/boards/ioc-overview/panels/{number}")
        assert said.json() == {"frames": [], "withheld": True}
        inside = open_to_some.get(f"/api/boards/ioc-overview/panels/{number}", open_to_some.token("cookie"))
        assert "Không dành cho công chúng" in inside.text
