"""Honest tiles: a source that is cut is seen within ten seconds, one that has nothing new is not taken for silent."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from connectors import pump
from connectors.connector import connect
from connectors.intake import intake
from deploy.embedded import parts
from deploy.embedded.topics import create_topics
from grafana.wall import state
from grafana.wall.hub import BEAT_SECONDS, Hub
from grafana.wall.reader import Reader
from sinks.migrations import board
from sinks.roles import reader_dsn
from streams import pseudonym
from streams.brokers import kafka_python_options
from streams.event import Asked
from streams.settings import Settings, Source, Web
from streams.topics import topic
from tests import chrome
from tests.eventually import eventually
from tests.samples import message
from tests.services.space import NOW, Space, paid
from tests.source_server import Question, Reply, serving
from tests.topic import records


def test_a_connector_says_that_its_source_answered_without_news_and_that_it_did_not_answer(settings: Settings, bootstrap: str) -> None:
    own = settings.model_copy(update={"space": f"asked-{uuid.uuid4().hex[:8]}"})
    create_topics(own, bootstrap)
    options = kafka_python_options(own, bootstrap)
    stop = threading.Event()

    def told() -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in records(own, bootstrap, topic("asked", own.space))]

    def answer(asked: Question) -> Reply:
        some = [] if asked.params.get("after") else [{"content": base64.b64encode(message(1)).decode()}]
        return Reply({"items": some, "next": "1", "more": False})

    with serving(answer) as server:
        given = {"name": "feed", "department": "einvoice", "connector": "rest", "url": server.url + "/m", "interval_seconds": 0.1}
        source = Source.model_validate(given)
        reads = pump.Pump(intake(source, pseudonym.load(own.state_dir), own.space), connect(source, own.state_dir), options)
        following = threading.Thread(target=reads.follow, args=[stop])
        following.start()
        try:
            eventually(lambda: sum(each["answered"] for each in told()) >= 2, 30)
            assert reads.tally.pulled == 1
            server.answer = lambda asked: Reply(status=503)
            eventually(lambda: any(not each["answered"] for each in told()), 30)
        finally:
            stop.set()
            following.join()
    assert {(each["source"], each["department"], each["every_seconds"]) for each in told()} == {("feed", "einvoice", 0.1)}


def test_what_connectors_say_of_their_sources_reaches_the_wall(space: Space) -> None:
    def asked(source: str, second: int, answered: bool = True, news_us: int = 0) -> Asked:
        at_us = NOW + second * 1_000_000
        return Asked(source=source, department="payment", at_us=at_us, every_seconds=2.0, answered=answered, news_us=news_us)

    space.take("payment", paid(1, source="list-a"), paid(2, source="list-b"), paid(3, source="bank-c"))
    space.take("asked", asked("list-a", 1), asked("list-a", 3), asked("list-b", 2), asked("list-b", 9, answered=False), b"nonsense")
    space.take("asked", asked("list-a", 2))
    space.follow("payment")
    found = asyncio.run(_heard(space))["payment"]
    sources = {
        each["name"]: ((each["asked"] or 0) - NOW // 1000, each["failed"] and each["failed"] - NOW // 1000) for each in found["sources"]
    }
    assert sources == {"list-a": (3000, None), "list-b": (2000, 9000), "bank-c": (-NOW // 1000, None)}
    assert found["as_of"] == NOW // 1000 + 3000, "figures reach as far as a source said that there is nothing new"
    space.take("asked", asked("list-a", 7, news_us=NOW + 6_000_000))
    assert asyncio.run(_heard(space))["payment"]["as_of"] == NOW // 1000 + 2000, "but not while something it sent is still on its way"


def test_the_lag_runs_from_the_arrival_of_an_event_to_its_figure_on_the_glass(space: Space) -> None:
    asyncio.run(_lag(space))


async def _lag(space: Space) -> None:
    """Who commits and who follows is this test; waves and beats run as ever."""

    def commit(number: int, seconds_ago: float) -> int:
        known_us = round((time.time() - seconds_ago) * 1_000_000)
        space.take("payment", paid(number, event_time_us=known_us, known_at_us=known_us, paid_at_us=known_us))
        return round(known_us / 1000)

    commit(1, 3600)
    space.follow("payment")
    reader = Reader(reader_dsn(space.settings), board(space.name))
    hub = Hub({}, reader)
    await reader.open()
    running = [asyncio.create_task(hub.run()), asyncio.create_task(hub.beat())]

    async def comes(condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while not condition(said := hub.state()):
                await asyncio.sleep(0.05)
        return said

    async def a_beat_and_a_wave() -> None:
        waves = hub.waves
        hub.wake()
        await asyncio.sleep(BEAT_SECONDS + 1)  # nothing tells of a beat that changes nothing
        await comes(lambda said: said["wave"] > waves)

    try:
        first = await comes(lambda said: "payment" in said["departments"] and said["departments"]["payment"]["sources"])
        assert first["lag_seconds"] is None, "what was there before us is no news"
        space.take("asked", Asked(source="bank", department="payment", at_us=round(time.time() * 1e6), every_seconds=2.0, answered=True))
        await a_beat_and_a_wave()
        assert hub.state()["lag_seconds"] is None, "nor is a source that says it has none"
        known = commit(2, 300)
        hub.wake()
        waiting = await comes(lambda said: said["departments"]["payment"]["owed"])
        assert waiting["departments"]["payment"]["as_of"] < known, "figures reach no further than what is in them"
        await a_beat_and_a_wave()
        assert 2 < hub.state()["lag_seconds"] < 290, "as long as it has been waiting since it was committed"
        space.follow("payment")
        hub.wake()
        there = await comes(lambda said: said["departments"]["payment"]["reached"] == known and not said["departments"]["payment"]["owed"])
        assert (await comes(lambda said: said["lag_seconds"] >= 300))["lag_seconds"] < 600
        assert there["departments"]["payment"]["as_of"] >= known
        lag = hub.state()["lag_seconds"]
        await a_beat_and_a_wave()
        assert hub.state()["lag_seconds"] == lag, "each event is measured once"
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await reader.close()


async def _heard(space: Space) -> dict[str, Any]:
    reader = Reader(reader_dsn(space.settings), board(space.name))
    await reader.open()
    try:
        return await state.heard(reader)
    finally:
        await reader.close()


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The demo's parts, running; the wall's address."""
    settings = Settings(state_dir=folder, web=Web(port=0))
    command = [sys.executable, "-m", "deploy", "demo", "--seed", "7", "--rate", "20"]
    running = subprocess.Popen(
        command, env=os.environ | {"IOC_STATE_DIR": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: (folder / "web.json").exists(), 120)
        yield json.loads((folder / "web.json").read_text())["url"]
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)
        parts.wipe(settings)


def simulator(folder: Path, name: str) -> int:
    """The process of a department's system."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (process / "cmdline").read_bytes().split(b"\0")
            if b"deploy.simulators" in said and name.encode() in said and str(folder).encode() in b" ".join(said):
                return int(process.name)
    raise AssertionError(f"no simulator {name} runs")


@pytest.mark.timeout(400)
def test_a_source_that_is_cut_is_seen_within_ten_seconds_and_so_is_its_return(tmp_path: Path) -> None:
    with demo(tmp_path) as url, chrome.browser() as browser:
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(url + "/d/ioc-telehealth")
        tile = page.locator(".tile", has=page.locator(".big")).first
        expect(tile.locator(".share")).to_have_text("đủ 100 %", timeout=90_000)
        expect(tile).not_to_contain_class("stale", timeout=60_000)
        process = simulator(tmp_path, "telehealth")
        os.kill(process, signal.SIGSTOP)
        cut = time.monotonic()
        try:
            expect(tile).to_contain_class("stale", timeout=20_000)
            seen = time.monotonic() - cut
            assert "từ" in (tile.locator(".sub").text_content() or "")
            assert tile.locator(".big").text_content() not in ("0phiên", "—")
        finally:
            os.kill(process, signal.SIGCONT)
        assert seen <= 10.5, "ten seconds, and what the browser's own clock ticks"
        expect(tile).not_to_contain_class("stale", timeout=40_000)
