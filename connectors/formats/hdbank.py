"""HDBank's hospital QR contract (v1.0.3): signed notices by GET, signed lists, and their items for other banks too."""

import base64
import binascii
import hmac
from typing import Any

import orjson

from connectors.formats import Arrival, json, receipt, times, vietqr
from connectors.formats.receipt import Receipt, required, text
from streams.departments.payment import Payment, Status
from streams.errors import Reject

_STATUSES: dict[str, Status] = {"00": "paid", "01": "failed", "10": "mismatched", "99": "unknown"}

Item = dict[str, Any]  # JSON, of which nothing is known before it is checked


def split(raw: bytes) -> list[bytes]:
    """The items of an unsigned list, each as JSON; the lines of a file of notices; anything else is one record."""
    try:
        held = None if raw[:5] == b"data=" else json.read_exact(raw)
    except Reject:
        held = None
    if held is None:
        lines = [line for line in raw.splitlines() if line.strip()]
        return lines if len(lines) > 1 and all(line[:1] == b"{" or b"data=" in line for line in lines) else [raw]
    items = held.get("items") if isinstance(held, dict) else held
    if not isinstance(items, list):
        return [raw]
    try:
        return [orjson.dumps(item, default=str) for item in items]  # a Decimal becomes its text, digit by digit
    except orjson.JSONEncodeError:
        return [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of a notice (`data` and `sign`, as query string or JSON), or all of a signed list; of an unsigned item only when
    `arrival.trusted` and no secret is configured.

    Raises Reject: `empty`, `too_large`, the causes of `json.read`, `query`, `signature`, `base64`, `crc`, `missing`, `field`, `number`, `time`,
    `time_out_of_range`.
    """
    receipt.checked_size(raw)
    start = raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    held = json.read_exact(raw) if start in (b"{", b"[") else receipt.query(raw)[0]
    if isinstance(held, dict) and isinstance(held.get("data"), str):
        held = opened(held["data"], text(held.get("sign")), receipt.secret(arrival))
    elif start not in (b"{", b"["):
        raise Reject("missing", "the query string has no field named data")
    elif receipt.secret(arrival) is not None:
        raise Reject("signature", "the record is not signed: it has no data and sign")
    items = held.get("items", [held]) if isinstance(held, dict) else held
    return [_item(item, arrival) for item in (items if isinstance(items, list) else [items])]


def parse_item(item: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of one item of a list whose signature was checked already. Raises Reject as `parse` does."""
    return [_item(json.read_exact(receipt.checked_size(item)), arrival)]


def opened(data: str, sign: str, secret: bytes | None) -> Any:
    """What the base64 text `data` holds. With a secret, `sign` must be its HMAC-SHA256 over that text, in hex or base64.

    Raises Reject: `signature`, `base64`, and the causes of `json.read`.
    """
    data = data.strip().replace(" ", "+")  # a + that was not escaped in a URL; base64 has no spaces
    if secret is not None:
        expected = hmac.digest(secret, data.encode("utf-8", "replace"), "sha256")
        if not (receipt.signed(expected.hex(), sign) or hmac.compare_digest(expected, _base64(sign) or b"")):
            raise Reject("signature", "sign is not the HMAC-SHA256 of data under this source's secret")
    held = _base64(data)
    if held is None:
        raise Reject("base64", "data is not base64")
    return json.read_exact(held)


def _base64(text: str) -> bytes | None:
    text = text.strip().replace(" ", "+").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _item(item: object, arrival: Arrival) -> Payment:
    if not isinstance(item, dict):
        raise Reject("field", "the item is not an object")
    code = required(item.get("status"), "status").zfill(2)
    ordered, paid = receipt.money(item.get("transactionAmount"), "transactionAmount"), receipt.money(item.get("paidAmount"), "paidAmount")
    merchant, shown = text(item.get("merchantId")), text(item.get("qrCode"))
    if shown:  # the code that was paid, where a bank sends it along: it says what was to be paid, and to which account
        code_paid = vietqr.read(shown)
        ordered, merchant = code_paid.amount_vnd if ordered is None else ordered, merchant or code_paid.account
    status = _STATUSES.get(code, "unknown")
    if paid is None and status == "paid":
        paid = ordered
    if paid is None and status in ("paid", "mismatched"):
        raise Reject("missing", "paidAmount is absent")
    return receipt.event(
        Receipt(
            bank=arrival.bank or "hdbank",
            transaction=required(item.get("transactionId"), "transactionId"),
            status=status,
            merchant=merchant,
            paid_vnd=paid or 0,
            paid_at_us=_time(item, "paidTime"),
            made_at_us=_time(item, "transactionTime"),
        ),
        arrival,
    )


def _time(item: Item, name: str) -> int | None:
    """yyyyMMddHHmmss UTC; None for null."""
    found = text(item.get(name))
    if not found or found.lower() == "null":
        return None
    us = times.compact(found)
    if us is None:
        raise Reject("time", f"{name} is not a time written yyyyMMddHHmmss")
    return us
