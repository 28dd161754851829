"""The wall: real figures from a real database, pushed by a real Kafka into a real browser; honest whatever is cut."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from kafka import KafkaProducer
from playwright.sync_api import Browser, Page, expect

from deploy.embedded import parts as embedded
from deploy.embedded import timescale
from deploy.embedded.parts import Parts
from deploy.embedded.processes import free_port
from deploy.embedded.topics import create_topics
from grafana.wall.app import Wall, build
from grafana.wall.hub import AGAIN, BACKLOG, Viewer
from grafana.wall.library import BOARDS, View
from sinks import migrations, roles
from streams.brokers import aiokafka_options, kafka_python_options
from streams.department import NAMES
from streams.event import Touched, encode
from streams.settings import Settings
from streams.topics import topic
from tests import chrome
from tests.eventually import eventually

SPACE = "wall-test"
SCHEMA = migrations.schema(SPACE)


@dataclass
class Server:
    """The wall over HTTP in a thread, on a port that stays its own."""

    wall: Wall
    port: int = field(default_factory=free_port)
    _running: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._running is not None

    def start(self) -> None:
        app = build(self.wall)
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None, timeout_graceful_shutdown=1)
        self._running, self.hub = uvicorn.Server(config), app.state.hub
        self._thread = threading.Thread(target=self._running.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._running is not None and self._running.started)

    def stop(self) -> None:
        if self._running is not None and self._thread is not None:
            self._running.should_exit = True
            self._thread.join(10)
            self._running = None


@dataclass
class House:
    """Database, broker and wall of one space, with the means to make something happen in it."""

    dsn: str
    server: Server
    producer: KafkaProducer

    def run(self, text: str, *values: object) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"set search_path = {SCHEMA}, public")
            connection.execute(text, values)  # type: ignore[arg-type]  # statements of this file

    def heard(self, department: str, source: str, seconds_ago: float = 0.0) -> None:
        self.run("delete from heard where department = %s and source = %s", department, source)
        self.run(
            "insert into heard select %s, %s, at, at, at from (select clock_timestamp() - make_interval(secs => %s) as at) as moment",
            department,
            source,
            seconds_ago,
        )
        self.run("delete from followed where department = %s", department)
        self.run(
            "insert into followed select %s, date_trunc('minute', at), at, clock_timestamp() from (select clock_timestamp() - make_interval(secs => %s) as at) as moment",
            department,
            seconds_ago,
        )
        self.run(
            "insert into ledger values (%s, %s, date_trunc('hour', now()), 10, 6, 1, 1, 1, 1) on conflict do nothing", department, source
        )

    def figures(self, department: str, unit: str, *measures: int) -> None:
        values = ", ".join(map(str, measures))
        cell = f"%s, 'a kind', {values}"
        self.run(f"insert into {department}_1m values (date_trunc('minute', now()), clock_timestamp(), {cell})", unit)
        slot = "date_bin('10 minutes', now(), timestamptz '2020-01-01Z')"
        self.run(f"insert into {department}_10m values ({slot}, %s, {values})", unit)
        self.run(f"delete from {department}_1d where unit = %s", unit)
        self.run(f"insert into {department}_1d values ((now() at time zone 'Asia/Ho_Chi_Minh')::date, {cell})", unit)

    def touch(self, department: str) -> None:
        record = encode(Touched(space=SPACE, department=department, stage="figures"))
        self.producer.send(topic("touched", SPACE), record).get(timeout=20)


@pytest.fixture(scope="module")
def house(settings: Settings, parts: Parts) -> Iterator[House]:
    chosen = settings.model_copy(update={"space": SPACE})
    create_topics(chosen, parts.bootstrap)
    migrations.migrate(parts.dsn, chosen)
    wall = Wall(
        reader_dsn=roles.reader_dsn(chosen),
        schema=migrations.board(SPACE),
        kafka=aiokafka_options(chosen, parts.bootstrap),
        topic=topic("touched", SPACE),
    )
    producer = KafkaProducer(**kafka_python_options(chosen, parts.bootstrap), acks="all")
    server = Server(wall)
    server.start()
    yield House(parts.dsn, server, producer)
    server.stop()
    producer.close()


@pytest.fixture(autouse=True)
def _empty(house: House) -> None:
    for table in ["heard", "ledger", *(f"{name}_{kind}" for name in NAMES for kind in ("1m", "10m", "1d"))]:
        house.run(f"delete from {table}")
    if not house.server.runs:
        house.server.start()
    eventually(lambda: house.server.hub.kafka is True, 30)


def shown(
    browser: Browser, house: House, path: str = "/d/ioc-overview", width: int = 1920, height: int = 1080
) -> AbstractContextManager[Page]:
    return chrome.shown(browser, house.server.url, path, width, height)


def tile(page: Page, title: str) -> Any:
    return page.locator(".tile", has=page.locator("h2", has_text=title)).first


def reads(page: Page, selector: str, text: str, within_seconds: float = 15) -> None:
    def so() -> bool:
        found = " ".join((page.locator(selector).first.text_content() or "").split())
        assert text in found
        return True

    eventually(so, within_seconds)


def test_a_figure_is_written_as_it_is_read_in_vietnamese(house: House, browser: Browser) -> None:
    house.heard("einvoice", "tax-feed")
    house.figures("einvoice", "C1", 42_111, 14_037, 14_000, 7, 30, 0, 0, 1_234_567, 98_765)
    with shown(browser, house) as page:
        invoices, value = tile(page, "Hóa đơn điện tử hôm nay"), tile(page, "Giá trị hóa đơn hôm nay")
        expect(invoices.locator(".big")).to_have_text("14.037hóa đơn")
        expect(value.locator(".big")).to_have_text("1.234.567đ")
        expect(invoices.locator(".asof")).to_contain_text("tính đến ")
        expect(invoices.locator(".share")).to_have_text("đủ 100 %")
        expect(page.locator("#day")).to_have_text(re.compile(r"^(Thứ .+|Chủ nhật) \d\d/\d\d/\d{4}$"))


def test_what_is_unknown_is_a_dash_and_never_zero(house: House, browser: Browser) -> None:
    with shown(browser, house) as page:
        payment = tile(page, "Thu viện phí không tiền mặt")
        expect(payment.locator(".big")).to_have_text("—")
        expect(payment.locator(".sub")).to_have_text("chưa nhận được tin nào")
        expect(payment).to_contain_class("stale")
        assert "0" not in (page.locator("#grid .big").all_text_contents())


def test_a_department_that_was_heard_and_sent_nothing_has_zero(house: House, browser: Browser) -> None:
    house.heard("telehealth", "telehealth")
    with shown(browser, house) as page:
        expect(tile(page, "Phiên khám từ xa hôm nay").locator(".big")).to_have_text("0phiên")


def test_a_commit_reaches_the_glass_without_waiting_for_the_poll(house: House, browser: Browser) -> None:
    house.heard("einvoice", "tax-feed")
    house.figures("einvoice", "C1", 1, 1, 1, 0, 0, 0, 0, 100, 10)
    with shown(browser, house) as page:
        waves = _count(house, 'ioc_wall_waves_total{cause="touch"}')
        house.figures("einvoice", "C2", 4, 4, 4, 0, 0, 0, 0, 400, 40)
        house.heard("einvoice", "tax-feed")
        house.touch("einvoice")
        expect(tile(page, "Hóa đơn điện tử hôm nay").locator(".big")).to_have_text("5hóa đơn")
        reads(page, "#said", "trực tiếp, trễ ")
        assert _count(house, 'ioc_wall_waves_total{cause="touch"}') > waves


def test_a_silent_source_changes_the_look_of_its_tiles_and_says_why(house: House, browser: Browser) -> None:
    house.heard("payment", "bank-hdbank")
    house.figures("payment", "H1", 3, 900_000, 0, 0, 0)
    with shown(browser, house) as page:
        payment = tile(page, "Thu viện phí không tiền mặt")
        expect(payment).not_to_contain_class("stale")
        house.heard("payment", "bank-hdbank", seconds_ago=3600)
        expect(payment).to_contain_class("stale")
        expect(payment.locator(".sub")).to_contain_text("không có tin mới từ ")
        expect(payment.locator(".big")).to_have_text("900.000đ"), "the last known figure stays, dimmed"


def test_one_silent_source_of_two_makes_the_figure_incomplete(house: House, browser: Browser) -> None:
    house.heard("payment", "bank-hdbank")
    house.heard("payment", "bank-vnpay", seconds_ago=3600)
    house.figures("payment", "H1", 3, 900_000, 0, 0, 0)
    with shown(browser, house) as page:
        payment = tile(page, "Thu viện phí không tiền mặt")
        expect(payment.locator(".share")).to_have_text("đủ 50 %")
        expect(payment.locator(".sub")).to_have_text("chờ 1 nguồn: bank-vnpay")
        expect(payment).not_to_contain_class("stale")


def test_the_quality_tile_balances_the_ledger(house: House, browser: Browser) -> None:
    house.heard("einvoice", "tax-feed")
    with shown(browser, house) as page:
        expect(page.locator(".sum").first).to_have_text("nhận 10 = đúng giờ 6 + muộn 1 + trùng 1 + xung đột 1 + giữ lại 1")


def test_the_wall_says_when_the_server_is_gone_and_comes_back_by_itself(house: House, browser: Browser) -> None:
    house.heard("einvoice", "tax-feed")
    with shown(browser, house) as page:
        house.server.stop()
        reads(page, "#said", "mất kết nối từ ")
        expect(page.locator("#state")).to_have_attribute("data-kind", "lost")
        house.server.start()
        house.heard("einvoice", "tax-feed")  # what is older than a minute is not called live
        reads(page, "#said", "trực tiếp", 30)


def test_the_wall_outlives_a_restart_of_the_database(house: House, browser: Browser, settings: Settings) -> None:
    house.heard("einvoice", "tax-feed")
    house.figures("einvoice", "C1", 1, 1, 1, 0, 0, 0, 0, 100, 10)
    with shown(browser, house) as page:
        invoices = tile(page, "Hóa đơn điện tử hôm nay")
        expect(invoices.locator(".big")).to_have_text("1hóa đơn")
        timescale.stop(settings.state_dir.resolve())
        try:
            reads(page, "#said", "không đọc được cơ sở dữ liệu", 30)
            expect(invoices.locator(".big")).to_have_text("1hóa đơn")
        finally:
            embedded.ensure(settings)
        house.heard("einvoice", "tax-feed")
        reads(page, "#said", "trực tiếp", 40)
        house.figures("einvoice", "C2", 1, 1, 1, 0, 0, 0, 0, 100, 10)
        expect(invoices.locator(".big")).to_have_text("2hóa đơn")


@pytest.mark.parametrize("path", ["/d/ioc-overview", "/d/ioc-einvoice?theme=light", "/d/ioc-telehealth", "/d/ioc-payment"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (3840, 2160)])
def test_no_text_runs_out_of_its_place(house: House, browser: Browser, path: str, width: int, height: int) -> None:
    house.heard("einvoice", "tax-feed")
    house.heard("payment", "bank-hdbank")
    house.heard("telehealth", "telehealth")
    big = 987_654_321_098_765
    house.figures("einvoice", "C1", big, big, big, big, big, big, big, big, big)
    house.figures("payment", "H1", big, big, big, big, big)
    house.figures("telehealth", "H1", big, big, big, big, big)
    with shown(browser, house, path, width, height) as page:
        page.evaluate("document.fonts.ready.then(() => true)")
        expect(page.locator("#grid")).to_contain_text("987")
        out = page.evaluate(
            "() => [...document.querySelectorAll('.big, .value, .tile > h2, .foot, .sum')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
        )
        assert out == []
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert page.evaluate("document.fonts.check('600 40px \"Be Vietnam Pro\"', 'Đủ')")


def test_on_a_phone_the_tiles_stand_below_each_other(house: House, browser: Browser) -> None:
    with shown(browser, house, width=390, height=844) as page:
        boxes = [box.bounding_box() for box in page.locator(".tile").all()]
        assert all(a and b and b["y"] >= a["y"] + a["height"] for a, b in itertools.pairwise(boxes))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_panel_of_every_board_answers_the_reader(house: House) -> None:
    with httpx.Client(base_url=house.server.url, timeout=20) as client:
        boards = client.get("/api/boards").json()
        assert boards[0]["uid"] == "ioc-overview"
        assert {board["uid"] for board in boards} == {path.stem for path in BOARDS.glob("*.json")}
        for board in boards:
            for panel in client.get(f"/api/boards/{board['uid']}").json()["panels"]:
                answer = client.get(f"/api/boards/{board['uid']}/panels/{panel['id']}")
                assert answer.status_code == 200
                assert "frames" in answer.json(), panel["title"]


def test_a_period_can_be_asked_for(house: House) -> None:
    asked = httpx.get(f"{house.server.url}/api/boards/ioc-overview/panels/1", params={"from": "2026-01-01", "to": "2026-01-02"}, timeout=20)
    assert asked.json()["to"] - asked.json()["from"] == 86_400_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/boards/ioc-overview/panels/1?sql=select+1", 400),
        ("/api/boards/ioc-overview/panels/1?from=now'%3B+drop+table+x--&to=now", 400),
        ("/api/boards/ioc-overview/panels/1?from=now-9999y&to=now", 400),
        ("/api/boards/ioc-overview/panels/999", 400),
        ("/api/boards/..%2f..%2fpyproject/panels/1", 404),
        ("/api/boards/nothing", 400),
        ("/api/live?board=nothing", 400),
        ("/api/live?board=ioc-overview&x=1", 400),
        ("/d/nothing", 404),
        ("/static/..%2fapp.py", 404),
        ("/static/%2e%2e/%2e%2e/app.py", 404),
        ("/vendor/..%2f..%2fpackage.json", 404),
        ("/fonts/..%2fpackage.json", 404),
    ],
)
def test_viewers_get_nothing_but_declared_panels(house: House, path: str, status: int) -> None:
    answer = httpx.get(house.server.url + path, timeout=20)
    assert answer.status_code == status
    assert "select" not in answer.text.lower()


def test_nothing_can_be_posted(house: House) -> None:
    assert httpx.post(f"{house.server.url}/api/boards/ioc-overview/panels/1", json={"rawSql": "select 1"}).status_code == 403


def test_every_answer_forbids_foreign_scripts(house: House) -> None:
    for path in ("/d/ioc-overview", "/api/boards", "/static/wall.js", "/nothing"):
        policy = httpx.get(house.server.url + path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy


def test_health_readiness_and_metrics_are_told(house: House) -> None:
    assert httpx.get(f"{house.server.url}/healthz").text == "ok\n"
    assert httpx.get(f"{house.server.url}/readyz").json() == {"ready": True, "database": True, "kafka": True}
    assert "ioc_wall_query_seconds_count" in httpx.get(f"{house.server.url}/metrics").text


def test_a_screen_that_reads_too_slowly_is_told_to_connect_again() -> None:
    viewer = Viewer(View("ioc-overview"))
    assert all(viewer.give(b"wave") for _ in range(BACKLOG))
    assert not viewer.give(b"wave")
    assert [viewer.waiting.get_nowait(), viewer.waiting.get_nowait()] == [AGAIN, None]


def test_the_queries_of_a_wave_do_not_grow_with_the_number_of_screens(house: House) -> None:
    house.heard("einvoice", "tax-feed")
    got: list[str] = []
    ready, done = threading.Barrier(31), threading.Event()

    def watch() -> None:
        with httpx.stream("GET", f"{house.server.url}/api/live?board=ioc-overview", timeout=30) as stream:
            first = True
            for line in stream.iter_lines():
                if line.startswith("data: ") and first:
                    first = False
                    ready.wait(30)
                elif line.startswith("data: ") and '"panels":{"' in line:
                    got.append(line)
                    return
                if done.is_set():
                    return

    watching = [threading.Thread(target=watch) for _ in range(30)]
    for thread in watching:
        thread.start()
    ready.wait(30)
    before = (_count(house, "ioc_wall_query_seconds_count"), _count(house, "ioc_wall_wave_seconds_count"))
    house.figures("einvoice", "C9", 1, 1, 1, 0, 0, 0, 0, 100, 10)
    house.touch("einvoice")
    eventually(lambda: len(got) == 30, 20)
    done.set()
    for thread in watching:
        thread.join(20)
    assert len(set(got)) == 1, "every screen gets the same bytes"

    def of_waves() -> bool:
        queries = _count(house, "ioc_wall_query_seconds_count") - before[0]
        return queries <= 16 * (_count(house, "ioc_wall_wave_seconds_count") - before[1])

    eventually(of_waves, 20)  # a wave that is under way counts when it ends


def _count(house: House, name: str) -> float:
    text = httpx.get(f"{house.server.url}/metrics", timeout=20).text
    return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


def test_ioc_serve_says_where_it_is_and_ends_cleanly_with_screens_connected(house: House, settings: Settings) -> None:
    where = settings.state_dir / "web.json"
    where.unlink(missing_ok=True)
    environment = {**os.environ, "IOC_STATE_DIR": str(settings.state_dir), "IOC_SPACE": SPACE}
    program = subprocess.Popen(
        [sys.executable, "-m", "deploy", "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        eventually(where.exists, 30)
        url = json.loads(where.read_text())["url"]
        with httpx.stream("GET", f"{url}/api/live?board=ioc-overview", timeout=30) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if line.startswith("data: "))
            begun = time.monotonic()
            program.send_signal(signal.SIGTERM)
            list(lines)
        assert program.wait(15) == 0
        assert time.monotonic() - begun < 8
        assert program.stderr is not None
        assert f"the wall is at {url}" in program.stderr.read()
    finally:
        program.kill()
        program.wait()
        if program.stderr is not None:
            program.stderr.close()
