"""What a wire format is fed and held to: whatever the bytes, events or Reject, in bounded time, the same again."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from connectors.formats import Arrival, Format, load
from streams.errors import Reject
from streams.event import encode
from tests.format_cases import CASES

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(".fuzz")  # what libFuzzer found, from one run to the next
CPU_SECONDS = 1.0  # of one input, however it is made
_CAUSE = re.compile(r"[a-z0-9_]{2,40}")
_ARRIVAL = replace(CASES[0].arrival, trusted=True)


class Broken(AssertionError):
    """A promise that the format did not keep."""


def seeds(name: str) -> list[bytes]:
    """The records of the case folders that this format reads."""
    return [case.raw for case in CASES if case.format == name]


def arrivals(name: str) -> list[Arrival]:
    """How an input is said to have come: handed over without any secret, and in each way that the cases of the format have."""
    found = [_ARRIVAL]
    for case in CASES:
        if case.format == name and case.arrival not in found:
            found.append(case.arrival)
    return found


def feed(reader: Format, raw: bytes, arrival: Arrival) -> set[str]:
    """Play one input. What came of it: a word for each kind of event and reject. Raises Broken, or whatever the format lets through."""
    began = time.process_time()
    came = {_outcome(reader, part, arrival) for part in reader.split(raw)} | {_outcome(reader, raw, arrival)}
    spent = time.process_time() - began
    if spent > CPU_SECONDS:
        raise Broken(f"{spent:.1f} s of CPU for {len(raw)} bytes")
    return came


def _outcome(reader: Format, part: bytes, arrival: Arrival) -> str:
    try:
        events = reader.parse(part, arrival)
    except Reject as reject:
        if not _CAUSE.fullmatch(reject.cause) or not reject.wrong:
            raise Broken("a cause is a short code of words and underscores, with a sentence beside it") from reject
        return f"{reject.cause}: {re.sub(r'[0-9]+', '#', reject.wrong)}"
    words = set[str]()
    for event in events:
        line = encode(event)
        if msgspec.json.decode(line, type=type(event)) != event:
            raise Broken("an event is another one after the wire")
        words.update(_names(msgspec.json.decode(line)))
    return "event: " + " ".join(sorted(words))


def _names(held: object, flags: bool = False) -> Iterator[str]:
    """The fields an event carries, nested ones too, and its flags."""
    if isinstance(held, dict):
        for name, value in held.items():
            yield name
            yield from _names(value, name == "flags")
    elif isinstance(held, list):
        for value in held:
            yield from ([value] if flags and isinstance(value, str) else _names(value))


def kept(name: str) -> list[Path]:
    """The inputs kept for a format: each once broke it, or came to an end that no case folder comes to."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())


def reader(name: str) -> Format:
    """The format of that name."""
    return load(name)
