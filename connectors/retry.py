"""Quarantined records once more through today's parsers, as they came or repaired; what of them is understood now."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from connectors import formats
from connectors.formats import Arrival
from connectors.intake import SEALED_LIMIT_BYTES, Intake, Message, intake
from connectors.repair import Repair
from connectors.webhook import CALLERS
from streams.errors import Misconfigured, Reject
from streams.event import micros
from streams.pseudonym import Keys
from streams.sealing import NotOpened, PrivateKeys
from streams.settings import Settings, Source

BY_HAND = "files-"
"""What `ioc pull files` calls its sources."""


@dataclass(frozen=True)
class Understood:
    """A record of the quarantine, and the messages that it gives now."""

    id: str
    department: str
    messages: tuple[Message, ...]

    @cached_property
    def events(self) -> list[str]:
        """The ids of its events."""
        return [msgspec.json.decode(message.value, type=_Id).id for message in self.messages]


class _Id(msgspec.Struct):
    id: str


class Retrying:
    """Reads sealed records again. repair: what is done with each before. A record that fails the check of its signature is never repaired, and one
    that passed it is believed afterwards, though the repair made it another."""

    def __init__(self, settings: Settings, keys: Keys, private: PrivateKeys, repair: Repair | None = None) -> None:
        self._settings, self._keys, self._private, self._repair = settings, keys, private, repair
        self._doors: dict[tuple[str, str], Intake | None] = {}

    def read(
        self, rows: Iterable[Mapping[str, Any]], step: Callable[[int], None] = lambda steps: None
    ) -> tuple[list[Understood], dict[str, int]]:
        """(What is understood now, cause -> how many are not). rows: as of sinks.quarantine.records."""
        understood: list[Understood] = []
        left: dict[str, int] = {}
        for row in rows:
            step(1)
            try:
                understood.append(Understood(row["id"], row["department"], tuple(self._read(row))))
            except Reject as reject:
                left[reject.cause] = left.get(reject.cause, 0) + 1
        return understood, left

    def _read(self, row: Mapping[str, Any]) -> list[Message]:
        door = self._door(row["source"], row["department"])
        if door is None:
            raise Reject("source_gone", "its source is not in the configuration any more, so nobody can say how it is checked and read")
        if row["size_bytes"] > SEALED_LIMIT_BYTES:
            raise Reject("sealed_cut", "only the beginning of the record was kept")
        try:
            record = self._private.open(row["sealed"])
        except NotOpened:
            raise Reject("not_opened", "no private key that is held here opens it") from None
        if _proved_beside(door.source):  # at its arrival, by a header that is gone
            if row["cause"] == "signature":
                raise Reject("signature", "nothing proved who sent it")
            door = replace(door, trusted=True)
        arrival = door.arrival(micros(row["known_at"]))
        if self._repair is not None:
            arrival = _believed(door, record, arrival, row)
            record = self._repair.applied(record)
        messages = [message for part in door.split(record) for message in door.take(part, arrival)]
        for message in messages:
            if message.cause is not None:
                raise Reject(message.cause, "the record is still not understood")
        if not messages:
            raise Reject("nothing_told", "the record tells nothing")
        return messages

    def _door(self, name: str, department: str) -> Intake | None:
        if (name, department) not in self._doors:
            self._doors[name, department] = self._open(name, department)
        return self._doors[name, department]

    def _open(self, name: str, department: str) -> Intake | None:
        try:
            source = self._settings.source(name)
        except Misconfigured:
            if name != f"{BY_HAND}{department}":
                return None  # it may have been one whose records are believed by their signature only
            source = Source(name=name, department=department, connector="files")
        if _proved_beside(source):
            source = source.model_copy(update={"credential": None})  # which nothing of the record could be held against
        door = intake(source, self._keys, self._settings.space)
        form = self._repair.format if self._repair is not None else None
        return replace(door, format=formats.load(form)) if form else door


def _proved_beside(source: Source) -> bool:
    return source.connector == "webhook" and formats.of(source) in CALLERS


def _believed(door: Intake, record: bytes, arrival: Arrival, row: Mapping[str, Any]) -> Arrival:
    """The arrival of the repaired record, whose signature cannot fit any more. Raises Reject `signature` when the original's did not."""
    if arrival.secret is None and (arrival.trusted or row["cause"] != "signature"):
        return arrival
    for message in door.take(record, arrival):
        if message.cause is not None and not door.is_signed(record, message, arrival):
            raise Reject("signature", "its signature is wrong, or was never looked at: it is no record of this source")
    return replace(arrival, secret=None, trusted=True)
