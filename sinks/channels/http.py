"""HTTP as channels use it: one POST, bounded in time and size; every failure a Retry or a Reject that names the channel, never its address."""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from connectors.http import BUSY, retry_after
from streams.errors import Misconfigured, Reject, Retry

ANSWER_LIMIT_BYTES = 64_000

logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every address, and those of bots and hooks are secrets


class Post:
    """POSTs to one address. name: of the channel, for what is said of it."""

    def __init__(self, name: str, url: str, timeout_seconds: float) -> None:
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            self._url = httpx.URL("")
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise Misconfigured(f"channel {name}: url must be a whole http(s) address", 'write url = "https://host/path"')
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._client: httpx.Client | None = None

    def __call__(self, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send JSON. Raises Retry, Reject."""
        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout_seconds, follow_redirects=False)
        asked = {"content-type": "application/json", "user-agent": "song-ma", **(headers or {})}
        try:
            with self._client.stream("POST", self._url, content=content, headers=asked) as answer:
                body = self._read(answer)
        except httpx.TransportError as error:
            raise Retry(f"channel {self._name} cannot be reached ({type(error).__name__})") from None
        self._check(answer, body)

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def explain(self, body: bytes) -> tuple[str, float | None]:
        """What a refusal says of itself, and for how many seconds it asks to wait; as the target's own protocol has it."""
        return "", None

    def _read(self, answer: httpx.Response) -> bytes:
        end, body = time.monotonic() + 3 * self._timeout_seconds, b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > ANSWER_LIMIT_BYTES:
                break
            if time.monotonic() > end:
                raise Retry(f"channel {self._name} is too slow")
        return body

    def _check(self, answer: httpx.Response, body: bytes) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        why, after = self.explain(body)
        said = f"channel {self._name} answered {status}{f': {why}' if why else ''}"
        if status in BUSY or status >= 500:
            asked = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
            raise Retry(said, after_seconds=asked if after is None else after)
        raise Reject(f"http_{status}", said)
