"""From one raw record to Kafka messages: split, parse, pseudonymise, or seal and say why not. Pure but for the log."""

import secrets
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec import structs

from connectors import formats
from connectors.connector import Refused, checked
from connectors.formats import layers, signatures
from streams.department import Department, department
from streams.errors import Misconfigured, Reject
from streams.event import Event, Rejected, encode
from streams.pseudonym import Keys, Pseudonyms, also_known_as
from streams.settings import Source
from streams.topics import LIVE, topic

MESSAGE_LIMIT_BYTES = 8_000_000  # below what our topics take (streams.topics) by more than a key and the headers
SEALED_LIMIT_BYTES = 4_000_000  # of the raw record: sealed and as base64 a third more, and still one message; T-VAN allows 2 MB

log = structlog.get_logger()


class Message(NamedTuple):
    """One Kafka record. cause: why it is a reject, None for an event."""

    topic: str
    key: bytes
    value: bytes
    cause: str | None = None


@dataclass(frozen=True)
class Intake:
    """The door of one source. trusted: its records need no signature of their own, because the list they stand in has one or an
    operator handed them over. authorities: as in `formats.Arrival`. newer: makes the names that are to follow, while one key takes over from another:
    records tell both."""

    source: Source
    department: Department
    format: formats.Format
    keys: Keys = field(repr=False)
    pseudonyms: Pseudonyms = field(repr=False)
    space: str = LIVE
    secret: bytes | None = field(default=None, repr=False)
    trusted: bool = False
    authorities: bytes | None = field(default=None, repr=False)
    newer: Pseudonyms | None = field(default=None, repr=False)
    _failures: set[str] = field(default_factory=set, repr=False)

    def split(self, raw: bytes) -> list[bytes]:
        """The records in what a connector got in one piece."""
        try:
            return [record for document in layers.documents(raw) for record in self.format.split(document)]
        except Reject:
            return [raw]  # `take` says why
        except Exception as error:
            self._failed(error)
            return [raw]

    def arrival(self, known_at_us: int) -> formats.Arrival:
        """How records received at that moment came: one for all records of a page."""
        bank = self.source.options.get("bank")
        return formats.Arrival(
            source=self.source.name,
            known_at_us=known_at_us,
            pseudonyms=self.pseudonyms,
            units=self.source.units,
            secret=self.secret,
            bank=None if bank is None else str(bank),
            trusted=self.trusted,
            authorities=self.authorities,
        )

    def take(self, record: bytes, arrival: formats.Arrival) -> list[Message]:
        """The messages of one record: its events, or one reject. Never raises, whatever the bytes."""
        try:
            events = self._read(record, arrival)
            newer = self._read(record, replace(arrival, pseudonyms=self.newer)) if self.newer else ()
            return [self._event(event, other) for event, other in zip_longest(events, newer)]
        except Reject as reject:
            return [self.refuse(Refused(record, reject.cause, reject.wrong), arrival.known_at_us)]
        except Exception as error:
            self._failed(error)
            wrong = f"our parser failed with {type(error).__name__}: a defect to be reported; retry the record once it is mended"
            return [self.refuse(Refused(record, "parser_error", wrong), arrival.known_at_us)]

    def _read(self, record: bytes, arrival: formats.Arrival) -> list[Event]:
        return [event for document in layers.documents(record) for event in self.format.parse(document, arrival)]

    def is_signed(self, record: bytes, message: Message, arrival: formats.Arrival) -> bool:
        """Whether a record that became the reject `message` had passed the check of its signature: it had if it fails that check under
        another secret, but did not under its own. What a parser finds wrong before the check, it finds wrong under any secret."""
        if message.cause == "signature":
            return False
        try:
            self.format.parse(record, replace(arrival, secret=secrets.token_bytes(32)))
        except Reject as reject:
            return reject.cause == "signature"
        except Exception:
            return False  # it fails before the check
        return False

    def refuse(self, refused: Refused, known_at_us: int) -> Message:
        """The reject of a record: sealed, so that only the holder of the key reads it. Beyond SEALED_LIMIT_BYTES it is sealed cut."""
        rejected = Rejected(
            id=self.pseudonyms.raw(self.source.name, refused.raw),
            source=self.source.name,
            department=self.department.name,
            known_at_us=known_at_us,
            cause=refused.cause,
            wrong=refused.wrong,
            sealed=self.keys.seal(refused.raw[:SEALED_LIMIT_BYTES]),
            size_bytes=len(refused.raw),
        )
        other = structs.replace(rejected, id=self.newer.raw(self.source.name, refused.raw)) if self.newer else None
        return Message(topic("rejects", self.space), self.source.name.encode(), _told(rejected, other), refused.cause)

    def _event(self, event: Event, newer: Event | None) -> Message:
        value = _told(event, newer)
        if len(value) > MESSAGE_LIMIT_BYTES:
            raise Reject("too_large", f"the event is {len(value)} bytes, more than the {MESSAGE_LIMIT_BYTES} a message may have")
        return Message(topic(self.department.name, self.space), self.department.subject(event).encode(), value)

    def _failed(self, error: Exception) -> None:
        """One log line per kind of failure: the error's own words may quote the record, so only its type and place are said."""
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{type(error).__name__} in {place.tb_frame.f_code.co_qualname}:{place.tb_lineno}" if place else type(error).__name__
        if where not in self._failures:
            self._failures.add(where)
            log.error("a parser failed: the record goes to quarantine", source=self.source.name, where=where)


def _told(record: Event | Rejected, newer: Event | Rejected | None) -> bytes:
    return encode(record) if newer is None else also_known_as(record, newer)


def intake(source: Source, keys: Keys, space: str = LIVE) -> Intake:
    """The door of a source. Raises Misconfigured when its department, its format or one of its options does not exist, or its bundle of authorities
    cannot be read."""
    owner = department(checked(source).department)
    name = formats.of(source)
    reads_trusted = source.connector in ("files", "query")
    secret = source.secret() if source.connector == "webhook" else None
    pseudonyms, format = keys.domain(owner.domain), formats.load(name)
    return Intake(source, owner, format, keys, pseudonyms, space, secret, reads_trusted, _authorities(source), keys.newer(owner.domain))


def _authorities(source: Source) -> bytes | None:
    """The bundle that `options.authorities` names (a PEM file); None where signatures in documents are not looked at."""
    named = source.options.get("authorities")
    if named is None:
        return None
    try:
        bundle = Path(str(named)).read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"source {source.name}: the bundle of authorities {named} cannot be read ({type(error).__name__})",
            "give a file of certificates in PEM",
        ) from error
    signatures.trusted(bundle)
    return bundle
