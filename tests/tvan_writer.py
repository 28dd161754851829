"""T-VAN messages written from facts by the words of Decisions 1450 and 1271, without a line of what reads them."""

from dataclasses import dataclass
from datetime import date, datetime
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Doc:
    """An invoice as its seller means it. mst: as written. number: SHDon, written with leading zeros. code: MCCQT. link: (TCHDon, form, series,
    number) of the invoice that it replaces (1) or adjusts (2)."""

    mst: str
    series: str
    number: int
    form: str = "1"
    width: int = 1
    day: date = date(2026, 11, 20)
    net: int = 100_000
    tax: int = 8_000
    signed: datetime | None = None
    code: str = ""
    coded: datetime | None = None
    link: tuple[str, str, str, int] | None = None
    qr: bool = False
    decimals: int = 0
    off_by: int = 0
    version: str = "2.1.0"


@dataclass(frozen=True)
class Message:
    """A message around invoices, or around what is said of others (`inside`, XML). stated: SLuong."""

    kind: str
    id: str
    documents: tuple[Doc, ...] = ()
    version: str = "2.1.0"
    mst: str = ""
    question: str = ""
    stated: int | None = None
    inside: str = ""
    package_signed: datetime | None = None
    pad: str = ""


def write(message: Message) -> str:
    """The message as XML; `pad` stands around every value, as in files written by hand."""
    pad = message.pad

    def tag(name: str, value: str) -> str:
        return f"<{name}>{pad}{escape(value)}{pad}</{name}>"

    documents = "".join(hdon(each, pad) for each in message.documents)
    head = [("PBan", message.version), ("MNGui", "V0100000008"), ("MNNhan", "TCT"), ("MLTDiep", message.kind), ("MTDiep", message.id)]
    head += [("MTDTChieu", message.question), ("MST", message.mst)]
    if message.stated is not None:
        head.append(("SLuong", str(message.stated)))
    package = f"<CKSNNT>{signature(message.package_signed, pad)}</CKSNNT>" if message.package_signed else ""
    inside = "".join(tag(name, value) if value else f"<{name}/>" for name, value in head)
    return f'<TDiep><TTChung>{inside}</TTChung><DLieu Id="p">{documents}{message.inside}</DLieu>{package}</TDiep>'


def hdon(doc: Doc, pad: str = "") -> str:
    """The HDon of an invoice."""

    def tag(name: str, value: str) -> str:
        return f"<{name}>{pad}{escape(value)}{pad}</{name}>" if value else ""

    def money(amount: int) -> str:
        return f"{amount}.{'0' * doc.decimals}" if doc.decimals else str(amount)

    link = ""
    if doc.link:
        nature, form, series, number = doc.link
        link = "<TTHDLQuan>" + tag("TCHDon", nature) + tag("LHDCLQuan", "1") + tag("KHMSHDCLQuan", form) + tag("KHHDCLQuan", series)
        link += tag("SHDCLQuan", str(number)) + "</TTHDLQuan>"
    head = tag("PBan", doc.version) + tag("KHMSHDon", doc.form) + tag("KHHDon", doc.series) + tag("SHDon", str(doc.number).zfill(doc.width))
    head += tag("NLap", doc.day.isoformat()) + tag("DVTTe", "VND") + link
    totals = tag("TgTCThue", money(doc.net)) + tag("TgTThue", money(doc.tax)) + tag("TgTTTBSo", money(doc.net + doc.tax + doc.off_by))
    own = f"<NBan>{signature(doc.signed, pad) if doc.signed else ''}</NBan>"
    office = f"<CQT>{signature(doc.coded, pad)}</CQT>" if doc.coded else ""
    qr = tag("DLQRCode", "0002010102126304383C") if doc.qr else ""
    return (
        f'<HDon><DLHDon Id="d"><TTChung>{head}</TTChung><NDHDon><NBan>{tag("Ten", "Cửa hàng")}{tag("MST", doc.mst)}</NBan><NMua/>'
        f"<TToan>{totals}</TToan></NDHDon></DLHDon>{qr}{tag('MCCQT', doc.code)}<DSCKS>{own}{office}</DSCKS></HDon>"
    )


def signature(at: datetime, pad: str = "") -> str:
    """A signature that nobody looks at but for its time (GMT+7, written without offset)."""
    return (
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignatureValue>eA==</SignatureValue><Object><SignatureProperties>'
        f"<SignatureProperty><SigningTime>{pad}{at:%Y-%m-%dT%H:%M:%S}{pad}</SigningTime></SignatureProperty></SignatureProperties></Object></Signature>"
    )


def row(form: str, series: str, number: int, more: str = "") -> str:
    """An HDon row of a notice."""
    return f"<HDon><STT>1</STT><KHMSHDon>{form}</KHMSHDon><KHHDon>{series}</KHHDon><SHDon>{number}</SHDon>{more}</HDon>"


def notice(mst: str, inside: str, question: str = "", at: datetime | None = None, signer: str = "CQT") -> str:
    """A TBao of the tax office (CQT) or the seller (NNT)."""
    signed = f"<{signer}>{signature(at)}</{signer}>" if at else ""
    named = f"<MGDDTu>{question}</MGDDTu>" if question else ""
    return f"<TBao><DLTBao><NTBao>2026-11-20</NTBao><MST>{mst}</MST>{named}{inside}</DLTBao><DSCKS>{signed}</DSCKS></TBao>"
