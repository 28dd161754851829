"""Duty at the wall: an alarm's page, taking it, silencing its rule; who may not is refused, and the role behind it can do nothing else."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from deploy.embedded.parts import Parts
from grafana.wall import access, assets
from sinks import migrations, roles
from streams.settings import Settings
from tests import duty
from tests.duty import Desk
from tests.wall_door import Door

AXE = assets.MODULES / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def chosen(settings: Settings, parts: Parts) -> Settings:
    return duty.prepared(settings, parts)


@pytest.fixture(scope="module")
def wall(chosen: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with duty.door(chosen, tmp_path_factory.mktemp("duty"), login=["link"], requests_per_second=1000) as found:
        yield found


@pytest.fixture
def desk(parts: Parts, wall: Door) -> Desk:
    made = Desk(parts.dsn)
    made.empty()
    made.beats()
    return made


@pytest.fixture
def alarm(desk: Desk) -> int:
    """One that is open, for two hospitals."""
    number = desk.alarm(desk.rule(), "Thanh toán lỗi nhiều", "38001", "38002")
    desk.run(
        "insert into outbox (key, alarm, channel, word, message, state, tries) values (%s, %s, 'mail', 'firing', '{}', 'sent', 1)",
        str(number),
        number,
    )
    return number


@pytest.fixture
def page(browser: Browser, wall: Door) -> Iterator[Page]:
    """Of one on duty."""
    context = logged_in(browser, wall, operator=True)
    made = context.new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    yield made
    context.close()
    assert wrong == []


def logged_in(browser: Browser, wall: Door, operator: bool) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1366, "height": 900})
    context.add_cookies([{"name": access.COOKIE, "value": wall.token("cookie", operator=operator), "url": wall.url}])
    return context


def post(wall: Door, path: str, body: object, token: str | None, **headers: str) -> httpx.Response:
    cookie = {"cookie": f"{access.COOKIE}={token}"} if token else {}
    return httpx.post(wall.url + path, json=body, headers={"origin": wall.url, **cookie, **headers}, timeout=20)


def test_one_on_duty_takes_an_alarm_with_a_reason_and_everybody_sees_who(page: Page, wall: Door, desk: Desk, alarm: int) -> None:
    page.goto(f"{wall.url}/alarms/{alarm}")
    form = page.locator("form", has_text="Nhận cảnh báo")
    form.get_by_label("Đang làm gì").fill("Đã gọi ngân hàng")
    form.get_by_role("button").click()
    expect(page.locator("dd", has_text="test,")).to_contain_text("Đã gọi ngân hàng")
    expect(page.locator("form", has_text="Nhận cảnh báo")).to_have_count(0)
    assert desk.run("select acknowledged_by, acknowledged_why from alarm") == [("test", "Đã gọi ngân hàng")]
    page.goto(f"{wall.url}/d/ioc-operations")
    expect(page.locator(".alarms .said")).to_contain_text("test đã nhận lúc")


def test_one_on_duty_silences_a_hospital_of_a_rule_for_a_while(page: Page, wall: Door, desk: Desk, alarm: int) -> None:
    page.goto(f"{wall.url}/alarms/{alarm}")
    form = page.locator("form", has_text="Tắt tiếng")
    form.get_by_label("Trong").select_option("8 giờ")
    form.get_by_label("Cho").select_option("38002")
    form.get_by_label("Vì sao").fill("Bảo trì cổng thanh toán")
    form.get_by_role("button").click()
    expect(page.locator("#announce")).to_have_text("Tắt tiếng: đã ghi")
    found = desk.run("select rule, unit, who, why, round(extract(epoch from until - now()) / 3600) from silence")
    assert found == [("payment-failing", "38002", "test", "Bảo trì cổng thanh toán", 8)]
    page.goto(f"{wall.url}/alarms")
    expect(page.locator("section", has_text="Đang tắt tiếng")).to_contain_text("Bảo trì cổng thanh toán")


def test_the_page_of_an_alarm_tells_its_places_its_messages_and_what_to_do(page: Page, wall: Door, alarm: int) -> None:
    page.goto(f"{wall.url}/alarms/{alarm}")
    expect(page.locator("h1")).to_have_text("Thanh toán lỗi nhiều")
    expect(page.locator("dl")).to_contain_text("Gọi ngân hàng")
    expect(page.locator("section", has_text="Nơi báo động").locator("tbody tr")).to_have_count(2)
    expect(page.locator("section", has_text="Nơi báo động")).to_contain_text("12,5 %")
    expect(page.locator("section", has_text="Tin đã gửi").locator("tbody td")).to_have_text(
        ["mail", "báo động", "đã gửi", page_minute(page), "1"]
    )


def page_minute(page: Page) -> str:
    return page.locator("section", has_text="Tin đã gửi").locator("tbody td").nth(3).text_content() or ""


def test_thirty_days_of_firings_stand_as_time_by_rule_and_unit(page: Page, wall: Door, desk: Desk, alarm: int) -> None:
    desk.run(
        "insert into firing (rule, version, unit, inhibited, since, until, peak) select 'payment-failing', 1, '38001', false, now() - make_interval(days => d), "
        "now() - make_interval(days => d) + interval '3 hours', 20 from generate_series(1, 5) as d"
    )
    desk.run(
        "insert into firing (rule, version, unit, inhibited, since, until) "
        "values ('payment-failing', 1, '38001', false, now() - interval '40 days', now() - interval '39 days')"
    )
    page.goto(f"{wall.url}/alarms")
    rows = page.locator(".rule .states li:not(.hours)")
    expect(rows).to_have_count(2)
    expect(rows.first.locator(".piece")).to_have_count(6)
    assert "20 %" in (rows.first.locator(".piece").first.get_attribute("title") or "")
    rows.first.locator("a.piece").click()
    expect(page.locator("h1")).to_have_text("Thanh toán lỗi nhiều")


def test_who_is_not_on_duty_sees_and_may_not(browser: Browser, wall: Door, desk: Desk, alarm: int) -> None:
    context = logged_in(browser, wall, operator=False)
    page = context.new_page()
    page.goto(f"{wall.url}/alarms/{alarm}")
    expect(page.locator("main")).to_contain_text("chỉ xem được cảnh báo")
    expect(page.locator("form")).to_have_count(0)
    context.close()
    viewer, officer = wall.token("cookie"), wall.token("cookie", operator=True)
    take = f"/api/alarms/{alarm}/acknowledge"
    assert post(wall, take, {"why": "vì thế"}, viewer).status_code == 403
    assert post(wall, "/api/silences", {"rule": "payment-failing", "hours": 1, "why": "vì thế"}, viewer).status_code == 403
    assert post(wall, take, {"why": "vì thế"}, None).status_code == 401
    assert post(wall, take, {"why": "vì thế"}, officer, origin="https://elsewhere.example").status_code == 403
    assert post(wall, take, {"why": "vì thế"}, officer, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert wall.get("/alarms").status_code == 401
    assert desk.run("select count(*) from alarm where acknowledged_at is not null") == [(0,)]
    assert desk.run("select count(*) from silence") == [(0,)]


def test_what_makes_no_sense_is_refused_and_an_alarm_is_taken_once(wall: Door, alarm: int) -> None:
    officer, take = wall.token("cookie", operator=True), f"/api/alarms/{alarm}/acknowledge"
    for body in ({}, {"why": ""}, {"why": "x" * 401}, {"why": "vì thế", "who": "khác"}, [1]):
        assert post(wall, take, body, officer).status_code == 400, body
    for wrong in ({"hours": 0}, {"hours": 169}, {"hours": "1"}, {"rule": "r" * 61}, {"why": "vì"[:1]}):
        assert post(wall, "/api/silences", {"rule": "payment-failing", "hours": 1, "why": "vì thế", **wrong}, officer).status_code == 400, (
            wrong
        )
    assert post(wall, take, {"why": "x" * 5000}, officer).status_code == 413
    assert post(wall, take, {"why": "vì thế"}, officer).status_code == 200
    assert post(wall, take, {"why": "lần nữa"}, officer).status_code == 409
    assert post(wall, "/api/alarms/999999999999999999999/acknowledge", {"why": "vì thế"}, officer).status_code == 409
    assert wall.get("/api/alarms/999999999999999999999", officer).status_code == 404
    assert wall.get(take, officer).status_code == 405


FORBIDDEN = [
    "update {s}.alarm set closed_at = now()", "update {s}.alarm set title = 'x'", "delete from {s}.alarm", "select title from {s}.alarm",
    "insert into {s}.alarm (rule, version, severity, route, title) values ('a', 1, 'info', 'default', 'x')", "update {s}.silence set until = now()",
    "delete from {s}.silence", "insert into {s}.silence (since, until, who, why) values (now(), now() + interval '1 h', 'x', 'y')", "select * from {s}.silence",
    "update {s}.rule set enabled = false", "select * from {s}.rule", "delete from {s}.outbox", "select * from {s}.payment_event", "truncate {s}.alarm",
    "create table {s}.mine (a int)", "create table public.mine (a int)", "set role ioc_owner", "set role ioc_ingest",
]  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_role_behind_it_may_do_nothing_else(chosen: Settings, wall: Door, desk: Desk, alarm: int, statement: str) -> None:
    with psycopg.connect(roles.duty_dsn(chosen), autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.format(s=migrations.schema(duty.SPACE)))  # type: ignore[arg-type]  # statements of this file


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_the_pages(page: Page, wall: Door, desk: Desk, alarm: int, theme: str) -> None:
    for path in ("/alarms", f"/alarms/{alarm}"):
        page.goto(f"{wall.url}{path}?theme={theme}")
        page.wait_for_selector("html[data-ready]")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        serious = [
            (each["id"], node["html"][:200], node["failureSummary"][:300])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        assert serious == []
