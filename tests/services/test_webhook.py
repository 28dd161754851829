"""Webhooks on a real broker, over real HTTP."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest
import uvicorn
from aiokafka import AIOKafkaProducer
from eventually import eventually
from samples import CANARIES, item, signed
from starlette.applications import Starlette
from structlog.testing import capture_logs
from topic import records

from connectors import caller, cursors, spool, webhook
from connectors.fuse import REJECTS_ALLOWED
from connectors.pump import reset_fuse
from deploy.embedded import kafka as embedded_kafka
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics
from sinks.migrations import migrate
from streams import pseudonym, sealing
from streams.brokers import aiokafka_options, kafka_python_options
from streams.errors import Misconfigured
from streams.settings import Archive, Settings, Source
from streams.topics import topic

SECRET = b":shared with the bank"  # for MoMo: an empty access key, and the secret one
# kafka-python and aiokafka leave a socket open when a connection is given up in the middle of being made, as happens on a busy machine
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

BANKS = ("hdbank", "vnpay", "payos", "momo", "sepay")
UNITS = {"BV38001": "38001", "1234500038001": "38001"}


@dataclass
class Hooks:
    """Our webhooks, served. One test's own topics."""

    settings: Settings
    bootstrap: str
    client: httpx.Client

    def sent(self, bank: str, number: int, secret: bytes = SECRET, **changes: Any) -> httpx.Response:
        """The answer to one notice."""
        return self.client.send(NOTICES[bank](f"{self.client.base_url}/hooks/bank-{bank}", number, secret, **changes))

    def held(self, name: str) -> list[Any]:
        return [json.loads(record.value) for record in records(self.settings, self.bootstrap, topic(name, self.settings.space))]


def hdbank(url: str, number: int, secret: bytes, **changes: Any) -> httpx.Request:
    data, sign = signed(item(number, **changes), secret)
    return httpx.Request("GET", url, params={"data": data, "sign": sign})


def vnpay(url: str, number: int, secret: bytes, amount: str = "15000000") -> httpx.Request:
    fields = {"vnp_Amount": amount, "vnp_BankCode": "NCB", "vnp_OrderInfo": CANARIES[0], "vnp_PayDate": "20261120090000"}
    fields |= {"vnp_ResponseCode": "00", "vnp_TmnCode": "BV38001", "vnp_TransactionNo": str(14000000 + number), "vnp_TxnRef": str(number)}
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(fields.items()))
    fields["vnp_SecureHash"] = hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()
    return httpx.Request("GET", url + "?" + urlencode(fields))


def payos(url: str, number: int, secret: bytes, amount: object = 150000) -> httpx.Request:
    data = {"orderCode": number, "amount": amount, "description": CANARIES[0], "accountNumber": "1234500038001", "reference": f"PO{number}"}
    data |= {"transactionDateTime": "2026-11-20 09:00:00", "code": "00", "desc": "ok"}
    text = "&".join(f"{name}={data[name]}" for name in sorted(data))
    notice = {"code": "00", "desc": "success", "success": True, "data": data}
    notice["signature"] = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return httpx.Request("POST", url, json=notice)


def momo(url: str, number: int, secret: bytes, amount: object = 150000) -> httpx.Request:
    said: dict[str, Any] = {"amount": amount, "extraData": "", "message": "ok", "orderId": f"HD{number}", "orderInfo": CANARIES[0]}
    said |= {"orderType": "momo_wallet", "partnerCode": "BV38001", "payType": "qr", "requestId": "r", "responseTime": 1795140000000}
    said |= {"resultCode": 0, "transId": 4000000 + number}
    text = "accessKey=&" + "&".join(f"{name}={said[name]}" for name in sorted(said))
    said["signature"] = hmac.new(secret.partition(b":")[2], text.encode(), hashlib.sha256).hexdigest()
    return httpx.Request("POST", url, json=said)


def sepay_body(number: int, amount: object = 150000) -> bytes:
    said = {"id": number, "transactionDate": "2026-11-20 09:00:00", "accountNumber": "1234500038001", "content": CANARIES[0]}
    return json.dumps(said | {"transferType": "in", "transferAmount": amount, "description": CANARIES[2]}).encode()


def sepay(url: str, number: int, secret: bytes, amount: object = 150000) -> httpx.Request:
    body = sepay_body(number, amount)
    sign = hmac.new(secret, b"1795140000." + body, hashlib.sha256).hexdigest()
    return httpx.Request("POST", url, content=body, headers={"X-SePay-Signature": f"sha256={sign}", "X-SePay-Timestamp": "1795140000"})


NOTICES = {"hdbank": hdbank, "vnpay": vnpay, "payos": payos, "momo": momo, "sepay": sepay}
CONFIRMED = {
    "hdbank": (200, {"code": "00", "message": "success"}),
    "vnpay": (200, {"RspCode": "00", "Message": "Confirm Success"}),
    "payos": (200, {"success": True}),
    "momo": (204, None),
    "sepay": (200, {"success": True}),
}
FORGED = {
    "hdbank": (200, {"code": "99", "message": "invalid sign"}),
    "vnpay": (200, {"RspCode": "97", "Message": "Invalid Checksum"}),
    "payos": (401, {"success": False}),
    "momo": (400, {"message": "invalid signature"}),
    "sepay": (401, {"success": False}),
}


def said(answer: httpx.Response) -> tuple[int, Any]:
    """Status and content of an answer."""
    return answer.status_code, answer.json() if answer.content else None


@pytest.fixture
def hooks(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    monkeypatch.setenv("BANK_SECRET", SECRET.decode())
    sources = [source(f"bank-{bank}", bank) for bank in BANKS]
    sources += [source(f"bank-{way}", "sepay", auth=way) for way in ("apikey", "bearer", "secretkey")]
    sources += [source("bank-either", "sepay", auth="apikey, secretkey")]
    sources += [Source(name="video", department="telequality", connector="webhook", credential="env:BANK_SECRET")]
    own = settings.model_copy(update={"space": f"hooks-{uuid.uuid4().hex[:8]}", "sources": tuple(sources)})
    create_topics(own, bootstrap)
    with served(own, bootstrap) as client:
        yield Hooks(own, bootstrap, client)


def source(name: str, bank: str, credential: str | None = "env:BANK_SECRET", **options: str) -> Source:
    return Source.model_validate(
        {
            "name": name,
            "department": "payment",
            "connector": "webhook",
            "format": bank,
            "credential": credential,
            "units": UNITS,
            "options": options,
        }
    )


@contextmanager
def served(settings: Settings, bootstrap: str) -> Iterator[httpx.Client]:
    """A client of a server that has nothing but the webhooks."""
    keys, options = pseudonym.load(settings.state_dir), kafka_python_options(settings, bootstrap)
    app = Starlette()

    @asynccontextmanager
    async def producing(_: Starlette) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(**webhook.producer_options(aiokafka_options(settings, bootstrap)))
        await producer.start()
        app.router.routes.extend(webhook.routes(settings, keys, producer, options))
        yield
        await producer.stop()

    app.router.lifespan_context = producing
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        eventually(lambda: server.started, within_seconds=30)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:  # noqa: S501  # plain http: saves reading the CA files
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("bank", BANKS)
def test_a_notice_is_confirmed_in_the_banks_own_words_when_kafka_has_it(hooks: Hooks, bank: str) -> None:
    assert said(hooks.sent(bank, 1)) == CONFIRMED[bank]
    (event,) = hooks.held("payment")
    assert (event["kind"], event["source"], event["status"], event["unit"]) == (bank, f"bank-{bank}", "paid", "38001")


@pytest.mark.parametrize("bank", BANKS)
def test_a_notice_sent_again_is_confirmed_again_with_the_same_identity(hooks: Hooks, bank: str) -> None:
    for _ in range(3):
        assert said(hooks.sent(bank, 1)) == CONFIRMED[bank]
    assert len({event["id"] for event in hooks.held("payment")}) == 1


@pytest.mark.parametrize("bank", BANKS)
def test_rule_08_a_tampered_sign_is_refused_kept_and_audited(hooks: Hooks, bank: str) -> None:
    with capture_logs() as logs:
        answer = hooks.sent(bank, 1, b"somebody else's")
    assert said(answer) == FORGED[bank]
    (reject,) = hooks.held("rejects")
    assert (reject["cause"], reject["source"], reject["department"]) == ("signature", f"bank-{bank}", "payment")
    assert hooks.held("payment") == []
    assert [line["sender"] for line in logs if "signature" in line["event"]] == ["127.0.0.1"]


@pytest.mark.parametrize("bank", BANKS)
def test_a_signed_notice_that_cannot_be_understood_is_quarantined_and_confirmed(hooks: Hooks, bank: str) -> None:
    assert said(hooks.sent(bank, 1, amount="muoi dong")) == CONFIRMED[bank]
    (reject,) = hooks.held("rejects")
    assert reject["cause"] == "number"


@pytest.mark.parametrize(
    ("way", "asked"), [("GET", ""), ("GET", "?data=x"), ("GET", "?vnp_Amount=1"), ("POST", ""), ("POST", "{"), ("POST", "[]")]
)
@pytest.mark.parametrize("bank", BANKS)
def test_rubbish_is_never_confirmed(hooks: Hooks, bank: str, way: str, asked: str) -> None:
    url = f"/hooks/bank-{bank}"
    answer = hooks.client.get(url + asked) if way == "GET" else hooks.client.post(url, content=asked)
    assert said(answer) != CONFIRMED[bank]
    assert hooks.held("payment") == []


@pytest.mark.parametrize(("way", "header", "right"), [
    ("apikey", "Apikey " + SECRET.decode(), True), ("apikey", "apikey  " + SECRET.decode(), True), ("apikey", "Apikey other", False),
    ("apikey", "Bearer " + SECRET.decode(), False), ("apikey", "", False), ("bearer", "Bearer " + SECRET.decode(), False),
    ("bearer", "Bearer 99999999999.00", False), ("bearer", "", False),
])  # fmt: skip
def test_sepay_is_known_by_its_header(hooks: Hooks, way: str, header: str, right: bool) -> None:
    answer = hooks.client.post(f"/hooks/bank-{way}", content=sepay_body(1), headers={"Authorization": header})
    assert said(answer) == (CONFIRMED if right else FORGED)["sepay"]
    assert len(hooks.held("payment")) == right


@pytest.mark.parametrize(("hook", "headers", "right"), [
    ("secretkey", {"X-Secret-Key": SECRET.decode()}, True), ("secretkey", {"X-Secret-Key": "other"}, False), ("secretkey", {}, False),
    ("secretkey", {"Authorization": "Apikey " + SECRET.decode()}, False), ("apikey", {"X-Secret-Key": SECRET.decode()}, False),
    ("either", {"X-Secret-Key": SECRET.decode()}, True), ("either", {"Authorization": "Apikey " + SECRET.decode()}, True),
    ("either", {"X-Secret-Key": "other", "Authorization": "Apikey other"}, False), ("either", {}, False),
])  # fmt: skip
def test_sepays_gateway_is_known_by_its_own_header_where_the_source_names_it(
    hooks: Hooks, hook: str, headers: dict[str, str], right: bool
) -> None:
    answer = hooks.client.post(f"/hooks/bank-{hook}", content=sepay_body(1), headers=headers)
    assert said(answer) == (CONFIRMED if right else FORGED)["sepay"]
    assert len(hooks.held("payment")) == right


def test_a_push_of_plain_records_is_taken_record_by_record_from_who_knows_the_secret(hooks: Hooks) -> None:
    beat = {"session": "s", "site": "38001", "measured_at": "2026-11-20T09:00:00+07:00", "in_kbps": 5000, "in_loss_percent": 0}
    body = json.dumps([beat, beat | {"in_kbps": "fast"}, beat | {"site": "38002"}]).encode()
    assert said(hooks.client.post("/hooks/video", content=body, headers={"Authorization": "Apikey a guess"}))[0] == 401
    assert hooks.held("telequality") == []
    answer = hooks.client.post("/hooks/video", content=body, headers={"Authorization": f"Apikey {SECRET.decode()}"})
    assert said(answer) == (200, {"success": True})
    assert sorted(event["unit"] for event in hooks.held("telequality")) == ["38001", "38002"]
    assert sorted(reject["cause"] for reject in hooks.held("rejects")) == ["field", "signature"]


@pytest.mark.parametrize("how", ["form", "basic", "login"])
def test_a_sender_that_wants_a_token_gets_one_for_its_secret_and_is_known_by_it(hooks: Hooks, how: str) -> None:
    def asked(secret: str) -> httpx.Response:
        url = "/hooks/bank-bearer/token"
        if how == "form":
            return hooks.client.post(url, data={"grant_type": "client_credentials", "client_id": "sepay", "client_secret": secret})
        if how == "basic":
            return hooks.client.post(url, data={"grant_type": "client_credentials"}, auth=("sepay", secret))
        return hooks.client.post(url, json={"username": "sepay", "password": secret})

    assert said(asked("a guess")) == (401, {"error": "invalid_client"})
    given = asked(SECRET.decode()).json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", caller.TOKEN_SECONDS)
    known = {"Authorization": f"Bearer {given['access_token']}"}
    assert said(hooks.client.post("/hooks/bank-bearer", content=sepay_body(1), headers=known)) == CONFIRMED["sepay"]
    other = {"Authorization": f"Bearer {given['access_token'][:-1]}x"}
    assert said(hooks.client.post("/hooks/bank-bearer", content=sepay_body(2), headers=other)) == FORGED["sepay"]


def test_a_token_ends_and_opens_one_source_only() -> None:
    one = caller.check(source("bank-one", "sepay", auth="none", credential=None), "hmac")
    assert one({}, b"", 0.0), "auth = none asks nothing"
    shown = {"authorization": f"Bearer {caller.token('bank-one', b'', 1000.0)}"}
    bearer = caller.check(source("bank-one", "sepay", auth="bearer", credential=None), "hmac")
    assert bearer(shown, b"", 1000.0 + caller.TOKEN_SECONDS - 1)
    assert not bearer(shown, b"", 1000.0 + caller.TOKEN_SECONDS)
    assert not caller.check(source("bank-two", "sepay", auth="bearer", credential=None), "hmac")(shown, b"", 1000.0)


def test_an_unsigned_item_is_never_taken_at_the_door(hooks: Hooks) -> None:
    answer = hooks.client.post("/hooks/bank-hdbank", json=item(1))
    assert answer.json()["code"] != "00"
    assert hooks.held("payment") == []


def test_a_confirmed_notice_is_kept_as_it_came_where_that_is_wanted(hooks: Hooks) -> None:
    own = hooks.settings.model_copy(update={"archive": Archive(raw=True)})
    where = spool.folder(own.state_dir, own.space, "bank-vnpay")
    with served(own, hooks.bootstrap) as client:
        assert Hooks(own, hooks.bootstrap, client).sent("vnpay", 1).status_code == 200
        (chunk,) = [chunk for path in where.glob("*.ndjson") for chunk, _ in spool.chunks(path.read_bytes())]
        ((_, raw),) = spool.unsealed(chunk, sealing.load(own.state_dir))
        assert b"vnp_TxnRef=1" in raw
        for path in where.glob("*"):
            path.unlink()
        where.rmdir()
        where.write_text("no folder can be made here")
        assert Hooks(own, hooks.bootstrap, client).sent("vnpay", 2).status_code == 503


def test_a_hook_that_does_not_exist_is_not_found(hooks: Hooks) -> None:
    assert hooks.client.get("/hooks/bank-other").status_code == 404
    assert hooks.client.head("/hooks/bank-hdbank").status_code == 404


def test_a_notice_that_is_too_large_is_refused(hooks: Hooks) -> None:
    answer = hooks.client.post("/hooks/bank-payos", content=b" " * (webhook.NOTICE_LIMIT_BYTES + 1))
    assert answer.status_code == 413


def test_bad_signatures_do_not_stop_a_bank(hooks: Hooks) -> None:
    for number in range(REJECTS_ALLOWED + 20):
        hooks.sent("vnpay", number, b"somebody else's")
    assert hooks.sent("vnpay", 1).json()["RspCode"] == "00"


def test_a_flood_of_bad_signatures_does_not_fill_the_quarantine(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FORGED_BURST", 5.0)
    monkeypatch.setattr(webhook, "FORGED_PER_SECOND", 0.0)
    answers = [hooks.sent("hdbank", number, b"somebody else's").status_code for number in range(9)]
    assert answers == [200] * 5 + [429] * 4
    assert len(hooks.held("rejects")) == 5
    assert hooks.sent("hdbank", 1).json()["code"] == "00"


def test_too_many_rejects_stop_a_hook_until_its_fuse_is_reset(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FUSE_LOOK_SECONDS", 0.0)
    for number in range(REJECTS_ALLOWED + 1):
        assert hooks.sent("hdbank", number, amount="x").json()["code"] == "00"
    assert hooks.sent("hdbank", 1).status_code == 503
    assert hooks.sent("vnpay", 1).status_code == 200
    options = kafka_python_options(hooks.settings, hooks.bootstrap)
    with served(hooks.settings, hooks.bootstrap) as restarted:
        assert Hooks(hooks.settings, hooks.bootstrap, restarted).sent("hdbank", 1).status_code == 503
    reset_fuse(options, topic("cursors", hooks.settings.space), "bank-hdbank")
    assert cursors.load(options, topic("cursors", hooks.settings.space), "bank-hdbank").blown_at_us is None
    assert hooks.sent("hdbank", 1).status_code == 200


def test_while_kafka_is_away_nothing_is_confirmed_and_afterwards_everything_is(
    hooks: Hooks, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hooks.sent("payos", 1).status_code == 200
    monkeypatch.setattr(webhook, "WAIT_SECONDS", 0.5)
    broker = embedded_kafka.pid_of(settings.state_dir.resolve())
    assert broker is not None
    os.kill(broker, signal.SIGSTOP)
    try:
        for bank in BANKS:
            answer = hooks.sent(bank, 2)
            assert answer.status_code == 503, bank
            assert answer.headers["retry-after"]
    finally:
        os.kill(broker, signal.SIGCONT)
    for bank in BANKS:
        eventually(lambda bank=bank: said(hooks.sent(bank, 2)) == CONFIRMED[bank], within_seconds=30)
    assert len({event["id"] for event in hooks.held("payment")}) == 1 + len(BANKS)


def test_names_and_numbers_of_people_reach_no_topic(hooks: Hooks) -> None:
    for bank in BANKS:
        hooks.sent(bank, 1)
        hooks.sent(bank, 2, b"somebody else's")
        hooks.sent(bank, 3, amount="x")
    for name in ("payment", "rejects", "cursors"):
        held = b"".join(record.value or b"" for record in records(hooks.settings, hooks.bootstrap, topic(name, hooks.settings.space)))
        assert not any(canary.encode() in held for canary in CANARIES)


def test_banks_need_no_login_where_the_wall_demands_one(settings: Settings, parts: Parts, tmp_path: Path) -> None:
    space = f"hooks-{uuid.uuid4().hex[:8]}"
    own = settings.model_copy(update={"space": space})
    migrate(parts.dsn, own)
    create_topics(own, parts.bootstrap)
    (tmp_path / "ioc.toml").write_text(
        f'''space = "{space}"
state_dir = "{settings.state_dir}"
[wall]
login = ["link"]
key_file = "{tmp_path / "wall.key"}"
[[sources]]
name = "bank-payos"
department = "payment"
connector = "webhook"
format = "payos"
credential = "env:BANK_SECRET"
units = {{ "1234500038001" = "38001" }}
'''
    )
    where = settings.state_dir / "web.json"
    where.unlink(missing_ok=True)
    program = [sys.executable, "-m", "deploy", "serve", "--port", "0"]
    environment = {**os.environ, "IOC_CONFIG": str(tmp_path / "ioc.toml"), "BANK_SECRET": SECRET.decode()}
    running = subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(where.exists, 60)
        with httpx.Client(base_url=json.loads(where.read_text())["url"], timeout=30) as client:
            assert client.get("/api/boards").status_code == 401
            hook = Hooks(own, parts.bootstrap, client)
            confirmed = hook.sent("payos", 1)
            assert (confirmed.status_code, confirmed.json()["success"]) == (200, True)
            hook.sent("payos", 2, b"somebody else's")
            assert [event["status"] for event in hook.held("payment")] == ["paid"]
            (reject,) = hook.held("rejects")
            assert reject["cause"] == "signature"
            assert client.get("/api/boards").status_code == 401, "a signature opens a hook and nothing else"
    finally:
        running.terminate()
        running.wait(30)


@pytest.mark.parametrize(("bank", "credential", "options"), [
    ("hdbank", None, {}), ("hdbank", None, {"auth": "none"}), ("tvan", "env:BANK_SECRET", {}), ("hdbank", "env:NOT_THERE", {}),
    ("sepay", None, {}), ("sepay", "env:BANK_SECRET", {"auth": "trust me"}),
    ("sepay", "env:BANK_SECRET", {"auth": "apikey,none"}), ("sepay", None, {"auth": "secretkey"}),
])  # fmt: skip
def test_a_hook_that_could_not_check_anything_is_not_opened(
    settings: Settings, parts: Any, monkeypatch: pytest.MonkeyPatch, bank: str, credential: str | None, options: dict[str, str]
) -> None:
    monkeypatch.setenv("BANK_SECRET", SECRET.decode())
    wrong = settings.model_copy(update={"sources": (source("bank-wrong", bank, credential, **options),)})
    with pytest.raises(Misconfigured):
        webhook.routes(wrong, pseudonym.load(settings.state_dir), None, {})  # type: ignore[arg-type]  # refused before it is used
