"""E-invoices: the contract of a T-VAN message and the invoices, verdicts and notices it carries."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec.structs import replace

from streams.department import Department, Grown
from streams.event import DAY_US, Day, Dong, Event, Id, Key, Party, PartyKey, TimeUs, Word, day_start_us
from streams.figures import Daily, Figure, Glass, Percentile, Sum
from streams.lives import MINUTE_US, Count, Life, Subject

Outcome = Literal["accepted", "accepted_but", "refused"]
Signature = Literal["signed", "unsigned", "invalid"]
Part = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]  # STTThe


class Invoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One invoice document (HDon) inside a message. Times in microseconds since 1970; money in whole đồng.

    key: 32 hex digits of seller + KHMSHDon + KHHDon + SHDon (as a number): the invoice's identity (tvan 1).
    day: NLap, days since 1970-01-01. signed_at_us: the seller's SigningTime. coded_at_us: the tax office's, with a code.
    accepted: the document itself proves acceptance (202, or a coded HDon with the tax office's signature).
    value_vnd: TgTTTBSo x TGia, tax_vnd: TgTThue x TGia, rounded half up; 0 where there is no TToan.
    replaces: keys of the invoices that it replaces (TCHDon 1, or 3 through BKe). adjusts: the same for 2 and 4.
    flags: `sum`, `rate_missing`, `mst_check` and the like: seen, counted, never a reason to reject.
    seller_kind: what its tax code says: enterprise, branch, person, budget_unit, other; "" where nobody looked (before November 2026).
    signature: what is known of the signatures on it, None where they were not looked at: signed, when there are some and each is right.
    """

    key: Key
    seller: PartyKey
    form: Word
    series: Word
    day: Day
    value_vnd: Dong = 0
    tax_vnd: Dong = 0
    signed_at_us: TimeUs | None = None
    coded_at_us: TimeUs | None = None
    accepted: bool = False
    replaces: tuple[Key, ...] = ()
    adjusts: tuple[Key, ...] = ()
    flags: tuple[str, ...] = ()
    seller_kind: Word = ""
    signature: Signature | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a 204 says of the package it answers (tvan 4).

    package: `accepted` (LTBao 2), `refused` (9), `accepted_but` (3, 7: all but the listed), None (1 and unknown ones: only the listed count).
    refused: keys of the listed invoices. reasons: the different MLoi in it.
    """

    package: Outcome | None = None
    refused: tuple[Key, ...] = ()
    reasons: tuple[Word, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One TBao of a 300 or 303: cancels = keys of the invoices with TCTBao 1. part counts from 1 (STTThe)."""

    part: Part
    cancels: tuple[Key, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One TBao of a 301 about part `part` (STTThe) of the 300 it answers (tvan 6): refused as a whole, or only the listed invoices."""

    part: Part
    refused_all: bool = False
    refused: tuple[Key, ...] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a message tells. acknowledged_at_us: NNhan of a 999 with TTTNhan 0. flags: `encoding`, `count` and the like: how the message itself
    deviates."""

    invoices: tuple[Invoice, ...] = ()
    verdict: Verdict | None = None
    notices: tuple[Notice, ...] = ()
    answers: tuple[Answer, ...] = ()
    acknowledged_at_us: TimeUs | None = None
    flags: tuple[str, ...] = ()


class Einvoice(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One T-VAN message (TDiep), or one bare HDon (kind `HDon`, which is no message).

    id: MTDiep. kind: MLTDiep. seller: pseudonym of TTChung/MST (or of the invoice's seller). question: id of the message it answers
    (MTDTChieu, else MGDDTu, else TBao/MTDiep). unit stays None: it follows from the seller registry. unknown: code lists' values not
    known (`MLTDiep`, `LTBao`, `TCTBao`, `MLoi`). unlisted: whether there are any, so that figures need not read which (contract 2).
    """

    seller: Party | None = None
    question: Id | None = None
    unknown: tuple[str, ...] = ()
    facts: Facts = Facts()
    unlisted: bool = False


ACCEPTED, REFUSED, CANCELLED, REPLACED = 1, 2, 4, 8
_NO_DEVIATION = ((), ("crc_unchecked",))


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A fact about an invoice: a verdict (bits), a question's acknowledgement, or a document with the question it answers. rank
    orders documents: coded before uncoded, then the newest message. acknowledged: (question, NNhan)."""

    bits: int = 0
    acknowledged: tuple[str, int] | None = None
    document: Invoice | None = None
    rank: tuple[bool, int, str] | None = None
    question: str = ""


class InvoiceState(msgspec.Struct, frozen=True, array_like=True):
    """All that is known of one invoice. Every field is a union, a minimum, a maximum or a newest: merging commutes.

    coded: the earliest (tax office's SigningTime, question it answers); acknowledged: (question, earliest NNhan) of every try. flagged,
    signature: of the document that ranks first.
    """

    known_us: int = 0
    bits: int = 0
    rank: tuple[bool, int, str] | None = None
    seller: str = ""
    form: str = ""
    day: int = 0
    value_vnd: int = 0
    tax_vnd: int = 0
    signed_at_us: int | None = None
    coded: tuple[int, str] | None = None
    acknowledged: tuple[tuple[str, int], ...] = ()
    replaces: tuple[str, ...] = ()
    flagged: bool = False
    signature: Signature | None = None


class MessageState(msgspec.Struct, frozen=True, array_like=True):
    """All that is known of one message that others answer: the invoices in it, the verdicts on it, each with the invoices it lists as refused,
    the notices and their answers."""

    known_us: int = 0
    invoices: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    acknowledged_at_us: int | None = None
    cancels: tuple[tuple[int, str], ...] = ()
    answers: tuple[tuple[int, bool, tuple[str, ...]], ...] = ()


def _tell(event: Einvoice) -> Iterable[tuple[Subject, int, Any]]:
    known, facts = event.known_at_us, event.facts
    invoices, question = facts.invoices, event.question
    for invoice in invoices:
        rank = (invoice.coded_at_us is not None or invoice.accepted, event.event_time_us, event.id)
        yield ("invoice", invoice.key), known, Said(ACCEPTED if invoice.accepted else 0, None, invoice, rank, question or "")
    # A code result (202) carries the invoice of the question it answers; any other message with invoices is a question itself.
    if invoices and event.kind != "HDon":
        about = question if event.kind == "202" else event.id
        if about is not None:
            keys = (invoices[0].key,) if len(invoices) == 1 else _set(i.key for i in invoices)
            yield ("message", about), known, MessageState(invoices=keys)
    if facts.notices:
        cancels = _set((notice.part, key) for notice in facts.notices for key in notice.cancels)
        yield ("message", event.id), known, MessageState(cancels=cancels)
    if facts.verdict is not None:
        for key in facts.verdict.refused:
            yield ("invoice", key), known, Said(REFUSED)
    if question is not None:
        said = _answer(event)
        if said is not None:
            yield ("message", question), known, said


def _answer(event: Einvoice) -> MessageState | None:
    facts = event.facts
    if facts.verdict is not None and facts.verdict.package is not None:
        return MessageState(verdicts=((facts.verdict.package, _set(facts.verdict.refused)),))
    if facts.answers:
        return MessageState(answers=_set((a.part, a.refused_all, _set(a.refused)) for a in facts.answers))
    if facts.acknowledged_at_us is not None:
        return MessageState(acknowledged_at_us=facts.acknowledged_at_us)
    return None


def _merge(table: str, state: Any, known_us: int, fact: Any) -> InvoiceState | MessageState:
    return _merge_invoice(state, known_us, fact) if table == "invoice" else _merge_message(state, known_us, fact)


def _merge_invoice(state: InvoiceState | None, known_us: int, said: Said) -> InvoiceState:
    old = _NO_INVOICE if state is None else state
    bits, rank, coded, acknowledged, replaces = old.bits | said.bits, old.rank, old.coded, old.acknowledged, old.replaces
    document, flagged, signature = said.document, old.flagged, old.signature
    told: InvoiceState | Invoice = old
    if document is not None:
        if rank is None or (said.rank is not None and said.rank > rank):
            rank, told, signature = said.rank, document, document.signature
            flagged = document.flags not in _NO_DEVIATION
        if document.coded_at_us is not None:
            answer = (document.coded_at_us, said.question)
            coded = answer if coded is None else min(coded, answer)
        if document.replaces:
            replaces = _union(replaces, _set(document.replaces))
    if said.acknowledged is not None:
        acknowledged = _earliest(acknowledged, said.acknowledged)
    if (
        state is not None
        and bits == old.bits
        and rank == old.rank
        and coded == old.coded
        and acknowledged == old.acknowledged
        and replaces == old.replaces
    ):
        return state
    value, tax, signed = told.value_vnd, told.tax_vnd, told.signed_at_us
    by, form, day = told.seller, told.form, told.day
    return InvoiceState(known_us, bits, rank, by, form, day, value, tax, signed, coded, acknowledged, replaces, flagged, signature)


def _merge_message(state: MessageState | None, known_us: int, said: MessageState) -> MessageState:
    old = _NO_MESSAGE if state is None else state
    new = MessageState(
        known_us,
        _union(old.invoices, said.invoices),
        _union(old.verdicts, said.verdicts),
        _least(old.acknowledged_at_us, said.acknowledged_at_us),
        _union(old.cancels, said.cancels),
        _union(old.answers, said.answers),
    )
    return new if state is None or new != replace(state, known_us=known_us) else state


_NO_INVOICE, _NO_MESSAGE = InvoiceState(), MessageState()


def _set(values: Iterable[Any]) -> tuple[Any, ...]:
    """Each once, in order: equal sets are equal tuples."""
    return tuple(sorted({*values}))


def _union(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    return a if not b or a == b else b if not a else _set((*a, *b))


def _earliest(held: tuple[tuple[str, int], ...], more: tuple[str, int]) -> tuple[tuple[str, int], ...]:
    """The least time of each question."""
    return held if more in held else tuple(sorted(dict(sorted((*held, more), reverse=True)).items()))


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _follows(subject: Subject, new: InvoiceState | MessageState) -> Iterable[tuple[Subject, int, Any]]:
    return _invoice_follows(new) if isinstance(new, InvoiceState) else _message_follows(subject[1], new)


def _invoice_follows(new: InvoiceState) -> Iterable[tuple[Subject, int, Any]]:
    if not new.replaces or not new.bits & ACCEPTED:
        return ()
    # Ever accepted: what it replaces is out, whatever becomes of it later (tvan 9).
    return [(("invoice", key), new.known_us, Said(REPLACED)) for key in new.replaces]


def _message_follows(id: str, new: MessageState) -> Iterable[tuple[Subject, int, Any]]:
    known, at_us = new.known_us, new.acknowledged_at_us
    acknowledged = None if at_us is None else (id, at_us)
    told: list[tuple[Subject, int, Any]] = []
    for key in new.invoices:
        bits = 0
        for package, refused in new.verdicts:  # each by itself: what one accepted stays accepted, whatever another says
            if package == "accepted" or (package == "accepted_but" and key not in refused):
                bits |= ACCEPTED
            elif package == "refused":
                bits |= REFUSED
        if bits or acknowledged is not None:
            told.append((("invoice", key), known, Said(bits, acknowledged)))
    for part, key in new.cancels:
        if any(p == part and not refused_all and key not in refused for p, refused_all, refused in new.answers):
            told.append((("invoice", key), known, Said(CANCELLED)))
    return told


MORE = ("unlisted", "flagged", "signed", "unsigned", "invalid")
_NOTHING_SAID = (0,) * len(MORE)
_LOOKED_AT = {
    (flagged, said): (0, int(flagged), *(int(said == each) for each in get_args(Signature)))
    for flagged in (False, True)
    for said in (None, *get_args(Signature))
}
_LISTED = (1, *(0,) * 8, *_NOTHING_SAID)
_UNLISTED = (1, *(0,) * 8, 1, 0, 0, 0, 0)


def _counts(state: InvoiceState, units: Mapping[str, str]) -> Count | None:
    """None until the document itself was seen: a verdict on an unknown invoice waits for it (domain 10, rule 2)."""
    if state.rank is None:
        return None
    bits, signed = state.bits, state.signed_at_us
    measures: tuple[int, ...]
    if bits & CANCELLED:
        measures = (0, 1, 0, 0, 0, 1, 0, 0, 0)
    elif bits & REPLACED:
        measures = (0, 1, 0, 0, 0, 0, 1, 0, 0)
    elif bits & ACCEPTED:
        measures = (0, 1, 1, 0, 0, 0, 0, state.value_vnd, state.tax_vnd)
    elif bits & REFUSED:
        measures = (0, 1, 0, 1, 0, 0, 0, 0, 0)
    else:  # pending
        measures = (0, 1, 0, 0, 1, 0, 0, state.value_vnd, state.tax_vnd)
    if state.flagged or state.signature is not None:
        measures += _LOOKED_AT[state.flagged, state.signature]
    else:
        measures += _NOTHING_SAID
    seconds = None
    if state.coded is not None:  # from the acknowledgement of the question it answers, else from the seller's signature (tvan 2)
        coded_at_us, question = state.coded
        asked = signed
        for acknowledged, at_us in state.acknowledged:
            if acknowledged == question:
                asked = at_us
        if asked is not None:
            seconds = max(0, (coded_at_us - asked) // 1_000_000)
    start = day_start_us(state.day)
    minute = signed - signed % MINUTE_US if signed is not None and start <= signed < start + DAY_US else start
    return Count(minute, units.get(state.seller, ""), state.form, measures, seconds, state.seller)


def _also(event: Einvoice, registered: Callable[[str, int], str]) -> Count | None:
    if event.kind == "HDon":  # a bare document is no message
        return None
    minute = event.event_time_us - event.event_time_us % MINUTE_US
    return Count(minute, registered(event.seller or "", event.known_at_us), event.kind, _UNLISTED if event.unlisted else _LISTED)


GLASS = Glass(
    name="einvoice",
    place=1,
    label="Hóa đơn điện tử",
    short="Hóa đơn",
    places="xã, phường",
    place_kind="commune",
    slot_minutes=10,
    headline=("invoices", "value_vnd", "accepted", "code_seconds_p95"),
    trend="invoices",
    ranking="value_vnd",
    figures=(
        Figure(
            "invoices",
            "Hóa đơn điện tử hôm nay",
            "hóa đơn",
            "Số hóa đơn khác nhau (người bán, ký hiệu mẫu số, ký hiệu, số hóa đơn) có ngày lập hôm nay.",
            Sum("invoices"),
            formula="đếm khóa khác nhau (người bán, KHMSHDon, KHHDon, SHDon) có NLap trong kỳ; mỗi hóa đơn một lần dù gửi mấy lần",
        ),
        Figure(
            "value_vnd",
            "Giá trị hóa đơn hôm nay",
            "đ",
            "Tổng tiền thanh toán đã có thuế (TgTTTBSo nhân TGia) của hóa đơn còn hiệu lực; bị từ chối, hủy, thay thế không tính; "
            "điều chỉnh cộng theo dấu.",
            Sum("value_vnd"),
            "money",
            formula="tổng TgTTTBSo × TGia của hóa đơn đang được chấp nhận hoặc chờ kết quả, làm tròn đến đồng",
        ),
        Figure(
            "accepted",
            "Hóa đơn được chấp nhận",
            "hóa đơn",
            "Hóa đơn được cơ quan thuế cấp mã hoặc chấp nhận, tính theo trạng thái hiện nay.",
            Sum("accepted"),
            formula="đếm hóa đơn có mã (202), hoặc 204 với LTBao 2, chưa bị hủy hay thay thế",
        ),
        Figure(
            "code_seconds_p95",
            "Thời gian cấp mã, 95 % nhanh hơn",
            "giây",
            "95 % hóa đơn có mã được cấp nhanh hơn số giây này, từ lúc người bán ký đến lúc cơ quan thuế ký (sai số tối đa 5 %).",
            Percentile("code_seconds_1m", 0.95),
            "seconds",
            watch_above=60,
            formula="phân vị 95 của (giờ cơ quan thuế ký 202 − giờ tiếp nhận 999, nếu không có thì giờ người bán ký), hạng gần nhất, tần suất theo bậc 1,1",
        ),
        Figure(
            "code_seconds_p50",
            "Cấp mã, trung vị",
            "giây",
            "Một nửa số hóa đơn có mã được cấp nhanh hơn số giây này (sai số tối đa 5 %).",
            Percentile("code_seconds_1m", 0.5),
            "seconds",
            formula="phân vị 50 của (giờ cơ quan thuế ký 202 − giờ tiếp nhận 999, nếu không có thì giờ người bán ký), hạng gần nhất, tần suất theo bậc 1,1",
        ),
        Figure(
            "messages",
            "Thông điệp T-VAN",
            "thông điệp",
            "Số thông điệp T-VAN khác nhau (MTDiep), theo giờ của chính thông điệp.",
            Sum("messages"),
            formula="đếm MTDiep khác nhau theo phút của chính thông điệp; HDon rời không phải thông điệp",
        ),
        Figure(
            "pending",
            "Chờ kết quả",
            "hóa đơn",
            "Hóa đơn đã gửi, cơ quan thuế chưa trả lời.",
            Sum("pending"),
            formula="đếm hóa đơn chưa có 202, 204 hay 301 nào nói về nó",
        ),
        Figure(
            "rejected",
            "Bị từ chối",
            "hóa đơn",
            "Hóa đơn cơ quan thuế không chấp nhận.",
            Sum("rejected"),
            formula="đếm hóa đơn bị 204 từ chối (LTBao 1, 3 hoặc 9) mà chưa từng được chấp nhận",
        ),
        Figure(
            "cancelled",
            "Đã hủy",
            "hóa đơn",
            "Hóa đơn hủy theo thông báo sai sót 04/SS-HĐĐT đã được chấp nhận.",
            Sum("cancelled"),
            formula="đếm hóa đơn có TCTBao 1 trong 300 mà 301 đã chấp nhận",
        ),
        Figure(
            "replaced",
            "Bị thay thế",
            "hóa đơn",
            "Hóa đơn có hóa đơn khác thay thế.",
            Sum("replaced"),
            formula="đếm hóa đơn mà một hóa đơn đã được chấp nhận thay thế (TCHDon 1 hoặc 3), trừ hóa đơn đã hủy",
        ),
        Figure(
            "tax_vnd",
            "Tiền thuế",
            "đ",
            "Tổng tiền thuế (TgTThue nhân TGia) của hóa đơn còn hiệu lực.",
            Sum("tax_vnd"),
            "money",
            formula="tổng TgTThue × TGia của hóa đơn đang được chấp nhận hoặc chờ kết quả, làm tròn đến đồng",
        ),
        Figure(
            "sellers",
            "Người bán",
            "người bán",
            "Số người bán khác nhau có hóa đơn lập trong ngày.",
            Daily("einvoice_sellers", "sellers"),
            formula="đếm mã số thuế khác nhau (đã mã hóa) có ít nhất một hóa đơn có NLap trong ngày; chi nhánh 13 số tính riêng",
        ),
        Figure(
            "unlisted",
            "Thông điệp có mã lạ",
            "thông điệp",
            "Thông điệp T-VAN mang mã không có trong danh mục nào (phiên bản, loại thông điệp, loại thông báo, tính chất, mã lỗi); "
            "giữ lại, không làm đổi trạng thái hóa đơn.",
            Sum("unlisted"),
            good="less",
            formula="đếm MTDiep khác nhau có ít nhất một giá trị PBan, MLTDiep, LTBao, TCTBao, TThai, TCHDon, TTTNCCQT, TTTNhan hoặc MLoi "
            "ngoài danh mục, theo phút của chính thông điệp",
        ),
        Figure(
            "flagged",
            "Hóa đơn có dấu hiệu sai",
            "hóa đơn",
            "Hóa đơn mà nội dung lệch quy định: tổng tiền không khớp, mã số thuế sai số kiểm tra, thiếu tỷ giá và tương tự; vẫn được tính.",
            Sum("flagged"),
            good="less",
            formula="đếm hóa đơn mà bản đang có hiệu lực mang ít nhất một dấu hiệu (mã QR không kiểm tra được thì không kể)",
        ),
        Figure(
            "signed",
            "Chữ ký hợp lệ",
            "hóa đơn",
            "Hóa đơn mà mọi chữ ký số đều đúng và dẫn đến tổ chức chứng thực đã khai báo.",
            Sum("signed"),
            formula="đếm hóa đơn mà bản đang có hiệu lực có chữ ký (XMLDSig) trên DLHDon, tất cả đều đúng vào giờ ký; chỉ khi nguồn bật kiểm tra",
        ),
        Figure(
            "unsigned",
            "Không có chữ ký",
            "hóa đơn",
            "Hóa đơn không mang chữ ký số nào.",
            Sum("unsigned"),
            good="less",
            formula="đếm hóa đơn mà bản đang có hiệu lực không có chữ ký; chỉ khi nguồn bật kiểm tra",
        ),
        Figure(
            "invalid",
            "Chữ ký không hợp lệ",
            "hóa đơn",
            "Hóa đơn có chữ ký số sai, hết hạn hoặc không dẫn đến tổ chức chứng thực đã khai báo.",
            Sum("invalid"),
            good="less",
            formula="đếm hóa đơn mà bản đang có hiệu lực có ít nhất một chữ ký không đúng; chỉ khi nguồn bật kiểm tra",
        ),
    ),
    month="value_vnd",
    law="Nghị định 123/2020/NĐ-CP, sửa đổi bởi Nghị định 70/2025/NĐ-CP; Thông tư 32/2025/TT-BTC; "
    "thành phần dữ liệu theo Quyết định 1450/QĐ-TCT (07/10/2021) và Quyết định 1271/QĐ-CT (30/05/2025).",
)


DEPARTMENT = Department(
    name="einvoice",
    glass=GLASS,
    event=Einvoice,
    domain="tax",
    late_after_seconds=900,
    subject=lambda event: event.seller or event.question or event.id,
    measures=("messages", "invoices", "accepted", "rejected", "pending", "cancelled", "replaced", "value_vnd", "tax_vnd", *MORE),
    grown=(Grown(fields=("unlisted",), measures=MORE),),
    histogram="code_seconds",
    distinct="sellers",
    members=True,
    life=Life(
        states={"invoice": InvoiceState, "message": MessageState},
        tell=_tell,
        merge=_merge,
        counts=_counts,
        stands_on=lambda state: state.rank[2],
        follows=_follows,
        also=_also,
        also_counts=("messages", "unlisted"),
    ),
)
