"""HDon: the invoices that sellers write, as XML fragments and as lines for the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from deploy.simulators import people
from deploy.simulators.clock import day_text, stamp, vietnam_day
from deploy.simulators.sellers import Seller, mst

RATES = ("8%", "10%", "5%", "0%", "KCT", "KKKNT", "KHAC:05.26%")
RATE_WEIGHTS = (50, 30, 8, 3, 4, 4, 1)
NO_RATE, FRACTION, WRONG_SUM = 0.15, 0.004, 0.004
PERCENT = {"8%": 8.0, "10%": 10.0, "5%": 5.0, "KHAC:05.26%": 5.26}
WARES = (
    "Xi măng PCB40",
    "Thuốc tân dược",
    "Cước vận chuyển",
    "Dịch vụ ăn uống",
    "Áo sơ mi nam",
    "Nem chua Thanh Hóa",
    "Máy bơm nước",
    "Tiền phòng nghỉ",
)
TABS = "\n\t\t\t\t\t"


@dataclass(frozen=True)
class Key:
    """An invoice's identity within its seller: KHMSHDon, KHHDon, SHDon."""

    form: str
    series: str
    number: int

    def listed(self) -> list[str]:
        """As the truth names it."""
        return [self.form, self.series, str(self.number)]


@dataclass(frozen=True)
class Money:
    """Totals as printed. net, tax None: a form that shows none; total None: no TToan at all."""

    total: str | None
    tax: str | None
    currency: str = "VND"
    rate: str | None = None
    lines: str = ""
    totals: str = ""
    net: str | None = None


@dataclass(frozen=True)
class Link:
    """TTHDLQuan: this invoice replaces (1), adjusts (2) or replaces many (3) others. `table`: SBKCLQuan."""

    kind: str
    old: tuple[Key, ...]
    old_day: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice. head: `<HDon>` up to the end of DLHDon. signed_us None: a cash register's, which its package signs."""

    seller: Seller
    key: Key
    day: int
    head: bytes
    signed_us: int | None
    code: str
    truth: Mapping[str, object]

    def plain(self) -> tuple[bytes, ...]:
        """The document as the seller sends it, in parts. \\1 .. \\3 stand for the constant parts of a signature."""
        code = f'<MCCQT Id="m{self.key.number}">{self.code}</MCCQT>' if self.code else ""
        return self.head, f"{code}<DSCKS>{self._signature()}</DSCKS></HDon>".encode()

    def coded(self, code: str, coded_us: int) -> tuple[bytes, ...]:
        """The document as the tax office gives it back, in parts."""
        mark = f'<MCCQT Id="m{self.key.number}">{code}</MCCQT>'
        signed = f"<CQT>\1CỤC THUẾ\2{stamp(coded_us)}\3</CQT>"
        return self.head, f"{mark}<DSCKS>{self._signature()}{signed}</DSCKS></HDon>".encode()

    def _signature(self) -> str:
        if self.signed_us is None:
            return "<NBan></NBan>"
        return f"<NBan>\1{self.seller.name}\2{stamp(self.signed_us)}\3</NBan>"


@dataclass
class Desk:
    """Writes invoices: numbers them by seller and series, and makes up what stands in them. `run_us` keeps the series of two runs apart."""

    random: Random
    run_us: int
    _numbers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _buyers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._buyers = [_buyer(self.random) for _ in range(400)]
        seconds = self.run_us // 1_000_000
        self._first = seconds % 86_400 * 1_000 + 1
        day = seconds // 86_400 % 676
        self._letters = chr(65 + day // 26) + chr(65 + day % 26)

    def write(self, seller: Seller, signed_us: int, form: str, link: Link | None = None, money: Money | None = None) -> Invoice:
        """A new invoice. Its NLap is the day it is signed, once in a while the day before."""
        random = self.random
        day = vietnam_day(signed_us) - (random.random() < 0.03)
        key = self._key(seller, form, day)
        paid = money or self._money(form)
        at_till = seller.way == "till"
        code = f"M{form}-{day_text(day)[2:4]}-{seller.mst[2:7]}-{key.number:011d}" if at_till else ""
        return Invoice(
            seller,
            key,
            day,
            self._head(seller, key, day, link, paid).encode(),
            None if at_till else signed_us,
            code,
            _told(seller, key, day, link, paid),
        )

    def form(self, way: str) -> str:
        """KHMSHDon for a seller of that way."""
        if way == "till":
            return "2" if self.random.random() < 0.6 else "1"
        return self.random.choices("127685", (70, 20, 4, 3, 2, 1))[0]

    def _key(self, seller: Seller, form: str, day: int) -> Key:
        kind = "M" if seller.way == "till" else {"6": "N", "7": "X", "5": "G"}.get(form, "T")
        series = f"{'K' if seller.way in ('plain', 'direct') else 'C'}{day_text(day)[2:4]}{kind}{self._letters}"
        at = (seller.mst, form, series)
        number = self._numbers[at] = self._numbers.get(at, self._first) + 1
        return Key(form, series, number)

    def _money(self, form: str) -> Money:
        random = self.random
        if form == "6":
            return Money(None, None)
        foreign = form == "1" and random.random() < 0.03
        net, lines = 0.0, []
        for place in range(random.randint(1, 3)):
            amount = round(random.lognormvariate(5.2, 1.0), 2) if foreign else 1000.0 * (1 + int(random.lognormvariate(6.0, 1.4)))
            net += amount
            lines.append(_line(place + 1, random.choice(WARES), f"{amount:.2f}" if foreign else f"{amount:.0f}"))
        vat = random.choices(RATES, RATE_WEIGHTS)[0]
        tax = round(net * PERCENT.get(vat, 0.0) / 100, 2 if foreign else 0)
        digits = random.choices(("{:.0f}", "{:.6f}", "{:.1f}"), (90, 7, 3))[0] if not foreign else "{:.2f}"
        goods = "".join(lines).replace("@", vat)
        currency, rate = (
            ("USD", f"{random.randint(25_300, 26_400)}.00") if foreign else ("VND", random.choice((None, None, None, "1", "1.00")))
        )
        if form != "1":
            return Money(digits.format(net), None, currency, rate, goods, _short(digits.format(net)))
        total = digits.format(net + tax)
        if foreign and random.random() < NO_RATE:
            rate = None
        elif (draw := random.random()) < WRONG_SUM:
            total = digits.format(net + tax + 5000)
        elif not foreign and draw < WRONG_SUM + FRACTION:
            total = f"{net + tax:.0f}.50"
        shown = digits.format(net), digits.format(tax)
        return Money(total, shown[1], currency, rate, goods, _full(*shown, total, vat), shown[0])

    def plain(self) -> Money:
        """Totals in đồng as a table of invoices has them, at times of parts that do not come to them."""
        random = self.random
        net = 1000 * random.randint(20, 90_000)
        tax = net * 8 // 100
        total = net + tax + (5000 if random.random() < WRONG_SUM else 0)
        shown = str(net), str(tax), str(total)
        return Money(
            shown[2], shown[1], lines=_line(1, random.choice(WARES), shown[0]).replace("@", "8%"), totals=_full(*shown, "8%"), net=shown[0]
        )

    def adjusting(self) -> Money:
        """The signed totals of an invoice that adjusts another; once in a while it changes no money and has no TToan at all."""
        random = self.random
        if random.random() < 0.15:
            return Money(None, None)
        net = random.choice((-1, -1, 1)) * 1000 * random.randint(1, 5_000)
        tax = net // 10
        return Money(
            str(net + tax),
            str(tax),
            "VND",
            None,
            _line(1, "Điều chỉnh đơn giá", str(net)).replace("@", "10%"),
            _full(str(net), str(tax), str(net + tax), "10%"),
            str(net),
        )

    def _head(self, seller: Seller, key: Key, day: int, link: Link | None, money: Money) -> str:
        random = self.random
        before, after = (TABS, TABS[:-1]) if random.random() < 0.05 else ("", "")
        number = f"{key.number:08d}" if random.random() < 0.1 else str(key.number)
        rate = f"<TGia>{money.rate}</TGia>" if money.rate else ""
        inner = random.choices(("2.1.0", "2.0.1", "2.0.0"), (60, 35, 5))[0]
        goods = f"<DSHHDVu>{money.lines}</DSHHDVu><TToan>{money.totals}</TToan>" if money.total is not None else ""
        if before and money.total is not None:
            goods = goods.replace("<TgTTTBSo>", f"<TgTTTBSo>{before}").replace("</TgTTTBSo>", f"{after}</TgTTTBSo>")
        return (
            f'<HDon><DLHDon Id="d{key.number}"><TTChung><PBan>{inner}</PBan><THDon>Hóa đơn</THDon><KHMSHDon>{before}{key.form}{after}</KHMSHDon>'
            f"<KHHDon>{before}{key.series}{after}</KHHDon><SHDon>{before}{number}{after}</SHDon><NLap>{before}{day_text(day)}{after}</NLap>"
            f"<DVTTe>{money.currency}</DVTTe>{rate}<HTTToan>TM/CK</HTTToan><MSTTCGP>0100000001</MSTTCGP>{_related(link)}</TTChung>"
            f"<NDHDon><NBan><Ten>{seller.name}</Ten><MST>{before}{seller.mst}{after}</MST><DChi>{seller.address}, Thanh Hóa</DChi></NBan>"
            f"{random.choice(self._buyers)}{goods}</NDHDon></DLHDon>"
        )


def _told(seller: Seller, key: Key, day: int, link: Link | None, money: Money) -> dict[str, object]:
    told: dict[str, object] = {
        "MST": seller.mst,
        "KHMSHDon": key.form,
        "KHHDon": key.series,
        "SHDon": str(key.number),
        "NLap": day_text(day),
        "DVTTe": money.currency,
    }
    for name, value in (("TGia", money.rate), ("TgTTTBSo", money.total), ("TgTCThue", money.net), ("TgTThue", money.tax)):
        if value is not None:
            told[name] = value
    if link is not None:
        told["TCHDon"] = link.kind
        told["CLQuan"] = [] if link.table else [key.listed() for key in link.old]
    return told


def _related(link: Link | None) -> str:
    if link is None:
        return ""
    if link.table:
        return (
            f"<TTHDLQuan><TCHDon>{link.kind}</TCHDon><SBKCLQuan>{link.table}</SBKCLQuan><NBKCLQuan>{link.old_day}</NBKCLQuan></TTHDLQuan>"
        )
    old = link.old[0]
    return (
        f"<TTHDLQuan><TCHDon>{link.kind}</TCHDon><LHDCLQuan>1</LHDCLQuan><KHMSHDCLQuan>{old.form}</KHMSHDCLQuan><KHHDCLQuan>{old.series}</KHHDCLQuan>"
        f"<SHDCLQuan>{old.number}</SHDCLQuan><NLHDCLQuan>{link.old_day}</NLHDCLQuan></TTHDLQuan>"
    )


def _buyer(random: Random) -> str:
    draw = random.random()
    person = people.person(random)
    if draw < 0.2:
        return "<NMua/>"
    if draw < 0.6:
        return f"<NMua><Ten>Công ty CP {person.name}</Ten><MST>{mst(random)}</MST><DChi>{person.address}</DChi></NMua>"
    return (
        f"<NMua><HVTNMHang>{person.name}</HVTNMHang><CCCDan>{person.cccd}</CCCDan><SDThoai>{person.phone}</SDThoai>"
        f"<DCTDTu>khach{person.phone}@example.vn</DCTDTu><DChi>{person.address}</DChi></NMua>"
    )


def _line(place: int, ware: str, amount: str) -> str:
    return (
        f"<HHDVu><TChat>1</TChat><STT>{place}</STT><THHDVu>{ware}</THHDVu><DVTinh>Cái</DVTinh><SLuong>1</SLuong><DGia>{amount}</DGia>"
        f"<ThTien>{amount}</ThTien><TSuat>@</TSuat></HHDVu>"
    )


def _short(total: str) -> str:
    return f"<TgTTTBSo>{total}</TgTTTBSo><TgTTTBChu>Bằng chữ</TgTTTBChu>"


def _full(net: str, tax: str, total: str, vat: str) -> str:
    return (
        f"<THTTLTSuat><LTSuat><TSuat>{vat}</TSuat><ThTien>{net}</ThTien><TThue>{tax}</TThue></LTSuat></THTTLTSuat><TgTCThue>{net}</TgTCThue>"
        f"<TgTThue>{tax}</TgTThue><TTCKTMai>0</TTCKTMai>{_short(total)}"
    )


@lru_cache(maxsize=8)
def certificate(seed: int) -> str:
    """Base64 of made-up bytes, as long as a real X.509 certificate's."""
    return "MII" + "".join(
        Random(f"{seed}/certificate").choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=1_600)
    )


def signature_parts(seed: int) -> Sequence[str]:
    """What \\1, \\2 and \\3 stand for: XMLDSig up to the signer's name, up to SigningTime, and to the end."""
    value = certificate(seed)[3:347]
    begin = (
        '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo><CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
        '<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><Reference URI=""><Transforms>'
        '<Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/></Transforms><DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<DigestValue>{value[:43]}=</DigestValue></Reference></SignedInfo><SignatureValue>{value}</SignatureValue><KeyInfo><X509Data><X509SubjectName>CN="
    )
    middle = (
        f"</X509SubjectName><X509Certificate>{certificate(seed)}</X509Certificate></X509Data></KeyInfo><Object><SignatureProperties>"
        '<SignatureProperty Target="#sig"><SigningTime xmlns="http://example.org/#signatureProperties">'
    )
    return begin, middle, "</SigningTime></SignatureProperty></SignatureProperties></Object></Signature>"
