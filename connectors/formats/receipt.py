"""One status of one bank transaction, whichever bank and channel told it: the same fact gives the same event."""

import hmac
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import unquote_to_bytes

from connectors.formats import Arrival, times
from connectors.formats.xml import MAX_DIGITS, MAX_DONG
from streams.departments.payment import Payment, Status
from streams.errors import Reject

MAX_BYTES = 2 * 1024 * 1024
MAX_PLAIN = 15  # characters; shorter than any amount that is too large

_HOSPITAL = re.compile(r"\d{5}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)


@dataclass(frozen=True)
class Receipt:
    """What a bank says of one transaction, read. merchant: the bank's own code of the hospital. said_at_us: when a statement was made, which is
    long after what it tells of. line, booking_vnd: as in Payment. booking: the number of the batch it is a part of, "" for none."""

    bank: str
    transaction: str
    status: Status
    merchant: str
    paid_vnd: int
    paid_at_us: int | None
    made_at_us: int | None
    said_at_us: int | None = None
    line: str = ""
    booking: str = ""
    booking_vnd: int = 0


def event(receipt: Receipt, arrival: Arrival) -> Payment:
    """The event. Money and paid time are told where money moved only: what a bank writes there for the others differs between its
    notice and its list. Raises Reject `time_out_of_range`."""
    pseudonyms = arrival.pseudonyms
    moved = receipt.status not in ("failed", "unknown")
    paid_vnd = receipt.paid_vnd if moved else 0
    paid_at_us = None
    if moved and receipt.paid_at_us is not None:
        paid_at_us = times.in_range(receipt.paid_at_us, arrival.known_at_us, "the time of the payment")
    at_us = next((us for us in (receipt.said_at_us, receipt.paid_at_us, receipt.made_at_us) if us is not None), arrival.known_at_us)
    unit = arrival.units.get(receipt.merchant)
    if unit is None and receipt.bank == "hdbank" and _HOSPITAL.fullmatch(receipt.merchant):
        unit = receipt.merchant
    fields = (receipt.bank, receipt.transaction, receipt.status, unit or "", str(paid_vnd), "" if paid_at_us is None else str(paid_at_us))
    one = f"{receipt.bank}|{receipt.transaction}|{receipt.status}"
    if receipt.status in ("credited", "returned"):  # notification and statement tell of the same line, and may date it differently
        one += f"|{paid_at_us}|{paid_vnd}" + (f"|{receipt.line}" if receipt.line else "")
    return Payment(
        id=pseudonyms("transaction", one),
        body=pseudonyms.body("\x1f".join(fields).encode()),
        source=arrival.source,
        event_time_us=times.in_range(at_us, arrival.known_at_us, "the time of the payment"),
        known_at_us=arrival.known_at_us,
        kind=receipt.bank,
        unit=unit,
        transaction=pseudonyms("transaction", f"{receipt.bank}|{receipt.transaction}"),
        status=receipt.status,
        paid_vnd=paid_vnd,
        paid_at_us=paid_at_us,
        line=receipt.line,
        booking=pseudonyms("transaction", f"{receipt.bank}|{receipt.booking}") if receipt.booking else None,
        booking_vnd=receipt.booking_vnd,
    )


def text(value: object) -> str:
    """A field as stripped text; "" for null. Raises Reject `field` for a list or an object."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise Reject("field", "a field that should be text or a number is something else")
    return str(value).strip()


def required(value: object, name: str) -> str:
    """As `text`. Raises Reject `missing` when there is none."""
    found = text(value)
    if not found:
        raise Reject("missing", f"{name} is absent")
    return found


def money(value: object, name: str, unit: int = 1) -> int | None:
    """Whole đồng of an amount in 1/`unit` đồng, half rounded up; None when absent. Raises Reject `number`."""
    found = text(value)
    if not found:
        return None
    whole, _, rest = found.partition(".")
    if len(found) <= MAX_PLAIN and whole.isascii() and whole.isdecimal() and not rest.strip("0"):
        return (int(whole) + unit // 2) // unit  # what nearly all of them look like; as the general way below has it
    if len(found) > MAX_DIGITS + 2 or not _NUMBER.fullmatch(found):
        raise Reject("number", f"{name} is not an amount of at most {MAX_DIGITS} digits")
    amount = Decimal(found) / unit
    if amount < 0 or amount >= MAX_DONG:
        raise Reject("number", f"{name} is less than 0 or 10^15 đồng or more")
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def signed(expected: str, given: str) -> bool:
    """Whether two signatures written in hex are the same, in constant time."""
    return hmac.compare_digest(expected.lower().encode(), given.strip().lower().encode())


def secret(arrival: Arrival) -> bytes | None:
    """The key that records must be signed with; None when an operator vouches for them and there is none. Raises Reject `signature`."""
    if arrival.secret is None and not arrival.trusted:
        raise Reject("signature", "this source has no secret configured, so nobody can tell whether the bank wrote this")
    return arrival.secret


def vouched(arrival: Arrival) -> None:
    """For formats whose signature stands beside the record, in a header that was checked at the door: Raises Reject `signature` unless it was."""
    if not arrival.trusted:
        raise Reject("signature", "nobody vouches for this record: it is signed, if at all, in a header that nobody has checked")


def refund(transaction: str) -> str:
    """The name under which the giving back of money is a transaction of its own, even where the bank numbers it as what it gives back."""
    return f"refund|{transaction}"


def checked_size(raw: bytes) -> bytes:
    """The bytes themselves. Raises Reject: `empty`, `too_large`."""
    if not raw.strip():
        raise Reject("empty", "the record is empty")
    if len(raw) > MAX_BYTES:
        raise Reject("too_large", f"the record has {len(raw)} bytes, more than {MAX_BYTES}")
    return raw


def query(raw: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """(fields, the same as they were written) of a query string, a URL or the part behind its `?`.

    Raises Reject: `encoding`, `query`.
    """
    try:
        written = raw.decode("ascii").strip().rpartition("?")[2].partition("#")[0]
    except UnicodeDecodeError:
        raise Reject("encoding", "the query string holds bytes that are not ASCII") from None
    fields: dict[str, str] = {}
    pieces: dict[str, str] = {}
    for piece in written.split("&"):
        name, mark, value = piece.partition("=")
        if not mark:
            continue
        try:
            key = _plain(name)
            if key in fields:
                raise Reject("query", "the query string holds a field twice")
            fields[key], pieces[key] = _plain(value), piece
        except UnicodeDecodeError:
            raise Reject("encoding", "the query string holds bytes that are not UTF-8") from None
    return fields, pieces


def _plain(text: str) -> str:
    """A piece of a query string without its escapes. Raises UnicodeDecodeError."""
    text = text.replace("+", " ")
    return unquote_to_bytes(text).decode() if "%" in text else text
