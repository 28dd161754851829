"""Visits of hospitals: who came, what it cost, when it was paid, as files of health insurance, and what goes wrong with them."""

import base64
from dataclasses import dataclass, field
from random import Random
from xml.sax.saxutils import escape

from deploy.simulators import hospitals, people
from deploy.simulators.clock import MINUTE_US, SECOND_US, VIETNAM_US, digits
from deploy.simulators.faults import Faults, lag_us

KINDS, KIND_WEIGHTS = ("01", "02", "03", "07"), (70, 8, 18, 4)
NEVER_CHECKED_IN, NO_CARD, FREE, FILED_UNPAID, PLAIN = 0.04, 0.1, 0.2, 0.7, 0.1


@dataclass(slots=True)
class Record:
    """One file of one visit. twist: `""`, `again` or `cut`. told: its line for the truth; None once that is written."""

    key: str
    body: bytes
    twist: str
    told: dict[str, object] | None = field(default=None)


@dataclass(frozen=True)
class Stay:
    """One visit. came_us, paid_us: whole minutes."""

    link: str
    hospital: str
    kind: str
    patient: people.Person
    card: str
    came_us: int
    paid_us: int
    own: int
    shared: int
    insurance: int


class Visits:
    """`make(begin_us)` gives the files of one visit for a `Schedule`."""

    def __init__(self, seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/visits/{run_us}")
        self._faults = faults
        self._prefix = run_us // SECOND_US
        self._count = 0
        self._patients = people.crowd(self._random, 500)

    def make(self, begin_us: int) -> list[tuple[int, Record]]:
        """The check-in, the totals before and after the payment, and their repeats and cut copies, each with the moment at which it is sent."""
        random = self._random
        stay = self._stay(begin_us)
        out: list[tuple[int, Record]] = []
        if random.random() >= NEVER_CHECKED_IN:
            out += self._with_faults(begin_us, _checkin(stay))
        if random.random() < FILED_UNPAID:
            out += self._with_faults(
                begin_us + int(random.uniform(2, 8) * SECOND_US), _totals(stay, False, begin_us, random.random() < PLAIN)
            )
        out += self._with_faults(begin_us + int(random.uniform(9, 20) * SECOND_US), _totals(stay, True, begin_us, random.random() < PLAIN))
        return out

    def _stay(self, begin_us: int) -> Stay:
        random = self._random
        self._count += 1
        lag = lag_us(random) if random.random() < self._faults.late else 0
        paid_us = (begin_us - lag) // MINUTE_US * MINUTE_US
        patient = random.choice(self._patients)
        own, shared = (0, 0) if random.random() < FREE else (1000 * int(random.lognormvariate(8.2, 0.8)), random.randrange(0, 200_000))
        return Stay(
            link=f"{self._prefix}{self._count:07d}",
            hospital=random.choices(hospitals.CODES, cum_weights=hospitals.BUSY)[0],
            kind=random.choices(KINDS, KIND_WEIGHTS)[0],
            patient=patient,
            card="" if random.random() < NO_CARD else patient.card,
            came_us=paid_us - random.randrange(20, 180) * MINUTE_US,
            paid_us=paid_us,
            own=own,
            shared=shared,
            insurance=random.randrange(50_000, 3_000_000),
        )

    def _with_faults(self, at_us: int, record: Record) -> list[tuple[int, Record]]:
        random, out = self._random, [(at_us, record)]
        if random.random() < self._faults.corrupt:
            told: dict[str, object] = {"what": "corrupt", "system": "hospitals", "key": record.key, "how": "cut"}
            out.append((at_us, Record(record.key, record.body[: -random.randrange(12, 60)], "cut", told)))
        if random.random() < self._faults.again:
            told = {"what": "again", "system": "hospitals", "key": record.key}
            out.append((at_us + int(random.uniform(1, 15) * SECOND_US), Record(record.key, record.body, "again", told)))
        return out


def _minute(us: int) -> str:
    return digits(us + VIETNAM_US)[:12]


def _about(stay: Stay) -> dict[str, object]:
    """What both kinds of file say. A fifth knows the year of birth only."""
    born = stay.patient.born.replace("-", "")
    return {
        "MA_LK": stay.link,
        "STT": 1,
        "MA_BN": f"BN{stay.patient.cccd[-8:]}",
        "HO_TEN": stay.patient.name,
        "SO_CCCD": stay.patient.cccd,
        "NGAY_SINH": f"{born[:4]}00000000" if stay.patient.cccd[-1] in "05" else f"{born}0000",
        "DIA_CHI": stay.patient.address,
        "DIEN_THOAI": stay.patient.phone,
        "MA_THE_BHYT": stay.card,
        "MA_DOITUONG_KCB": "1.1" if stay.card else "9",
        "NGAY_VAO": _minute(stay.came_us),
        "MA_LOAI_KCB": stay.kind,
        "MA_CSKCB": stay.hospital,
    }


def _xml(tag: str, fields: dict[str, object]) -> str:
    return f"<{tag}>" + "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items()) + f"</{tag}>"


def _checkin(stay: Stay) -> Record:
    record = _xml("TRANG_THAI_KCB", _about(stay) | {"MA_DICH_VU": "KB01", "NGAY_YL": _minute(stay.came_us)})
    file = f"<CHI_TIEU_TRANG_THAI_KCB><DSACH_TRANG_THAI_KCB>{record}</DSACH_TRANG_THAI_KCB><CHUKYDONVI/></CHI_TIEU_TRANG_THAI_KCB>"
    return _record(stay, file, {"record": "checkin"})


def _totals(stay: Stay, paid: bool, begin_us: int, plain: bool) -> Record:
    """XML1 in its envelope, base64 as it should be or plain as some send it."""
    said: dict[str, object] = {
        "record": "totals",
        "NGAY_TTOAN": _minute(stay.paid_us) if paid else "",
        "NGAYLAP": digits(begin_us + VIETNAM_US)[:8],
        "T_TONGCHI_BV": stay.own + stay.shared + stay.insurance,
        "T_BNTT": stay.own,
        "T_BNCCT": stay.shared,
        "T_BHTT": stay.insurance,
    }
    inner = _xml(
        "TONG_HOP",
        _about(stay) | {"MA_BENH_CHINH": "J00", "T_NGUONKHAC": "0"} | {n: v for n, v in said.items() if n[0] in "NT" and n != "NGAYLAP"},
    )
    content = inner if plain else base64.b64encode(inner.encode()).decode()
    file = f"<FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{content}</NOIDUNGFILE></FILEHOSO>"
    head = f"<THONGTINDONVI><MACSKCB>{stay.hospital}</MACSKCB></THONGTINDONVI><THONGTINHOSO><NGAYLAP>{said['NGAYLAP']}</NGAYLAP>"
    envelope = f"<GIAMDINHHS>{head}<SOLUONGHOSO>1</SOLUONGHOSO><DANHSACHHOSO><HOSO>{file}</HOSO></DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>"
    return _record(stay, envelope, said)


def _record(stay: Stay, file: str, said: dict[str, object]) -> Record:
    about = {name: _about(stay)[name] for name in ("MA_LK", "MA_CSKCB", "MA_LOAI_KCB", "MA_BN", "MA_THE_BHYT", "NGAY_VAO")}
    key = f"{stay.link}/{said['record']}/{said.get('NGAY_TTOAN', '')}"
    told = {"what": "fact", "system": "hospitals", "key": key} | about | said
    return Record(key, f'<?xml version="1.0" encoding="utf-8"?>{file}'.encode(), "", told)
