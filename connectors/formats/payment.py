"""Payment files of any bank we know: which format a record is in is told by its content."""

import re

from connectors.formats import Arrival, Format, camt, hdbank, momo, payos, sepay, vnpay
from streams.event import Event

_TOLD_BY: tuple[tuple[re.Pattern[bytes], Format], ...] = (
    (re.compile(rb'"data"\s*:\s*\{'), payos),
    (re.compile(rb'"partnerCode"\s*:'), momo),
    (re.compile(rb'"(?:transfer(?:Type|_type)|notification_type)"\s*:'), sepay),
)


def split(raw: bytes) -> list[bytes]:
    """The records of a file, by the format it is in."""
    return _format(raw).split(raw)


def parse(raw: bytes, arrival: Arrival) -> list[Event]:
    """The payments of one record. Raises Reject as its format does."""
    return list(_format(raw).parse(raw, arrival))


def _format(raw: bytes) -> Format:
    """A statement for XML, VNPAY for a query string with vnp_ fields, what its fields tell for JSON, else HDBank."""
    start = raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start == b"<" or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return camt
    if start in (b"{", b"["):
        return next((format for told, format in _TOLD_BY if told.search(raw)), hdbank)
    return vnpay if b"vnp_" in raw else hdbank
