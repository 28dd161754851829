"""Cashless hospital payments: the contract of a bank's notice about one transaction."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from streams.department import Department
from streams.event import Dong, Event, Id, TimeUs
from streams.figures import Figure, Glass, Held, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Told

Status = Literal["unknown", "failed", "mismatched", "paid"]


class Payment(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One status of one bank transaction.

    id: bank + transaction id + status. kind: the bank (`hdbank`, `vnpay`, `payos`). unit: the hospital's code.
    transaction: pseudonym of bank + transaction id. status: paid (00), mismatched (10), failed (01), unknown (99).
    paid_vnd: whole đồng really paid (0 when none). paid_at_us: the paid time; None if unpaid.
    """

    transaction: Id
    status: Status
    paid_vnd: Dong = 0
    paid_at_us: TimeUs | None = None


STATUSES = ("unknown", "failed", "mismatched", "paid")
"""From the weakest to the strongest: a transaction is the strongest that was ever said of it."""


class ReceiptState(msgspec.Struct, frozen=True, array_like=True):
    """The strongest status of one transaction; among equal ones the earliest."""

    known_us: int
    strength: int
    at_us: int
    kind: str
    unit: str
    paid_vnd: int
    id: str


def _tell(event: Payment) -> Iterable[Told]:
    at_us = event.paid_at_us if event.paid_at_us is not None else event.event_time_us
    fact = ReceiptState(0, STATUSES.index(event.status), at_us, event.kind, event.unit or "", event.paid_vnd, event.id)
    yield Told(("receipt", event.transaction), event.known_at_us, fact)


def _merge(table: str, state: ReceiptState | None, known_us: int, fact: ReceiptState) -> ReceiptState:
    if state is not None and (fact.strength, -fact.at_us, fact.id) <= (state.strength, -state.at_us, state.id):
        return state
    return msgspec.structs.replace(fact, known_us=known_us)


def _counts(state: ReceiptState, units: Mapping[str, str]) -> Count:
    status = STATUSES[state.strength]
    paid = status == "paid"
    measures = (int(paid), state.paid_vnd if paid else 0, int(status == "mismatched"), int(status == "failed"), int(status == "unknown"))
    return Count(state.at_us - state.at_us % MINUTE_US, state.unit, state.kind, measures)


GLASS = Glass(
    name="payment",
    place=3,
    label="Thu viện phí không tiền mặt",
    short="Viện phí",
    places="bệnh viện",
    place_kind="hospital",
    slot_minutes=10,
    headline=("paid_vnd", "receipts", "mismatched", "hospitals"),
    trend="paid_vnd",
    ranking="paid_vnd",
    figures=(
        Figure(
            "paid_vnd",
            "Thu viện phí không tiền mặt",
            "đ",
            "Số tiền thực trả của các giao dịch thành công, thuộc ngày trả theo giờ Việt Nam; trả sai số tiền không cộng vào.",
            Sum("paid_vnd"),
            "money",
            brief="Viện phí",
            formula="tổng số tiền thực trả của giao dịch có trạng thái mạnh nhất là thành công (00), theo phút trả",
        ),
        Figure(
            "receipts",
            "Giao dịch thành công",
            "giao dịch",
            "Số giao dịch khác nhau đã trả thành công.",
            Sum("receipts"),
            formula="đếm giao dịch khác nhau có trạng thái mạnh nhất là thành công (00); báo lại không đếm thêm",
        ),
        Figure(
            "mismatched",
            "Trả sai số tiền",
            "giao dịch",
            "Giao dịch trả khác số tiền phải trả; không cộng vào số thu.",
            Sum("mismatched"),
            formula="đếm giao dịch có trạng thái mạnh nhất là trả sai số tiền (10)",
        ),
        Figure(
            "hospitals",
            "Bệnh viện có thu",
            "bệnh viện",
            "Số bệnh viện khác nhau có giao dịch thành công trong ngày.",
            Units("receipts"),
            formula="đếm mã bệnh viện khác nhau có ít nhất một giao dịch thành công",
        ),
        Figure(
            "failed",
            "Giao dịch thất bại",
            "giao dịch",
            "Giao dịch ngân hàng báo thất bại.",
            Sum("failed"),
            formula="đếm giao dịch có trạng thái mạnh nhất là thất bại (01)",
        ),
        Figure(
            "unknown",
            "Chưa rõ kết quả",
            "giao dịch",
            "Giao dịch ngân hàng chưa cho biết kết quả.",
            Sum("unknown"),
            formula="đếm giao dịch mà ngân hàng mới chỉ báo chưa rõ (99)",
        ),
        Figure(
            "refused",
            "Sai chữ ký, không nhận",
            "thông báo",
            "Thông báo có chữ ký sai, bị từ chối và giữ lại để tra cứu.",
            Held("signature"),
            formula="đếm thông báo có chữ ký sai, theo giờ đến; không tin được đơn vị hay loại ghi trong đó",
        ),
    ),
    month="paid_vnd",
    law="Chưa có văn bản nào định nghĩa chỉ tiêu này; theo quy cách báo có của ngân hàng (HDBank v1.0.3 ngày 28/06/2024, VNPAY IPN, payOS) và chuẩn VietQR/NAPAS.",
)


DEPARTMENT = Department(
    name="payment",
    glass=GLASS,
    event=Payment,
    domain="payment",
    late_after_seconds=900,
    subject=lambda event: event.transaction,
    measures=("receipts", "paid_vnd", "mismatched", "failed", "unknown"),
    distinct="hospitals",
    chunk_days=28,
    life=Life(states={"receipt": ReceiptState}, tell=_tell, merge=_merge, counts=_counts, stands_on=lambda state: state.id),
)
