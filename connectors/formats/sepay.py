"""SePay's notices of money on a bank account: a JSON POST; who sent it is told by a header, which the webhook checks."""

from typing import Any

from connectors.formats import Arrival, json, receipt, times
from connectors.formats.payos import split as split
from connectors.formats.receipt import Receipt, text
from streams.departments.payment import Payment
from streams.errors import Reject

_IN, _OUT = ("in", "credit"), ("out", "debit")


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The payment of one notice, in the names of SePay's webhooks or of its bank hub; none for money that goes out, which may be anything.
    transactionDate is GMT+7.

    Raises Reject: `empty`, `too_large`, the causes of `json.read`, `signature`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    receipt.checked_size(raw)
    receipt.vouched(arrival)
    notice = json.read_exact(raw)
    if not isinstance(notice, dict):
        raise Reject("field", "the notice is not an object")
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
    made = _first(notice, "transactionDate", "transaction_date")
    at_us = times.instant(made) if made else None
    if made and at_us is None:
        raise Reject("time", "transactionDate is not a time written YYYY-MM-DD hh:mm:ss")
    return [receipt.event(Receipt(arrival.bank or "sepay", transaction, "paid", _merchant(notice, arrival), amount, at_us, None), arrival)]


def _first(notice: dict[str, Any], *names: str) -> str:
    return next((found for name in names if (found := text(notice.get(name)))), "")


def _merchant(notice: dict[str, Any], arrival: Arrival) -> str:
    """The hospital's account: the virtual one if the source maps it, else the account itself."""
    codes = [_first(notice, "subAccount", "va"), _first(notice, "accountNumber", "account_number")]
    return next((code for code in codes if code in arrival.units), codes[1])
