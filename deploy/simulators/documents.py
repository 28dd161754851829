"""TDiep: the messages of the tax feed as text, by type (tvan.md 1-8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from deploy.simulators.clock import SECOND_US, day_text, stamp, vietnam_day
from deploy.simulators.invoices import Invoice, Key
from deploy.simulators.sellers import Seller

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>'
OFFICE = "CỤC THUẾ"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `parts` joined are its text (\\1 .. \\3 for the constant parts of signatures), `truth` is what it says."""

    id: str
    kind: str
    event_us: int
    parts: tuple[bytes, ...]
    truth: dict[str, object]


@dataclass(frozen=True)
class Envelope:
    """TTChung of one message."""

    kind: str
    id: str
    sender: str
    receiver: str
    question: str = ""
    mst: str = ""
    count: int = 0
    version: str = "2.1.0"

    def text(self) -> str:
        """Up to `<DLieu>`, which the body opens itself."""
        version = f"<PBan>{self.version}</PBan>" if self.version else ""
        tail = f"<MST>{self.mst}</MST><SLuong>{self.count}</SLuong>" if self.mst else ""
        asked = f"<MTDTChieu>{self.question}</MTDTChieu>" if self.question else "<MTDTChieu/>"
        return (
            f"{PROLOG}<TDiep><TTChung>{version}<MNGui>{self.sender}</MNGui><MNNhan>{self.receiver}</MNNhan><MLTDiep>{self.kind}</MLTDiep>"
            f"<MTDiep>{self.id}</MTDiep>{asked}{tail}</TTChung>"
        )

    def message(self, event_us: int, body: Sequence[bytes | str], told: dict[str, object]) -> Message:
        """The message with that body; `told` beside what the envelope says is its truth."""
        truth: dict[str, object] = {"MTDiep": self.id, "MLTDiep": self.kind, "PBan": self.version, "time": stamp(event_us)}
        if self.question:
            truth["MTDTChieu"] = self.question
        if self.mst:
            truth["MST"] = self.mst
        return Message(
            self.id,
            self.kind,
            event_us,
            tuple(part if isinstance(part, bytes) else part.encode() for part in (self.text(), *body, "</TDiep>")),
            truth | told,
        )


class Office:
    """Makes envelopes with fresh MTDiep, and the notices that are not invoices."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def envelope(self, kind: str, sender: str, receiver: str, seller: Seller | None = None, question: str = "", count: int = 0) -> Envelope:
        """MTDiep = MNGui + 32 upper-case hex digits. seller: whose data the message holds; question: MTDTChieu; count: SLuong."""
        version = self._random.choices(("2.1.0", "2.0.1", "2.0.0", "", "2.2.0"), cum_weights=(90, 96, 99, 99.8, 100))[0]
        name = f"{sender}{self._random.getrandbits(128):032X}"
        return Envelope(kind, name, sender, receiver, question, seller.mst if seller else "", count, version)

    def send(self, kind: str, seller: Seller, invoices: Sequence[Invoice], event_us: int) -> Message:
        """200, 203, 206 or 400."""
        if kind == "400":
            return self._table(seller, invoices, event_us)
        envelope = self.envelope(kind, seller.sender, "TCT", seller, count=len(invoices))
        documents = [part for invoice in invoices for part in invoice.plain()]
        told: dict[str, object] = {"HDon": [_told(invoice) for invoice in invoices]}
        signed_us = invoices[0].signed_us
        if signed_us is not None:  # sent a second time, it keeps the signature of the first
            told["time"] = stamp(signed_us)
        if kind == "206":
            tail = f"</DLieu><CKSNNT>\1{seller.name}\2{stamp(event_us)}\3</CKSNNT>"
            return envelope.message(event_us, ('<DLieu Id="p1">', *documents, tail), told)
        return envelope.message(event_us, ("<DLieu>", *documents, "</DLieu>"), told)

    def _table(self, seller: Seller, invoices: Sequence[Invoice], event_us: int) -> Message:
        """400: a day's uncoded invoices as rows of one table (01/TH-HĐĐT)."""
        envelope = self.envelope("400", seller.sender, "TCT", seller, count=1)
        day = day_text(vietnam_day(event_us))
        head = (
            f"<TTChung><PBan>2.1.0</PBan><MSo>01/TH-HĐĐT</MSo><Ten>Bảng tổng hợp dữ liệu hóa đơn điện tử</Ten><SBTHDLieu>{event_us // SECOND_US % 10**5}</SBTHDLieu>"
            f"<LKDLieu>N</LKDLieu><KDLieu>{day[8:]}/{day[5:7]}/{day[:4]}</KDLieu><LDau>1</LDau><NLap>{day}</NLap><TNNT>{seller.name}</TNNT>"
            f"<MST>{seller.mst}</MST><HDDIn>0</HDDIn><LHHoa>9</LHHoa></TTChung>"
        )
        rows = "".join(
            f"<DLieu><STT>{place}</STT><KHMSHDon>{invoice.key.form}</KHMSHDon><KHHDon>{invoice.key.series}</KHHDon><SHDon>{invoice.key.number}</SHDon>"
            f"<NLap>{day_text(invoice.day)}</NLap><TNMua>Khách lẻ</TNMua><TTCThue>{invoice.truth['TgTCThue']}</TTCThue><TSuat>8%</TSuat>"
            f"<TgTThue>{invoice.truth['TgTThue']}</TgTThue><TgTTToan>{invoice.truth['TgTTTBSo']}</TgTTToan><TThai>0</TThai></DLieu>"
            for place, invoice in enumerate(invoices, 1)
        )
        body = (
            f'<DLieu><BTHDLieu><DLBTHop Id="b1">{head}<NDBTHDLieu><DSDLieu>{rows}</DSDLieu></NDBTHDLieu></DLBTHop>'
            f"<DSCKS><NNT>\1{seller.name}\2{stamp(event_us)}\3</NNT></DSCKS></BTHDLieu></DLieu>"
        )
        return envelope.message(event_us, (body,), {"HDon": [dict(invoice.truth) for invoice in invoices]})

    def send_many(self, seller: Seller, invoice: Invoice, old: Sequence[Key], event_us: int) -> Message:
        """208: one invoice that replaces many, and the BKe that names them."""
        envelope = self.envelope("208", seller.sender, "TCT", seller, count=1)
        rows = "".join(
            f"<HHDVu><TTTDChinh><STT>{place}</STT><KHMSHDon>{key.form}</KHMSHDon><KHHDon>{key.series}</KHHDon><SHDon>{key.number}</SHDon>"
            "<THHDVGoc>Hàng</THHDVGoc></TTTDChinh></HHDVu>"
            for place, key in enumerate(old, 1)
        )
        table = (
            f"<BKe><NDBKe><TTChung><PBan>2.1.0</PBan><TBKe>Bảng kê</TBKe><KHMBKe>01/BK-ĐCTT</KHMBKe><SBKe>BK{invoice.key.number}</SBKe>"
            f"<NBKe>{day_text(invoice.day)}</NBKe>"
            f"<TCHDon>1</TCHDon><NBan>{seller.name}</NBan><MSTNBan>{seller.mst}</MSTNBan><NMua>Khách hàng</NMua></TTChung><DSHHDVu>{rows}</DSHHDVu></NDBKe>"
            f"<DSCKS><NBan>\1{seller.name}\2{stamp(event_us)}\3</NBan></DSCKS></BKe>"
        )
        told: dict[str, object] = {"HDon": [_told(invoice)], "BKe": [key.listed() for key in old]}
        return envelope.message(event_us, ("<DLieu>", *invoice.plain(), table, "</DLieu>"), told)

    def acknowledge(self, message: Message, sender: str, receiver: str, event_us: int, refused: str = "") -> Message:
        """999: whoever receives a message says so. refused: MLoi of what is wrong with it."""
        envelope = self.envelope("999", sender, receiver, question=message.id)
        why = f"<DSLDo><LDo><MLoi>{refused}</MLoi><MTa>Không tiếp nhận</MTa></LDo></DSLDo>" if refused else ""
        taken = "1" if refused else "0"
        body = f"<DLieu><TBao><MTDiep>{message.id}</MTDiep><MNGui>{receiver}</MNGui><NNhan>{stamp(event_us)}</NNhan><TTTNhan>{taken}</TTTNhan>{why}</TBao></DLieu>"
        return envelope.message(event_us, (body,), {"TTTNhan": taken})

    def code(self, question: Message | str, invoice: Invoice, event_us: int) -> Message:
        """202: the whole invoice with its code."""
        asked = question if isinstance(question, str) else question.id
        envelope = self.envelope("202", "TCT", invoice.seller.sender, invoice.seller, question=asked, count=1)
        code = f"00{self._random.getrandbits(128):032X}"
        told: dict[str, object] = {"HDon": [_told(invoice) | {"MCCQT": code}]}
        return envelope.message(event_us, ("<DLieu>", *invoice.coded(code, event_us), "</DLieu>"), told)

    def check(self, question: Message, seller: Seller, verdict: str, bad: Sequence[Invoice], event_us: int, size: int = 1) -> Message:
        """204 with LTBao `verdict`: 1, 2, 3, 7 or 9; bad: the invoices it lists."""
        envelope = self.envelope("204", "TCT", seller.sender, seller, question=question.id, count=1)
        why = "<DSLDo><LDo><MLoi>20001</MLoi><MTLoi>Sai thông tin người mua</MTLoi><HDXLy>Lập lại</HDXLy></LDo></DSLDo>"
        block = {
            "1": f"<LCMa>{_names(bad)}{why}</LCMa>",
            "3": self._listed(bad, why),
            "7": _at_till(bad),
            "9": f"<KHLKhac>{why}</KHLKhac>",
        }.get(verdict, "")
        content = (
            f"<TGGui>{stamp(event_us - 1_000_000)}</TGGui><LTBao>{verdict}</LTBao><CCu>Thông điệp {question.kind}</CCu><MGDDTu>{question.id}</MGDDTu>"
            f"<SLuong>{size}</SLuong>{block}"
        )
        told: dict[str, object] = {"LTBao": verdict, "refused": [invoice.key.listed() for invoice in bad]}
        return envelope.message(event_us, (_notice("01/TB-KTDL", seller, content, event_us, "CQT"),), told)

    def errors(self, seller: Seller, invoices: Sequence[Invoice], action: str, event_us: int) -> Message:
        """300: the seller reports invoices with TCTBao `action` (1 cancels)."""
        envelope = self.envelope("300", seller.sender, "TCT", seller, count=1)
        rows = "".join(
            f"<HDon><STT>{place}</STT><KHMSHDon>{invoice.key.form}</KHMSHDon><KHHDon>{invoice.key.series}</KHHDon><SHDon>{invoice.key.number}</SHDon>"
            f"<Ngay>{day_text(invoice.day)}</Ngay><LADHDDT>1</LADHDDT><TCTBao>{action}</TCTBao><LDo>Sai sót</LDo></HDon>"
            for place, invoice in enumerate(invoices, 1)
        )
        told: dict[str, object] = {"TBao": [{"HDon": [[*invoice.key.listed(), action] for invoice in invoices]}]}
        return envelope.message(event_us, (_notice("04/SS-HĐĐT", seller, f"<DSHDon>{rows}</DSHDon>", event_us, "NNT"),), told)

    def answer(
        self, question: Message, seller: Seller, invoices: Sequence[Invoice], taken: Sequence[bool], old_form: bool, event_us: int
    ) -> Message:
        """301 in the form of 2.0.x (TTTNCCQT for each invoice) or of 2.1.0 (only the refused are listed)."""
        envelope = self.envelope("301", "TCT", seller.sender, seller, question=question.id, count=1)
        shown = [(invoice, "1" if good else "2") for invoice, good in zip(invoices, taken, strict=True) if old_form or not good]
        why = "<DSLDKTNhan><LDo><MLoi>3001</MLoi><MTa>Không đúng mẫu</MTa></LDo></DSLDKTNhan>"
        rows = "".join(
            f"<HDon>{_names([invoice])}<LADHDDT>1</LADHDDT>"
            + (f"<TCTBao>1</TCTBao><TTTNCCQT>{state}</TTTNCCQT>" if old_form else "")
            + (why if state == "2" else "")
            + "</HDon>"
            for invoice, state in shown
        )
        content = f"<MGDDTu>{question.id}</MGDDTu><TGNhan>{stamp(event_us)[:10]}</TGNhan><STTThe>1</STTThe>" + (
            f"<DSHDon>{rows}</DSHDon>" if rows else ""
        )
        listed = [[*invoice.key.listed(), state if old_form else ""] for invoice, state in shown]
        told: dict[str, object] = {"TBao": [{"STTThe": 1, "HDon": listed}]}
        return envelope.message(event_us, (_notice("01/TB-SSĐT", seller, content, event_us, "CQT", apart=True),), told)

    def _listed(self, bad: Sequence[Invoice], why: str) -> str:
        return "<LHDKMa><DSHDon>" + "".join(f"<HDon>{_names([invoice])}{why}</HDon>" for invoice in bad) + "</DSHDon></LHDKMa>"


def _told(invoice: Invoice) -> dict[str, object]:
    signed = {} if invoice.signed_us is None else {"SigningTime": stamp(invoice.signed_us)}
    return {**invoice.truth, **signed}


def _names(invoices: Sequence[Invoice]) -> str:
    return "".join(
        f"<KHMSHDon>{invoice.key.form}</KHMSHDon><KHHDon>{invoice.key.series}</KHHDon><SHDon>{invoice.key.number:08d}</SHDon><NLap>{day_text(invoice.day)}</NLap>"
        for invoice in invoices
    )


def _at_till(bad: Sequence[Invoice]) -> str:
    rows = "".join(
        f"<LDo><MLoi>20609</MLoi><MTLoi>{invoice.key.form};{invoice.key.series};{invoice.key.number};Sai tổng tiền</MTLoi><HDXLy>Điều chỉnh</HDXLy></LDo>"
        for invoice in bad
    )
    return f"<LHDMTTien><DSLDo>{rows}</DSLDo></LHDMTTien>"


def _notice(form: str, seller: Seller, content: str, event_us: int, signer: str, apart: bool = False) -> str:
    """TBao with its DLTBao and signature. apart: number and day stand in STBao beside DLTBao, as in a 301."""
    day = day_text(vietnam_day(event_us))
    number = event_us // 1_000 % 10**9
    inside, outside = (
        ("", f"<STBao><So>{number}</So><NTBao>{day}</NTBao></STBao>") if apart else (f"<So>{number}</So><NTBao>{day}</NTBao>", "")
    )
    name = OFFICE if signer == "CQT" else seller.name
    return (
        f'<DLieu><TBao><DLTBao Id="t1"><PBan>2.1.0</PBan><MSo>{form}</MSo><Ten>Thông báo</Ten>{inside}<DDanh>Thanh Hóa</DDanh><MST>{seller.mst}</MST>'
        f"<TNNT>{seller.name}</TNNT>{content}</DLTBao>{outside}<DSCKS><{signer}>\1{name}\2{stamp(event_us)}\3</{signer}></DSCKS></TBao></DLieu>"
    )
