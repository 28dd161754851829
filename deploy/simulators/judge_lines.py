"""The lines of the truth files, typed, in the departments' own words."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec


class HDon(msgspec.Struct, frozen=True):
    """One invoice document as its seller wrote it. CLQuan: what it names in TTHDLQuan, as [KHMSHDon, KHHDon, SHDon]."""

    MST: str
    KHMSHDon: str
    KHHDon: str
    SHDon: str
    NLap: str
    DVTTe: str = "VND"
    TGia: str | None = None
    TgTTTBSo: str | None = None
    TgTCThue: str | None = None
    TgTThue: str | None = None
    TCHDon: str = ""
    CLQuan: tuple[tuple[str, str, str], ...] = ()
    SigningTime: str | None = None
    MCCQT: str | None = None


class TBao(msgspec.Struct, frozen=True):
    """One notice of a 300 or 301. HDon: [KHMSHDon, KHHDon, SHDon, TCTBao (300) or TTTNCCQT (301)]."""

    HDon: tuple[tuple[str, str, str, str], ...] = ()
    STTThe: int = 1
    DSLDKTNhan: bool = False


_Documents = tuple[HDon, ...]  # by another name: inside the class below its field hides the type
_Notices = tuple[TBao, ...]


class TaxLine(msgspec.Struct, frozen=True, tag_field="system", tag="tax"):
    """A T-VAN message (`fact`, `again`, `corrupt`, `conflict`), or a row of the registry of sellers (`registry`)."""

    what: str
    MTDiep: str = ""
    MLTDiep: str = ""
    PBan: str = ""
    MTDTChieu: str = ""
    MST: str = ""
    time: str = ""
    HDon: _Documents = ()
    BKe: tuple[tuple[str, str, str], ...] = ()
    LTBao: str = ""
    refused: tuple[tuple[str, str, str], ...] = ()
    TBao: _Notices = ()
    TTTNhan: str = ""
    commune: str = ""


class TelehealthLine(msgspec.Struct, frozen=True, tag_field="system", tag="telehealth"):
    """One version of an Encounter. start, end: period, ISO 8601 with offset. hospital: serviceProvider; supporting: whom its request asks."""

    what: str
    id: str = ""
    versionId: str = ""
    lastUpdated: str = ""
    status: str = ""
    class_: str = msgspec.field(default="", name="class")
    hospital: str = ""
    start: str | None = None
    end: str | None = None
    supporting: str | None = None


class BankLine(msgspec.Struct, frozen=True, tag_field="system", tag="banks"):
    """One status of one transaction, `refund` for money given back. Times UTC, yyyyMMddHHmmss. way: `push` (and list), `list` only, `file`, or `statement`. how: what
    is wrong with a corrupt one. `booked`: what a statement says of it, amounts of its credits, booked in Vietnamese time; batch: that another may tell as one sum."""

    what: str
    bank: str = ""
    transactionId: str = ""
    status: str = ""
    hospital: str = ""
    paidAmount: int = 0
    paidTime: str | None = None
    transactionTime: str = ""
    way: str = ""
    how: str = ""
    statement: str = ""
    amounts: tuple[int, ...] = ()
    batch: str = ""
    booked: str = ""
    offered: str = ""


class VideoLine(msgspec.Struct, frozen=True, tag_field="system", tag="video"):
    """One measurement of an endpoint of a session, as docs/telequality.md has it. how: what is wrong with a corrupt one."""

    what: str
    session: str = ""
    site: str = ""
    endpoint: str | None = None
    peer: str | None = None
    measured_at: str = ""
    in_kbps: float = 0
    in_loss_percent: float = 0
    out_kbps: float | None = None
    out_loss_percent: float | None = None
    how: str = ""


class VisitLine(msgspec.Struct, frozen=True, tag_field="system", tag="hospitals"):
    """One file of one visit: `checkin`, or `totals` (XML1). Times Vietnamese, yyyymmddHHMM; NGAYLAP yyyymmdd. key: the file's own name."""

    what: str
    key: str
    record: str = ""
    MA_LK: str = ""
    MA_CSKCB: str = ""
    MA_LOAI_KCB: str = ""
    MA_BN: str = ""
    MA_THE_BHYT: str = ""
    NGAY_VAO: str = ""
    NGAY_TTOAN: str = ""
    NGAYLAP: str = ""
    T_TONGCHI_BV: int = 0
    T_BNTT: int = 0
    T_BNCCT: int = 0
    T_BHTT: int = 0


Line = TaxLine | TelehealthLine | BankLine | VideoLine | VisitLine


def read(files: Iterable[Path]) -> Iterator[Line]:
    """Every line of the files, in their order. A last line that was cut off by a crash was never offered: it is left out."""
    decoder = msgspec.json.Decoder(Line)
    for path in files:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield decoder.decode(line)
