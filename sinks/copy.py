"""Rows as PostgreSQL's binary COPY format: the fastest way in, one encoder per column kind."""

import struct
from collections.abc import Callable, Iterable
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
PG_EPOCH_US = 946_684_800_000_000  # 2000-01-01, microseconds since 1970
NULL = b"\xff\xff\xff\xff"
_INT8: Callable[[int, int], bytes] = struct.Struct("!iq").pack
_LENGTH: Callable[[int], bytes] = struct.Struct("!i").pack

Encode = Callable[[Any], bytes]


def uuid(value: str) -> bytes:
    """32 hex digits as a uuid. Raises ValueError when they are not."""
    data = bytes.fromhex(value)
    if len(data) != 16:
        raise ValueError("not 32 hex digits")
    return b"\0\0\0\x10" + data


def hash64(value: str) -> bytes:
    """16 hex digits as a bigint. Raises ValueError when they are not."""
    data = bytes.fromhex(value)
    if len(data) != 8:
        raise ValueError("not 16 hex digits")
    return b"\0\0\0\x08" + data


def timestamptz(us: int) -> bytes:
    """Microseconds since 1970 as a timestamptz. Raises ValueError outside of the years 1900 to 2200."""
    if not -2_208_988_800_000_000 <= us < 7_258_118_400_000_000:
        raise ValueError("a time outside of the years 1900 to 2200")
    return _INT8(8, us - PG_EPOCH_US)


def bigint(value: int) -> bytes:
    """An integer of 64 bits."""
    return _INT8(8, value)


def text(value: str) -> bytes:
    """Text, UTF-8. PostgreSQL holds no NUL characters: they are left out."""
    data = value.encode().replace(b"\0", b"")
    return _LENGTH(len(data)) + data


def sized(value: bytes) -> bytes:
    """Bytes with their length before them, as a field."""
    return _LENGTH(len(value)) + value


def json(value: Any) -> bytes:
    """JSON that is text already (bytes or msgspec.Raw). Raises ValueError when it is not UTF-8."""
    str(value, "utf-8")
    field: bytes = _LENGTH(len(value)) + value
    return field


class _Words(dict[str, bytes]):
    def __missing__(self, value: str) -> bytes:
        if len(self) > 65_536:
            self.clear()
        found = self[value] = text(value)
        return found


word: Encode = _Words().__getitem__
"""Text of which there are few different values (kind, source, unit): encoded once."""


def integer(value: int) -> bytes:
    """An integer of 32 bits."""
    return struct.pack("!ii", 4, value)


def boolean(value: bool) -> bytes:
    """A truth value."""
    return b"\0\0\0\x01\x01" if value else b"\0\0\0\x01\0"


ENCODERS: dict[str, Encode] = {
    "uuid": uuid, "hash": hash64, "timestamptz": timestamptz, "bigint": bigint, "text": word, "json": json, "boolean": boolean, "integer": integer,
    "bytea": sized,
}  # fmt: skip


def block(rows: Iterable[bytes]) -> bytes:
    """A whole COPY of encoded rows."""
    return b"".join((HEADER, *rows, TRAILER))
