"""Wire formats: raw bytes of a department's system -> contract events, one file per format, loaded by name."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from streams.department import department, departments
from streams.errors import Misconfigured
from streams.event import Event
from streams.pseudonym import Pseudonyms
from streams.settings import Source

__all__ = ["DEPARTMENT_FORMATS", "FORMATS", "PLAIN", "Arrival", "Format", "load", "of"]


@dataclass(frozen=True)
class Arrival:
    """How and when a raw record came.

    known_at_us: when the connector received it, microseconds since 1970. pseudonyms: of the department's own domain.
    units: the source's own codes of hospitals -> our codes. secret: what signs this source's records. bank: whose records they are,
    where the format alone does not say. trusted: an operator handed the record over (`ioc pull files`), so that payments need no
    signature while no secret is configured. authorities: certificates (PEM) that signatures in documents must lead to; None: they are not
    looked at.
    """

    source: str
    known_at_us: int
    pseudonyms: Pseudonyms = field(repr=False)
    units: Mapping[str, str] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)
    bank: str | None = None
    trusted: bool = False
    authorities: bytes | None = field(default=None, repr=False)


class Format(Protocol):
    """What every module of this folder offers. Both functions are pure."""

    def split(self, raw: bytes) -> list[bytes]:
        """The records of a page or file, so that a bad one does not take its neighbours with it. Never raises; one record is itself."""
        ...

    def parse(self, raw: bytes, arrival: Arrival) -> Sequence[Event]:
        """The events of one record; none when it is of a kind that is not ours. Raises Reject, and nothing else, on any bytes."""
        ...


PLAIN = tuple(each.name for each in departments() if each.wire is not None)
"""The departments that declare their records themselves: each is a format of its own name."""
FORMATS: Mapping[str, str] = {
    name: f"{__name__}.{name}" for name in ("tvan", "fhir", "hdbank", "vnpay", "payos", "momo", "sepay", "camt", "payment", "bhyt")
} | dict.fromkeys(PLAIN, f"{__name__}.plain")
DEPARTMENT_FORMATS: Mapping[str, str] = {"einvoice": "tvan", "telehealth": "fhir", "payment": "payment", "visit": "bhyt"} | {
    name: name for name in PLAIN
}


def of(source: Source) -> str:
    """The name of a source's format; "" where its department has none by itself."""
    return source.format or DEPARTMENT_FORMATS.get(source.department, "")


def load(name: str) -> Format:
    """The format of that name. Raises Misconfigured, naming those there are."""
    if name not in FORMATS:
        raise Misconfigured(f"there is no wire format named {name}", f"use one of {', '.join(sorted(FORMATS))}")
    module = importlib.import_module(FORMATS[name])
    return cast(Format, module.of(department(name)) if name in PLAIN else module)
