"""VNPAY payment notices (IPN): a GET query string signed with HMAC-SHA512."""

import hmac
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from connectors.formats import Arrival, receipt, times
from connectors.formats.receipt import Receipt, required
from streams.departments.payment import Payment, Status
from streams.errors import Reject
from streams.event import VIETNAM

_UNSIGNED = ("vnp_SecureHash", "vnp_SecureHashType")
_UNFINISHED = ("01", "05", "06")  # vnp_TransactionStatus: not finished, being handled, sent to the bank
_REFUNDS = ("02", "03")  # vnp_TransactionType: given back in full, in part


def split(raw: bytes) -> list[bytes]:
    """The lines of a file of query strings; one line is itself."""
    lines = [line for line in raw.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(b"vnp_" in line for line in lines) else [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment, or the refund, of one notice. vnp_Amount counts hundredths of a đồng; vnp_PayDate is GMT+7.

    Raises Reject: `empty`, `too_large`, `encoding`, `query`, `signature`, `missing`, `number`, `time`, `time_out_of_range`.
    """
    everything, written = receipt.query(receipt.checked_size(raw))
    fields = {name: value for name, value in everything.items() if name.startswith("vnp_")}
    if not fields:
        raise Reject("missing", "the query string has no vnp_ fields")
    _check(fields, written, receipt.secret(arrival))
    number = fields.get("vnp_TransactionNo", "").strip()
    paid_at = fields.get("vnp_PayDate", "").strip()
    at_us = times.compact(paid_at, VIETNAM)
    if paid_at and at_us is None:
        raise Reject("time", "vnp_PayDate is not a time written yyyyMMddHHmmss")
    amount = receipt.money(fields.get("vnp_Amount"), "vnp_Amount", unit=100)
    if amount is None:
        raise Reject("missing", "vnp_Amount is absent")
    answer = required(fields.get("vnp_ResponseCode"), "vnp_ResponseCode")
    status = _status(answer, fields.get("vnp_TransactionStatus", "00").strip())
    transaction = number if number.strip("0") else required(fields.get("vnp_TxnRef"), "vnp_TransactionNo")
    if fields.get("vnp_TransactionType", "").strip() in _REFUNDS:
        # the reference is that of the payment: without a number of its own, its time tells one giving back from another
        transaction = receipt.refund(transaction if number.strip("0") else f"{transaction}|{paid_at}")
        status = "refunded" if status == "paid" else status
    return [
        receipt.event(
            Receipt(
                bank=arrival.bank or "vnpay",
                transaction=transaction,
                status=status,
                merchant=fields.get("vnp_TmnCode", "").strip(),
                paid_vnd=amount,
                paid_at_us=at_us,
                made_at_us=None,
            ),
            arrival,
        )
    ]


def _status(answer: str, state: str) -> Status:
    """paid only when both codes are 00; 07 (money taken, suspected fraud) and unfinished ones are unknown; any other is failed."""
    if answer == "07" or state == "07" or (answer == "00" and state in _UNFINISHED):
        return "unknown"
    return "paid" if answer == "00" and state in ("00", "") else "failed"


def _check(fields: dict[str, str], written: dict[str, str], secret: bytes | None) -> None:
    """Raises Reject `signature`. The hash is over the sorted fields, URL-encoded: as they came, with + for a space, or with %20."""
    if secret is None:
        return
    given = fields.get("vnp_SecureHash", "")
    names = sorted(name for name in fields if name not in _UNSIGNED)
    texts: tuple[Callable[[], str], ...] = (
        lambda: "&".join(written[name] for name in names),
        lambda: "&".join(f"{quote_plus(name)}={quote_plus(fields[name])}" for name in names),
        lambda: "&".join(f"{quote(name, safe='')}={quote(fields[name], safe='')}" for name in names),
    )
    if not any(receipt.signed(hmac.digest(secret, text().encode(), "sha512").hex(), given) for text in texts):
        raise Reject("signature", "vnp_SecureHash is not the HMAC-SHA512 of the other fields under this source's secret")
