"""Reading JSON of strangers: exact numbers where money is meant, and a cause that a person understands."""

from decimal import Decimal
from typing import Any

import msgspec
import orjson

from streams.errors import Reject

_BOM = b"\xef\xbb\xbf"
_EXACT = msgspec.json.Decoder(float_hook=Decimal)


def read(raw: bytes) -> Any:
    """The JSON value. Raises Reject: `empty`, `encoding`, `json_cut`, `json_broken`, `not_json`."""
    try:
        return orjson.loads(raw.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        raise _unreadable(raw) from None


def read_exact(raw: bytes) -> Any:
    """As `read`; numbers with a decimal point come as Decimal."""
    try:
        return _EXACT.decode(raw.removeprefix(_BOM))
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        raise _unreadable(raw) from None


def canonical(value: object) -> bytes:
    """The value with sorted keys and no white space. Raises Reject `json_broken` when it is nested deeper than 250."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise Reject("json_broken", "the JSON is nested more than 250 deep") from None


def _unreadable(raw: bytes) -> Reject:
    text = raw.removeprefix(_BOM).strip()
    if not text:
        return Reject("empty", "the record is empty")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return Reject("encoding", f"line {line} holds bytes that are not UTF-8")
    if text[:1] not in b"{[":
        return Reject("not_json", "the record is not JSON: it does not begin with { or [")
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if error.pos >= len(text.decode()) or text[-1:] not in b"}]":
            return Reject("json_cut", f"the JSON ends in line {error.lineno} before its last bracket is closed")
        return Reject("json_broken", f"the JSON is not well-formed; the first fault is in line {error.lineno}")
    return Reject("json_broken", "the JSON is nested too deep or holds a number that no number of money has")
