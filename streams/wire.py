"""Plain records: what a sender writes who keeps to a shape of ours, one JSON object a record; declared by the department itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec


class Read(NamedTuple):
    """What a plain record says, ready to become an event. identity: what it is for ever known by; at: its own time, ISO 8601 (without an offset
    GMT+7); unit: the sender's code of the place; kind: one of few; more: the contract's own fields, persons and free text only as pseudonyms."""

    identity: str
    at: str
    unit: str | None
    kind: str
    more: Mapping[str, Any]


Hashed = Callable[[str, str], str]
"""(what, value) -> pseudonym, in the department's own domain."""


@dataclass(frozen=True)
class Wire:
    """How a department's plain records are written. record: their shape, fields that are not in it are passed over; read(record, hashed): what one
    says, pure. unit: what a code must look like to be one of ours where the source maps none."""

    record: type[msgspec.Struct]
    read: Callable[[Any, Hashed], Read]
    unit: str = r"\d{5}"
