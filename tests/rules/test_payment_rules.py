"""The testable rules of payments (8, and the halves of 6, 7 and 13 that concern them), each by its name."""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest

from connectors.formats import Arrival, load
from streams.department import department
from streams.departments.payment import Payment
from streams.errors import Reject
from streams.event import micros
from streams.lives import Registry, advance
from streams.pseudonym import Pseudonyms
from tests.samples import item, signed

SECRET = b"shared with the bank"
ARRIVAL = Arrival("bank", micros(datetime(2026, 11, 22, 1, tzinfo=UTC)), Pseudonyms(bytes(range(32))), {"BV38001": "38001"}, SECRET)


def hdbank(**changes: object) -> list[Payment]:
    data, sign = signed(item(1) | changes, SECRET)
    return list(load("hdbank").parse(f"data={quote_plus(data)}&sign={sign}".encode(), ARRIVAL))  # type: ignore[arg-type]  # payments


def vnpay(**changes: str) -> list[Payment]:
    fields = {"vnp_Amount": "15000000", "vnp_PayDate": "20261120090000", "vnp_ResponseCode": "00", "vnp_TmnCode": "BV38001"}
    fields |= {"vnp_TransactionNo": "14000001"} | changes
    text = "&".join(f"{name}={quote_plus(value)}" for name, value in sorted(fields.items()))
    raw = f"{text}&vnp_SecureHash={hmac.new(SECRET, text.encode(), hashlib.sha512).hexdigest()}"
    return list(load("vnpay").parse(raw.encode(), ARRIVAL))  # type: ignore[arg-type]  # payments


def sums(events: list[Payment]) -> dict[str, int]:
    payment = department("payment")
    changes = advance(payment.life, events, Registry(), lambda table, keys: {})
    totals = dict.fromkeys(payment.measures, 0)
    for values in changes.cells.values():
        for name, value in zip(payment.measures, values, strict=True):
            totals[name] += value
    return totals


@pytest.mark.parametrize(("code", "status"), [("00", "paid"), ("01", "failed"), ("10", "mismatched"), ("99", "unknown")])
def test_rule_08_statuses_00_01_10_99(code: str, status: str) -> None:
    (event,) = hdbank(status=code)
    assert event.status == status
    assert sums([event])[{"paid": "receipts"}.get(status, status)] == 1


def test_rule_08_a_repeated_ipn_is_one_receipt() -> None:
    again = [*hdbank(), *hdbank(), *hdbank()]
    assert len({event.id for event in again}) == 1
    assert sums(again)["receipts"] == 1


def test_rule_08_an_amount_mismatch_never_adds_to_revenue() -> None:
    (event,) = hdbank(status="10", paidAmount="999000.00")
    assert event.paid_vnd == 999_000
    assert sums([event]) | {"mismatched": 1, "paid_vnd": 0, "receipts": 0} == sums([event])


def test_rule_08_a_tampered_sign_is_refused() -> None:
    data, sign = signed(item(1), SECRET)
    for changed in (sign[:-1] + ("0" if sign[-1] != "0" else "1"), "", "x"):
        with pytest.raises(Reject) as caught:
            load("hdbank").parse(f"data={quote_plus(data)}&sign={changed}".encode(), ARRIVAL)
        assert caught.value.cause == "signature"


def test_rule_08_vnpay_amount_is_hundredths() -> None:
    assert [event.paid_vnd for event in vnpay(vnp_Amount="15000000")] == [150_000]


@pytest.mark.parametrize(
    ("written", "whole"), [("1000.49", 1000), ("1000.50", 1001), ("1000", 1000), ("0.5", 1), ("900719925474099.49", 900_719_925_474_099)]
)
def test_rule_08_money_is_whole_dong_after_rounding_never_float(written: str, whole: int) -> None:
    (event,) = hdbank(paidAmount=written)
    assert event.paid_vnd == whole
    assert type(event.paid_vnd) is int


def test_rule_07_hdbank_writes_utc_and_vnpay_gmt_plus_7() -> None:
    assert [event.paid_at_us for event in hdbank(paidTime="20261120020000")] == [micros(datetime(2026, 11, 20, 2, tzinfo=UTC))]
    assert [event.paid_at_us for event in vnpay()] == [micros(datetime(2026, 11, 20, 2, tzinfo=UTC))]
