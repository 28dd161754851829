"""Looking into figures: the sheet that explains one, and the wall as it was, over real HTTP in a real browser."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.embedded.parts import Parts
from grafana.wall.app import Wall
from sinks import figures, migrations, roles
from streams.department import NAMES
from streams.event import VIETNAM, micros, moment
from streams.settings import Settings
from tests import chrome
from tests.bench import events as day
from tests.eventually import eventually
from tests.services.space import Space
from tests.services.test_wall import Server
from tests.world import arrivals

PICTURES = Path(tempfile.gettempdir()) / "looking"
MIDNIGHT = datetime.now(VIETNAM).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = MIDNIGHT - timedelta(hours=12)


class Shown:
    """A space with yesterday's and today's events in it, and its wall."""

    def __init__(self, space: Space) -> None:
        self.space = space
        wall = Wall(roles.reader_dsn(space.settings), migrations.board(space.name), migrations.board_at(space.name))
        self.server = Server(wall)

    def arrive(self, start: datetime, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A whole day's events, or all within what there was of today."""
        monkeypatch.setattr(day, "DAY_START_US", micros(start))
        monkeypatch.setattr(day, "DAY_SECONDS", min(86_400, int((datetime.now(UTC) - start).total_seconds())))
        found = [pair for pair in arrivals(2000, seed) if moment(pair[1].known_at_us) < datetime.now(UTC)]
        for name in (*NAMES, "rejects"):
            if some := [event for topic, event in found if topic == name]:
                self.space.take(name, *some)
        for name in NAMES:
            self.space.follow(name)

    def says(self, name: str, key: str, since: datetime, until: datetime, as_of: datetime | None = None) -> object:
        with self.space.connect() as connection:
            return figures.figures(connection, self.space.name, name, "total", since, until, as_of)["rows"][0][key]


@pytest.fixture(scope="module")
def shown(settings: Settings, parts: Parts) -> Iterator[Shown]:
    space = Space(settings, parts)
    made = Shown(space)
    with pytest.MonkeyPatch.context() as monkeypatch:
        made.arrive(MIDNIGHT - timedelta(days=1), 1, monkeypatch)
        made.arrive(MIDNIGHT, 2, monkeypatch)
    made.server.start()
    yield made
    made.server.stop()
    space.drop()


def page(browser: Browser, shown: Shown, path: str, width: int = 1920, height: int = 1080) -> AbstractContextManager[Page]:
    return chrome.shown(browser, shown.server.url, path, width, height)


def picture(made: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    made.screenshot(path=PICTURES / f"{name}.png")


def number(text: str | None) -> int:
    return int(re.sub(r"[^\d−]", "", text or "").replace("−", "-"))


def test_a_click_on_a_figure_shows_its_meaning_its_rule_and_its_events(shown: Shown, browser: Browser) -> None:
    with page(browser, shown, "/d/ioc-einvoice") as made:
        tile = made.locator(".tile", has=made.locator(".big")).first
        said = number(tile.locator(".big b").text_content())
        tile.locator(".big").click()
        sheet = made.locator("dialog.explain")
        expect(sheet.locator(".proof")).to_contain_text("đúng số này")
        assert said == shown.says("einvoice", "invoices", MIDNIGHT, MIDNIGHT + timedelta(days=1))
        assert number((sheet.locator(".value").text_content() or "").replace("hóa đơn", "")) == said
        for words in ("Nghị định 123/2020", "ngày lập hôm nay", "đếm khóa khác nhau", "bản 1"):
            expect(sheet).to_contain_text(words)
        rows = sheet.locator("tbody tr")
        expect(rows).to_have_count(min(said, 100))
        picture(made, "explain")
        if said > 100:
            sheet.locator("button.more").click()
            expect(rows).to_have_count(min(said, 200))
        made.keyboard.press("Escape")
        expect(sheet).not_to_be_visible()


def test_by_keyboard_a_tile_of_several_figures_explains_each(shown: Shown, browser: Browser) -> None:
    with page(browser, shown, "/d/ioc-einvoice") as made:
        several = made.locator(".tile", has=made.locator(".several")).first
        several.focus()
        made.keyboard.press("i")
        sheet = made.locator("dialog.explain")
        expect(sheet.locator(".proof")).to_contain_text("số này")
        for button in sheet.locator(".others button").all():
            button.click()
            expect(sheet.locator("h2")).to_have_text(button.text_content() or "")
            expect(sheet.locator(".proof")).not_to_contain_text("✗")
            expect(sheet.locator(".proof")).to_be_visible()
        picture(made, "explain-several")


def test_the_wall_shows_noon_of_yesterday_and_says_so(shown: Shown, browser: Browser) -> None:
    at = NOON.strftime("%Y-%m-%dT%H:%M")
    with page(browser, shown, f"/d/ioc-payment?at={at}") as made:
        tile = made.locator(".tile", has=made.locator(".big")).first
        then = shown.says("payment", "paid_vnd", MIDNIGHT - timedelta(days=1), MIDNIGHT, NOON)
        whole = shown.says("payment", "paid_vnd", MIDNIGHT - timedelta(days=1), MIDNIGHT)
        assert then != whole
        assert number(tile.locator(".big b").text_content()) == then
        expect(made.locator("#said")).to_contain_text("quá khứ, lúc 12:00")
        expect(made.locator(".timebar")).to_contain_text("ĐANG XEM QUÁ KHỨ")
        picture(made, "past")
        made.keyboard.press("[")
        earlier = shown.says("payment", "paid_vnd", MIDNIGHT - timedelta(days=1), MIDNIGHT, NOON - timedelta(minutes=10))
        eventually(lambda: number(tile.locator(".big b").text_content()) == earlier)
        assert "T11%3A50" in made.url or "T11:50" in made.url
        made.locator(".timebar button", has_text="−1 giờ").click()
        hour = shown.says("payment", "paid_vnd", MIDNIGHT - timedelta(days=1), MIDNIGHT, NOON - timedelta(minutes=70))
        eventually(lambda: number(tile.locator(".big b").text_content()) == hour)
        made.locator(".timebar .now").click()
        made.wait_for_url(lambda url: "at=" not in url)
        expect(made.locator(".timebar")).to_be_hidden()
        made.keyboard.press("t")
        expect(made.locator(".timebar")).to_be_visible()
        picture(made, "bar")


def test_looking_back_twice_reads_the_database_once(shown: Shown) -> None:
    asked = f"{shown.server.url}/api/past?board=ioc-overview&at={NOON.strftime('%Y-%m-%dT%H:%M')}"
    first, queries = httpx.get(asked, timeout=20).content, _queries(shown)
    again = [httpx.get(asked, timeout=20).content for _ in range(20)]
    assert again == [first] * 20
    assert _queries(shown) - queries < 60, "the live wall beats meanwhile; twenty readings would be more than two hundred"


def _queries(shown: Shown) -> float:
    text = httpx.get(shown.server.url + "/metrics", timeout=20).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("ioc_wall_query_seconds_count"))


def test_the_csv_of_a_figure_sums_to_it(shown: Shown) -> None:
    question = {"board": "ioc-payment", "panel": "1", "figure": "paid_vnd", "day": (MIDNIGHT - timedelta(days=1)).date().isoformat()}
    found = httpx.get(f"{shown.server.url}/api/explain", params=question, timeout=20).json()
    text = httpx.get(f"{shown.server.url}/api/explain", params=question | {"format": "csv"}, timeout=20).text
    rows = [*csv.DictReader(io.StringIO(text))]
    assert (
        found["value"]
        == sum(int(row["amount"]) for row in rows)
        == shown.says("payment", "paid_vnd", MIDNIGHT - timedelta(days=1), MIDNIGHT)
    )
    assert found["equal"] is True
    assert len(rows) == found["events"] > 100


@pytest.mark.parametrize(
    "path",
    [
        "/api/explain?board=ioc-payment&panel=1&figure=paid_vnd&sql=select+1",
        "/api/explain?board=ioc-payment&panel=1&figure=x'%3B+drop+table+y--&day=now",
        "/api/explain?board=ioc-payment&panel=1&after=1-zz",
        "/api/explain?board=ioc-payment&panel=99",
        "/api/explain?board=..%2f&panel=1",
        "/api/explain?board=ioc-payment&panel=1&day=2026-11-22&hour=2026-11-22T09",
        "/api/past?board=ioc-payment",
        "/api/past?board=ioc-payment&at=2199-01-01",
        "/api/past?board=ioc-payment&at=';select+1",
        "/api/live?board=ioc-payment&at=2026-11-20T09:17",
    ],
)
def test_what_no_figure_or_moment_is_gets_nothing(shown: Shown, path: str) -> None:
    assert httpx.get(shown.server.url + path, timeout=20).status_code == 400
    assert httpx.get(shown.server.url + "/api/explain?board=ioc-payment&panel=1&unit=38001'or'1", timeout=20).json()["events"] == 0
