"""MoMo payment notices (IPN): a JSON POST signed with HMAC-SHA256 over its fields in MoMo's order, with the access key among them."""

import hmac
from dataclasses import replace
from typing import Any

from connectors.formats import Arrival, json, receipt
from connectors.formats.payos import split as split
from connectors.formats.receipt import Receipt, required, text
from streams.departments.payment import Payment, Status
from streams.errors import Reject

_SIGNED = (
    *("amount", "extraData", "message", "orderId", "orderInfo", "orderType", "partnerCode", "payType", "requestId", "responseTime"),
    *("resultCode", "transId"),
)
_UNDECIDED = ("1000", "7000", "7002", "9000")  # waiting for the payer, being handled (twice), held but not yet taken

Notice = dict[str, Any]  # JSON, of which nothing is known before it is checked


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of one notice; of an answer to a query that an operator hands over, the refunds in it too. responseTime counts
    milliseconds since 1970. The secret is `ACCESSKEY:SECRETKEY`.

    Raises Reject: `empty`, `too_large`, the causes of `json.read`, `signature`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    notice = json.read_exact(receipt.checked_size(raw))
    if not isinstance(notice, dict):
        raise Reject("field", "the notice is not an object")
    secret = receipt.secret(arrival)
    _check(notice, secret)
    merchant = text(notice.get("partnerCode"))
    found = [_read(notice, merchant, "responseTime", arrival)]
    refunds = notice.get("refundTrans") if secret is None else None  # no signature covers them
    if isinstance(refunds, list):
        found += [_given_back(_read(each, merchant, "createdTime", arrival)) for each in refunds]
    return [receipt.event(each, arrival) for each in found]


def _read(said: object, merchant: str, clock: str, arrival: Arrival) -> Receipt:
    if not isinstance(said, dict):
        raise Reject("field", "a refund is not an object")
    amount = receipt.money(said.get("amount"), "amount")
    if amount is None:
        raise Reject("missing", "amount is absent")
    code = required(said.get("resultCode"), "resultCode")
    status: Status = "paid" if code == "0" else "unknown" if code in _UNDECIDED else "failed"
    number = text(said.get("transId"))
    transaction = number if number.strip("0") else required(said.get("orderId"), "transId")
    return Receipt(arrival.bank or "momo", transaction, status, merchant, amount, _time(said.get(clock), clock), None)


def _given_back(read: Receipt) -> Receipt:
    return replace(read, transaction=receipt.refund(read.transaction), status="refunded" if read.status == "paid" else read.status)


def _time(value: object, name: str) -> int | None:
    found = text(value)
    if not found:
        return None
    if not (found.isascii() and found.isdecimal()) or len(found) > 13:
        raise Reject("time", f"{name} is not a number of milliseconds since 1970")
    return int(found) * 1000


def _check(notice: Notice, secret: bytes | None) -> None:
    """Raises Reject `signature`."""
    if secret is None:
        return
    access, _, key = secret.partition(b":")
    pairs = "&".join(f"{name}={text(notice.get(name))}" for name in _SIGNED)
    expected = hmac.digest(key, b"accessKey=" + access + b"&" + pairs.encode("utf-8", "replace"), "sha256").hex()
    if not receipt.signed(expected, text(notice.get("signature"))):
        raise Reject("signature", "signature is not the HMAC-SHA256 of the notice under this source's keys")
