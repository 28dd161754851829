"""Cashless hospital payments: the contract of a bank's notice about one transaction."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from streams.department import Department, Grown
from streams.event import Dong, Event, Id, TimeUs, Word, day_start_us, vietnam_day
from streams.figures import Figure, Glass, Held, Share, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Told

Status = Literal["unknown", "failed", "mismatched", "paid", "refunded", "credited", "returned"]


class Payment(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One status of one bank transaction.

    id: bank + transaction id + status (of a line of a statement also when it was booked, its amount and which it is). kind: the bank
    (`hdbank`, `vnpay`, `payos`). unit: the hospital's code. transaction: pseudonym of bank + transaction id; a refund is a
    transaction of its own, never the one it gives back.
    status: paid (00), mismatched (10), failed (01), unknown (99); refunded: money given back; credited, returned: the money that came,
    or was given back, stands on the statement of the hospital's account.
    paid_vnd: whole đồng that really moved (0 when none). paid_at_us: when it did; None if it did not. line: which line of that amount
    under that number it is (contract 3): "" the first, "2" the second that one statement has; before it the day (since 1970-01-01), where the number alone
    would not tell one day's from another's. booking: where it is a part of a batch, the pseudonym of bank + the batch's number (which may be its own),
    booking_vnd: what the batch comes to (contract 4).
    """

    transaction: Id
    status: Status
    paid_vnd: Dong = 0
    paid_at_us: TimeUs | None = None
    line: Word = ""
    booking: Id | None = None
    booking_vnd: Dong = 0


Line = tuple[str, int, int, str]
"""A line of a statement: which one, its amount, when it was booked and the id of the event that says so."""
STATUSES = ("unknown", "failed", "mismatched", "paid", "refunded")
"""From the weakest to the strongest: a transaction is the strongest that was ever said of it."""
NEVER_TOLD = -1
IN_PARTS = "in parts"
"""Which line it is that says no more than that the line of its amount, a batch, was told in parts."""


class ReceiptState(msgspec.Struct, frozen=True, array_like=True):
    """The strongest status of one transaction, among equal ones the earliest; NEVER_TOLD while only the statement has it. lines: its
    credits, returns: what was given back, each once, as it was booked earliest: notification and statement tell of the same line, and may
    date it differently, or to the day only."""

    known_us: int
    strength: int
    at_us: int
    kind: str
    unit: str
    paid_vnd: int
    id: str
    lines: tuple[Line, ...] = ()
    returns: tuple[Line, ...] = ()


def _tell(event: Payment) -> Iterable[Told]:
    at_us = event.paid_at_us if event.paid_at_us is not None else event.event_time_us
    told = [(event.transaction, (event.line, event.paid_vnd, at_us, event.id))]
    if event.booking is not None:
        told.append((event.booking, (IN_PARTS, event.booking_vnd, at_us, event.id)))
    for subject, line in told:
        lines, returns = (line,) if event.status == "credited" else (), (line,) if event.status == "returned" else ()
        strength = NEVER_TOLD if lines or returns else STATUSES.index(event.status)
        fact = ReceiptState(0, strength, at_us, event.kind, event.unit or "", event.paid_vnd, event.id, lines, returns)
        yield Told(("receipt", subject), event.known_at_us, fact)


def _merge(table: str, state: ReceiptState | None, known_us: int, fact: ReceiptState) -> ReceiptState:
    if state is None:
        return msgspec.structs.replace(fact, known_us=known_us)
    said = min(state, fact, key=lambda each: (-each.strength, *_booked(each.at_us), each.id))
    lines, returns = _earliest(state.lines, fact.lines), _earliest(state.returns, fact.returns)
    if said is state and lines == state.lines and returns == state.returns:
        return state
    return msgspec.structs.replace(said, known_us=known_us, lines=lines, returns=returns)


def _earliest(held: tuple[Line, ...], more: tuple[Line, ...]) -> tuple[Line, ...]:
    if not more:
        return held
    least = {line[:2]: line for line in sorted((*held, *more), key=lambda line: (*_booked(line[2]), line[3]), reverse=True)}
    return tuple(sorted(least.values()))


def _booked(at_us: int) -> tuple[int, bool, int]:
    """What puts bookings in order: by day, and in a day what has a time first: a statement that tells the day alone is of its beginning."""
    day = vietnam_day(at_us)
    return day, at_us == day_start_us(day), at_us


def _counted(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """A batch that is told as a sum and in parts, whichever comes first, is its parts."""
    sums = {vnd for which, vnd, *_ in lines if which == IN_PARTS}
    return tuple(line for line in lines if line[0] != IN_PARTS and line[1] not in sums) if sums else lines


def _sum(lines: tuple[Line, ...]) -> int:
    return sum(vnd for _, vnd, *_ in lines)


def _counts(state: ReceiptState, units: Mapping[str, str]) -> Count | None:
    """Nothing, where all that is known of a number is that it is a batch's that was told in parts."""
    status = STATUSES[state.strength] if state.strength != NEVER_TOLD else ""
    paid, refunded = status == "paid", status == "refunded"
    notified = status in ("paid", "mismatched")
    lines, returns = _counted(state.lines), _counted(state.returns)
    if not (status or lines or returns):
        return None
    stated, stated_vnd = bool(lines), _sum(lines)
    # Told by a notice it is given back once; else the statement says how often.
    refunds, refunded_vnd = (1, state.paid_vnd) if refunded else (len(returns), _sum(returns))
    moved_vnd = (state.paid_vnd if paid else 0) - refunded_vnd
    equal = notified and stated and stated_vnd == state.paid_vnd
    measures = (
        *(int(paid), moved_vnd, int(status == "mismatched"), int(status == "failed"), int(status == "unknown")),
        *(refunds, refunded_vnd),
        *(int(equal), int(notified and not stated), int(stated and not notified)),
        *(int(notified and stated and not equal), stated_vnd),
    )
    return Count(state.at_us - state.at_us % MINUTE_US, state.unit, state.kind, measures)


ADDED = ("refunds", "refunded_vnd", "matched", "unstated", "unnotified", "differs", "stated_vnd")

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
            "Số tiền thực trả của các giao dịch thành công, thuộc ngày trả theo giờ Việt Nam; trả sai số tiền không cộng vào; "
            "tiền hoàn trừ vào ngày hoàn.",
            Sum("paid_vnd"),
            "money",
            brief="Viện phí",
            formula="tổng số tiền thực trả của giao dịch có trạng thái mạnh nhất là thành công (00), theo phút trả, trừ tiền hoàn theo phút hoàn",
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
        Figure(
            "refunds",
            "Giao dịch hoàn tiền",
            "giao dịch",
            "Giao dịch trả lại tiền cho người bệnh, thuộc ngày hoàn.",
            Sum("refunds"),
            formula="đếm giao dịch hoàn tiền khác nhau đã xong, theo phút hoàn; hoàn nhiều lần của một khoản thu là nhiều giao dịch",
        ),
        Figure(
            "refunded_vnd",
            "Tiền đã hoàn",
            "đ",
            "Số tiền đã trả lại cho người bệnh, thuộc ngày hoàn; đã trừ khỏi số thu.",
            Sum("refunded_vnd"),
            "money",
            formula="tổng số tiền của giao dịch hoàn đã xong, theo phút hoàn",
        ),
        Figure(
            "matched",
            "Khớp sao kê",
            "giao dịch",
            "Giao dịch đã báo có, có các dòng ghi có cộng lại đúng số tiền trên sao kê của ngân hàng.",
            Sum("matched"),
            formula="đếm giao dịch báo đã trả (00, 10) mà các dòng ghi có cùng mã giao dịch trên sao kê camt.052/053/054 cộng lại đúng số tiền, theo phút trả",
        ),
        Figure(
            "unstated",
            "Báo có, chưa thấy trên sao kê",
            "giao dịch",
            "Giao dịch ngân hàng đã báo mà chưa sao kê nào nhận được có dòng ghi có tương ứng.",
            Sum("unstated"),
            formula="đếm giao dịch báo đã trả (00, 10) chưa có dòng ghi có cùng mã trên sao kê nào đã nhận, theo phút trả",
        ),
        Figure(
            "unnotified",
            "Có trên sao kê, không được báo",
            "giao dịch",
            "Dòng ghi có trên sao kê mà ngân hàng chưa từng báo là đã trả; không cộng vào số thu.",
            Sum("unnotified"),
            formula="đếm mã giao dịch có dòng ghi có trên sao kê mà không có thông báo đã trả (00, 10), theo lúc ghi sổ",
        ),
        Figure(
            "differs",
            "Sao kê khác số tiền đã báo",
            "giao dịch",
            "Giao dịch có trên sao kê với số tiền khác số tiền đã báo.",
            Sum("differs"),
            formula="đếm giao dịch báo đã trả (00, 10) mà các dòng ghi có cùng mã trên sao kê cộng lại khác số tiền",
        ),
        Figure(
            "stated_vnd",
            "Ghi có trên sao kê",
            "đ",
            "Tổng số tiền các dòng ghi có trên sao kê của ngân hàng.",
            Sum("stated_vnd"),
            "money",
            formula="tổng số tiền dòng ghi có (CRDT, không đảo, đã ghi sổ) của sao kê camt.052/053/054, mỗi dòng một lần dù báo mấy lần",
        ),
    ),
    month="paid_vnd",
    shares=(
        Figure(
            "cashless_percent",
            "Tỷ lệ không tiền mặt",
            "%",
            "Số thu không tiền mặt so với số tiền người bệnh trả, của những bệnh viện và ngày đã có hồ sơ XML1; chưa có hồ sơ thì để trống.",
            Share("paid_vnd", "visit", "patient_vnd"),
            "percent",
            brief="Không tiền mặt",
            formula="100 × tổng số thu (đã trừ hoàn) ÷ tổng (T_BNTT + T_BNCCT) của các lượt đã thanh toán, cùng bệnh viện, cùng ngày",
        ),
        Figure(
            "cashless_count_percent",
            "Tỷ lệ lượt không tiền mặt",
            "%",
            "Số giao dịch không tiền mặt thành công so với số lượt khám người bệnh có trả tiền, cùng bệnh viện, cùng ngày; "
            "một lượt trả nhiều lần thì quá 100 %.",
            Share("receipts", "visit", "payers"),
            "percent",
            brief="Giao dịch trên lượt trả tiền",
            formula="100 × số giao dịch thành công ÷ số lượt đã thanh toán có T_BNTT + T_BNCCT lớn hơn 0, cùng bệnh viện, cùng ngày",
        ),
    ),
    law="Chưa có văn bản nào định nghĩa chỉ tiêu này; theo quy cách báo có của ngân hàng (HDBank v1.0.3 ngày 28/06/2024, VNPAY IPN, payOS, "
    "MoMo, SePay), sao kê ISO 20022 camt.053/054 và chuẩn VietQR/NAPAS.",
)


DEPARTMENT = Department(
    name="payment",
    glass=GLASS,
    event=Payment,
    domain="payment",
    late_after_seconds=900,
    subject=lambda event: event.transaction,
    measures=("receipts", "paid_vnd", "mismatched", "failed", "unknown", *ADDED),
    grown=(Grown(measures=ADDED), Grown(fields=("line",)), Grown(fields=("booking", "booking_vnd"))),
    distinct="hospitals",
    chunk_days=28,
    life=Life(states={"receipt": ReceiptState}, tell=_tell, merge=_merge, counts=_counts, stands_on=lambda state: state.id),
)
