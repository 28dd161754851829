"""The chain of an archive: a line for each file, each with the hash of all before it."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from streams.topics import LIVE


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one file. hour: of the arrivals in it (UTC, `2026-11-22T09`); path: where it lies, below the chain's name.

    records, bytes, content: of what it holds, unpacked; file: hash of it as it lies there (SHA-256, both). sources: how many records each sent.
    first_us, last_us: event times; first_known_us, last_known_us: arrivals; days: how many events each UTC day of event time has.
    chain: hash of the chain of the line before, and of this one.
    """

    hour: str
    path: str
    records: int
    bytes: int
    content: str
    file: str
    sources: Mapping[str, int]
    first_known_us: int
    last_known_us: int
    first_us: int = 0
    last_us: int = 0
    days: Mapping[str, int] = {}
    chain: str = ""


class Broken(NamedTuple):
    """What is wrong with a chain. number: the line, from 0; text: the line as it lies there."""

    number: int
    text: bytes
    what: str


def events_name(department: str, space: str) -> str:
    """The name of the chain of a department's events."""
    return f"events/{department}" if space == LIVE else f"spaces/{space}/events/{department}"


def raw_name(source: str, space: str) -> str:
    """The name of the chain of what a source sent."""
    return f"raw/{source}" if space == LIVE else f"spaces/{space}/raw/{source}"


def chain_path(name: str) -> str:
    """Where a chain lies."""
    return f"{name}/chain.ndjson"


def hour_of(moment: datetime) -> str:
    """The hour of a moment, as lines name it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H")


def start_of(hour: str) -> datetime:
    """The moment an hour begins."""
    return datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC)


def file_path(hour: str, part: int, ending: str) -> str:
    """Where the file of an hour lies, below the chain's name; part: 0 for the first, further ones for what came later or did not fit."""
    return f"{hour[:4]}/{hour[5:7]}/{hour[8:10]}/{hour[11:13]}{f'.{part}' if part else ''}.{ending}"


def digest(content: bytes) -> str:
    """The SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def linked(before: str, line: Line) -> Line:
    """The line with its place in the chain. before: the chain of the one before it, "" for the first."""
    bare = msgspec.structs.replace(line, chain="")
    return msgspec.structs.replace(line, chain=digest(before.encode() + msgspec.json.encode(bare)))


def encoded(lines: Sequence[Line]) -> bytes:
    """The chain as it lies in its file."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def decoded(content: bytes) -> tuple[list[Line], Broken | None]:
    """The lines of a chain, up to the first that is wrong, and what is wrong with it. Every bit counts."""
    lines: list[Line] = []
    texts = content.split(b"\n")
    for number, text in enumerate(texts):
        if number == len(texts) - 1 and not text:
            return lines, None
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return lines, Broken(number, text, "the line of the chain cannot be read")
        if number == len(texts) - 1:
            return lines, Broken(number, text, "the line of the chain has no end")
        if msgspec.json.encode(line) != text or linked(lines[-1].chain if lines else "", line) != line:
            return lines, Broken(number, text, "the line of the chain was changed")
        lines.append(line)
    return lines, None
