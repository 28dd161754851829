"""The cases of tests/cases: a record as it came, and in case.json what must come of it, in words a person can check."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from connectors.formats import DEPARTMENT_FORMATS, Arrival, load
from streams.event import Event, encode, micros
from streams.pseudonym import Pseudonyms

FOLDER = Path(__file__).parent / "cases"
KEY = bytes(range(32))
KNOWN_AT_US = micros(datetime(2026, 11, 22, 1, tzinfo=UTC))  # 08:00 in Vietnam


@dataclass(frozen=True)
class Case:
    """One folder: the record's bytes, the format that reads it, how it arrived, and the expectation."""

    name: str
    department: str
    raw: bytes
    format: str
    arrival: Arrival
    events: list[dict[str, Any]] | None
    reject: Mapping[str, str] | None


def _case(folder: Path) -> Case:
    said = json.loads((folder / "case.json").read_text())
    how = said.get("arrival", {})
    department = folder.parent.name
    secret = how.get("secret")
    arrival = Arrival(
        source="case",
        known_at_us=KNOWN_AT_US,
        pseudonyms=Pseudonyms(KEY),
        units=how.get("units", {}),
        secret=None if secret is None else secret.encode(),
        bank=how.get("bank"),
        trusted=how.get("trusted", False),
    )
    (record,) = folder.glob("record.*")
    name = how.get("format", DEPARTMENT_FORMATS[department])
    return Case(f"{department}/{folder.name}", department, record.read_bytes(), name, arrival, said.get("events"), said.get("reject"))


def events(department: str) -> list[Event]:
    """What all accepted cases of a department say."""
    told = [case for case in CASES if case.department == department and case.events]
    return [event for case in told for part in load(case.format).split(case.raw) for event in load(case.format).parse(part, case.arrival)]


CASES = [_case(path.parent) for path in sorted(FOLDER.glob("*/*/case.json"))]


def pseudonym(what: str, value: str) -> str:
    """A pseudonym, computed from its definition and not by the code under test."""
    key = hmac.new(KEY, what.encode(), "sha256").digest()
    return f"01{hmac.new(key, value.encode(), 'sha256').hexdigest()[:30]}"


def resolve(said: Any, name: str = "") -> Any:
    """What case.json says, as an event holds it.

    `$mst 38..` is that pseudonym; `$invoice MST|form|series|number` the key of an invoice, also inside a `$message HDon|..`;
    ISO times stand where a name ends with _us, ISO days where it is `day`.
    """
    if isinstance(said, dict):
        return {key: resolve(value, key) for key, value in said.items()}
    if isinstance(said, list):
        return [resolve(value, name) for value in said]
    if isinstance(said, str) and said.startswith("$"):
        return _named(said)
    if isinstance(said, str) and name.endswith("_us"):
        return micros(datetime.fromisoformat(said))
    return (date.fromisoformat(said) - date(1970, 1, 1)).days if name == "day" else said


def _named(said: str) -> str:
    what, _, value = said[1:].partition(" ")
    if what == "invoice":
        mst, rest = value.split("|", 1)
        value = f"{pseudonym('mst', mst)}|{rest}"
    if "$invoice" in value:
        head, inner, tail = value.partition("|")[0], value.split("|", 1)[1].rsplit("|", 1)[0], value.rsplit("|", 1)[1]
        value = f"{head}|{_named(inner)}|{tail}"
    return pseudonym(what, value)


def told(event: Event) -> dict[str, Any]:
    """The event without what no case says: its body, its source, its arrival, and facts when it has none."""
    held: dict[str, Any] = json.loads(encode(event))
    unsaid = ("body", "source", "known_at_us")
    return {name: value for name, value in held.items() if name not in unsaid and not (name == "facts" and value == {})}
