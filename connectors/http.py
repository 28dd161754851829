"""HTTP as a connector may use it: bounded in time and size, one origin, every failure a Retry or a Misconfigured."""

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec
import orjson

from streams.errors import Misconfigured, Retry
from streams.settings import Source

ANSWER_LIMIT_BYTES = 32 << 20
RETRY_AFTER_LIMIT_SECONDS = 600.0
BUSY = frozenset({408, 425, 429})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECT_LIMIT = 3


@dataclass(frozen=True)
class Answer:
    """status: 200 or 304. body: decoded and within the limit."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True)
class Web:
    """HTTP to one source's origin. url: scheme, host and path asked. timeout_seconds: to connect and between bytes; an answer may take
    ten times that in all."""

    url: httpx.URL
    timeout_seconds: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit_bytes: int = ANSWER_LIMIT_BYTES
    _client: list[httpx.Client] = field(default_factory=list, repr=False)

    def get(self, url: httpx.URL, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET of `url`, which must be of our origin. Raises Retry, Misconfigured."""
        for _ in range(REDIRECT_LIMIT + 1):
            answer = self._ask("GET", self.same_origin(url), headers, None)
            if answer.status not in REDIRECTS:
                return answer
            url = url.join(answer.headers.get("location", ""))
        raise Misconfigured(f"{self._named()} redirects in a circle", "write the final address in the source's url")

    def post(self, content: Mapping[str, object]) -> Answer:
        """The answer to a POST of a JSON object to the source's url. Raises Retry, Misconfigured."""
        answer = self._ask("POST", self.url, {"content-type": "application/json"}, orjson.dumps(content))
        if answer.status in REDIRECTS:
            raise Misconfigured(f"{self._named()} redirects", "write the final address in the source's url")
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        while self._client:
            self._client.pop().close()

    def same_origin(self, url: httpx.URL) -> httpx.URL:
        """`url`, when it is of the source's own scheme, host and port. Raises Misconfigured: links in data must not choose whom we call."""
        if (url.scheme, url.host, _port(url)) != (self.url.scheme, self.url.host, _port(self.url)):
            raise Misconfigured(f"{self._named()} sends us to another origin", "only the origin in the source's url is called")
        return url

    def _ask(self, method: str, url: httpx.URL, headers: Mapping[str, str] | None, content: bytes | None) -> Answer:
        asked = {**self.headers, **(headers or {}), "accept-encoding": "gzip"}
        try:
            with self._session().stream(method, url, headers=asked, content=content) as response:
                self._check(response)
                return Answer(response.status_code, response.headers, self._read(response))
        except httpx.TransportError as error:
            raise Retry(
                f"{self._named()} cannot be read ({type(error).__name__})", "is the source running, and reachable from here?"
            ) from error
        except zlib.error as error:
            raise Retry(f"{self._named()} answered gzip that cannot be unpacked") from error

    def _session(self) -> httpx.Client:
        if not self._client:
            self._client.append(httpx.Client(timeout=self.timeout_seconds, follow_redirects=False))
        return self._client[0]

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 304) or status in REDIRECTS:
            return
        if status in BUSY or status >= 500:
            raise Retry(
                f"{self._named()} answered {status}", after_seconds=retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            )
        if status in (401, 403):
            raise Misconfigured(f"{self._named()} refuses our credential ({status})", "check the source's credential in ioc.toml")
        raise Misconfigured(
            f"{self._named()} answered {status}",
            "check the source's url in ioc.toml; `--from-start` forgets a cursor the source no longer knows",
        )

    def _read(self, response: httpx.Response) -> bytes:
        unpack = _unpacker(response.headers.get("content-encoding", "identity"))
        end = time.monotonic() + 10 * self.timeout_seconds
        body = bytearray()
        for chunk in response.iter_raw():
            body += unpack(chunk, self.limit_bytes - len(body) + 1) if unpack else chunk
            if len(body) > self.limit_bytes:
                raise Retry(f"{self._named()} answered more than {self.limit_bytes} bytes", "ask for smaller pages: options.limit")
            if time.monotonic() > end:
                raise Retry(f"{self._named()} is too slow: more than {10 * self.timeout_seconds:g} seconds for one answer")
        return bytes(body)

    def _named(self) -> str:
        return f"{self.url.scheme}://{self.url.netloc.decode()}{self.url.path}"


def web(source: Source, headers: Mapping[str, str] | None = None) -> Web:
    """The HTTP of a source's url. Raises Misconfigured when the url is none, or holds a password."""
    try:
        url = httpx.URL(source.url or "")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise Misconfigured(f"source {source.name}: url must be a whole http(s) address", 'write url = "https://host/path"')
    if url.userinfo:
        raise Misconfigured(f"source {source.name}: the url holds a name or password", 'write it as credential = "env:NAME" or "file:PATH"')
    return Web(url, source.timeout_seconds, headers or {})


def bearer(source: Source) -> dict[str, str]:
    """The Authorization header of a source's credential; none without one. Raises Misconfigured when it cannot stand in a header."""
    secret = source.secret()
    if secret is None:
        return {}
    if not secret.isascii() or any(byte < 33 for byte in secret):
        raise Misconfigured(
            f"source {source.name}: the credential cannot be sent as a bearer token", "it must be printable ASCII without spaces"
        )
    return {"authorization": f"Bearer {secret.decode()}"}


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait (RFC 9110 10.2.3: seconds or a date), at most RETRY_AFTER_LIMIT_SECONDS."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_SECONDS)


def pick(body: bytes | msgspec.Raw, path: str) -> msgspec.Raw | None:
    """The bytes, exactly as they came, of the member at a dotted path of a JSON object; None where it is not there or null.

    Raises Retry when the text is not JSON: a page cut on its way comes whole the next time.
    """
    found = msgspec.Raw(body)
    for step in path.split("."):
        try:
            member = msgspec.json.decode(found, type=dict[str, msgspec.Raw]).get(step)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError as error:
            raise Retry("the source answered something that is not JSON") from error
        if member is None or bytes(member) == b"null":
            return None
        found = member
    return found


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _unpacker(encoding: str) -> Any:
    if encoding in ("identity", ""):
        return None
    if encoding not in ("gzip", "x-gzip"):
        raise Retry("the source answers in an encoding that was not asked for")
    inflater = zlib.decompressobj(wbits=31)

    def unpack(chunk: bytes, room: int) -> bytes:
        return inflater.decompress(chunk, max(room, 1))

    return unpack
