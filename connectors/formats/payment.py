"""Payment files of any bank we know: which format a record is in is told by its content."""

import re

from connectors.formats import Arrival, Format, hdbank, payos, vnpay
from streams.event import Event

_DATA_OBJECT = re.compile(rb'"data"\s*:\s*\{')


def split(raw: bytes) -> list[bytes]:
    """The records of a file, by the format it is in."""
    return _format(raw).split(raw)


def parse(raw: bytes, arrival: Arrival) -> list[Event]:
    """The payments of one record. Raises Reject as its format does."""
    return list(_format(raw).parse(raw, arrival))


def _format(raw: bytes) -> Format:
    """VNPAY for a query string with vnp_ fields, payOS for JSON whose `data` is an object, else HDBank."""
    if raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
        return payos if _DATA_OBJECT.search(raw) else hdbank
    return vnpay if b"vnp_" in raw else hdbank
