"""A batch made ready: records decoded, repeats inside it found, rows encoded, counts begun. Pure: no connection, no clock."""

import contextlib
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from sinks import copy
from sinks.derive import columns, row_type
from streams.department import Department, departments
from streams.event import Asked, Fused, Rejected
from streams.pseudonym import AKA, Keys, Named
from streams.store import Records

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
_OUTCOMES = ("received", "on_time", "late", "duplicate", "conflict", "quarantined")


class Counts:
    """Ledger counts of a batch by (department, source, minute of arrival)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], list[int]] = {}

    def add(self, department: str, source: str, minute: int, outcome: str, count: int = 1) -> None:
        """Records received in a minute (since 1970), with what became of them."""
        self.change(department, source, minute, outcome, count)
        self.change(department, source, minute, "received", count)

    def change(self, department: str, source: str, minute: int, outcome: str, by: int) -> None:
        """Move one number."""
        key = (department, source, minute)
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


class Repeat(NamedTuple):
    """A record that came again. rejected: whether it is one that cannot be understood."""

    department: str
    id: str
    rejected: bool
    source: str
    known_at_us: int


Seen = tuple[Any, bytes, bytes]
"""An event that may be new: the event, its body (encoded), the record."""


@dataclass
class Part:
    """The events of one department in a batch. rows: encoded id -> encoded row without its batch number, in order of arrival.

    tally: (source, minute of arrival, outcome) -> records, as if every id were new.
    """

    department: Department
    rows: dict[bytes, bytes] = field(default_factory=dict)
    seen: dict[bytes, Seen] = field(default_factory=dict)
    identities: list[bytes] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    tally: dict[tuple[str, int, str], int] = field(default_factory=lambda: defaultdict(int))
    conflicts: list[Conflict] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)

    @property
    def hours(self) -> list[int]:
        """The event hours touched."""
        return sorted({us // HOUR_US for us in self.times_us})

    def strike(self, bodies: Mapping[bytes, bytes], counts: Counts) -> None:
        """Take out the events whose ids were known before with these bodies (both encoded): a repeat, or a conflict."""
        chosen = self.department
        for id, body in bodies.items():
            event, own, value = self.seen[id]
            del self.rows[id]
            minute, late = event.known_at_us // MINUTE_US, chosen.is_late(event.event_time_us, event.known_at_us)
            counts.change(chosen.name, event.source, minute, "late" if late else "on_time", -1)
            counts.change(chosen.name, event.source, minute, "duplicate" if own == body else "conflict", 1)
            if own == body:
                self.repeats.append(Repeat(chosen.name, event.id, False, event.source, event.known_at_us))
            else:
                self._swap(event.id.lower(), _whole(body), value, counts)
                self.conflicts.append(_conflict(event, own, value))

    def _swap(self, id: str, body: int, value: bytes, counts: Counts) -> None:
        """What was set against the batch's own first of that id, which is not the first of all: that one had another body."""
        first, name = _whole(self.seen[copy.uuid(id)][1]), self.department.name
        repeats = [each for each in self.repeats if each.id.lower() == id]
        conflicts = [each for each in self.conflicts if each.id.lower() == id and each.body == body]
        self.repeats = [each for each in self.repeats if each not in repeats]
        self.conflicts = [each for each in self.conflicts if each not in conflicts]
        self.repeats += [Repeat(name, each.id, False, each.source, each.known_at_us) for each in conflicts]
        self.conflicts += [Conflict(each.id, first, each.source, each.known_at_us, value) for each in repeats]
        for found, by in ((repeats, 1), (conflicts, -1)):
            for each in found:
                minute = each.known_at_us // MINUTE_US
                counts.change(name, each.source, minute, "conflict", by)
                counts.change(name, each.source, minute, "duplicate", -by)


@dataclass
class Batch:
    """Everything one transaction writes. heard: (department, source, minute of arrival) -> newest arrival and event time. aka: names under a newer
    key -> names here."""

    offsets: list[Records] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    rejects: list[Rejected] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    fuses: list[Fused] = field(default_factory=list)
    heard: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)
    aka: dict[str, str] = field(default_factory=dict)

    def counts(self) -> Counts:
        """The ledger as if every id were new; `Part.strike` corrects it."""
        counts = Counts()
        for name, part in self.parts.items():
            for (source, minute, outcome), count in part.tally.items():
                counts.add(name, source, minute, outcome, count)
        return counts


class Preparer:
    """Turns records into batches. keys: to seal what does not keep its department's contract."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._departments = {d.name: (d, encode_of(d), msgspec.json.Decoder(row_type(d.event))) for d in departments()}
        self._rejected = msgspec.json.Decoder(Rejected)
        self._asked_by = msgspec.json.Decoder(Asked)
        self._fused = msgspec.json.Decoder(Fused)
        self._named = msgspec.json.Decoder(Named).decode

    def prepare(self, records: Sequence[Records]) -> Batch:
        """One batch of records of any partitions."""
        batch = Batch()
        for group in records:
            batch.offsets.append(group)
            for value in group.values:
                if value.endswith(b'"}}') and AKA in value:
                    with contextlib.suppress(msgspec.DecodeError):
                        batch.aka |= self._named(value).aka
            name = group.partition.name
            if name == "rejects":
                batch.rejects.extend(self._rejects(group))
            elif name == "asked":
                self._told(group, batch)
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

    def _told(self, group: Records, batch: Batch) -> None:
        for value in group.values:
            with contextlib.suppress(msgspec.DecodeError):
                batch.asked.append(self._asked_by.decode(value))
                continue
            with contextlib.suppress(msgspec.DecodeError):  # a sign of life that cannot be read is none
                batch.fuses.append(self._fused.decode(value))

    def _events(self, name: str, group: Records, batch: Batch) -> None:
        department, encode, decoder = self._departments[name]
        part = batch.parts.get(name) or batch.parts.setdefault(name, Part(department))
        decode, rows, seen, identities, times_us, tally = decoder.decode, part.rows, part.seen, part.identities, part.times_us, part.tally
        heard: dict[tuple[str, int], tuple[int, int]] = {}
        late_us = department.late_after_seconds * 1_000_000
        for value, time_ms in zip(group.values, group.times_ms, strict=True):
            try:
                event = decode(value)
                id, body, identity, row = encode(event)
            except (msgspec.DecodeError, ValueError, struct.error, TypeError) as error:
                wrong = f"the record does not keep the contract of {name}: {type(error).__name__}"
                batch.rejects.append(self._reject(name, value, time_ms, wrong))
                continue
            source, event_us, known_us = event.source, event.event_time_us, event.known_at_us
            first = seen.get(id)
            if first is None:
                seen[id] = (event, body, value)
                rows[id] = row
                identities.append(identity)
                times_us.append(event_us)
                outcome = "late" if known_us - event_us > late_us else "on_time"
            elif first[1] == body:
                outcome = "duplicate"
                part.repeats.append(Repeat(name, event.id, False, source, known_us))
            else:
                outcome = "conflict"
                part.conflicts.append(_conflict(event, body, value))
            minute = known_us // MINUTE_US
            tally[source, minute, outcome] += 1
            last = heard.get((source, minute))
            if last is None:
                heard[source, minute] = (known_us, event_us)
            elif known_us > last[0] or event_us > last[1]:
                heard[source, minute] = (max(last[0], known_us), max(last[1], event_us))
        for (source, minute), (known_us, event_us) in heard.items():
            last = batch.heard.get((name, source, minute), (known_us, event_us))
            batch.heard[name, source, minute] = (max(last[0], known_us), max(last[1], event_us))

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


def _conflict(event: Any, body: bytes, value: bytes) -> Conflict:
    return Conflict(event.id, _whole(body), event.source, event.known_at_us, value)


def _whole(body: bytes) -> int:
    """A body, encoded, as a number."""
    return int.from_bytes(body[4:], "big", signed=True)


def encode_of(department: Department) -> Any:
    """event -> (id, body, identity row, raw row but for its batch number), all encoded. Raises ValueError and the like for what no table can hold."""
    held = columns(department.event)
    hints = {f.name: f.type for f in msgspec.structs.fields(department.event)}
    known = {"id": "id", "body": "body", "event_time_us": "time"}
    names: dict[str, Any] = {"join": b"".join, "null": copy.NULL, "three": b"\0\x03", "start": struct.pack("!h", len(held) + 1)}
    row = []
    for number, column in enumerate(held):
        names[f"f{number}"] = _checked(hints[column.field]) if column.kind == "json" else copy.ENCODERS[column.kind]
        value = f"(null if (v := e.{column.field}) is None else f{number}(v))" if column.null else f"f{number}(e.{column.field})"
        row.append(f"({known[column.field]} := {value})" if column.field in known else value)
    # One expression per contract, compiled once: a loop over columns costs twice as much per event. The row comes first, it names id, body and time.
    source = f"lambda e: ((row := join((start, {', '.join(row)}))) and (id, body, join((three, id, body, time)), row))"
    return eval(source, names)  # noqa: S307  # field names of our own contracts


def _checked(kind: Any) -> copy.Encode:
    """The encoder of nested JSON that first makes sure that it keeps the contract: the figures read it later, and bad data must not stop them."""
    decode = msgspec.json.Decoder(kind).decode

    def encode(value: Any) -> bytes:
        decode(value)
        return copy.json(value)

    return encode
