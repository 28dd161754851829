"""VietQR, the QR codes of NAPAS that hospitals issue (EMVCo merchant-presented TLV): what is to be paid, to whom, for which bill."""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.formats.receipt import money
from streams.errors import Reject

MAX_CHARACTERS = 512  # EMVCo: a payload has at most so many

_NAPAS = "A000000727"


@dataclass(frozen=True)
class Code:
    """What a code says. bank: BIN (6 digits); amount_vnd: None in a static code; bill, reference, purpose: field 62, "" where absent."""

    bank: str
    account: str
    amount_vnd: int | None
    bill: str
    reference: str
    purpose: str


def read(payload: str) -> Code:
    """The code. Raises Reject: `missing`, `field`, `number`, and `crc` when the checksum does not hold what it should."""
    payload = payload.strip()
    if not payload or len(payload) > MAX_CHARACTERS:
        raise Reject("field", f"the QR code is empty or longer than {MAX_CHARACTERS} characters")
    if payload[-8:-4] != "6304" or payload[-4:].upper() != checksum(payload[:-4]):
        raise Reject("crc", "field 63 of the QR code is not the CRC of what stands before it")
    fields = dict(_fields(payload, "the QR code"))
    if fields.get("00") != "01" or fields.get("53") != "704":
        raise Reject("field", "the QR code is not of EMVCo's format 01 in VND (fields 00 and 53)")
    merchant = dict(_fields(fields.get("38", ""), "field 38"))
    if merchant.get("00") != _NAPAS:
        raise Reject("field", "field 38 of the QR code is not NAPAS'")
    to = dict(_fields(merchant.get("01", ""), "field 38"))
    if not to.get("00") or not to.get("01"):
        raise Reject("missing", "field 38 of the QR code has no bank or no account")
    more = dict(_fields(fields.get("62", ""), "field 62"))
    amount = money(fields.get("54"), "field 54")
    return Code(to["00"], to["01"], amount, more.get("01", ""), more.get("05", ""), more.get("08", ""))


def checksum(text: str) -> str:
    """CRC-16/CCITT-FALSE, four upper-case hex digits."""
    return f"{binascii.crc_hqx(text.encode('utf-8', 'replace'), 0xFFFF):04X}"


def _fields(text: str, where: str) -> Iterator[tuple[str, str]]:
    """(tag, value) of a TLV. Raises Reject `field` where it does not add up."""
    place = 0
    while place < len(text):
        tag, length = text[place : place + 2], text[place + 2 : place + 4]
        if not (len(length) == 2 and tag.isascii() and tag.isdecimal() and length.isascii() and length.isdecimal()):
            raise Reject("field", f"{where} is no sequence of tag, length and value")
        end = place + 4 + int(length)
        if end > len(text):
            raise Reject("field", f"{where} ends in the middle of a value")
        yield tag, text[place + 4 : end]
        place = end
