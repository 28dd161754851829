"""The wall in a space: it cannot be mistaken for live, goes by the replay's clock, and steers the replay; the test plays the player's part."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from psycopg.types.json import Jsonb

from deploy.embedded.parts import Parts
from grafana.wall import access, assets, rooms
from sinks import roles
from sinks.lives import Figures
from sinks.roles import ingest_dsn
from sinks.timescale import Timescale
from streams import pseudonym
from streams.event import VIETNAM, encode, micros
from streams.settings import Settings
from streams.store import Partition, Records
from tests import chrome, duty, glass
from tests.drill import Drill
from tests.duty import Desk
from tests.eventually import eventually
from tests.glass import Served
from tests.services.space import paid

LIVE = "replay-glass"
PAGE = "/d/ioc-overview?space=drill-01"
AXE = assets.MODULES / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def drill(settings: Settings, parts: Parts) -> Iterator[Drill]:
    made = Drill(parts.dsn, settings)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def wall(settings: Settings, parts: Parts, drill: Drill, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    chosen = settings.model_copy(update={"space": LIVE})
    with glass.served(parts.dsn, chosen, tmp_path_factory.mktemp("boards"), duty_dsn=roles.duty_dsn(settings)) as found:
        drill.density(LIVE)
        yield found


@pytest.fixture(autouse=True)
def _stands(drill: Drill) -> None:
    drill.plays(state="paused", wanted="pause", speed=60, seek_to=None, clock=drill.clock, clock_rate=0, rate=0, wrong=None)


def local(moment: datetime, form: str = "%H:%M") -> str:
    return moment.astimezone(VIETNAM).strftime(form)


def tile(page: Page, title: str) -> Any:
    return page.locator(".tile", has=page.locator("h2", has_text=title)).first


def events(wall: Served, drill: Drill) -> httpx.Response:
    return httpx.get(f"{wall.url}/api/boards/ioc-overview?space={drill.name}", timeout=20)


def test_nobody_can_take_a_space_for_live(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        band = page.locator("#drill")
        for said in ("DIỄN TẬP", "drill-01", "diễn tập quý IV", "kịch bản: cổng thuế chậm nửa giờ", local(drill.clock, "%d/%m/%Y")):
            expect(band).to_contain_text(said)
        expect(page).to_have_title(re.compile("^DIỄN TẬP drill-01 · "))
        expect(page.locator("#clock")).to_have_text(re.compile(f"^{local(drill.clock)}"))
        expect(page.locator("#said")).to_have_text("đã dừng")
        for width, height in ((320, 640), (390, 844), (900, 700), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            assert marked(page), (width, height)
        page.emulate_media(media="print")
        assert marked(page), "on paper"
    with chrome.shown(browser, wall.url, "/d/ioc-overview") as page:
        expect(page.locator("#drill, #mark, .steer")).to_have_count(0)
        expect(page).to_have_title(re.compile("^Trung tâm điều hành"))


def marked(page: Page) -> bool:
    """Whether the band, the frame and a diagonal mark that covers the window are drawn."""
    return bool(
        page.evaluate(
            """() => {
              const mark = document.getElementById("mark"), box = mark.getBoundingClientRect(), band = document.getElementById("drill").getBoundingClientRect();
              const frame = getComputedStyle(document.documentElement, "::after"), word = getComputedStyle(mark.firstElementChild, "::before");
              return getComputedStyle(mark).display === "grid" && word.content.includes("DIỄN TẬP") && parseFloat(word.opacity) > 0.1
                && parseFloat(word.fontSize) > 20 && box.left <= 0 && box.right >= innerWidth && box.top <= 0 && box.bottom >= innerHeight
                && band.height > 15 && band.width > 0.8 * innerWidth && frame.position === "fixed" && parseFloat(frame.borderTopWidth) >= 3;
            }"""
        )
    )


def test_the_page_says_what_it_is_before_any_script_runs(wall: Served, drill: Drill) -> None:
    for path in ("/d/ioc-overview", "/alarms"):
        text = httpx.get(f"{wall.url}{path}?space=drill-01", timeout=20).text
        for said in ("<title>DIỄN TẬP drill-01", "<b>DIỄN TẬP</b>", 'id="mark"', "/static/space.css"):
            assert said in text, (path, said)
        live = httpx.get(f"{wall.url}{path}", timeout=20).text
        assert "DIỄN TẬP" not in live
        assert "space" not in live, "live loads nothing of it"


def test_figures_are_those_at_the_replays_clock(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        money = tile(page, "Thu viện phí không tiền mặt")
        expect(money.locator(".asof")).to_have_text(re.compile(r"^tính đến 14:59"))
        expect(money).not_to_contain_text("không có tin mới")
        expect(tile(page, "Dữ liệu hôm nay").locator(".several > div", has_text="sống")).to_have_text("—sống")
        before = money.locator(".big").inner_text()
        follow(drill, 3, 7_000_000)
        after = int(re.sub(r"\D", "", before)) + 21_000_000
        drill.plays(clock=drill.clock + timedelta(minutes=1))
        expect(money.locator(".big")).to_have_text(re.compile(f"{after:,}".replace(",", r"\.")))
        expect(page.locator("#clock")).to_have_text(re.compile(f"^{local(drill.clock + timedelta(minutes=1))}"))
    with chrome.shown(browser, wall.url, "/d/ioc-overview") as page:
        expect(page.locator("#day")).to_contain_text(local(datetime.now(UTC), "%Y"))


def follow(drill: Drill, count: int, amount: int) -> None:
    """Payments at the replay's clock, by the real sink and the real figures."""
    store = Timescale(ingest_dsn(drill.settings), drill.name, pseudonym.load(drill.settings.state_dir))
    at = micros(drill.clock)
    some = [paid(9000 + n, amount, event_time_us=at, known_at_us=at + 1_000_000, paid_at_us=at) for n in range(count)]
    partition = Partition("payment", "b" * 32, 0)
    try:
        store.offsets([partition])
        values = [encode(each) for each in some]
        store.write(store.prepare([Records(partition, 0, len(values), values, [at // 1000] * len(values))]))
    finally:
        store.close()
    figures = Figures(ingest_dsn(drill.settings), drill.name, "payment")
    while figures.catch_up():
        pass
    figures.close()


def test_the_clock_runs_at_the_rate_of_the_replay(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        handle = page.get_by_role("slider", name="Thời điểm đang phát lại")
        expect(handle).to_have_attribute("aria-valuetext", re.compile(f"^{local(drill.clock)}"))
        expect(page.locator(".steer .left")).to_have_text("")
        drill.plays(state="playing", wanted="play", clock=drill.clock, clock_rate=60, rate=412)
        expect(page.locator("#said")).to_have_text("đang phát, nhanh 60 lần, 412 tin/giây")
        drill.plays(mark=Jsonb({"most_rate": 2000}), clock_rate=0, rate=1998)
        expect(page.locator("#said")).to_have_text("đang phát, 1.998 tin/giây, nhường luồng trực tiếp")
        drill.plays(mark=Jsonb({}), clock=drill.clock, clock_rate=60, rate=412)
        expect(page.locator(".steer .left")).to_have_text(re.compile("^còn (3|2) phút$"))
        eventually(lambda: (handle.get_attribute("aria-valuetext") or "") >= local(drill.clock + timedelta(minutes=3)), 30)
        expect(page.get_by_role("button", name="60×", exact=True)).to_have_attribute("aria-pressed", "true")
        drill.plays(state="catching up", seek_to=None, clock=drill.until, clock_rate=0, followed=drill.clock)
        expect(page.locator("#said")).to_have_text(re.compile("^đang tua"))
        drill.plays(state="done", clock=drill.until)
        expect(page.locator("#said")).to_have_text("hết")
        drill.plays(state="failed", wrong="Kafka is away")
        expect(page.locator("#said")).to_have_text("lỗi: Kafka is away")
        drill.plays(state="playing", wrong=None, beat_at=datetime.now(UTC) - timedelta(minutes=1))
        expect(page.locator("#said")).to_have_text("máy phát lại không trả lời")


def test_the_bar_steers_the_replay_by_hand(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        page.get_by_role("button", name="Tiếp tục").click()
        eventually(lambda: drill.asked()["wanted"] == "play")
        page.get_by_role("button", name="Tạm dừng").click()
        eventually(lambda: drill.asked()["wanted"] == "pause")
        for name, speed in (("0,1×", 0.1), ("600×", 600), ("nhanh nhất", None)):
            page.get_by_role("button", name=name, exact=True).click()
            eventually(lambda speed=speed: drill.asked()["speed"] == speed)
            expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
        box = page.locator(".steer .track").bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        page.mouse.click(box["x"] + box["width"] / 2, middle)
        eventually(lambda: near(drill, drill.since + (drill.until - drill.since) / 2))
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.4, middle)
        page.mouse.move(box["x"] + box["width"] * 0.25, middle)
        page.mouse.up()
        eventually(lambda: near(drill, drill.since + (drill.until - drill.since) / 4))
        expect(page.locator(".handle output")).to_contain_text("tới 09:0")
        drill.plays(seek_to=None, clock=drill.since + timedelta(hours=3))
        expect(page.locator(".handle output")).to_have_text(re.compile("^09:00:0"))


def near(drill: Drill, wanted: datetime) -> bool:
    found = drill.asked()["seek_to"]
    return found is not None and abs(found - wanted) < timedelta(minutes=2)


def test_the_bar_steers_the_replay_by_keyboard(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        handle = page.get_by_role("slider", name="Thời điểm đang phát lại")
        handle.focus()
        page.keyboard.press(" ")
        eventually(lambda: drill.asked()["wanted"] == "play")
        for key, moved in (("ArrowRight", timedelta(minutes=1)), ("ArrowLeft", timedelta(minutes=-1)), ("ArrowDown", timedelta(hours=-1))):
            drill.plays(seek_to=None, clock=drill.clock)
            eventually(lambda: (handle.get_attribute("aria-valuetext") or "").startswith(local(drill.clock)), 20)
            page.keyboard.press(key)
            eventually(lambda moved=moved: drill.asked()["seek_to"] == drill.clock + moved)
        expect(page.locator(".tile:focus")).to_have_count(0), "arrows on the bar do not move between tiles"
        page.keyboard.press("Home")
        eventually(lambda: drill.asked()["seek_to"] == drill.since)
        page.locator("h1").click()
        page.keyboard.press("p")
        eventually(lambda: drill.asked()["wanted"] == "pause")


def test_charts_keep_to_the_room_that_the_bar_leaves(browser: Browser, wall: Served, drill: Drill) -> None:
    over = """() => [...document.querySelectorAll('.tile')].filter((tile) => {
      const drawn = tile.querySelector('.uplot, .spark svg'), foot = tile.querySelector('.foot');
      return drawn && foot && drawn.getBoundingClientRect().bottom > foot.getBoundingClientRect().top + 1;
    }).map((tile) => tile.textContent)"""
    page, held = browser.new_page(viewport={"width": 1920, "height": 1080}), list[Route]()
    try:
        page.route("**/api/replay/*", lambda route: held.append(route))
        glass.opened(page, f"{wall.url}/d/ioc-einvoice?space=drill-01")
        expect(page.locator(".uplot")).not_to_have_count(0)
        eventually(lambda: page.evaluate(over) == [] and held)
        held[0].continue_()
        expect(page.locator(".steer")).to_be_visible()
        eventually(lambda: page.evaluate(over) == [])
    finally:
        page.close()


def test_the_bar_tells_how_much_arrived_when(wall: Served, drill: Drill) -> None:
    found = httpx.get(f"{wall.url}/api/replay/drill-01", timeout=20).json()
    assert found["since"] == round(drill.since.timestamp() * 1000)
    assert len(found["density"]) == 180, "twelve hours in steps of four minutes"
    assert found["step"] == 240_000
    assert sum(found["density"]) == drill.arrived
    assert found["may"] is True
    assert httpx.get(f"{wall.url}/api/replay/nothing", timeout=20).status_code == 404


@pytest.mark.parametrize("body", ['{"speed": 0}', '{"wanted": "dance"}', '{"clock": 1}', '{"seek_to": "now"}', "x", '{"speed": 1e9}'])
def test_what_no_player_would_understand_is_not_written(wall: Served, drill: Drill, body: str) -> None:
    before = drill.asked()
    assert post(wall, body).status_code == 400
    assert drill.asked() == before


def post(wall: Served, body: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{wall.url}/api/replay/drill-01", content=body, headers={"origin": wall.url, **headers}, timeout=20)


def test_a_place_outside_of_the_period_is_its_nearest_end(wall: Served, drill: Drill) -> None:
    assert post(wall, '{"seek_to": 0}').status_code == 200
    assert drill.asked()["seek_to"] == drill.since
    assert post(wall, '{"wanted": "play"}').status_code == 200
    assert drill.asked() == {"wanted": "play", "speed": 60, "seek_to": drill.since}


def test_a_replay_that_has_ended_is_not_steered(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        expect(page.get_by_role("button", name="Tiếp tục")).to_be_enabled()
        drill.plays(state="done", clock=drill.until)
        expect(page.get_by_role("button", name="Tiếp tục")).to_be_disabled()
        expect(page.get_by_role("button", name="60×", exact=True)).to_be_disabled()
        page.keyboard.press("p")
        page.locator(".handle").focus()
        page.keyboard.press("ArrowLeft")
    assert post(wall, '{"wanted": "play"}').status_code == 409
    assert drill.asked() == {"wanted": "pause", "speed": 60, "seek_to": None}


def test_who_may_not_steer_looks_on(browser: Browser, settings: Settings, wall: Served, drill: Drill, tmp_path: Path) -> None:
    chosen = settings.model_copy(update={"space": LIVE})
    with duty.door(chosen, tmp_path, login=("link",)) as door:
        token = door.token("cookie", operator=False)
        before = drill.asked()
        headers = {"origin": door.url, "cookie": f"{access.COOKIE}={token}"}
        assert httpx.post(f"{door.url}/api/replay/drill-01", content='{"wanted": "play"}', headers=headers, timeout=20).status_code == 403
        assert drill.asked() == before
        context = browser.new_context()
        context.add_cookies([{"name": access.COOKIE, "value": token, "url": door.url}])
        page = context.new_page()
        glass.opened(page, f"{door.url}{PAGE}")
        expect(page.locator(".steer .wrong")).to_have_text("chỉ xem")
        expect(page.get_by_role("button", name="Tiếp tục")).to_be_disabled()
        context.close()


def test_other_sites_do_not_steer(wall: Served, drill: Drill) -> None:
    before = drill.asked()
    assert post(wall, '{"wanted": "stop"}', origin="https://elsewhere.example").status_code == 403
    assert drill.asked() == before


def test_the_role_that_steers_may_write_nothing_else_of_a_replay(settings: Settings, drill: Drill) -> None:
    with psycopg.connect(roles.duty_dsn(settings), autocommit=True) as connection:
        for text in ("update ioc.replay set state = 'done'", "delete from ioc.replay", "update ioc.space set label = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(text)  # type: ignore[arg-type]  # texts of this file


def test_links_choices_and_pages_stay_in_the_space(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE + "&theme=light") as page:
        away = [
            href
            for href in page.locator("a[href]").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
            if "space=drill-01" not in href
        ]
        assert away == ["/d/ioc-overview?theme=light"], "but for the way back to live"
        page.get_by_label("Không gian").select_option("")
        page.wait_for_url(lambda url: "space=" not in url)
        page.wait_for_selector("html[data-ready]")
        page.get_by_label("Không gian").select_option("drill-01")
        page.wait_for_url("**space=drill-01**")
        page.wait_for_selector("html[data-space='drill-01'][data-ready]")
        page.goto(f"{wall.url}/alarms?space=drill-01")
        expect(page.locator("#drill")).to_contain_text(local(drill.clock, "%d/%m/%Y"))
        expect(page.locator("nav a:visible", has_text="Soạn quy tắc")).to_have_count(0)


def test_a_screen_in_a_space_is_not_behind_because_its_clock_is(browser: Browser, wall: Served, drill: Drill) -> None:
    def seen() -> list[dict[str, Any]]:
        screens = httpx.get(f"{wall.url}/api/screens", timeout=20).json()["screens"]
        return [each for each in screens if each["view"] == "ioc-overview?space=drill-01" and each["name"] == "phòng họp"]

    with chrome.shown(browser, wall.url, PAGE + "&screen=phòng họp"):
        [screen] = eventually(seen, 30)
        assert screen["lag_seconds"] < 60
        assert screen["behind"] < 60


def test_a_rotation_stays_in_the_space(browser: Browser, wall: Served, drill: Drill) -> None:
    page = browser.new_page()
    try:
        page.goto(f"{wall.url}/?kiosk=1&rotate=3&boards=ioc-overview,ioc-einvoice&space=drill-01")
        for uid in ("ioc-overview", "ioc-einvoice"):
            page.frame_locator(f"iframe.shown[title={uid}]").locator("#drill b").wait_for(timeout=30_000)
        expect(page).to_have_title(re.compile("^DIỄN TẬP drill-01"))
    finally:
        page.close()


def test_figures_of_a_space_are_explained_by_its_own_events(browser: Browser, wall: Served, drill: Drill) -> None:
    with chrome.shown(browser, wall.url, PAGE) as page:
        with page.expect_response(re.compile("/api/explain")) as asked:
            tile(page, "Thu viện phí không tiền mặt").locator(".big").click()
        assert asked.value.status == 200
        assert "space=drill-01" in asked.value.url
        assert asked.value.json()["from"].startswith(local(drill.clock, "%Y-%m-%d")), "the day that is replayed"
        expect(page.locator("dialog.explain")).to_be_visible()


def test_an_alarm_of_a_drill_is_taken_there_and_silences_nobody(browser: Browser, wall: Served, drill: Drill) -> None:
    desk = Desk(drill.dsn, drill.name)
    alarm = desk.alarm(desk.rule("drill-rule"), "Thanh toán lỗi nhiều", "38001")
    with chrome.shown(browser, wall.url, f"/alarms/{alarm}?space=drill-01") as page:
        expect(page).to_have_title("DIỄN TẬP drill-01 · Thanh toán lỗi nhiều")
        expect(page.locator("#main")).to_contain_text("Trong diễn tập không tắt tiếng")
        page.get_by_label("Đang làm gì").fill("gọi ngân hàng")
        page.get_by_role("button", name="Nhận").click()
        eventually(lambda: desk.run("select acknowledged_why from alarm where id = %s", alarm) == [("gọi ngân hàng",)])
        assert desk.run("select acknowledged_at from alarm where id = %s", alarm) == [(drill.clock,)], "at the drill's own time"
    hush = '{"rule": "drill-rule", "hours": 1, "why": "thử thôi"}'
    answer = httpx.post(f"{wall.url}/api/silences?space=drill-01", content=hush, headers={"origin": wall.url}, timeout=20)
    assert answer.status_code == 403
    assert desk.run("select count(*) from silence") == [(0,)]


def test_live_and_the_space_stand_side_by_side(browser: Browser, wall: Served, drill: Drill) -> None:
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    try:
        page.goto(f"{wall.url}/compare?space=drill-01&board=ioc-overview")
        live, space = (page.frame_locator(f".{half} iframe") for half in ("live", "drill"))
        expect(space.locator("#clock")).to_have_text(re.compile(f"^{local(drill.clock)}"), timeout=20_000)
        expect(space.locator("#drill")).to_contain_text("DIỄN TẬP")
        expect(live.locator("html[data-ready]")).to_have_count(1)
        expect(live.locator("#drill")).to_have_count(0)
        left, right = (page.locator(f".{half}").bounding_box() for half in ("live", "drill"))
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"]
        page.set_viewport_size({"width": 390, "height": 844})
        left, right = (page.locator(f".{half}").bounding_box() for half in ("live", "drill"))
        assert left is not None
        assert right is not None
        assert left["y"] + left["height"] <= right["y"]
    finally:
        page.close()


@pytest.mark.parametrize("path", [PAGE, "/alarms?space=drill-01"])
def test_axe_finds_nothing_serious_in_a_space(browser: Browser, wall: Served, drill: Drill, path: str) -> None:
    serious = []
    with chrome.shown(browser, wall.url, path) as page:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for width, height in ((1920, 1080), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            for theme in ("dark", "light"):
                page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                serious += [
                    (theme, width, each["id"], node["html"][:200], node["failureSummary"][:300])
                    for each in page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
                    if each["impact"] in ("serious", "critical")
                    for node in each["nodes"]
                ]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert serious == []


def test_the_past_of_a_space_is_looked_back_at(browser: Browser, wall: Served, drill: Drill) -> None:
    at = drill.clock - timedelta(hours=5)
    with chrome.shown(browser, wall.url, f"{PAGE}&at={local(at, '%Y-%m-%dT%H:%M')}") as page:
        expect(page.locator("#clock")).to_have_text(f"{local(at)}:00")
        expect(page.locator("#drill")).to_contain_text("DIỄN TẬP")
        expect(page.locator(".steer")).to_have_count(0)
    later = f"{local(drill.clock + timedelta(hours=1), '%Y-%m-%dT%H:%M')}"
    answer = httpx.get(f"{wall.url}/api/past?board=ioc-overview&space=drill-01&at={later}", timeout=20)
    assert answer.status_code == 400, "what the replay has not come to is its future"


@pytest.mark.parametrize(
    "path", ["/", "/d/ioc-overview", "/api/boards/ioc-overview", "/api/live?board=ioc-overview", "/api/explain", "/compare"]
)
def test_a_space_that_is_not_there_is_told_so(wall: Served, drill: Drill, path: str) -> None:
    answer = httpx.get(f"{wall.url}{path}{'&' if '?' in path else '?'}space=no-such", timeout=20, follow_redirects=True)
    assert answer.status_code == 404
    assert answer.text == "Không có không gian diễn tập này.\n"


def test_rules_are_not_written_in_a_space(wall: Served, drill: Drill) -> None:
    assert httpx.get(f"{wall.url}/rules/new?space=drill-01", timeout=20).status_code == 404


def test_a_room_is_closed_when_nobody_is_in_it_any_more(wall: Served, drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.stream("GET", f"{wall.url}/api/live?board=ioc-overview&space=drill-01", timeout=30) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data: "))
        monkeypatch.setattr(rooms, "KEPT_SECONDS", 0.0)
        monkeypatch.setattr(rooms, "LOOK_SECONDS", 0.1)
        assert wall.rooms.names == ("drill-01",), "somebody looks"
    eventually(lambda: wall.rooms.names == (), 20)


def test_only_so_many_spaces_are_open_at_once(
    settings: Settings, parts: Parts, wall: Served, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Drill(parts.dsn, settings, "drill-02", None)
    try:
        monkeypatch.setattr(rooms, "MOST", 1)
        with httpx.stream("GET", f"{wall.url}/api/live?board=ioc-overview&space=drill-02", timeout=30) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if line.startswith("data: "))
            assert events(wall, drill).status_code == 503
        eventually(lambda: events(wall, drill).status_code == 200, 20)
    finally:
        other.drop()
    eventually(lambda: [each["name"] for each in httpx.get(f"{wall.url}/api/spaces", timeout=20).json()] == ["drill-01"])


def test_who_looks_at_a_space_when_it_goes_is_told(settings: Settings, parts: Parts, wall: Served) -> None:
    other = Drill(parts.dsn, settings, "drill-03", None)
    with httpx.stream("GET", f"{wall.url}/api/live?board=ioc-overview&space=drill-03", timeout=60) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data: "))
        other.drop()
        for _ in lines:
            pass  # the stream ends
    assert httpx.get(f"{wall.url}/d/ioc-overview?space=drill-03", timeout=20).status_code == 404
