"""Hospital visits: the contract of a health-insurance record, a check-in or the totals (XML1) of one visit."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from streams.department import Department
from streams.event import Dong, Event, Id, Party, TimeUs
from streams.figures import Figure, Glass, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Told


class Visit(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One record of one visit (QĐ 130, 4750, 3176).

    id: of what the record says, so that each version is an event of its own. kind: MA_LOAI_KCB (01 examination, 03 inpatient, ..; 00 where
    it is none). unit: MA_CSKCB. record: `checkin`, or `totals` (XML1). visit, settlement: pseudonyms of MA_LK at MA_CSKCB, as it
    came and as it was paid. patient: pseudonym of the card, else of MA_BN at the hospital. arrived_at_us: NGAY_VAO. settled_at_us: NGAY_TTOAN, None until
    the patient has paid. filed_at_us: NGAYLAP of the file. cost_vnd: T_TONGCHI_BV; patient_vnd: T_BNTT + T_BNCCT; insurance_vnd: T_BHTT.
    """

    visit: Id
    settlement: Id
    record: Literal["checkin", "totals"]
    arrived_at_us: TimeUs
    patient: Party | None = None
    settled_at_us: TimeUs | None = None
    filed_at_us: TimeUs | None = None
    insured: bool = False
    cost_vnd: Dong = 0
    patient_vnd: Dong = 0
    insurance_vnd: Dong = 0


class VisitState(msgspec.Struct, frozen=True, array_like=True):
    """The newest record of one visit, of its arrival or of its settlement. at_us: when it came or paid; None while it has not paid."""

    known_us: int
    newest: tuple[bool, int, int, int, str]
    settlement: bool
    at_us: int | None
    kind: str
    unit: str
    insured: bool = False
    cost_vnd: int = 0
    patient_vnd: int = 0
    insurance_vnd: int = 0


def _tell(event: Visit) -> Iterable[Told]:
    # Totals are newer than a check-in; files of one day are ordered by what they say, since NGAYLAP is a day: paid comes after unpaid.
    totals = event.record == "totals"
    newest = (totals, event.filed_at_us or 0, event.settled_at_us or 0, event.known_at_us, event.id)
    place = (event.kind, event.unit or "")
    yield Told(("visit", event.visit), event.known_at_us, VisitState(0, newest, False, event.arrived_at_us, *place, event.insured))
    if totals:
        money = (event.cost_vnd, event.patient_vnd, event.insurance_vnd)
        fact = VisitState(0, newest, True, event.settled_at_us, *place, event.insured, *money)
        yield Told(("visit", event.settlement), event.known_at_us, fact)


def _merge(table: str, state: VisitState | None, known_us: int, fact: VisitState) -> VisitState:
    if state is not None and fact.newest <= state.newest:
        return state
    return msgspec.structs.replace(fact, known_us=known_us)


def _counts(state: VisitState, units: Mapping[str, str]) -> Count | None:
    """A visit belongs to the day it came, its money to the day it was paid; a newer file without NGAY_TTOAN takes the money out again."""
    if state.at_us is None:
        return None
    came = (0, 0) if state.settlement else (1, int(state.insured))
    money = (state.patient_vnd, state.insurance_vnd, state.cost_vnd)
    paid = (1, int(state.patient_vnd > 0), *money) if state.settlement else (0, 0, 0, 0, 0)
    return Count(state.at_us - state.at_us % MINUTE_US, state.unit, state.kind, (*came, *paid))


GLASS = Glass(
    name="visit",
    place=5,
    label="Khám bệnh, chữa bệnh",
    short="Lượt khám",
    places="bệnh viện",
    place_kind="hospital",
    slot_minutes=10,
    headline=("visits", "insured", "patient_vnd", "hospitals"),
    trend="visits",
    ranking="visits",
    figures=(
        Figure(
            "visits",
            "Lượt khám hôm nay",
            "lượt",
            "Số lượt khám bệnh, chữa bệnh khác nhau (MA_LK của từng cơ sở), thuộc ngày vào theo giờ Việt Nam.",
            Sum("visits"),
            formula="đếm MA_LK khác nhau của mỗi MA_CSKCB có check-in hoặc XML1, theo phút NGAY_VAO của bản mới nhất",
        ),
        Figure(
            "insured",
            "Lượt khám có thẻ bảo hiểm y tế",
            "lượt",
            "Lượt khám mà bản ghi mới nhất có thẻ bảo hiểm y tế.",
            Sum("insured"),
            brief="Lượt khám có thẻ",
            formula="đếm lượt khám mà bản mới nhất có MA_THE_BHYT",
        ),
        Figure(
            "patient_vnd",
            "Người bệnh trả",
            "đ",
            "Số tiền người bệnh tự trả và cùng chi trả của các lượt đã thanh toán, thuộc ngày thanh toán; chỉ gồm lượt có hồ sơ XML1.",
            Sum("patient_vnd"),
            "money",
            formula="tổng (T_BNTT + T_BNCCT) của bản XML1 mới nhất có NGAY_TTOAN, theo phút thanh toán, làm tròn đến đồng",
        ),
        Figure(
            "hospitals",
            "Bệnh viện có lượt khám",
            "bệnh viện",
            "Số bệnh viện khác nhau có lượt khám trong ngày.",
            Units("visits"),
            formula="đếm MA_CSKCB khác nhau có ít nhất một lượt khám",
        ),
        Figure(
            "settled",
            "Lượt đã thanh toán",
            "lượt",
            "Lượt khám đã thanh toán, thuộc ngày thanh toán.",
            Sum("settled"),
            formula="đếm lượt khám mà bản XML1 mới nhất có NGAY_TTOAN, theo phút thanh toán",
        ),
        Figure(
            "payers",
            "Lượt người bệnh có trả tiền",
            "lượt",
            "Lượt đã thanh toán mà người bệnh trả nhiều hơn 0 đồng.",
            Sum("payers"),
            formula="đếm lượt đã thanh toán có T_BNTT + T_BNCCT lớn hơn 0",
        ),
        Figure(
            "insurance_vnd",
            "Quỹ bảo hiểm y tế trả",
            "đ",
            "Số tiền quỹ bảo hiểm y tế trả của các lượt đã thanh toán.",
            Sum("insurance_vnd"),
            "money",
            formula="tổng T_BHTT của bản XML1 mới nhất có NGAY_TTOAN, theo phút thanh toán",
        ),
        Figure(
            "cost_vnd",
            "Tổng chi phí",
            "đ",
            "Tổng chi phí khám bệnh, chữa bệnh của các lượt đã thanh toán.",
            Sum("cost_vnd"),
            "money",
            formula="tổng T_TONGCHI_BV của bản XML1 mới nhất có NGAY_TTOAN, theo phút thanh toán",
        ),
    ),
    month="visits",
    law="Luật Khám bệnh, chữa bệnh 15/2023/QH15; dữ liệu theo Quyết định 130/QĐ-BYT (18/01/2023), 4750/QĐ-BYT (29/12/2023) và 3176/QĐ-BYT (29/10/2024).",
)


DEPARTMENT = Department(
    name="visit",
    glass=GLASS,
    event=Visit,
    domain="health",
    late_after_seconds=86_400,
    subject=lambda event: event.visit,
    measures=("visits", "insured", "settled", "payers", "patient_vnd", "insurance_vnd", "cost_vnd"),
    distinct="hospitals",
    chunk_days=28,
    life=Life(states={"visit": VisitState}, tell=_tell, merge=_merge, counts=_counts, stands_on=lambda state: state.newest[4]),
)
