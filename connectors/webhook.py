"""Webhooks: banks push signed notices to /hooks/SOURCE; success is answered only when Kafka has acknowledged."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors import caller, cursors, formats
from connectors.connector import Refused
from connectors.cursors import Place
from connectors.formats import PLAIN
from connectors.fuse import Fuse
from connectors.intake import Intake, Message, intake
from connectors.spool import Spool, folder
from streams import metrics
from streams.errors import Misconfigured, Retry
from streams.event import Fused, encode
from streams.pseudonym import Keys
from streams.settings import Settings, Source
from streams.topics import topic

NOTICE_LIMIT_BYTES = 64 << 10
WAIT_SECONDS = 8.0  # for Kafka; below the senders' time-outs (SePay: 30 s), so that they hear 503 and send again
WAITING_LIMIT = 2000  # notices of one source waiting for Kafka at a time
FORGED_PER_SECOND, FORGED_BURST = 50.0, 500.0  # kept in quarantine; anyone can send a bad signature, so not without bound
AUDIT_EVERY_SECONDS = 60.0
FUSE_LOOK_SECONDS = 5.0

log = structlog.get_logger()


class Said(NamedTuple):
    """An answer: HTTP status and JSON, None for an empty one."""

    status: int
    content: Mapping[str, object] | None


class Words(NamedTuple):
    """How one sender wants to be answered: the notice is safe; its signature is wrong; not now, send it again; it is safe, and unreadable."""

    confirmed: Said
    forged: Said
    busy: Said
    unread: Said | None = None


# HDBank: a code 00-05 or 99, what 01-05 mean is not published, so 99. VNPAY: RspCode. payOS: any 2xx confirms. MoMo: 204. SePay: 200 and success.
# Hospitals: as the health portal of a province answers them (trangThai 1: taken, 2: not).
WORDS: Mapping[str, Words] = {
    "hdbank": Words(
        Said(200, {"code": "00", "message": "success"}),
        Said(200, {"code": "99", "message": "invalid sign"}),
        Said(503, {"code": "99", "message": "try again"}),
    ),
    "vnpay": Words(
        Said(200, {"RspCode": "00", "Message": "Confirm Success"}),
        Said(200, {"RspCode": "97", "Message": "Invalid Checksum"}),
        Said(503, {"RspCode": "99", "Message": "Try again"}),
    ),
    "payos": Words(Said(200, {"success": True}), Said(401, {"success": False}), Said(503, {"success": False})),
    "momo": Words(Said(204, None), Said(400, {"message": "invalid signature"}), Said(503, {"message": "try again"})),
    "sepay": Words(Said(200, {"success": True}), Said(401, {"success": False}), Said(503, {"success": False})),
    "bhyt": Words(
        Said(200, {"trangThai": 1, "maLoi": None}),
        Said(401, {"trangThai": 2, "maLoi": "401"}),
        Said(503, {"trangThai": 2, "maLoi": "503"}),
        Said(201, {"trangThai": 2, "maLoi": "cấu trúc hồ sơ"}),
    ),
} | dict.fromkeys(PLAIN, Words(Said(200, {"success": True}), Said(401, {"success": False}), Said(503, {"success": False})))
CALLERS: Mapping[str, str] = {"sepay": "hmac", "bhyt": "bearer"} | dict.fromkeys(PLAIN, "apikey")
"""Formats whose sender proves itself in a header: how it usually does."""
LIMITS = {"bhyt": 2 << 20}


def routes(settings: Settings, keys: Keys, producer: AIOKafkaProducer, kafka: Mapping[str, Any]) -> list[Route]:
    """The route /hooks/SOURCE for all webhook sources. `producer`: started, idempotent, acks=all (see `producer_options`); `kafka`: options
    of streams.brokers.kafka_python_options. Raises Misconfigured when a source lacks its credential or its format has no words here."""
    hooks = {source.name: _hook(source, keys, settings, producer, kafka) for source in settings.sources if source.connector == "webhook"}

    async def received(request: Request) -> Response:
        hook = hooks.get(request.path_params["source"])
        if hook is None or request.method == "HEAD":
            return JSONResponse({"error": "no such hook"}, 404)
        return await hook.received(request)

    async def asked(request: Request) -> Response:
        hook = hooks.get(request.path_params["source"])
        return JSONResponse({"error": "no such hook"}, 404) if hook is None else await hook.asked(request)

    return [
        Route("/hooks/{source}", received, methods=["GET", "POST"], name="hooks"),
        Route("/hooks/{source}/token", asked, methods=["POST"], name="tokens"),
    ]


def producer_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the webhooks' AIOKafkaProducer needs beside the options of streams.brokers.aiokafka_options."""
    return {**options, "enable_idempotence": True, "acks": "all", "linger_ms": 2, "max_batch_size": 64 << 10, "request_timeout_ms": 120_000}


@dataclass
class Hook:
    """One source that pushes to us."""

    intake: Intake
    words: Words
    producer: AIOKafkaProducer
    kafka: Mapping[str, Any] = field(repr=False)
    spool: Spool | None = None
    check: caller.Check | None = None
    most_bytes: int = NOTICE_LIMIT_BYTES
    _fuse: Fuse | None = None
    _looked_at: float = 0.0
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _waiting: int = 0
    _forged_left: float = FORGED_BURST
    _forged_at: float = field(default_factory=time.monotonic)
    _forged_unsaid: int = 0
    _audited_at: float = float("-inf")

    async def received(self, request: Request) -> Response:
        """The answer to one notice."""
        known_at_us = time.time_ns() // 1000
        try:
            raw = request.scope["query_string"] if request.method == "GET" else await _body(request, self.most_bytes)
        except ClientDisconnect:
            return self._answer("cut", Said(400, {"error": "cut"}))
        if raw is None or len(raw) > self.most_bytes:
            return self._answer("too_large", Said(413, {"error": "too large"}))
        if self.check is not None and caller.is_form(kind := request.headers.get("content-type", "")):
            raw = caller.file_in_form(kind, raw)
        if self._waiting >= WAITING_LIMIT or not await self._holds():
            return self._answer("busy", self.words.busy)
        messages, forged = self._taken(request, raw, known_at_us)
        if forged and not self._may_keep_forged():
            return self._answer("too_many_forged", Said(429, {"error": "too many"}))
        if not await self._kept(messages) or not await self._spooled(raw, known_at_us):
            return self._answer("busy", self.words.busy)
        await self._count(messages, forged)
        if forged:
            self._audit(request)
            return self._answer("forged", self.words.forged)
        if self.words.unread is not None and any(message.cause for message in messages):
            return self._answer("unread", self.words.unread)
        return self._answer("confirmed", self.words.confirmed)

    async def asked(self, request: Request) -> Response:
        """A token for a caller who knows the secret (OAuth2 client credentials, or a login)."""
        name, secret = self.intake.source.name, self.intake.source.secret()
        body = await _body(request)
        if not secret or body is None or not caller.asks_rightly(request.headers, body, secret):
            self._audit(request)
            return self._answer("forged", Said(401, {"error": "invalid_client"}))
        given = {"access_token": caller.token(name, secret, time.time()), "token_type": "Bearer", "expires_in": caller.TOKEN_SECONDS}
        return self._answer("token", Said(200, given))

    def _taken(self, request: Request, raw: bytes, known_at_us: int) -> tuple[list[Message], bool]:
        """What becomes of a notice, and whether anyone may have sent it: such a one neither blows the fuse nor fills the quarantine, and is not
        confirmed."""
        if self.check is not None:
            if self.check(request.headers, raw, known_at_us / 1e6):
                arrival = self.intake.arrival(known_at_us)
                return [message for record in self.intake.split(raw) for message in self.intake.take(record, arrival)], False
            wrong = "the headers do not prove that this source's sender wrote the notice"
            return [self.intake.refuse(Refused(raw, "signature", wrong), known_at_us)], True
        arrival = self.intake.arrival(known_at_us)
        messages = self.intake.take(raw, arrival)
        return messages, any(message.cause and not self.intake.is_signed(raw, message, arrival) for message in messages)

    async def _kept(self, messages: Sequence[Message]) -> bool:
        """Whether Kafka acknowledged all of them in time. What comes later is a repeat of what the bank will send again."""
        began = time.monotonic()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                sent = [await self.producer.send(message.topic, message.value, message.key) for message in messages]
                for future in sent:
                    future.add_done_callback(_looked_at)
                    await asyncio.shield(future)
        except (TimeoutError, KafkaError):
            return False
        finally:
            self._waiting -= 1
            metrics.WEBHOOK_SECONDS.labels(self.intake.source.name).set(time.monotonic() - began)
        return True

    async def _spooled(self, raw: bytes, known_at_us: int) -> bool:
        """Whether the notice is on the disk as it came, where that is wanted."""
        if self.spool is None:
            return True
        try:
            self.spool.keep(raw, known_at_us)
            await asyncio.to_thread(self.spool.flush)
        except Retry as retry:
            self.spool.forget()
            log.warning(f"webhook {self.intake.source.name}: {retry.wrong}", mend=retry.mend)
            return False
        return True

    async def _count(self, messages: Sequence[Message], forged: bool) -> None:
        name = self.intake.source.name
        metrics.PULLED.labels(name).inc()
        for message in messages:
            if message.cause is None:
                metrics.PRODUCED.labels(name).inc()
            else:
                metrics.REJECTED.labels(name, message.cause).inc()
            if not forged and self._fuse is not None and not self._fuse.blown:
                self._fuse.saw(message.cause)
                if self._fuse.blown:
                    await self._blow()

    async def _holds(self) -> bool:
        """Whether the fuse holds. A blown one is looked up again now and then, because `ioc pull SOURCE --reset-fuse` mends it."""
        if self._fuse is not None and not self._fuse.blown:
            return True
        async with self._looking:
            if self._fuse is None or (self._fuse.blown and time.monotonic() - self._looked_at > FUSE_LOOK_SECONDS):
                await self._look()
        return self._fuse is not None and not self._fuse.blown

    async def _look(self) -> None:
        name = self.intake.source.name
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                place = await asyncio.to_thread(cursors.load, self.kafka, topic("cursors", self.intake.space), name)
        except (Retry, TimeoutError):
            return
        self._fuse = Fuse(blown=place.blown_at_us is not None)
        self._looked_at = time.monotonic()
        metrics.FUSE_BLOWN.labels(name).set(self._fuse.blown)

    async def _blow(self) -> None:
        name = self.intake.source.name
        metrics.FUSE_BLOWN.labels(name).set(1)
        self._looked_at = time.monotonic()
        log.error(
            f"webhook {name} is stopped: more than 20 % of its last 500 notices were rejected",
            mend=f"see `ioc quarantine list`, then `ioc pull {name} --reset-fuse`",
        )
        now_us = time.time_ns() // 1000
        place = Message(topic("cursors", self.intake.space), name.encode(), encode(Place(blown_at_us=now_us)))
        told = Fused(source=name, department=self.intake.department.name, at_us=now_us, blown=True)
        if not await self._kept([place, Message(topic("asked", self.intake.space), name.encode(), encode(told))]):
            log.error(f"webhook {name}: Kafka did not take note that the fuse has blown; it holds until this process ends")

    def _may_keep_forged(self) -> bool:
        now = time.monotonic()
        self._forged_left = min(FORGED_BURST, self._forged_left + (now - self._forged_at) * FORGED_PER_SECOND)
        self._forged_at = now
        if self._forged_left < 1:
            return False
        self._forged_left -= 1
        return True

    def _audit(self, request: Request) -> None:
        """One line a minute: who sent bad signatures, and how many since the last line. Each of them lies in quarantine."""
        self._forged_unsaid += 1
        if time.monotonic() - self._audited_at >= AUDIT_EVERY_SECONDS:
            sender = request.client.host if request.client else "unknown"
            log.warning(f"webhook {self.intake.source.name} refused a bad signature", sender=sender, since_last_line=self._forged_unsaid)
            self._audited_at, self._forged_unsaid = time.monotonic(), 0

    def _answer(self, said: str, answer: Said) -> Response:
        metrics.WEBHOOK_ANSWERS.labels(self.intake.source.name, said).inc()
        if answer.content is None:
            return Response(status_code=answer.status)
        return JSONResponse(answer.content, answer.status, {"retry-after": "60"} if answer.status in (429, 503) else None)


def checked(source: Source) -> caller.Check | None:
    """How its callers prove who they are, None where their notices do. Raises Misconfigured when the source lacks its credential or its format has
    no words here."""
    form = formats.of(source)
    if form not in WORDS:
        raise Misconfigured(f"source {source.name}: a webhook needs format = one of {', '.join(WORDS)}", "write whose notices they are")
    if not source.secret() and (form not in CALLERS or caller.needs_secret(source)):
        raise Misconfigured(
            f"source {source.name}: a webhook without a credential would take anyone's notices", "write it as env:NAME or file:PATH"
        )
    return caller.check(source, CALLERS[form]) if form in CALLERS else None


def _hook(source: Source, keys: Keys, settings: Settings, producer: AIOKafkaProducer, kafka: Mapping[str, Any]) -> Hook:
    check, form = checked(source), formats.of(source)
    spool = Spool(folder(settings.state_dir, settings.space, source.name), keys) if settings.archive.raw else None
    door = intake(source, keys, settings.space)
    if check is not None:
        door = replace(door, secret=None, trusted=True)  # `check` vouches for what gets this far
    return Hook(door, WORDS[form], producer, kafka, spool, check, LIMITS.get(form, NOTICE_LIMIT_BYTES))


async def _body(request: Request, most_bytes: int = NOTICE_LIMIT_BYTES) -> bytes | None:
    """The body; None when it is larger than `most_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """A failure that comes after we have answered was answered: the bank heard 503."""
    if not future.cancelled():
        future.exception()
