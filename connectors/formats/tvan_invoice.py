"""Invoices inside T-VAN messages: HDon documents and the rows of summary tables (Decisions 1450/QĐ-TCT and 1271/QĐ-CT)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from lxml import etree
from msgspec import structs

from connectors.formats import Arrival, mst, signatures, times
from connectors.formats.xml import Node, dong, number
from streams.departments.einvoice import Invoice, Signature
from streams.errors import Reject
from streams.event import day_start_us

_FORM = re.compile(r"\d{1,2}(?:[A-Z]{2,4}\d?)?(?:/\d{3})?", re.ASCII)
_SERIES = re.compile(r"[A-Z0-9]{1,4}/?\d{2}[A-Z]{1,3}", re.ASCII)
OWN, RELATED = ("KHMSHDon", "KHHDon", "SHDon"), ("KHMSHDCLQuan", "KHHDCLQuan", "SHDCLQuan")
STATES = ("", "0", "1", "2", "3", "4", "5", "6")
"""TCTBao and TThai: new, cancel, adjust, replace, explain, error of a summary, notice."""
_DONG_NAMES = {"", "VND", "VNĐ", "ĐỒNG", "DONG"}
_REPLACES, _ADJUSTS = ("1", "3"), ("2", "4")
_CODE = re.compile(r"[0-9A-Za-z]{34}|M\d-\d\d-[0-9A-Za-z]{5}-\d{11}", re.ASCII)  # 23 characters from a cash register (Decision 1271)
_SHORT_CODE = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True)
class Package:
    """What the message around an invoice says.

    version, mst, stated: PBan, MST and SLuong of TTChung. signed_at_us: CKSNNT of a 206. lists: the BKe of a 208 or 210. elements: what lxml has
    of a node, by its id(), where signatures are looked at; signature: what is known of CKSNNT. unknown, flags: collected on the way.
    """

    arrival: Arrival
    kind: str
    version: str = ""
    mst: str = ""
    stated: str = ""
    signed_at_us: int | None = None
    lists: tuple[Node, ...] = ()
    elements: Mapping[int, etree._Element] = field(default_factory=dict, repr=False)
    signature: Signature | None = None
    unknown: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)

    def note(self, tag: str, value: str) -> None:
        """Remember a code that no list has: with its value when that is a short number, for nothing personal has five digits."""
        self.unknown.add(f"{tag}={value}" if _SHORT_CODE.fullmatch(value) else tag)

    def count(self, found: int) -> None:
        """Flags `count` when SLuong says another number than was found."""
        if self.stated.isascii() and self.stated.isdecimal() and self.stated.lstrip("0") != str(found).lstrip("0"):
            self.flags.add("count")

    def looked_at(self, node: Node, part: str, *places: str) -> Signature | None:
        """What is known of the signatures at these places below a node over its child `part`; None where they are not looked at."""
        authorities, element = self.arrival.authorities, self.elements.get(id(node))
        if authorities is None or element is None:
            return None
        return signatures.looked_at(element, part, places, authorities, self.arrival.known_at_us)


def seller(arrival: Arrival, *codes: str) -> str:
    """The pseudonym of the first tax code (or MDVQHNSach) that is there. Raises Reject `seller_missing`."""
    for code in codes:
        spelt = mst.normal(code)
        if spelt:
            return arrival.pseudonyms("mst", spelt)
    raise Reject("seller_missing", "neither the seller (NBan/MST or MDVQHNSach) nor the envelope (TTChung/MST) carries a tax code")


def key(arrival: Arrival, seller: str, form: str, series: str, serial: str) -> str:
    """The identity of an invoice: seller, KHMSHDon, KHHDon and SHDon, which is compared as a number (`0000012` is `12`)."""
    if serial.isascii() and serial.isdecimal():
        serial = serial.lstrip("0") or "0"
    return arrival.pseudonyms("invoice", f"{seller}|{form}|{series}|{serial}")


def named(arrival: Arrival, seller: str, row: Node, tags: tuple[str, str, str] = OWN) -> str | None:
    """The key of the invoice that a row names (with `RELATED`: the one it refers to), None when a part of it is absent."""
    form, series, serial = map(row.get, tags)
    return key(arrival, seller, form, series, serial) if form and series and serial else None


def signing_time(holder: Node | None) -> tuple[int | None, bool]:
    """(SigningTime of the signature in `holder`, whether there is one that cannot be read)."""
    if holder is None:
        return None, False
    found = holder.child("Signature", "Object", "SignatureProperties", "SignatureProperty", "SigningTime")
    if found is None:
        found = next((node for node in holder.walk() if node.name == "SigningTime" and node.text), None)
    if found is None or not found.text:
        return None, False
    at = times.instant(found.text)
    return at, at is None


def document(hdon: Node, package: Package) -> Invoice:
    """The invoice of one HDon. Raises Reject: `missing`, `seller_missing`, `number`, `time`, `time_out_of_range`."""
    arrival, flags = package.arrival, set[str]()
    head = hdon.child("DLHDon", "TTChung") or Node("TTChung", "")
    party = hdon.child("DLHDon", "NDHDon", "NBan") or Node("NBan", "")
    by = seller(arrival, party.get("MST"), party.get("MDVQHNSach"), package.mst)
    form, series, serial = (_required(head, tag) for tag in OWN)
    own = key(arrival, by, form, series, serial)
    code = hdon.get("MCCQT")
    if code and not _CODE.fullmatch(code):
        flags.add("code")
    if hdon.get("DLQRCode"):  # its checksum is a constant in nearly all real ones, so it says nothing
        flags.add("crc_unchecked")
    signed_at_us, unreadable = signing_time(hdon.child("DSCKS", "NBan"))
    coded_at_us, unreadable_too = signing_time(hdon.child("DSCKS", "CQT")) if code else (None, False)
    if unreadable or unreadable_too:
        flags.add("signing_time")
    replaces, adjusts = _related(head, by, package)
    value_vnd, tax_vnd = _money(head, hdon.child("DLHDon", "NDHDon", "TToan"), flags)
    return Invoice(
        key=own,
        seller=by,
        form=_coded(form, _FORM, "form", flags),
        series=_coded(series, _SERIES, "series", flags),
        day=_day(head, arrival),
        value_vnd=value_vnd,
        tax_vnd=tax_vnd,
        signed_at_us=_checked(signed_at_us or package.signed_at_us, arrival),
        coded_at_us=_checked(coded_at_us, arrival),
        accepted=package.kind == "202" or bool(code and _signed(hdon.child("DSCKS", "CQT", "Signature"))),
        replaces=tuple(name for name in replaces if name != own),
        adjusts=tuple(name for name in adjusts if name != own),
        seller_kind=_seller_kind(party, package, flags),
        signature=_signature(hdon, package),
        flags=tuple(sorted(flags)),
    )


def _seller_kind(party: Node, package: Package, flags: set[str]) -> str:
    """What the seller's code says it is. A wrong check digit is flagged."""
    code = mst.normal(party.get("MST"))
    if code and not mst.plausible(code):
        flags.add("mst_check")
    return mst.kind(code or mst.normal(party.get("MDVQHNSach")) or mst.normal(package.mst))


def _signature(hdon: Node, package: Package) -> Signature | None:
    """What is known of the seller's and the tax office's signatures; of an invoice without any, of the package's."""
    found = package.looked_at(hdon, "DLHDon", "DSCKS/NBan", "DSCKS/CQT")
    return package.signature if found == "unsigned" and package.signature else found


def table_rows(around: Node, package: Package) -> list[Invoice]:
    """The uncoded invoices of one BTHDLieu (400): its rows with a full key. Petrol totals have none; TThai 1 (cancel) and 4 (explain)
    speak of an invoice that is elsewhere."""
    table = around.child("DLBTHop") or Node("DLBTHop", "")
    head = table.child("TTChung") or Node("TTChung", "")
    rows = (table.child("NDBTHDLieu", "DSDLieu") or Node("DSDLieu", "")).all("DLieu")
    for row in rows:
        if row.get("TThai") not in STATES:
            package.note("TThai", row.get("TThai"))
    signature = package.looked_at(around, "DLBTHop", "DSCKS/NNT")
    kind = mst.kind(next((code for tag in ("MST", "MDVQHNSach") if (code := mst.normal(head.get(tag)))), mst.normal(package.mst)))
    return [
        structs.replace(_row(row, head, package), signature=signature, seller_kind=kind)
        for row in rows
        if all(map(row.get, OWN)) and row.get("TThai") not in ("1", "4")
    ]


def _row(row: Node, head: Node, package: Package) -> Invoice:
    """One row: TTCThue is the amount before tax here, TgTThue the tax, TgTTToan the total."""
    arrival, flags = package.arrival, set[str]()
    by = seller(arrival, head.get("MST"), head.get("MDVQHNSach"), package.mst)
    form, series, serial = map(row.get, OWN)
    other = named(arrival, by, row, RELATED)
    net, tax, total = (number(row, tag) for tag in ("TTCThue", "TgTThue", "TgTTToan"))
    if total is None:
        flags.add("total_missing")
    if net is not None and total is not None and abs(net + (tax or 0) - total) > 1:
        flags.add("sum")
    return Invoice(
        key=key(arrival, by, form, series, serial),
        seller=by,
        form=_coded(form, _FORM, "form", flags),
        series=_coded(series, _SERIES, "series", flags),
        day=_day(row if row.get("NLap") else head, arrival),
        value_vnd=dong(total, "TgTTToan"),
        tax_vnd=dong(tax, "TgTThue"),
        replaces=(other,) if other and row.get("TThai") == "3" else (),
        adjusts=(other,) if other and row.get("TThai") == "2" else (),
        flags=tuple(sorted(flags)),
    )


def _required(head: Node, tag: str) -> str:
    text = head.get(tag)
    if not text:
        raise Reject("missing", f"the invoice has no {tag}")
    return text


def _coded(text: str, pattern: re.Pattern[str], flag: str, flags: set[str]) -> str:
    """The text when it is written as such codes are; anything else could be a person's name in the wrong tag, so it stays outside."""
    if pattern.fullmatch(text):
        return text
    flags.add(flag)
    return "other"


def _day(head: Node, arrival: Arrival) -> int:
    found = times.day(head.get("TDLap") or _required(head, "NLap"))  # TDLap: what drafts of 2.0.0 called it
    if found is None:
        raise Reject("time", "NLap is not a date written YYYY-MM-DD")
    times.in_range(day_start_us(found), arrival.known_at_us, "NLap")
    return found


def _checked(us: int | None, arrival: Arrival) -> int | None:
    return None if us is None else times.in_range(us, arrival.known_at_us, "SigningTime")


def _signed(signature: Node | None) -> bool:
    return signature is not None and bool(signature.kids or signature.text)


def _related(head: Node, by: str, package: Package) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys of the invoices that this one (replaces, adjusts): named singly in TTHDLQuan, or many in a BKe."""
    replaces: list[str] = []
    adjusts: list[str] = []
    for relation in head.all("TTHDLQuan"):
        nature = relation.get("TCHDon")
        if nature not in _REPLACES + _ADJUSTS:
            if nature:
                package.note("TCHDon", nature)
            continue
        single = named(package.arrival, by, relation, RELATED)
        keys = [single] if single else _listed(relation.get("SBKCLQuan"), by, package)
        (replaces if nature in _REPLACES else adjusts).extend(keys)
    return tuple(dict.fromkeys(replaces)), tuple(dict.fromkeys(adjusts))


def _listed(number_of_list: str, by: str, package: Package) -> list[str]:
    """Keys in the BKe of that number (SBKe), or in all when none carries it."""
    fitting = [bke for bke in package.lists if number_of_list and bke.get("NDBKe", "TTChung", "SBKe") == number_of_list]
    keys = []
    for bke in fitting or package.lists:
        rows = bke.child("NDBKe", "DSHHDVu")
        for row in rows.all("HHDVu") if rows else ():
            found = named(package.arrival, by, row.child("TTTDChinh") or row)
            if found:
                keys.append(found)
    return keys


def _money(head: Node, totals: Node | None, flags: set[str]) -> tuple[int, int]:
    """(TgTTTBSo, TgTThue) in đồng: foreign money times TGia; no TToan is 0 (an adjustment that changes no money)."""
    if totals is None:
        return 0, 0
    value, tax = number(totals, "TgTTTBSo"), number(totals, "TgTThue")
    _check_sum(totals, value, tax, flags)
    if "," in totals.get("TgTTTBSo") + totals.get("TgTThue"):
        flags.add("comma")
    rate = Decimal(1)
    if head.get("DVTTe").upper() in _DONG_NAMES:
        if value is not None and value % 1:
            flags.add("fraction")
    else:
        rate = number(head, "TGia") or Decimal(0)
        if not rate:
            flags.add("rate_missing")
            rate = Decimal(1)
    return dong(value and value * rate, "TgTTTBSo"), dong(tax and tax * rate, "TgTThue")


def _check_sum(totals: Node, value: Decimal | None, tax: Decimal | None, flags: set[str]) -> None:
    """Flags `sum` when TgTCThue + TgTThue - TTCKTMai + fees is more than one unit of money away from TgTTTBSo, with the reductions of 2.1.0
    (TGTKCThue, TGTKhac) taken off or not."""
    net = number(totals, "TgTCThue")
    if value is None:
        flags.add("total_missing")
    if value is None or net is None:
        return
    fees = totals.child("DSLPhi")
    total = net + (tax or 0) - (number(totals, "TTCKTMai") or 0)
    total += sum((number(fee, "TPhi") or Decimal(0) for fee in fees.all("LPhi")), Decimal(0)) if fees else 0
    reduced = total - sum((number(totals, tag) or Decimal(0) for tag in ("TGTKCThue", "TGTKhac")), Decimal(0))
    if abs(total - value) > 1 and abs(reduced - value) > 1:
        flags.add("sum")
