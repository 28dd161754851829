"""payOS payment notices, and its answers about payment links: JSON, signed with HMAC-SHA256 over the sorted key=value pairs of `data`."""

import hmac
from decimal import Decimal
from typing import Any

import msgspec

from connectors.formats import Arrival, json, receipt, times
from connectors.formats.receipt import Receipt, text
from streams.departments.payment import Payment, Status
from streams.errors import Reject


def split(raw: bytes) -> list[bytes]:
    """The lines of a file of notices (JSON, one a line); anything else is one record."""
    lines = [line for line in raw.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(line[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines) else [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of one notice; of an answer about a payment link its transactions, none while nobody has paid. Times are GMT+7.

    Raises Reject: `empty`, `too_large`, the causes of `json.read`, `signature`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    notice = json.read_exact(receipt.checked_size(raw))
    data = notice.get("data") if isinstance(notice, dict) else None
    if not isinstance(data, dict):
        raise Reject("missing", "the notice has no object named data")
    _check(data, text(notice.get("signature")), receipt.secret(arrival))
    if "amountPaid" in data:  # a link: its `amount` is what was asked for, and its code only says that the question was answered
        return [_event(_object(each), "00", arrival) for each in _list(data.get("transactions"))]
    return [_event(data, text(data.get("code")) or text(notice.get("code")), arrival)]


def _event(data: dict[str, Any], code: str, arrival: Arrival) -> Payment:
    transaction = next((found for name in ("reference", "paymentLinkId", "orderCode") if (found := text(data.get(name)))), "")
    if not transaction:
        raise Reject("missing", "data has neither reference nor paymentLinkId")
    amount = receipt.money(data.get("amount"), "amount")
    if amount is None:
        raise Reject("missing", "data.amount is absent")
    made = text(data.get("transactionDateTime"))
    at_us = times.instant(made) if made else None
    if made and at_us is None:
        raise Reject("time", "transactionDateTime is not a time written YYYY-MM-DD hh:mm:ss")
    status: Status = "paid" if code == "00" else "failed"
    return receipt.event(Receipt(arrival.bank or "payos", transaction, status, _merchant(data, arrival), amount, at_us, None), arrival)


def _list(value: object) -> list[object]:
    if not isinstance(value, list | None):
        raise Reject("field", "transactions is not a list")
    return value or []


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Reject("field", "a transaction is not an object")
    return value


def _merchant(data: dict[str, Any], arrival: Arrival) -> str:
    """The hospital's account: the first of accountNumber and virtualAccountNumber that the source maps."""
    codes = [text(data.get(name)) for name in ("accountNumber", "virtualAccountNumber")]
    return next((code for code in codes if code in arrival.units), codes[0])


def _check(data: dict[str, Any], given: str, secret: bytes | None) -> None:
    if secret is None:
        return
    try:
        pairs = "&".join(f"{name}={_written(data[name])}" for name in sorted(data))
        expected = hmac.digest(secret, pairs.encode(), "sha256").hex()
    except (TypeError, ValueError, RecursionError):
        raise Reject("field", "data holds something that cannot be written as key=value") from None
    if not receipt.signed(expected, given):
        raise Reject("signature", "signature is not the HMAC-SHA256 of data under this source's secret")


def _written(value: object) -> str:
    """A value as payOS writes it before signing: nothing for null, compact JSON for lists and objects (keys sorted)."""
    if value is None or value in ("null", "undefined"):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted", enc_hook=float).decode()
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
