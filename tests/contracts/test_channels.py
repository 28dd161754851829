"""What every channel promises, over a real server of its kind, with the faults that servers have."""

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from source_server import Question, Reply, SourceServer, serving

from deploy.embedded.processes import free_port
from sinks.channels import telegram, webhook
from sinks.channels.channel import CHANNELS, Channel, connect
from streams.errors import Misconfigured, Reject, Retry
from streams.rules.message import Message, Unit
from streams.settings import Channel as Chosen

SECRET = "123456:a-secret-of-the-test"
MESSAGE = Message(
    key="k" * 32, word="firing", space="live", made_at="2026-11-22T02:17:00+00:00", title="Cảnh báo: Viện phí thấp <b>&_*", text="Bệnh viện A\nGọi ngay.",
    alarm=7, rule="payment-low", department="payment", severity="warning", owner="Phòng trực", runbook="Gọi ngay.", url="https://wall.example.vn/d/x",
    units=(Unit(code="38001", name="Bệnh viện A", since="2026-11-22T02:10:00+00:00", peak=1.5),
           Unit(code="38002", name="B", since="2026-11-22T02:10:00+00:00", until="2026-11-22T02:15:00+00:00")),
)  # fmt: skip


class Stand(Protocol):
    """The other side of a channel. known: what tells repeats apart, of each message that it took."""

    def chosen(self, **more: Any) -> Chosen: ...
    def known(self) -> list[str]: ...
    def texts(self) -> list[str]: ...
    def busy(self) -> None: ...
    def refuses(self) -> None: ...
    def hangs(self) -> Any: ...
    def hangs_up(self) -> None: ...


@dataclass
class OverHttp:
    server: SourceServer
    released: threading.Event = field(default_factory=threading.Event)

    def busy(self) -> None:
        self.server.faults.append(Reply(b"{}", 503))

    def refuses(self) -> None:
        self.server.faults.append(Reply({"ok": False, "description": "Bad Request: chat not found"}, 400))

    def hangs(self) -> threading.Event:
        self.server.faults.append(Reply(b"", after=self.released))
        return self.released

    def hangs_up(self) -> None:
        self.server.faults.append(Reply(b" " * 100_000, keep_bytes=10))

    def taken(self) -> list[Any]:
        return [json.loads(asked.body) for asked in self.server.asked]


class WebhookStand(OverHttp):
    def chosen(self, **more: Any) -> Chosen:
        url = self.server.url + "/hook"
        return Chosen.model_validate({"name": "hook", "kind": "webhook", "url": url, "credential": "env:CHANNEL_SECRET"} | more)

    def known(self) -> list[str]:
        return [asked.headers["idempotency-key"] for asked in self.server.asked]

    def texts(self) -> list[str]:
        return [said["title"] + said["text"] for said in self.taken()]


class TelegramStand(OverHttp):
    def chosen(self, **more: Any) -> Chosen:
        held = {"name": "chat", "kind": "telegram", "url": self.server.url, "chat": "-100", "credential": "env:CHANNEL_SECRET"}
        return Chosen.model_validate(held | more)

    def known(self) -> list[str]:
        return [MESSAGE.key if MESSAGE.title in text else "?" for text in self.texts()]  # a chat knows no keys

    def texts(self) -> list[str]:
        return [said["text"] for said in self.taken()]


class AlertmanagerStand(OverHttp):
    def chosen(self, **more: Any) -> Chosen:
        held = {"name": "am", "kind": "alertmanager", "url": self.server.url, "credential": "env:CHANNEL_SECRET"}
        return Chosen.model_validate(held | more)

    def known(self) -> list[str]:
        return [said[0]["annotations"]["key"] for said in self.taken()]

    def texts(self) -> list[str]:
        return [said[0]["annotations"]["summary"] + said[0]["annotations"]["description"] for said in self.taken()]


class Letters:
    """A mail server's mind. answers: said to the next letters instead of taking them."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.answers: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.hang: threading.Event | None = None
        self.hang_up = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop()
        if self.hang is not None:
            server.transport.pause_reading()
            await server.loop.run_in_executor(None, self.hang.wait, 30)
            return "451 too late"
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        if self.hang_up:
            self.hang_up = False
            server.transport.abort()
        return "250 taken"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == SECRET.encode(), handled=False)


@dataclass
class MailStand:
    letters: Letters
    port: int

    def chosen(self, **more: Any) -> Chosen:
        held = {"name": "post", "kind": "mail", "host": "127.0.0.1", "port": self.port, "security": "none", "sender": "IOC <ioc@example.vn>",
                "recipients": ["truc@example.vn"], "user": "ioc", "credential": "env:CHANNEL_SECRET"}  # fmt: skip
        return Chosen.model_validate(held | more)

    def known(self) -> list[str]:
        return [str(letter["Message-ID"]).strip("<>").partition("@")[0] for letter in self.letters.taken]

    def texts(self) -> list[str]:
        return [str(letter["Subject"]) + letter.get_content() for letter in self.letters.taken]

    def busy(self) -> None:
        self.letters.answers.append("451 try again")

    def refuses(self) -> None:
        self.letters.answers.append("554 no such thing here")

    def hangs(self) -> threading.Event:
        self.letters.hang = threading.Event()
        return self.letters.hang

    def hangs_up(self) -> None:
        self.letters.hang_up = True


STANDS = {"webhook": WebhookStand, "telegram": TelegramStand, "alertmanager": AlertmanagerStand}


@contextmanager
def mailing(**tls: Any) -> Iterator[MailStand]:
    """A mail server by which everybody may send; who logs in must know the password. tls: of aiosmtpd."""
    letters, port = Letters(), free_port()
    server = Controller(
        letters,
        hostname="127.0.0.1",
        port=port,
        authenticator=letters.login,
        auth_require_tls=False,
        ready_timeout=30,
        **tls,
    )
    server.start()
    try:
        yield MailStand(letters, port)
    finally:
        server.stop()


@pytest.fixture(params=sorted(CHANNELS))
def stand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setenv("CHANNEL_SECRET", SECRET)
    if request.param == "mail":
        with mailing() as post:
            yield post
        return
    with serving(lambda asked: Reply({"ok": True})) as http:
        yield STANDS[request.param](http)


@pytest.fixture
def channel(stand: Stand) -> Iterator[Channel]:
    made = connect(stand.chosen())
    yield made
    made.close()


def test_the_message_arrives_as_it_was_written(stand: Stand, channel: Channel) -> None:
    channel.send(MESSAGE)
    (text,) = stand.texts()
    assert MESSAGE.title in text
    assert "Bệnh viện A" in text
    assert stand.known() == [MESSAGE.key]


def test_a_repeat_bears_the_same_key(stand: Stand, channel: Channel) -> None:
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert stand.known() == [MESSAGE.key, MESSAGE.key]


def test_a_busy_server_is_a_retry_and_takes_it_the_next_time(stand: Stand, channel: Channel) -> None:
    stand.busy()
    with pytest.raises(Retry, match=r"50|451|5\d\d"):
        channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert MESSAGE.key in stand.known()


def test_a_refusal_is_for_good_and_says_the_code(stand: Stand, channel: Channel) -> None:
    stand.refuses()
    with pytest.raises(Reject, match=r"400|554"):
        channel.send(MESSAGE)


def test_a_server_that_does_not_answer_is_a_retry_in_time(stand: Stand) -> None:
    channel, released = connect(stand.chosen(timeout_seconds=0.5)), stand.hangs()
    began = time.monotonic()
    with pytest.raises(Retry):
        channel.send(MESSAGE)
    released.set()
    assert time.monotonic() - began < 15
    channel.close()


def test_a_server_that_hangs_up_after_reading_is_a_retry(stand: Stand, channel: Channel) -> None:
    stand.hangs_up()
    with pytest.raises(Retry):
        channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert set(stand.known()) == {MESSAGE.key}


def test_a_server_that_is_not_there_is_a_retry(stand: Stand) -> None:
    chosen = stand.chosen()
    away = chosen.model_copy(update={"port": 1, "url": "http://127.0.0.1:1"})
    channel = connect(away)
    with pytest.raises(Retry):
        channel.send(MESSAGE)
    channel.close()


def test_it_can_be_used_again_after_it_was_closed(stand: Stand, channel: Channel) -> None:
    channel.send(MESSAGE)
    channel.close()
    channel.send(MESSAGE)
    assert len(stand.known()) == 2


def test_its_secret_is_in_no_log_and_no_error(stand: Stand, channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stand.busy()
    with pytest.raises(Retry) as busy:
        channel.send(MESSAGE)
    stand.refuses()
    with pytest.raises(Reject) as refused:
        channel.send(MESSAGE)
    channel.send(MESSAGE)
    said = caplog.text + str(busy.value) + str(refused.value) + repr(stand.chosen())
    assert SECRET not in said
    assert "127.0.0.1" not in str(busy.value) + str(refused.value)


def test_without_its_secret_or_address_it_is_misconfigured(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = stand.chosen(url=None, host=None)
    if bare.kind != "telegram":
        with pytest.raises(Misconfigured, match=bare.name):
            connect(bare)
    monkeypatch.delenv("CHANNEL_SECRET")
    with pytest.raises(Misconfigured, match="CHANNEL_SECRET"):
        connect(stand.chosen())


class TestOverHttp:
    """What those over HTTP promise besides."""

    @pytest.fixture(params=sorted(STANDS))
    def stand(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setenv("CHANNEL_SECRET", SECRET)
        with serving(lambda asked: Reply({"ok": True})) as http:
            yield STANDS[request.param](http)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_these_are_tried_again(self, stand: Any, channel: Channel, status: int) -> None:
        stand.server.faults.append(Reply(b"", status))
        with pytest.raises(Retry, match=str(status)):
            channel.send(MESSAGE)

    @pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413])
    def test_these_are_for_good_and_redirects_are_not_followed(self, stand: Any, channel: Channel, status: int) -> None:
        stand.server.faults.append(Reply(b"", status, {"location": stand.server.url + "/elsewhere"}))
        with pytest.raises(Reject, match=str(status)):
            channel.send(MESSAGE)
        assert len(stand.server.asked) == 1

    def test_retry_after_is_passed_on(self, stand: Any, channel: Channel) -> None:
        stand.server.faults.append(Reply(b"", 429, {"Retry-After": "7"}))
        with pytest.raises(Retry) as caught:
            channel.send(MESSAGE)
        assert caught.value.after_seconds == 7

    def test_an_endless_answer_is_not_read_to_its_end(self, stand: Any, channel: Channel) -> None:
        stand.server.faults.append(Reply(b" " * (8 << 20)))
        channel.send(MESSAGE)


def test_a_webhook_is_signed_over_time_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_SECRET", SECRET)
    with serving(lambda asked: Reply(b"")) as http, closing(connect(WebhookStand(http).chosen())) as channel:
        channel.send(MESSAGE)
        (asked,) = http.asked
    parts = dict(part.split("=") for part in asked.headers["x-ioc-signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + asked.body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected == webhook.sign(SECRET.encode(), int(parts["t"]), asked.body)
    assert abs(int(parts["t"]) - time.time()) < 300
    assert msgspec.json.decode(asked.body, type=Message) == MESSAGE


def test_telegram_says_for_how_long_to_wait_and_why_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_SECRET", SECRET)

    def answer(asked: Question) -> Reply:
        assert asked.path == f"/bot{SECRET}/sendMessage"
        assert "parse_mode" not in json.loads(asked.body)
        return Reply({"ok": True})

    with serving(answer) as http:
        bot = connect(TelegramStand(http).chosen())
        http.faults.append(Reply({"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 35}}, 429))
        with pytest.raises(Retry) as caught:
            bot.send(MESSAGE)
        assert caught.value.after_seconds == 35
        http.faults.append(Reply({"ok": False, "description": "Bad Request: chat not found"}, 400))
        with pytest.raises(Reject, match="chat not found"):
            bot.send(MESSAGE)
        bot.send(msgspec.structs.replace(MESSAGE, text="é🔥" * 5000))
        assert len(json.loads(http.asked[-1].body)["text"].encode("utf-16-le")) <= telegram.MOST_LETTERS * 2
        bot.close()


def test_alertmanager_knows_each_unit_by_its_labels_and_when_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_SECRET", SECRET)
    with serving(lambda asked: Reply(b"")) as http:
        am = connect(AlertmanagerStand(http).chosen())
        am.send(MESSAGE)
        over = tuple(msgspec.structs.replace(unit, until="2026-11-22T02:20:00+00:00") for unit in MESSAGE.units)
        night = Message(key="n" * 32, word="morning", space="live", made_at=MESSAGE.made_at, title="x", text="x",
                        parts=(MESSAGE, msgspec.structs.replace(MESSAGE, units=over, title="Đã hết")))  # fmt: skip
        am.send(night)
        am.send(Message(key="d" * 32, word="digest", space="live", made_at=MESSAGE.made_at, title="x", text="x"))
        am.close()
    first, second = [json.loads(asked.body) for asked in http.asked]
    assert http.asked[0].path == "/api/v2/alerts"
    assert http.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert [alert["labels"] for alert in first] == [alert["labels"] for alert in second], "the same alerts, so that they end there"
    assert first[0]["labels"] == {
        "alertname": "payment-low", "space": "live", "department": "payment", "severity": "warning", "owner": "Phòng trực", "unit": "38001", "name": "Bệnh viện A",
    }  # fmt: skip
    assert [alert["endsAt"] for alert in first] == ["2026-11-29T02:17:00+00:00", "2026-11-22T02:15:00+00:00"]
    assert {alert["endsAt"] for alert in second} == {"2026-11-22T02:20:00+00:00"}


class TestMail:
    """What mail promises besides."""

    @pytest.fixture
    def stand(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailStand]:
        monkeypatch.setenv("CHANNEL_SECRET", SECRET)
        with mailing() as post:
            yield post

    def test_it_logs_in_and_the_letter_has_its_heads(self, stand: MailStand, channel: Channel) -> None:
        channel.send(MESSAGE)
        assert stand.letters.logins == [(b"ioc", SECRET.encode())]
        (letter,) = stand.letters.taken
        assert letter["Subject"] == MESSAGE.title
        assert letter["Message-ID"] == f"<{MESSAGE.key}@example.vn>"
        assert letter["References"] == "<ioc-live-7@example.vn>"
        assert letter["Date"] == "Sun, 22 Nov 2026 09:17:00 +0700"
        assert letter["Auto-Submitted"] == "auto-generated"

    def test_a_wrong_password_is_for_good(self, stand: MailStand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHANNEL_SECRET", "another")
        with pytest.raises(Reject, match="535"):
            connect(stand.chosen()).send(MESSAGE)

    def test_it_does_not_speak_in_clear_where_tls_is_wanted(self, stand: MailStand) -> None:
        with pytest.raises(Reject, match="starttls"):
            connect(stand.chosen(security="starttls")).send(MESSAGE)
        assert stand.letters.logins == []

    def test_a_recipient_that_is_none_is_misconfigured(self, stand: MailStand) -> None:
        with pytest.raises(Misconfigured, match="no address"):
            connect(stand.chosen(recipients=["truc@example.vn\r\nBcc: other@example.vn"]))

    def test_a_server_that_parts_rudely_has_taken_the_letter(
        self, stand: MailStand, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtplib.SMTP, "quit", lambda self: (_ for _ in ()).throw(smtplib.SMTPServerDisconnected("gone")))
        channel.send(MESSAGE)
        assert stand.known() == [MESSAGE.key]

    @pytest.mark.parametrize(("security", "option"), [("starttls", "tls_context"), ("tls", "ssl_context")])
    def test_it_goes_over_tls_to_a_server_whose_certificate_is_trusted_and_to_no_other(
        self, security: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHANNEL_SECRET", SECRET)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(tmp_path))
        with mailing(**{option: context}) as stand:
            with pytest.raises(Retry, match="SSLCertVerificationError"):
                connect(stand.chosen(security=security)).send(MESSAGE)
            assert stand.letters.logins == []
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))
            connect(stand.chosen(security=security)).send(MESSAGE)
            assert stand.known() == [MESSAGE.key]


def certificate(folder: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "both.pem"
    file.write_bytes(plain + made.public_bytes(serialization.Encoding.PEM))
    return file
