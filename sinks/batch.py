"""A batch made ready: records decoded, repeats inside it found, rows encoded, counts begun. Pure: no connection, no clock."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from sinks import copy
from sinks.derive import columns, row_type
from streams.department import Department, departments
from streams.event import Rejected
from streams.pseudonym import Keys
from streams.store import Records

HOUR_US = 3_600_000_000
_IDENTITY = struct.Struct("!hi16siqiq").pack
_OUTCOMES = ("received", "on_time", "late", "duplicate", "conflict", "quarantined")


class Counts:
    """Ledger counts of a batch by (department, source, hour of arrival)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], list[int]] = {}

    def add(self, department: str, source: str, known_at_us: int, outcome: str) -> None:
        """One record received, with what became of it."""
        self.change(department, source, known_at_us, outcome, 1)
        self.change(department, source, known_at_us, "received", 1)

    def change(self, department: str, source: str, known_at_us: int, outcome: str, by: int) -> None:
        """Move one number."""
        key = (department, source, known_at_us // HOUR_US)
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = [0] * len(_OUTCOMES)
        row[_OUTCOMES.index(outcome)] += by

    def columns(self) -> list[list[Any]]:
        """As nine arrays for one statement."""
        keys = [*self.rows]
        return [
            [k[0] for k in keys],
            [k[1] for k in keys],
            [k[2] for k in keys],
            *([row[i] for row in self.rows.values()] for i in range(len(_OUTCOMES))),
        ]


class Conflict(NamedTuple):
    """A second body under a known id."""

    id: str
    body: int
    source: str
    known_at_us: int
    value: bytes


class Seen(NamedTuple):
    """What the ledger needs of an event that may be new."""

    source: str
    known_at_us: int
    late: bool
    body: int
    value: bytes


@dataclass
class Part:
    """The events of one department in a batch. rows: id -> encoded row without its batch number, in order of arrival."""

    department: Department
    rows: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    identities: list[bytes] = field(default_factory=list)
    repeats: list[Seen] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    hours: set[int] = field(default_factory=set)
    first_us: int = 2**62
    last_us: int = -(2**62)

    def strike(self, bodies: dict[str, int], counts: Counts) -> None:
        """Take out the events whose ids (hex) were known before with these bodies: a repeat, or a conflict."""
        name = self.department.name
        for id, body in bodies.items():
            seen = self.seen[id]
            del self.rows[id]
            counts.change(name, seen.source, seen.known_at_us, "late" if seen.late else "on_time", -1)
            if seen.body == body:
                counts.change(name, seen.source, seen.known_at_us, "duplicate", 1)
            else:
                counts.change(name, seen.source, seen.known_at_us, "conflict", 1)
                self.conflicts.append(Conflict(id, seen.body, seen.source, seen.known_at_us, seen.value))


@dataclass
class Batch:
    """Everything one transaction writes."""

    offsets: list[Records] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    rejects: list[Rejected] = field(default_factory=list)
    heard: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def counts(self) -> Counts:
        """The ledger as if every id were new; `Part.strike` corrects it."""
        counts = Counts()
        for name, part in self.parts.items():
            for seen in part.seen.values():
                counts.add(name, seen.source, seen.known_at_us, "late" if seen.late else "on_time")
            for repeat in part.repeats:
                counts.add(name, repeat.source, repeat.known_at_us, "duplicate")
            for conflict in part.conflicts:
                counts.add(name, conflict.source, conflict.known_at_us, "conflict")
        return counts


class Preparer:
    """Turns records into batches. keys: to seal what does not keep its department's contract."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._departments = {d.name: (d, _encode_of(d), msgspec.json.Decoder(row_type(d.event))) for d in departments()}
        self._rejected = msgspec.json.Decoder(Rejected)

    def prepare(self, records: Sequence[Records]) -> Batch:
        """One batch of records of any partitions."""
        batch = Batch()
        for group in records:
            batch.offsets.append(group)
            name = group.partition.name
            if name == "rejects":
                batch.rejects.extend(self._rejects(group))
            else:
                self._events(name, group, batch)
        return batch

    def _rejects(self, group: Records) -> Iterator[Rejected]:
        for value, time_ms in zip(group.values, group.times_ms, strict=True):
            try:
                reject = self._rejected.decode(value)
                bytes.fromhex(reject.id)
                yield reject
            except (msgspec.DecodeError, ValueError):
                yield self._reject("unknown", value, time_ms, "the reject record itself cannot be read")

    def _events(self, name: str, group: Records, batch: Batch) -> None:
        department, encode, decoder = self._departments[name]
        part = batch.parts.get(name) or batch.parts.setdefault(name, Part(department))
        decode, rows, seen, identities, hours, heard = decoder.decode, part.rows, part.seen, part.identities, part.hours, batch.heard
        late_us = department.late_after_seconds * 1_000_000
        for value, time_ms in zip(group.values, group.times_ms, strict=True):
            try:
                event = decode(value)
                id, body, event_us, known_us = event.id, event.body, event.event_time_us, event.known_at_us
                body64 = int.from_bytes(bytes.fromhex(body), "big", signed=True)
                identity = _IDENTITY(3, 16, _id(id), 8, body64, 8, event_us - copy.PG_EPOCH_US)
                row = encode(event)
            except (msgspec.DecodeError, ValueError, struct.error, TypeError) as error:
                wrong = f"the record does not keep the contract of {name}: {type(error).__name__}"
                batch.rejects.append(self._reject(name, value, time_ms, wrong))
                continue
            source = event.source
            new = Seen(source, known_us, known_us - event_us > late_us, body64, value)
            first = seen.get(id)
            if first is None:
                seen[id] = new
                rows[id] = row
                identities.append(identity)
                hours.add(event_us // HOUR_US)
                part.first_us = min(part.first_us, event_us)
                part.last_us = max(part.last_us, event_us)
            elif first.body == body64:
                part.repeats.append(new)
            else:
                part.conflicts.append(Conflict(id, body64, source, known_us, value))
            last = heard.get((name, source))
            heard[name, source] = (known_us, event_us) if last is None else (max(last[0], known_us), max(last[1], event_us))

    def _reject(self, department: str, value: bytes, time_ms: int, wrong: str) -> Rejected:
        return Rejected(
            id=self._keys.domain("tax").raw(f"topic:{department}", value),
            source="topic",
            department=department,
            known_at_us=time_ms * 1000,
            cause="contract",
            wrong=wrong,
            sealed=self._keys.seal(value),
            size_bytes=len(value),
        )


def _id(id: str) -> bytes:
    data = bytes.fromhex(id)
    if len(data) != 16:
        raise ValueError("an id has 32 hex digits")
    return data


def _encode_of(department: Department) -> Any:
    """event -> encoded row of the department's raw table, but for the batch number."""
    held = columns(department.event)
    names = [c.field for c in held]
    encode = copy.encoders(held)
    start = struct.pack("!h", len(held) + 1)
    pairs = [*zip(names, encode, strict=True)]
    # One line of Python per contract, compiled once: a loop over columns costs twice as much per event.
    source = "lambda e: join((start, " + ", ".join(f"f{i}(e.{name})" for i, (name, _) in enumerate(pairs)) + "))"
    return eval(source, {"join": b"".join, "start": start, **{f"f{i}": f for i, (_, f) in enumerate(pairs)}})  # noqa: S307  # field names of our own contracts
