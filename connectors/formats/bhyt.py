"""Health-insurance files of hospitals (QĐ 130, 4750, 3176): check-ins, and the totals of a visit (XML1) in their envelopes."""

import base64
import binascii
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from xml.sax.saxutils import escape

from connectors.formats import Arrival, times, xml
from connectors.formats.xml import Node
from streams.departments.visit import Visit
from streams.errors import Reject

MAX_BYTES = 16 * 1024 * 1024  # an envelope holds all 15 files of many visits, in base64

_HOSPITAL = re.compile(r"\d{5}", re.ASCII)
_KIND = re.compile(r"\d{1,2}", re.ASCII)
_OTHERS = re.compile(r"XML([2-9]|1[0-5])", re.ASCII | re.IGNORECASE)  # LOAIHOSO: medicines, services, referrals, .. of a visit
_DETAIL = re.compile(r"CHI_TIET_|(?:CHI_TIEU_)?DU_LIEU_|HO_SO_BENH_AN_", re.ASCII)  # records of those files, where they come by themselves
_TOTALS = ("T_TONGCHI_BV", "T_TONGCHI", "T_BNTT", "T_BHTT")  # what no check-in has


class _Piece(NamedTuple):
    """One record in its wrapping. content: NOIDUNGFILE as text (base64 or XML), or the record itself. unit, filed: MACSKCB, NGAYLAP."""

    content: str | Node
    unit: str = ""
    filed: str = ""


def split(raw: bytes) -> list[bytes]:
    """An envelope for each record, the other files of a visit left out; anything else is one record."""
    try:
        pieces = [*_pieces(xml.read(raw, MAX_BYTES))]
    except Reject:
        return [raw]
    return [raw] if len(pieces) < 2 else [_written(piece).encode() for piece in pieces]


def parse(raw: bytes, arrival: Arrival) -> list[Visit]:
    """The visits of a check-in file or an envelope; none where there are other files only. Times are GMT+7. Names, numbers and diagnoses are
    not read; the signature (CHUKYDONVI) is not either.

    Raises Reject: the causes of `xml.read`, `base64`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    root = xml.read(raw, MAX_BYTES)
    pieces = [*_pieces(root)]
    if not pieces and root.name != "GIAMDINHHS" and not any(_DETAIL.match(node.name) for node in root.walk()):
        raise Reject("field", "the document holds no MA_LK: it is neither a check-in nor an XML1")
    return [_visit(record, piece, arrival) for piece in pieces for record in _records(piece)]


def _pieces(root: Node) -> Iterator[_Piece]:
    unit, filed = root.get("THONGTINDONVI", "MACSKCB"), root.get("THONGTINHOSO", "NGAYLAP")
    stack = [root]
    while stack:
        node = stack.pop()
        if node.name == "FILEHOSO":
            content = node.child("NOIDUNGFILE")
            if content is not None and not _OTHERS.fullmatch(node.get("LOAIHOSO")):
                yield _Piece(content if content.kids else content.text, unit, filed)
        elif _DETAIL.match(node.name) and node.child("MA_LK") is not None:
            continue
        elif node.child("MA_LK") is not None:
            yield _Piece(node, unit, filed)
        else:
            stack.extend(reversed(node.kids))


def _records(piece: _Piece) -> list[Node]:
    """The record in a piece. Raises Reject: `base64`, the causes of `xml.read`."""
    node = piece.content
    if isinstance(node, str):
        if not node:
            raise Reject("missing", "NOIDUNGFILE is empty")
        try:
            node = xml.read(node.encode() if node[:1] == "<" else base64.b64decode("".join(node.split()), validate=True))
        except (binascii.Error, ValueError):
            raise Reject("base64", "NOIDUNGFILE is neither base64 nor XML") from None
    found = [each for each in node.walk() if each.child("MA_LK") is not None]
    if not found:
        raise Reject("missing", "MA_LK is absent")
    return found


def _written(piece: _Piece) -> str:
    content = escape(piece.content) if isinstance(piece.content, str) else _xml(piece.content)
    return (
        f"<GIAMDINHHS><THONGTINDONVI><MACSKCB>{escape(piece.unit)}</MACSKCB></THONGTINDONVI><THONGTINHOSO><NGAYLAP>{escape(piece.filed)}</NGAYLAP>"
        f"<DANHSACHHOSO><HOSO><FILEHOSO><NOIDUNGFILE>{content}</NOIDUNGFILE></FILEHOSO></HOSO></DANHSACHHOSO></THONGTINHOSO></GIAMDINHHS>"
    )


def _xml(node: Node) -> str:
    return f"<{node.name}>{escape(node.text)}{''.join(map(_xml, node.kids))}</{node.name}>"


def _visit(record: Node, piece: _Piece, arrival: Arrival) -> Visit:
    code = record.get("MA_CSKCB") or piece.unit
    if not code:
        raise Reject("missing", "MA_CSKCB is absent")
    link = record.get("MA_LK")
    if not link:
        raise Reject("missing", "MA_LK is empty")
    totals = any(record.child(name) is not None for name in _TOTALS)
    came = _time(record.get("NGAY_VAO"), "NGAY_VAO", arrival)
    if came is None:
        raise Reject("missing", "NGAY_VAO is absent")
    paid, left = _time(record.get("NGAY_TTOAN"), "NGAY_TTOAN", arrival), _time(record.get("NGAY_RA"), "NGAY_RA", arrival)
    card, patient, pseudonyms = record.get("MA_THE_BHYT") or record.get("MA_THE"), record.get("MA_BN"), arrival.pseudonyms
    cost = _sum(record, "T_TONGCHI_BV") if record.child("T_TONGCHI_BV") else _sum(record, "T_TONGCHI")
    kind, filed = record.get("MA_LOAI_KCB"), _time(piece.filed, "NGAYLAP", arrival)
    kind = kind.zfill(2) if _KIND.fullmatch(kind) else "00"
    money = (cost, _sum(record, "T_BNTT", "T_BNCCT"), _sum(record, "T_BHTT"))
    paid = paid if totals else None
    said = (code, link, "totals" if totals else "checkin", kind, came, paid, filed, card, patient, *money)
    content = "|".join("" if each is None else str(each) for each in said)
    return Visit(
        id=pseudonyms("record", content),
        body=pseudonyms.body(content.encode()),
        source=arrival.source,
        event_time_us=next(us for us in (paid, left, came) if us is not None) if totals else came,
        known_at_us=arrival.known_at_us,
        kind=kind,
        unit=arrival.units.get(code) or (code if _HOSPITAL.fullmatch(code) else None),
        visit=pseudonyms("visit", f"{code}|{link}"),
        settlement=pseudonyms("settlement", f"{code}|{link}"),
        record="totals" if totals else "checkin",
        arrived_at_us=came,
        patient=pseudonyms("card", card) if card else pseudonyms("patient", f"{code}|{patient}") if patient else None,
        settled_at_us=paid,
        filed_at_us=filed,
        insured=bool(card),
        cost_vnd=money[0],
        patient_vnd=money[1],
        insurance_vnd=money[2],
    )


def _time(written: str, name: str, arrival: Arrival) -> int | None:
    if not written:
        return None
    us = times.hospital(written)
    if us is None:
        raise Reject("time", f"{name} is not a time written yyyymmddHHMM")
    return times.in_range(us, arrival.known_at_us, name)


def _sum(record: Node, *names: str) -> int:
    """Whole đồng of these amounts together, absent ones as 0. Raises Reject `number`."""
    amount = sum((xml.number(record, name) or Decimal() for name in names), Decimal())
    if amount < 0:
        raise Reject("number", f"{names[0]} is less than 0")
    return xml.dong(amount, names[0])
