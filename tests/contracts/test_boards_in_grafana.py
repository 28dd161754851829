"""push, diff, adopt and revert against a server that speaks Grafana's API; what a real one does with it is told in docs/boards.md."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from grafana import build, remote
from grafana.remote import Grafana
from streams.errors import Misconfigured, Retry
from tests.grafana_server import TOKEN, State, running

BOARDS: list[dict[str, Any]] = [json.loads(text) for text in build.emitted().values()]
SOURCE = remote.source("db:5432", "ioc", "ioc_reader", "secret-of-the-reader")


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with running(state) as url:
        yield url


@pytest.fixture
def found(url: str) -> Iterator[Grafana]:
    """A Grafana that our boards were pushed to."""
    with Grafana(url, TOKEN) as found:
        found.push(BOARDS, SOURCE, lambda step: None)
        yield found


def test_what_was_pushed_does_not_differ(state: State, found: Grafana) -> None:
    assert found.diff(BOARDS, SOURCE) == []
    assert state.boards.keys() == {board["uid"] for board in BOARDS}
    assert {held["meta"]["folderUid"] for held in state.boards.values()} == {"ioc"}
    assert state.preferences == {"homeDashboardUID": "ioc-overview"}
    assert state.sources["ioc-tsdb"]["user"] == "ioc_reader"
    shown = [item["value"] for item in state.playlists["abc"]["items"]]
    assert shown[0] == "ioc-overview"
    assert not {"ioc-hospital", "ioc-commune", "ioc-daily"} & set(shown), "nobody stands before a wall to choose"


@pytest.mark.skipif("not Path('/proc/net/if_inet6').exists()", reason="this machine speaks no IPv6")
def test_a_grafana_at_an_ipv6_address_is_reached(state: State) -> None:
    with running(state, "::1") as url, Grafana(url, TOKEN) as found:
        found.push(BOARDS, SOURCE, lambda step: None)
        assert found.diff(BOARDS, SOURCE) == []
        assert found.publish(next(board for board in BOARDS if board["uid"] == "ioc-overview")).startswith(f"{url}/public-dashboards/")


def test_pushing_twice_changes_nothing(state: State, found: Grafana) -> None:
    before = {uid: held["dashboard"]["version"] for uid, held in state.boards.items()}
    found.push(BOARDS, SOURCE, lambda step: None)
    assert len(state.playlists) == len(state.folders) == 1
    assert before.keys() == state.boards.keys()


def test_a_change_by_hand_is_told_with_place_and_name(state: State, found: Grafana) -> None:
    panels = state.boards["ioc-payment"]["dashboard"]["panels"]
    state.changed_by_hand("ioc-payment", panels=[{**panels[0], "title": "Của tôi"}, *panels[1:]])
    (change,) = found.diff(BOARDS, SOURCE)
    assert (change.where, change.path, change.grafana, change.who) == ("ioc-payment", "panels[0].title", "Của tôi", "nguyen.van.a")
    assert change.when.startswith("2026-11-22T")


def test_what_grafana_numbers_and_raises_by_itself_is_no_change(state: State, found: Grafana) -> None:
    fast = [{**board, "refresh": "1s"} for board in BOARDS]
    found.push(fast, SOURCE, lambda step: None)
    state.changed_by_hand("ioc-payment", iteration=5, links=[], description=None)
    assert found.diff(fast, SOURCE) == []


def test_everything_else_that_was_changed_is_told_too(state: State, found: Grafana) -> None:
    del state.boards["ioc-quality"]
    state.save("by-hand", {"uid": "by-hand", "title": "Thử"}, "ioc", "someone")
    state.boards["ioc-payment"]["meta"]["folderUid"] = "elsewhere"
    state.preferences["homeDashboardUID"] = "by-hand"
    state.sources["ioc-tsdb"]["user"] = "postgres"
    state.playlists["abc"]["interval"] = "5m"
    told = {(change.where, change.path) for change in found.diff(BOARDS, SOURCE)}
    assert told == {("ioc-quality", ""), ("by-hand", ""), ("ioc-payment", "folder"), ("home", ""), ("datasource", "user"), ("playlist", "")}


def test_a_board_of_grafanas_own_files_that_was_changed_through_the_new_api_is_put_back(state: State, found: Grafana) -> None:
    state.provisioned.add("ioc-payment")
    state.changed_by_hand("ioc-payment", title="Khác")
    assert [change.path for change in found.diff(BOARDS, SOURCE)] == ["title"]
    found.push(BOARDS, SOURCE, lambda step: None)
    assert found.diff(BOARDS, SOURCE) == []


def test_a_datasource_of_grafanas_own_files_is_left_as_it_is(state: State, found: Grafana) -> None:
    state.sources["ioc-tsdb"].update(readOnly=True, user="other")
    steps: list[str] = []
    found.push(BOARDS, SOURCE, steps.append)
    assert state.sources["ioc-tsdb"]["user"] == "other"
    assert any("left as it is" in step for step in steps)


def test_a_board_for_the_lobby_gets_one_address_that_stays(state: State, found: Grafana) -> None:
    by_uid = {board["uid"]: board for board in BOARDS}
    address = found.publish(by_uid["ioc-overview"])
    assert address.endswith("/public-dashboards/" + 32 * "a")
    state.public["ioc-overview"]["isEnabled"] = False
    assert found.publish(by_uid["ioc-overview"]) == address
    assert state.public["ioc-overview"]["isEnabled"] is True
    with pytest.raises(Misconfigured, match="template variables"):
        found.publish(by_uid["ioc-hospital"])


def test_a_grafana_that_is_away_or_refuses(url: str) -> None:
    with Grafana(url, "glsa_of_a_viewer") as viewer, pytest.raises(Misconfigured, match="refuses"):
        viewer.push(BOARDS, SOURCE, lambda step: None)
    with Grafana(url, "nothing") as nobody, pytest.raises(Misconfigured, match="refuses"):
        nobody.diff(BOARDS, SOURCE)
    with Grafana("http://127.0.0.1:9", TOKEN) as away, pytest.raises(Retry, match="cannot be reached"):
        away.diff(BOARDS, SOURCE)


class Website(BaseHTTPRequestHandler):
    """Answers every address with a page; one under /gone with 404, under /broken with 502."""

    def do_GET(self) -> None:
        self.send_response({"gone": 404, "broken": 502}.get(self.path.split("/")[1], 200))
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *_: object) -> None:
        """Silent."""


@pytest.mark.parametrize("path", ["", "/grafana", "/gone", "/broken"])
def test_what_answers_may_be_no_grafana(path: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Website) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with Grafana(f"http://127.0.0.1:{server.server_port}{path}", TOKEN) as found, pytest.raises(Retry, match="is no Grafana"):
                found.diff(BOARDS, SOURCE)
        finally:
            server.shutdown()
            thread.join()


def command(url: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    environment = {
        **os.environ, "IOC_GRAFANA__URL": url, "IOC_GRAFANA__TOKEN": TOKEN,
        "IOC_DATABASE__READER_DSN": "postgresql://ioc_reader:secret-of-the-reader@db:5432/ioc",
    }  # fmt: skip
    call = [sys.executable, "-m", "deploy", "boards", *arguments, "--json"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, env=environment, check=False)
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


def test_the_commands_push_tell_revert_and_adopt(state: State, url: str, tmp_path: Path) -> None:
    build.write(tmp_path)
    at = ("--boards", str(tmp_path))
    code, said, err = command(url, "push", *at)
    assert (code, said["ok"], said["boards"]) == (0, True, len(BOARDS)), err
    assert command(url, "diff", *at)[:2] == (0, {"ok": True, "changes": [], "settled": None})
    state.changed_by_hand("ioc-payment", title="Của tôi")
    code, said, err = command(url, "diff", *at)
    assert (code, said["ok"]) == (1, False)
    assert "--revert" in err
    assert "secret-of-the-reader" not in json.dumps(said) + err
    assert command(url, "diff", "--revert", *at)[1]["settled"] == "reverted"
    assert state.boards["ioc-payment"]["dashboard"]["title"] != "Của tôi"
    state.changed_by_hand("ioc-payment", title="Của tôi")
    assert command(url, "diff", "--adopt", *at)[1]["settled"] == "adopted"
    assert json.loads((tmp_path / "ioc-payment.json").read_text(encoding="utf-8"))["title"] == "Của tôi"
    assert command(url, "diff", *at)[0] == 0
    assert command(url, "diff", "--adopt", "--revert", *at)[0] == 2
