"""The door of the wall: before any page answers, who asks, for what, how often and from where; security headers on every answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grafana.wall import access, limits
from grafana.wall.access import Who
from streams import metrics
from streams.errors import Misconfigured
from streams.settings import Wall

URL_LIMIT_BYTES = 2048
BODY_LIMIT_BYTES = 4096
STATIC_COST = 0.1
PREVIEW, PREVIEW_COST, PREVIEW_LIMIT_BYTES = "/api/rules/preview", 5.0, 16_384
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")
_HOOKS = "/hooks/"
_FILES = ("/static/", "/fonts/", "/vendor/")
_PROBES = ("/healthz", "/readyz", "/metrics")  # asked by address, not by name
_OPEN = ("/healthz", "/readyz", "/enter", "/api/login")
_ENTER = Path(__file__).parent / "static/enter.html"


@dataclass(frozen=True)
class No:
    """Why a request is refused: a status, a word for the metric, a sentence."""

    status: int
    why: str
    said: str


@dataclass(frozen=True)
class Asked:
    """A request as the door sees it. address: whose it is. trusted: a trusted proxy sent it."""

    path: str
    query: str
    method: str
    headers: Mapping[str, str]
    address: str
    peer: str
    trusted: bool
    https: bool

    @property
    def host(self) -> str:
        return (self.headers.get("x-forwarded-host", "") if self.trusted else "") or self.headers.get("host", "")


def who(request: Request) -> Who:
    """Who asks, as the door found."""
    found: Who = request.scope["wall.who"]
    return found


def asked(request: Request) -> Asked:
    """The request as the door saw it."""
    found: Asked = request.scope["wall.asked"]
    return found


class Guard:
    """The door. Webhooks pass by it: banks sign what they send, and connectors/webhook.py bounds it."""

    def __init__(self, app: ASGIApp, rules: Wall, key: access.Key) -> None:
        self._app = app
        self._rules = rules
        self._identify = access.identify(rules.login, key, rules.user_header, frozenset(rules.operators))
        self._public = frozenset(rules.public)
        self._buckets = limits.Buckets(rules.requests_per_second)
        self._streams = limits.Streams(rules.streams_per_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        it = self._asked(scope)
        scope["wall.asked"] = it

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS, *((HSTS,) if it.https else ())]
            await send(message)

        if it.path.startswith(_HOOKS):
            await self._app(scope, receive, sending)
            return
        no = self._bounds(scope, it) or self._enters(scope, it)
        if no is not None:
            metrics.WALL_REFUSED.labels(no.why).inc()
            await _refuse(no, it, sending)
        elif it.path != "/api/live":
            await self._app(scope, receive, sending)
        elif self._streams.enter(it.address):
            try:
                await self._app(scope, receive, sending)
            finally:
                self._streams.leave(it.address)
        else:
            metrics.WALL_REFUSED.labels("streams").inc()
            await _refuse(No(429, "streams", "too many streams from this address"), it, sending)

    def _asked(self, scope: Scope) -> Asked:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:  # a header sent twice is joined, as a list; no list is a user's name
            text, key = value.decode("latin-1"), name.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        peer = scope["client"][0] if scope.get("client") else ""
        trusted = limits.inside(peer, self._rules.trusted_proxies)
        address = limits.of(peer, headers, self._rules.trusted_proxies)
        https = scope["scheme"] == "https" or (trusted and headers.get("x-forwarded-proto") == "https")
        query = scope["query_string"].decode("latin-1")
        return Asked(scope["path"], query, scope["method"], headers, address, peer, trusted, https)

    def _bounds(self, scope: Scope, it: Asked) -> No | None:
        """What is wrong with the request whoever sends it."""
        if len(scope.get("raw_path") or b"") + len(it.query) > URL_LIMIT_BYTES:
            return No(414, "url", "the address is too long")
        cost = STATIC_COST if it.path.startswith(_FILES) else PREVIEW_COST if it.path == PREVIEW else 1.0
        if not self._buckets.take(it.address, cost, time.monotonic()):
            return No(429, "requests", "too many requests from this address")
        if not self._knows_host(it):
            return No(421, "host", "this server is not known by that name: add it to wall.hosts")
        length = it.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > (PREVIEW_LIMIT_BYTES if it.path == PREVIEW else BODY_LIMIT_BYTES):
            return No(413, "body", "the body is too large")
        if it.method not in ("GET", "HEAD") and not _same_origin(it):
            return No(403, "origin", "only the wall's own pages may send this")
        return None

    def _knows_host(self, it: Asked) -> bool:
        """Names of other sites that point here (DNS rebinding) are refused where no login would stop them."""
        if it.path in _PROBES:
            return True
        name = it.host.rpartition(":")[0] if it.host.rpartition(":")[2].isdigit() else it.host
        if self._rules.hosts:
            return name in self._rules.hosts or (limits.loopback(name) and limits.loopback(it.peer))
        return bool(self._rules.login) or self._rules.open_to_all or limits.loopback(name)

    def _enters(self, scope: Scope, it: Asked) -> No | None:
        if it.path.startswith(_FILES) or it.path in _OPEN:
            return None
        if it.path == "/metrics" and limits.loopback(it.peer) and not _forwarded(it):
            return None
        try:
            found = scope["wall.who"] = self._identify(it.headers, it.trusted)
        except Misconfigured:
            return No(503, "key", "nobody can log in now: the wall's key cannot be read")
        if it.path == "/metrics":
            return None if found.operator else No(403, "operator", "for operators only")
        if access.may(found, self._public, it.path, it.query):
            return None
        known = found != access.NOBODY
        return No(403, "forbidden", "this login does not reach so far") if known else No(401, "login", "log in with a link")


def _forwarded(it: Asked) -> bool:
    return any(name in it.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip"))


def _same_origin(it: Asked) -> bool:
    """Browsers say where a request was made: by Sec-Fetch-Site, the older ones by Origin. Who says neither is no page of ours."""
    site, origin = it.headers.get("sec-fetch-site"), it.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site is not None
    return origin == f"{'https' if it.https else 'http'}://{it.host}"


async def _refuse(no: No, it: Asked, send: Send) -> None:
    page = no.status in (401, 403) and it.method == "GET" and not it.path.startswith("/api/")
    body = _ENTER.read_bytes() if page else orjson.dumps({"error": no.said})
    headers = [
        (b"content-type", b"text/html; charset=utf-8" if page else b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if no.status in (429, 503):
        headers.append((b"retry-after", b"5"))
    if no.status in (413, 414):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": no.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if it.method == "HEAD" else body})
