"""The builder of rules: its preview is what the evaluator decides, its file is a rule, its errors stand at the fields, and it does not tire the database."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from deploy.embedded.parts import Parts
from grafana.wall import assets, builder
from sinks import frames, roles
from streams.rules import reading
from streams.rules.decide import decide
from streams.rules.firing import spans
from streams.rules.rule import Rule
from streams.settings import Settings
from tests import duty
from tests.duty import Desk
from tests.wall_door import Door

AXE = assets.MODULES / "axe-core" / "axe.min.js"
NEEDED = "title: Thử xem\ntext: thử xem\nwhy: để thử\nowner: Trực ban\nrunbook: gọi\n"
RULES = {
    "sum-by-unit": "department: payment\nmeasure: {sum: paid_vnd}\nwindow: 1h\nby: unit\nwhen: {above: 20000000}\nfor: 10m\n",
    "few-by-day": "department: payment\nmeasure: {count: receipts}\nwindow: 30m\nby: unit\nwhen: {below: 2}\ncalendar: {hours: 07:00-17:30}\n",
    "share-whole": "department: einvoice\nmeasure: {ratio: rejected, to: invoices}\nwindow: 1h\nwhen: {above: 0.2, clear: 0.1}\n",
    "slow-codes": "department: einvoice\nmeasure: {percentile: code_seconds, at: 90}\nwindow: 30m\nwhen: {above: 3}\n",
    "sites-off": "department: telehealth\nmeasure: {offline: sessions}\nwindow: 12h\nwhen: {above: 0}\n",
    "week-change": "department: einvoice\nmeasure: {change: invoices}\nwindow: 1h\nwhen: {below: -1}\n",
}


@pytest.fixture(scope="module")
def chosen(settings: Settings, parts: Parts) -> Settings:
    own = duty.prepared(settings, parts)
    desk = Desk(parts.dsn)
    desk.empty()
    desk.signs()
    return own


@pytest.fixture(scope="module")
def wall(chosen: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with duty.door(chosen, tmp_path_factory.mktemp("builder"), requests_per_second=1000) as found:
        yield found


@pytest.fixture
def page(browser: Browser, wall: Door) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 1600, "height": 1000})
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None)
    made.goto(f"{wall.url}/rules/new")
    made.wait_for_selector("html[data-ready]")
    yield made
    made.close()
    assert wrong == []


def preview(wall: Door, text: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{wall.url}/api/rules/preview", json={"text": text}, headers={"origin": wall.url, **headers}, timeout=60)


def a_rule(name: str) -> str:
    return f"rule: {name}\n{NEEDED}{RULES[name]}"


@pytest.mark.parametrize("name", RULES)
def test_the_preview_is_what_the_evaluator_decides(wall: Door, chosen: Settings, name: str) -> None:
    answer = preview(wall, a_rule(name)).json()
    rule = reading.read(a_rule(name))
    assert isinstance(rule, Rule)
    since = answer["from"]
    until = since + builder.DAYS * 1440
    with psycopg.connect(roles.reader_dsn(chosen)) as connection:
        frame = frames.load(connection, chosen.space, rule, since - rule.memory, until, clock=(until - 1) * 60.0 + 30)
    decided = decide(rule, frame, since)
    fired = [*spans(rule, decided)]
    assert (answer["minutes"], answer["firings"]) == (decided.states.shape[1], len(fired))
    assert answer["firings"] > 0, "a rule that never fires proves nothing"
    assert len(answer["groups"]) + answer["more"] == len(decided.groups)
    for group in answer["groups"]:
        assert group["firings"] == [[s.since, s.until, s.peak] for s in fired if s.group == group["group"]]
        assert len(group["values"]) == -(-answer["minutes"] // builder.STEP)
    drawn = [value for group in answer["groups"] for value in group["values"] if value is not None]
    assert drawn


def test_what_is_wrong_with_a_rule_is_said_with_its_place(wall: Door) -> None:
    said = preview(wall, a_rule("share-whole").replace("invoices", "invoice")).json()["wrong"]
    assert said[0]["line"] == 8
    assert "did you mean 'invoices'" in said[0]["what"]


def test_what_would_tire_the_database_is_refused(wall: Door) -> None:
    wide = a_rule("week-change").replace("{change: invoices}", "{change: invoices, weeks: 8}\nby: unit")
    assert preview(wall, wide).status_code == 400
    assert preview(wall, a_rule("slow-codes") + "by: unit\n").status_code == 400
    assert preview(wall, "x" * 20_000).status_code == 413
    assert preview(wall, a_rule("share-whole"), origin="https://elsewhere.example").status_code == 403
    assert httpx.post(f"{wall.url}/api/rules/preview", content=b"[]", headers={"origin": wall.url}, timeout=20).status_code == 400
    assert httpx.get(f"{wall.url}/api/rules/preview", timeout=20).status_code == 405


def test_previews_cost_more_than_other_questions_and_need_a_login(chosen: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    with duty.door(chosen, tmp_path_factory.mktemp("slow"), login=["link"], requests_per_second=2) as slow:
        said = [preview(slow, "nothing").status_code for _ in range(8)]
        assert said[:4] == [401] * 4
        assert 429 in said


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def test_a_form_becomes_the_file_of_a_rule(page: Page) -> None:
    field(page, "Ngành").select_option("payment")
    field(page, "Đo gì").select_option("ratio")
    field(page, "Của").select_option("mismatched")
    field(page, "Trên").select_option("receipts")
    field(page, "Trong khoảng").fill("1h")
    field(page, "Xét theo").select_option("unit")
    field(page, "Ngưỡng").fill("1.5")
    field(page, "Tên tệp").fill("sai-so-tien")
    field(page, "Tiêu đề").fill('Thanh toán "sai" số tiền')
    field(page, "CN").uncheck()
    rule = reading.read(page.locator("#yaml").text_content() or "")
    assert isinstance(rule, Rule), rule
    assert (rule.rule, rule.title, rule.by, rule.when.above, rule.window) == ("sai-so-tien", 'Thanh toán "sai" số tiền', "unit", 1.5, 60)
    assert rule.columns == ("mismatched", "receipts")
    assert rule.calendar.days == ("mon", "tue", "wed", "thu", "fri", "sat")
    expect(page.locator("#save")).to_have_attribute("download", "sai-so-tien.yaml")
    expect(page.locator("#told")).to_contain_text(re.compile(r"sẽ kêu \d+ lần"))


@pytest.mark.parametrize(
    "kind", ["sum", "count", "rate", "ratio", "percentile", "change", "absence", "distinct", "offline", "freshness", "completeness"]
)
def test_every_kind_of_measure_can_be_built(page: Page, kind: str) -> None:
    field(page, "Ngành").select_option("einvoice")
    field(page, "Đo gì").select_option(kind)
    rule = reading.read(page.locator("#yaml").text_content() or "")
    assert isinstance(rule, Rule), rule
    assert type(rule.measure).__name__.lower() == kind


def test_what_is_wrong_stands_at_its_field_in_vietnamese(page: Page) -> None:
    field(page, "Tên tệp").fill("Có Dấu")
    field(page, "Trong khoảng").fill("một giờ")
    expect(page.locator("#wrong-rule")).to_contain_text("chữ thường không dấu")
    expect(page.locator("#wrong-window")).to_contain_text("Viết như 15m")
    expect(field(page, "Trong khoảng")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#told")).to_contain_text("xem các ô được đánh dấu")
    field(page, "Tên tệp").fill("khong-dau")
    field(page, "Trong khoảng").fill("1h")
    expect(page.locator("#wrong-window")).to_be_hidden()
    expect(page.locator("#told")).to_contain_text("sẽ kêu")


def seen(page: Page) -> dict[str, Any]:
    """Where the handle of the threshold is."""
    box: Any = page.locator("#chart .limit circle").bounding_box()
    assert box
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}


def test_a_threshold_that_is_dragged_or_moved_by_key_redraws_the_firings(page: Page) -> None:
    field(page, "Ngành").select_option("payment")
    field(page, "Của").select_option("receipts")
    field(page, "Trong khoảng").fill("1h")
    field(page, "Ngưỡng").fill("50")
    handle = page.get_by_role("slider", name="Ngưỡng trên hình")
    expect(handle).to_have_attribute("aria-valuenow", "50")
    expect(page.locator("#strips .piece")).not_to_have_count(0)
    before = page.locator("#told").text_content()
    at = seen(page)
    page.mouse.move(at["x"], at["y"])
    page.mouse.down()
    page.mouse.move(at["x"], at["y"] - 120, steps=4)
    page.mouse.up()
    moved = float(field(page, "Ngưỡng").input_value())
    assert moved > 50
    expect(page.locator("#told")).not_to_have_text(before or "")
    expect(page.locator("#yaml")).to_contain_text(f"above: {field(page, 'Ngưỡng').input_value()}")
    handle.focus()
    page.keyboard.press("PageDown")
    assert float(field(page, "Ngưỡng").input_value()) < moved
    page.keyboard.press("ArrowDown")
    expect(handle).to_be_focused()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1600, 1000), (390, 844)])
def test_axe_finds_nothing_serious(browser: Browser, wall: Door, theme: str, size: tuple[int, int]) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{wall.url}/rules/new?theme={theme}")
    expect(page.locator("#told")).to_contain_text("sẽ kêu")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    page.close()
    bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], node["html"][:200], node["failureSummary"][:300]) for each in bad for node in each["nodes"]] == []
