"""The interface of a connector: pages of raw records after a cursor; and how a source gets its connector."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from streams.errors import Misconfigured
from streams.settings import Source

CONNECTORS = {name: f"connectors.{name}" for name in ("rest", "fhir", "query", "files")}
OPTIONS = {
    "rest": ("encoding", "after", "limit_parameter", "limit", "items", "content", "next", "more"),
    "fhir": ("resource", "include", "limit", "overlap_seconds"),
    "query": ("first_reach_hours", "overlap_seconds", "reach_back_seconds"),
    "files": ("settled_seconds",),
    "webhook": ("auth",),
}
"""What a source may say in `options`, by its connector."""
ANY_OPTIONS = ("bank", "authorities")
"""What any source may say there."""


class Refused(NamedTuple):
    """A record the connector itself cannot take out of its wrapping (bad base64, nested archive): quarantined as it came."""

    raw: bytes
    cause: str
    wrong: str


@dataclass(frozen=True)
class Page:
    """Some records. cursor: where to go on once they are acknowledged (None: nothing to go on from yet). more: there is more to read
    now. token: the connector's own, given back by `acknowledged`."""

    records: Sequence[bytes]
    cursor: str | None
    more: bool
    refused: Sequence[Refused] = ()
    token: object = None


class Connector(Protocol):
    """Where records of one source come from. Every record it has ever seen may come again: repeats are free, gaps are not."""

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Pages from `cursor` (None: from the beginning) until nothing is new. Raises Retry, Misconfigured. Called again after a failure
        with the cursor of the last acknowledged page, it gives again everything that was not acknowledged."""

    def acknowledged(self, page: Page) -> None:
        """Kafka has acknowledged this page and all before it: only now may the connector skip what was in it."""

    def close(self) -> None:
        """Let go of connections. It may be used again afterwards."""


def connect(source: Source, state_dir: Path) -> Connector:
    """The connector of a source; no I/O yet. Raises Misconfigured when the source lacks what its connector needs."""
    if source.connector == "webhook":
        raise Misconfigured(
            f"source {source.name} is pushed to us, it cannot be pulled", "run `ioc serve`, which receives it at /hooks/" + source.name
        )
    made: Connector = importlib.import_module(CONNECTORS[source.connector]).connect(source, state_dir)
    return made


def checked(source: Source) -> Source:
    """The source itself. Raises Misconfigured for an option that nobody reads: misspelt, it would silently mean the default."""
    known = (*OPTIONS[source.connector], *ANY_OPTIONS)
    unknown = sorted(source.options.keys() - {*known})
    if unknown:
        raise Misconfigured(
            f"source {source.name}: options.{unknown[0]} means nothing to the connector {source.connector}",
            f"write one of {', '.join(known)}, or take it out",
        )
    return source


def text(source: Source, name: str, default: str) -> str:
    """A source's option as text."""
    return str(source.options.get(name, default))


def number(source: Source, name: str, default: int) -> int:
    """A source's option as a whole number above 0. Raises Misconfigured when it is none."""
    value = source.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise Misconfigured(f"source {source.name}: options.{name} must be a whole number above 0", f"write e.g. {name} = {default}")
    return value
