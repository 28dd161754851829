"""SePay's notices of money on a bank account, and of its payment gateway: a JSON POST; who sent it is told by a header, which the webhook checks."""

from typing import Any

from connectors.formats import Arrival, json, receipt, times
from connectors.formats.payos import split as split
from connectors.formats.receipt import Receipt, text
from streams.departments.payment import Payment, Status
from streams.errors import Reject

_IN, _OUT = ("in", "credit"), ("out", "debit")
_PAID, _VOID = ("ORDER_PAID", "RENEWAL_ORDER_PAID"), "TRANSACTION_VOID"
_GATEWAY = "gateway"  # under which a source maps the hospital: the gateway's notices name no account


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of one notice, in the names of SePay's webhooks, of its bank hub or of its gateway (a void gives money back); none for money
    that goes out, which may be anything. Times are GMT+7, or seconds since 1970.

    Raises Reject: `empty`, `too_large`, the causes of `json.read`, `signature`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    receipt.checked_size(raw)
    receipt.vouched(arrival)
    notice = json.read_exact(raw)
    if not isinstance(notice, dict):
        raise Reject("field", "the notice is not an object")
    if isinstance(notice.get("transaction"), dict):
        return [receipt.event(_gateway(notice, notice["transaction"], arrival), arrival)]
    way = _first(notice, "transferType", "transfer_type").lower()
    if way in _OUT:
        return []
    if way not in _IN:
        raise Reject("field", "transferType is neither in nor out" if way else "transferType is absent")
    transaction = _first(notice, "id", "transaction_id") or _first(notice, "referenceCode", "reference_code")
    if not transaction:
        raise Reject("missing", "the notice has neither id nor referenceCode")
    amount = receipt.money(notice.get("transferAmount", notice.get("amount")), "transferAmount")
    if amount is None:
        raise Reject("missing", "transferAmount is absent")
    at_us = _time(_first(notice, "transactionDate", "transaction_date"))
    return [receipt.event(Receipt(arrival.bank or "sepay", transaction, "paid", _merchant(notice, arrival), amount, at_us, None), arrival)]


def _gateway(notice: dict[str, Any], transaction: dict[str, Any], arrival: Arrival) -> Receipt:
    """What the gateway says: paid once the transaction is approved; given back when it is voided; anything else decides nothing."""
    kind, state = text(notice.get("notification_type")).upper(), text(transaction.get("transaction_status")).upper()
    name = _first(transaction, "transaction_id", "id")
    if not name:
        raise Reject("missing", "transaction has neither transaction_id nor id")
    amount = receipt.money(transaction.get("transaction_amount"), "transaction_amount")
    if amount is None:
        raise Reject("missing", "transaction_amount is absent")
    if text(transaction.get("transaction_currency")).upper() not in ("", "VND"):
        raise Reject("field", "transaction_currency is not VND")
    status: Status = "refunded" if kind == _VOID else "paid" if kind in _PAID and state in ("", "APPROVED") else "unknown"
    made, said = _time(text(transaction.get("transaction_date"))), _time(text(notice.get("timestamp")))
    if kind == _VOID:  # transaction_date is that of the payment
        return Receipt(arrival.bank or "sepay", receipt.refund(name), status, _GATEWAY, amount, said or made, None)
    return Receipt(arrival.bank or "sepay", name, status, _GATEWAY, amount, made or said, None)


def _time(written: str) -> int | None:
    """Microseconds since 1970; None for no time at all. Raises Reject `time`."""
    if not written:
        return None
    if len(written) == 10 and written.isascii() and written.isdecimal():
        return int(written) * 1_000_000
    at_us = times.instant(written)
    if at_us is None:
        raise Reject("time", "transactionDate is not a time written YYYY-MM-DD hh:mm:ss")
    return at_us


def _first(notice: dict[str, Any], *names: str) -> str:
    return next((found for name in names if (found := text(notice.get(name)))), "")


def _merchant(notice: dict[str, Any], arrival: Arrival) -> str:
    """The hospital's account: the virtual one if the source maps it, else the account itself."""
    codes = [_first(notice, "subAccount", "va"), _first(notice, "accountNumber", "account_number")]
    return next((code for code in codes if code in arrival.units), codes[1])
