"""The banks' signed list query: what was paid in a window of time, newest first, so that what was never pushed is found."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from connectors.connector import Page, number
from connectors.http import Web, web
from connectors.recent import Recent
from streams.errors import Misconfigured, Retry
from streams.settings import Source

STAMP = "%Y%m%d%H%M%S"  # UTC (HDBank QR contract 1.0.3)
PAGES_LIMIT = 20_000
DEEP_PART = 4


class _Signed(msgspec.Struct):
    data: str
    sign: str


class _List(msgspec.Struct):
    items: list[msgspec.Raw]
    page: int = 1
    pages: int = 1


class _Times(msgspec.Struct):
    transactionTime: str | None = None
    paidTime: str | None = None


@dataclass(frozen=True)
class Query:
    """The list of one bank. Each reading starts before the last one began, so that a transaction may change or appear late:
    overlap_seconds before, and every DEEP_PART of reach_back_seconds by all of these, which must be longer than the bank's retries (SePay:
    33 minutes). first_reach_seconds: how far the very first reading goes back.

    Newest first, pages shift while they are read: new records push old ones to later pages, so reading on meets repeats, never
    gaps. Therefore the cursor moves only when the whole window was read.
    """

    web: Web
    secret: bytes = field(repr=False)
    overlap_seconds: int = 120
    reach_back_seconds: int = 3600
    first_reach_seconds: int = 7 * 86400
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _recent: Recent = field(default_factory=Recent, repr=False)
    _deep: list[datetime] = field(default_factory=list, repr=False)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        began = self.now()
        deep = not self._deep or began - self._deep[0] >= timedelta(seconds=self.reach_back_seconds) / DEEP_PART
        start = began - timedelta(seconds=self.first_reach_seconds)
        if cursor is not None:
            start = _read(cursor) - timedelta(seconds=self.reach_back_seconds if deep else self.overlap_seconds)
        given: dict[bytes, None] = {}
        for asked in range(1, PAGES_LIMIT + 1):
            listed = self._list(start, began + timedelta(minutes=1), asked)  # a minute more: clocks differ
            items = [bytes(item) for item in listed.items]
            fresh = [(digest, record) for digest, record in self._recent.new(items) if digest not in given]
            given = dict.fromkeys([*given, *(digest for digest, _ in fresh)][-1000:])
            last = asked >= listed.pages or not items or not any(_newer(item, start) for item in items)
            yield Page(
                [record for _, record in fresh], began.strftime(STAMP) if last else cursor, not last, token=[digest for digest, _ in fresh]
            )
            if last:
                self._deep[:] = [began] if deep else self._deep
                return
        raise Retry(f"the source's list has no end after {PAGES_LIMIT} pages", "give options.first_reach_hours a smaller number")

    def acknowledged(self, page: Page) -> None:
        if isinstance(page.token, list):
            self._recent.remember(page.token)

    def close(self) -> None:
        self.web.close()

    def _list(self, start: datetime, end: datetime, page: int) -> _List:
        question = msgspec.json.encode({"from": start.strftime(STAMP), "to": end.strftime(STAMP), "page": page})
        data = base64.b64encode(question).decode()
        answer = self.web.post({"data": data, "sign": self._sign(data)})
        try:
            signed = msgspec.json.decode(answer.body, type=_Signed)
            if not self._is_signed(signed):
                raise Retry(
                    "the source's answer has a wrong signature: nothing of it was read", "check that both sides hold the same secret"
                )
            return msgspec.json.decode(base64.b64decode(signed.data, validate=True), type=_List)
        except (msgspec.DecodeError, binascii.Error) as error:
            raise Retry("the source's answer is not a signed list, or was cut") from error

    def _sign(self, data: str) -> str:
        return hmac.new(self.secret, data.encode(), hashlib.sha256).hexdigest()

    def _is_signed(self, signed: _Signed) -> bool:
        digest = hmac.new(self.secret, signed.data.encode(), hashlib.sha256).digest()
        # hex or base64: the contract does not say which (domain.md 3)
        ways = (digest.hex(), base64.b64encode(digest).decode())
        said = signed.sign if len(signed.sign) != 64 else signed.sign.lower()
        return any(hmac.compare_digest(way.encode(), said.encode()) for way in ways)


def connect(source: Source, state_dir: Path) -> Query:
    """The connector of a `query` source. Options: overlap_seconds, reach_back_seconds, first_reach_hours. Raises Misconfigured."""
    secret = source.secret()
    if not secret:
        raise Misconfigured(f"source {source.name}: a signed list needs a credential", 'write credential = "env:NAME" or "file:PATH"')
    first = number(source, "first_reach_hours", 168) * 3600
    overlap, reach_back = number(source, "overlap_seconds", 120), number(source, "reach_back_seconds", 3600)
    return Query(web(source), secret, overlap, reach_back, first)


def _read(cursor: str) -> datetime:
    try:
        return datetime.strptime(cursor, STAMP).replace(tzinfo=UTC)
    except ValueError as error:
        raise Misconfigured("the stored cursor is no time", "run `ioc pull SOURCE --from-start`") from error


def _newer(item: bytes, start: datetime) -> bool:
    try:
        times = msgspec.json.decode(item, type=_Times)
        stamps = [_read(said) for said in (times.transactionTime, times.paidTime) if said]
    except (msgspec.DecodeError, Misconfigured):
        return True  # cannot tell: read on
    return not stamps or max(stamps) >= start
