"""Plain records: JSON objects of the shape that a department declares (`streams.wire`), one by one, as an array, as NDJSON."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.formats import Arrival, json, times
from streams.department import Department
from streams.errors import Reject
from streams.event import Event
from streams.wire import Wire

MAX_BYTES = 64 * 1024  # of one record
MAX_PAGE_BYTES = 64 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r" - at `\$\.?(\w*)")
_MISSING = re.compile(r"missing required field `(\w+)`")


@dataclass(frozen=True)
class Plain:
    """The format of one department's plain records."""

    department: Department
    wire: Wire
    decoder: msgspec.json.Decoder[Any]

    def split(self, raw: bytes) -> list[bytes]:
        """The objects of an array or of NDJSON; anything else is one record."""
        text = raw.removeprefix(_BOM).strip()
        try:
            if text[:1] == b"[":
                return [bytes(each) for each in _ARRAY.decode(text)]
            if b"\n" not in text:
                return [raw]
            lines = [line.strip() for line in text.split(b"\n") if line.strip()]
            return lines if lines[1][:1] == b"{" and lines[0][-1:] == b"}" else [raw]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [raw]

    def parse(self, raw: bytes, arrival: Arrival) -> list[Event]:
        """One event a record.

        Raises Reject: `too_large`, the causes of `json.read`, `missing`, `field`, `time`, `time_out_of_range`.
        """
        if len(raw) > MAX_PAGE_BYTES:
            raise Reject("too_large", f"the page has {len(raw)} bytes, more than {MAX_PAGE_BYTES}")
        parts = self.split(raw)
        return [self._event(part, arrival) for part in parts]

    def _event(self, raw: bytes, arrival: Arrival) -> Event:
        if len(raw) > MAX_BYTES:
            raise Reject("too_large", f"the record has {len(raw)} bytes, more than {MAX_BYTES}")
        record = self._record(raw)
        hashed = arrival.pseudonyms
        try:
            said = self.wire.read(record, hashed)
        except (ArithmeticError, ValueError) as error:  # dates at the end of time
            raise Reject("field", f"what the record says cannot be: {type(error).__name__}") from None
        at_us = times.instant(said.at)
        if at_us is None:
            raise Reject("time", "the record's time is not written as ISO 8601 has it")
        unit = None
        if said.unit is not None:
            unit = arrival.units.get(said.unit) or (said.unit if re.fullmatch(self.wire.unit, said.unit, re.ASCII) else None)
        return self.department.event(
            id=hashed(self.department.name, said.identity),
            body=hashed.body(msgspec.json.encode(record)),
            source=arrival.source,
            event_time_us=times.in_range(at_us, arrival.known_at_us, "the record's time"),
            known_at_us=arrival.known_at_us,
            kind=said.kind,
            unit=unit,
            **said.more,
        )

    def _record(self, raw: bytes) -> Any:
        try:
            return self.decoder.decode(raw.removeprefix(_BOM))
        except msgspec.ValidationError as error:
            if raw.removeprefix(_BOM).lstrip()[:1] != b"{":
                raise Reject("not_json", "the record is not a JSON object") from None
            raise self._wrong(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            json.read(raw)  # says why not
            raise Reject("json_broken", "the JSON is not well-formed") from None

    def _wrong(self, said: str) -> Reject:
        """Which field is not as the contract has it; the library's own words may quote the record."""
        missing, place = _MISSING.search(said), _PLACE.search(said)
        if missing is not None:
            return Reject("missing", f"{missing.group(1)} is absent")
        name = place.group(1) if place is not None else ""
        known = name if name in self.wire.record.__struct_fields__ else "the record"
        return Reject("field", f"{known} is not as the contract of {self.department.name} has it")


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def of(chosen: Department) -> Plain:
    """The format of a department that declares its records."""
    assert chosen.wire is not None  # noqa: S101  # those without are not in FORMATS under their own name
    return Plain(chosen, chosen.wire, msgspec.json.Decoder(chosen.wire.record))
