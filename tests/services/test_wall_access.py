"""The door of the wall under attack: what must not be had is not had, over real HTTP and with figures of a real database."""

import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from deploy.embedded.parts import Parts
from grafana.wall import access, limits, small
from grafana.wall.limits import Buckets
from grafana.wall.screens import ALIVE_SECONDS, MOST_OF_ONE_ADDRESS, Beacon, Screens
from sinks import migrations, roles
from streams import settings as house_settings
from streams.errors import Misconfigured
from streams.settings import Settings
from tests.eventually import eventually
from tests.wall_door import SPACE, Door, door, prepared

PUBLIC = "ioc-overview"
CLOSED = "ioc-payment"
DETAILED = "ioc-einvoice"  # public too


@pytest.fixture(scope="module")
def closed(settings: Settings, parts: Parts) -> Settings:
    """The space with its figures."""
    return prepared(settings, parts)


@pytest.fixture(scope="module")
def by_link(closed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Login by link, one public board."""
    with door(closed, tmp_path_factory.mktemp("link"), login=["link"], public=[PUBLIC, DETAILED], requests_per_second=1000) as found:
        yield found


@pytest.fixture(scope="module")
def by_proxy(closed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Login by the header of a proxy; none of the test's requests comes from it."""
    rules = {"login": ["proxy"], "trusted_proxies": ["10.9.8.7"], "requests_per_second": 1000}
    with door(closed, tmp_path_factory.mktemp("proxy"), **rules) as found:
        yield found


NEEDS_LOGIN = [
    f"/d/{CLOSED}",
    f"/api/boards/{CLOSED}",
    f"/api/boards/{CLOSED}/panels/1",
    f"/api/live?board={CLOSED}",
    f"/api/live?board={PUBLIC}&board={CLOSED}",
    f"/api/live?board={CLOSED}&board={PUBLIC}",
    f"/api/boards/{CLOSED}/panels/1?board={PUBLIC}",
    f"/api/boards/{PUBLIC}/panels/1?board={CLOSED}",
    f"/api/boards/{PUBLIC}/panels/1?from=now-1h&to=now",
    f"/api/boards/{PUBLIC}?at=2026-11-01T00:00",
    f"/api/live?board={PUBLIC}&at=2026-11-01T00:00",
    f"/api/explain?board={PUBLIC}&panel=1",
    f"/api//boards/{CLOSED}",
    f"/api/boards/{PUBLIC}/../{CLOSED}",
    f"/api/boards/{PUBLIC}%2f..%2f{CLOSED}",
    f"/API/boards/{CLOSED}",
    f"/api/boards/{CLOSED}/",
    "/api/screens",
    "/api/anything",
    "/alarms",
    "/alarms/1",
    "/api/alarms",
    "/api/alarms/1",
    "/rules/new",
    "/api/rules/words",
]


@pytest.mark.parametrize("path", NEEDS_LOGIN)
def test_without_login_only_the_public_board_is_had(by_link: Door, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", by_link.port, timeout=20)  # sends paths as they are
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status in (401, 403), (answer.status, text[:200])
    assert "panels" not in text
    assert "frames" not in text


def test_a_visitor_without_login_is_told_how_to_get_in(by_link: Door) -> None:
    answer = by_link.get(f"/d/{CLOSED}")
    assert answer.status_code == 401
    assert "Bảng này cần đăng nhập" in answer.text


def test_a_link_logs_in_once_and_its_replay_gets_nothing(by_link: Door) -> None:
    token = by_link.token(boards=(CLOSED,))
    first = by_link.login(token)
    cookie = first.headers["set-cookie"]
    assert first.json() == {"boards": [CLOSED]}
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert token not in cookie
    assert by_link.get(f"/api/boards/{CLOSED}", first.cookies[access.COOKIE]).status_code == 200
    replayed = by_link.login(token)
    assert replayed.status_code == 403
    assert "set-cookie" not in replayed.headers


def test_a_link_for_many_uses_is_good_until_it_expires(by_link: Door) -> None:
    token = by_link.token(once=False)
    assert [by_link.login(token).status_code for _ in range(2)] == [200, 200]
    assert by_link.login(by_link.token(seconds=-1, once=False)).status_code == 403


def test_a_link_opens_its_boards_only(by_link: Door) -> None:
    token = by_link.token("cookie", boards=("ioc-einvoice",))
    assert by_link.get("/api/boards/ioc-einvoice/panels/1", token).status_code == 200
    assert [board["uid"] for board in by_link.get("/api/boards", token).json()] == [PUBLIC, "ioc-einvoice"]
    for path in NEEDS_LOGIN:
        assert by_link.get(path, token).status_code in (403, 404), path


@pytest.mark.parametrize(
    "path", [f"/d/{CLOSED}?", f"/api/boards/{CLOSED}?", f"/api/live?board={CLOSED}&", "/api/boards?", f"/compare?board={CLOSED}&"]
)
def test_a_link_to_boards_opens_no_space(by_link: Door, path: str) -> None:
    whole, some = by_link.token("cookie"), by_link.token("cookie", boards=(CLOSED,))
    assert by_link.get(f"{path}space=drill-01", some).status_code == 403
    assert by_link.get(f"{path}space=drill-01", whole).status_code == 404, "he would see it, if it were there"
    assert by_link.get("/api/replay/drill-01", some).status_code == 403
    assert by_link.get("/api/spaces", some).json() == []


def test_a_cookie_that_was_touched_is_no_cookie(by_link: Door) -> None:
    good = by_link.token("cookie")
    assert by_link.get(f"/api/boards/{CLOSED}", good).status_code == 200
    middle = len(good) // 2
    others = access.Key(by_link.wall.key.with_name("other.key"))
    others.make()
    forged = others.sign(access.new_grant("cookie", "x", time.time() + 99, None, operator=True, once=False))
    tampered = [
        good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :],
        good[:-8],
        "A" + good,
        "",
        "null",
        json.dumps({"kind": "cookie", "boards": None}),
        forged,
        by_link.token("link"),  # a link is no cookie
        by_link.token("cookie", seconds=-1),
    ]
    for each in tampered:
        assert by_link.get(f"/api/boards/{CLOSED}", each).status_code == 401, each
    assert by_link.login(good).status_code == 403, "a cookie is no link"


def test_a_new_key_revokes_links_and_cookies_and_ends_streams(by_link: Door) -> None:
    link, cookie = by_link.token(), by_link.token("cookie")
    with httpx.stream(
        "GET", f"{by_link.url}/api/live?board={CLOSED}", headers={"cookie": f"{access.COOKIE}={cookie}"}, timeout=20
    ) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data: "))
        by_link.key.rotate()
        assert not [line for line in lines if line.startswith("data: ")], "not one wave more"
    assert by_link.login(link).status_code == 403
    assert by_link.get(f"/api/boards/{CLOSED}", cookie).status_code == 401
    assert stat.S_IMODE(by_link.wall.key.stat().st_mode) == 0o600


def test_screens_report_and_operators_see_them(by_link: Door) -> None:
    said = {
        "screen": "a1",
        "view": CLOSED,
        "wave": 1,
        "at": int(time.time() * 1000),
        "version": "v",
        "errors": ["panel 3"],
        "visible": True,
    }

    def report(token: str | None, **more: Any) -> int:
        cookie = {"cookie": f"{access.COOKIE}={token}"} if token else {}
        answer = httpx.post(f"{by_link.url}/api/seen", json={**said, **more}, headers={"origin": by_link.url, **cookie}, timeout=20)
        return answer.status_code

    mine, operator = by_link.token("cookie"), by_link.token("cookie", operator=True)
    assert report(mine) == 204
    assert report(None, screen="public") == 204, "the public is heard, and forgotten"
    assert [report(mine, **wrong) for wrong in ({"screen": "<b>"}, {"errors": ["x"] * 9}, {"view": "x" * 900}, {"more": 1})] == [400] * 4
    found = by_link.get("/api/screens", operator).json()["screens"]
    assert [(each["screen"], each["name"], each["view"], each["errors"], each["state"]) for each in found] == [
        ("a1", "test", CLOSED, ["panel 3"], "alive")
    ]
    assert found[0]["lag_seconds"] < 10


def test_screens_that_fall_silent_are_told_first_and_none_fill_the_memory() -> None:
    known = Screens(lambda _space: 12, "v2")
    now = time.time()
    said = Beacon("s", "ioc-overview", 10, int((now - 2) * 1000), "v1", [], True)
    known.heard(said, "sảnh", "10.0.0.1", now)
    known.heard(msgspec.structs.replace(said, screen="t", version="v2"), "họp", "10.0.0.2", now - ALIVE_SECONDS - 1)
    silent, alive = known.told()
    assert (silent["screen"], silent["state"], alive["state"], alive["behind"]) == ("t", "silent", "alive", 2)
    assert (silent["current"], alive["current"], alive["lag_seconds"]) == (True, False, pytest.approx(2, abs=0.1))
    for i in range(3 * MOST_OF_ONE_ADDRESS):
        known.heard(msgspec.structs.replace(said, screen=f"x{i}"), "", "6.6.6.6", now)
    assert len(known.told()) == 2 + MOST_OF_ONE_ADDRESS, "one address does not push out the others"


def test_a_link_without_operator_does_not_see_the_screens(by_link: Door) -> None:
    assert by_link.get("/api/screens", by_link.token("cookie")).status_code == 403


SPOOFED = [
    {"x-forwarded-user": "chutich"},
    {"x-forwarded-user": "chutich", "x-forwarded-for": "10.9.8.7"},
    {"x-forwarded-user": "chutich", "forwarded": "for=10.9.8.7", "x-real-ip": "10.9.8.7"},
    {"x-forwarded-user": "chutich", "host": "10.9.8.7"},
    {"X-FORWARDED-USER": "chutich", "via": "10.9.8.7"},
]


@pytest.mark.parametrize("headers", SPOOFED)
def test_the_users_header_counts_for_nothing_from_elsewhere(by_proxy: Door, headers: dict[str, str]) -> None:
    assert by_proxy.get(f"/api/boards/{CLOSED}", **headers).status_code == 401
    assert by_proxy.get("/metrics", **{"x-forwarded-for": "1.1.1.1", **headers}).status_code == 403


def test_the_users_header_counts_from_the_proxy_and_tells_operators(closed: Settings, tmp_path: Path) -> None:
    with door(closed, tmp_path, login=["proxy"], trusted_proxies=["127.0.0.0/8"], operators=["truc"]) as here:
        assert here.get(f"/api/boards/{CLOSED}").status_code == 401
        assert here.get(f"/api/boards/{CLOSED}", **{"x-forwarded-user": "lan"}).status_code == 200
        assert here.get("/api/screens", **{"x-forwarded-user": "lan"}).status_code == 403
        twice = [("x-forwarded-user", "truc"), ("x-forwarded-user", "lan")]
        assert httpx.get(f"{here.url}/api/boards/{CLOSED}", headers=twice).status_code == 401, "one user, not a list"


def test_an_address_is_the_last_one_a_trusted_proxy_saw() -> None:
    trusted = house_settings.Wall(trusted_proxies=("10.0.0.0/8",)).trusted_proxies
    spoofed = {"x-forwarded-for": "1.2.3.4, 9.9.9.9, 10.0.0.2"}
    assert limits.of("10.0.0.1", spoofed, trusted) == "9.9.9.9"
    assert limits.of("8.8.8.8", spoofed, trusted) == "8.8.8.8"
    assert limits.of("10.0.0.1", {"x-forwarded-for": "1.2.3.4, nonsense"}, trusted) == "10.0.0.1"
    assert limits.of("::ffff:8.8.8.8", {}, trusted) == "8.8.8.8"
    assert limits.of("2001:db8:1:2::7", {}, ()) == limits.of("2001:db8:1:2:ffff::1", {}, ()) == "2001:db8:1:2::/64"


FOREIGN = [
    {},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "origin": "OWN"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_cannot_post(by_link: Door, headers: dict[str, str]) -> None:
    sent = {name: by_link.url if value == "OWN" else value for name, value in headers.items()}
    token = by_link.token()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = httpx.request(method, f"{by_link.url}/api/login", json={"token": token}, headers=sent)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert by_link.login(token).status_code == 200, "and the link was not used up"


def test_a_get_changes_nothing(by_link: Door) -> None:
    token = by_link.token()
    for path in ("/api/login", f"/api/login?token={token}", f"/enter?token={token}"):
        assert "set-cookie" not in by_link.get(path).headers
    assert by_link.login(token).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "from=now'%3B+drop+table+unit--&to=now",
        "from=now&to=now')+union+select+1--",
        "from=1e400&to=now",
        "from=9223372036854775808&to=99999999999999999999",
        "sql=select+1",
        "rawSql=select+1",
        "schema=ioc",
        "search_path=live",
        "from[]=now",
        "__proto__=1",
    ],
)
def test_sql_and_other_spaces_are_not_had_by_parameters(by_link: Door, query: str) -> None:
    answer = by_link.get(f"/api/boards/{CLOSED}/panels/1?{query}", by_link.token("cookie"))
    assert answer.status_code == 400
    assert "frames" not in answer.text
    assert "einvoice" not in answer.text


def test_the_reader_of_one_space_sees_no_other(by_link: Door, closed: Settings) -> None:
    with psycopg.connect(roles.reader_dsn(closed)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"select 1 from {migrations.schema(SPACE)}.einvoice limit 1")


@pytest.mark.parametrize(
    "path", ["/static/..%2fapp.py", "/static/%2e%2e/access.py", "/static/....//app.py", "/fonts/%2e%2e%2f%2e%2e%2fpackage.json"]
)
def test_files_outside_are_not_had_by_tricks(by_link: Door, path: str) -> None:
    assert by_link.get(path).status_code == 404


def test_oversized_requests_are_cut(by_link: Door) -> None:
    assert by_link.get(f"/api/live?board={PUBLIC}&var-x={'x' * 3000}").status_code == 414
    assert by_link.get("/" + "a" * 3000).status_code == 414
    assert by_link.login("x" * 5000).status_code == 413

    with raw(by_link) as connection, pytest.raises(ConnectionError):
        _sends_for_ever(connection)
    with raw(by_link) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-much: " + b"y" * 200_000)
        assert b" 400 " in ended(connection).split(b"\r\n", 1)[0]
    assert by_link.get("/healthz").status_code == 200


def _sends_for_ever(connection: socket.socket) -> None:
    connection.sendall(b"POST /api/login HTTP/1.1\r\nhost: x\r\norigin: http://x\r\ntransfer-encoding: chunked\r\n\r\n")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def test_an_address_that_asks_too_often_is_told_to_wait(closed: Settings, tmp_path: Path) -> None:
    with door(closed, tmp_path, requests_per_second=2) as here, httpx.Client(base_url=here.url) as client:
        answers = [client.get("/api/boards") for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 20 <= len(refused) <= 40
    assert refused[0].headers["retry-after"] == "5"


def test_buckets_fill_again_and_do_not_grow_without_bound() -> None:
    buckets = Buckets(1.0)
    assert [buckets.take("a", 1.0, 0.0) for _ in range(13)] == [True] * 12 + [False]
    assert buckets.take("b", 1.0, 0.0)
    assert buckets.take("a", 1.0, 1.0)
    for i in range(3 * limits.MOST_ADDRESSES):
        buckets.take(str(i), 1.0, 2.0)
    assert len(buckets._left) <= limits.MOST_ADDRESSES


def test_a_flood_of_streams_from_one_address_leaves_room(closed: Settings, tmp_path: Path) -> None:
    with door(closed, tmp_path, streams_per_address=5) as here:
        flood = [raw(here) for _ in range(30)]
        try:
            for connection in flood:
                connection.sendall(_live(here, PUBLIC))
            heads = [connection.recv(200) for connection in flood]
            assert sum(b" 200 " in head for head in heads) == 5
            assert sum(b" 429 " in head for head in heads) == 25
        finally:
            for connection in flood:
                connection.close()
        eventually(lambda: _opens(here), 20)  # when they are gone the address may come again


def _opens(here: Door) -> bool:
    with httpx.stream("GET", f"{here.url}/api/live?board={PUBLIC}", timeout=20) as stream:
        return stream.status_code == 200


def test_a_reader_that_does_not_read_holds_nobody_up_and_is_cut(closed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.commands.serve.UNREAD_MS", 1500)
    with door(closed, tmp_path, streams_per_address=1, login=["proxy"], trusted_proxies=["127.0.0.1"]) as here:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with closing(slow):
            slow.connect(("127.0.0.1", here.port))
            slow.sendall(_live(here, CLOSED, **{"x-forwarded-user": "slow", "x-forwarded-for": "7.7.7.7"}))
            eventually(lambda: here.server.server_state.tasks)
            hub = here.server.config.app.state.hub  # type: ignore[union-attr]
            waves = 0

            def cut() -> bool:
                nonlocal waves
                waves += 1
                hub._tell({}, {viewer.view for viewer in set(hub._viewers)})  # more than its buffers hold
                return not here.server.server_state.tasks

            eventually(cut, 40, 0.005)
        assert waves > 8
        assert here.get("/healthz").status_code == 200


def test_a_head_that_never_ends_is_cut(by_link: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SILENT_SECONDS", 0.5)
    with raw(by_link) as silent, raw(by_link) as dripping:
        dripping.sendall(b"GET / HTTP/1.1\r\n")
        assert ended(silent) == b""
        assert ended(dripping) == b""
    with raw(by_link) as second:
        second.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /healthz HTT")
        assert ended(second).count(b"HTTP/1.1 200") == 1


def test_one_peer_does_not_hold_all_connections(by_link: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 3)
    many = [raw(by_link) for _ in range(8)]
    try:
        open_now = 0
        for connection in many:
            try:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                open_now += b" 200 " in connection.recv(200)
            except ConnectionError:
                continue
        assert open_now <= 3
    finally:
        for connection in many:
            connection.close()
    eventually(lambda: _healthy(by_link))


def _healthy(here: Door) -> bool:
    try:
        return here.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_names_of_other_sites_get_nothing_from_an_open_wall(closed: Settings, tmp_path: Path) -> None:
    with door(closed, tmp_path) as here:
        assert here.get("/api/boards").status_code == 200
        assert here.get("/api/boards", host=f"localhost:{here.port}").status_code == 200
        for host in ("evil.example", f"evil.example:{here.port}", "127.0.0.1.evil.example", "[::1].evil.example:80"):
            assert here.get("/api/boards", host=host).status_code == 421
    with door(closed, tmp_path, open_to_all=True, hosts=["wall.example.vn"]) as here:
        assert here.get("/api/boards", host="wall.example.vn").status_code == 200
        assert here.get("/api/boards", host="evil.example").status_code == 421


def test_every_answer_carries_the_security_headers_refusals_too(by_link: Door) -> None:
    for path in ("/enter", f"/d/{CLOSED}", "/api/boards", "/static/enter.js", "/hooks/nothing", "/" + "a" * 3000):
        headers = by_link.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_no_page_has_inline_script_or_style() -> None:
    for page in (Path(access.__file__).parent / "static").glob("*.html"):
        text = page.read_text()
        assert text.count("<script") == text.count('<script type="module" src="/static/'), page.name
        assert not any(bad in text for bad in ("<style", "style=", "onclick=", "onload=", "javascript:")), page.name


def test_webhooks_stand_outside_the_login(by_link: Door) -> None:
    answer = httpx.post(f"{by_link.url}/hooks/nothing", content=b"x" * 10_000)
    assert answer.status_code == 404, "the router's answer, not the door's"


def test_the_public_is_sent_no_small_cell(by_link: Door) -> None:
    ids = [panel["id"] for panel in by_link.get(f"/api/boards/{DETAILED}").json()["panels"]]
    with httpx.stream("GET", f"{by_link.url}/api/live?board={DETAILED}", timeout=20) as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("data: ")).removeprefix("data: ")
    panels = json.loads(first)["panels"]
    each = {str(i): by_link.get(f"/api/boards/{DETAILED}/panels/{i}").json() for i in ids}
    token = by_link.token("cookie")
    whole = {str(i): by_link.get(f"/api/boards/{DETAILED}/panels/{i}", token).json() for i in ids}
    everything = {n for data in whole.values() for n in _numbers(data)}
    assert {3, 4324, 777777, 1555554, 0} <= everything, "who has logged in sees it as it is"
    for seen in (panels, each):
        numbers = {n for data in seen.values() for n in _numbers(data) if n is not None}
        assert {4325, 0} <= numbers
        assert not [n for n in numbers if 0 < n < 5]
        assert not numbers & {3, 4321, 4324, 777777, 1555554, 141414}
        assert any(data.get("withheld") for data in seen.values())
    assert not any("withheld" in data for data in whole.values())


def _numbers(panel: dict[str, Any]) -> list[float | None]:
    return [
        value
        for frame in panel["frames"]
        for described, values in zip(frame["fields"], frame["columns"], strict=True)
        if described["type"] == "number"
        for value in values
    ]


def test_counts_for_the_public_are_withheld_or_rounded() -> None:
    assert [small.count(n) for n in (0, 1, 4, 5, 7, 8, 12, 13)] == [0, None, None, 5, 5, 10, 10, 15]
    assert small.count(-3) is None
    for total in range(5, 400):  # whatever the parts: total less the other rows never names one small row exactly
        possible = {total + d for d in range(-2, 3) if small.count(total + d) == small.count(total)}
        assert len(possible) > 1


def test_what_is_no_count_is_withheld_from_the_public() -> None:
    units = {"đồng": "currency:financial: đ:suffix", "phút": "suffix: phút", "số": "locale", "tỷ lệ": "percent", "phiên": "suffix: phiên"}
    overrides = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]} for name, unit in units.items()
    ]
    types = {"đơn vị": "string", "lúc": "time", "khác": "string"}
    names = [*units, "đo", "latitude", *types]
    frame = {
        "fields": [{"name": name, "type": types.get(name, "number")} for name in names],
        "columns": [[1e9], [35], [12], [33.7], [3], [7], [19.8], ["BVĐK"], [1_700_000_000_000], [{"n": 3}]],
    }
    overrides.append({"matcher": {"id": "byName", "options": "đo"}, "properties": [{"id": "mappings", "value": [{"type": "value"}]}]})
    sent = small.panel({"overrides": overrides}, {"frames": [frame]})
    assert sent["withheld"]
    expected = [[None], [None], [10], [33], [None], [7], [19.8], ["BVĐK"], [1_700_000_000_000], [None]]
    assert sent["frames"][0]["columns"] == expected


def test_a_wall_without_login_listens_on_loopback_only(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "deploy", "serve", "--port", "0", "--host", "0.0.0.0"]  # noqa: S104 - it has to be refused
    said = subprocess.run(program, env={**os.environ, "IOC_STATE_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert said.returncode == 2
    assert "no login is configured" in " ".join(said.stderr.split())


def test_a_proxy_login_without_its_addresses_is_refused() -> None:
    with pytest.raises(Misconfigured, match="trusted_proxies"):
        house_settings.load(wall={"login": ["proxy"]})


def test_ioc_wall_link_and_rotate(by_link: Door, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    environment = {**os.environ, "IOC_STATE_DIR": str(tmp_path), "IOC_WALL__LOGIN": '["link"]'}

    def ioc(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy", "wall", *words, "--json"], env=environment, capture_output=True, text=True, timeout=60
        )

    made = json.loads(ioc("link", "--board", CLOSED, "--days", "2", "--name", "sảnh").stdout)
    base, _, token = made["link"].partition("/enter#")
    assert base.startswith("http://127.0.0.1")
    assert made["boards"] == [CLOSED]
    by_link.key.make()
    shutil.copy(secrets / "wall.key", by_link.wall.key)
    assert by_link.login(token).json() == {"boards": [CLOSED]}
    assert ioc("link", "--board", "nothing").returncode == 2
    before = (secrets / "wall.key").read_bytes()
    assert json.loads(ioc("rotate").stdout)["rotated"] is True
    assert (secrets / "wall.key").read_bytes() != before


def raw(here: Door) -> socket.socket:
    return socket.create_connection(("127.0.0.1", here.port), timeout=20)


def ended(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    found = b""
    try:
        while more := connection.recv(65_536):
            found += more
    except ConnectionError:
        pass
    return found


def _live(here: Door, board: str, **headers: str) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /api/live?board={board} HTTP/1.1\r\nhost: 127.0.0.1:{here.port}\r\n{more}\r\n".encode()
