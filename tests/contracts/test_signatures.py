"""Signatures on e-invoices, verified down to an authority that the test makes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from connectors.formats import load
from connectors.intake import intake
from streams import sealing
from streams.departments.einvoice import Einvoice
from streams.errors import Misconfigured
from streams.pseudonym import DOMAINS, Keys, Pseudonyms
from streams.settings import Source
from tests.format_cases import CASES
from tests.xmldsig import Party, authority, sign, signer

ROOT = authority("Gốc Ví Dụ")
ISSUER = authority("CA Ví Dụ", ROOT)
SELLER, OFFICE = signer("Người bán Ví Dụ", ISSUER), signer("Cơ quan thuế Ví Dụ", ISSUER)
STRANGER = signer("Người lạ", authority("CA lạ"))
ARRIVAL = replace(CASES[0].arrival, authorities=ROOT.pem + ISSUER.pem)
TOTALS = "<TToan><TgTCThue>100000</TgTCThue><TgTThue>8000</TgTThue><TgTTTBSo>108000</TgTTTBSo></TToan>"


def hdon(number: int = 7, by: Party = SELLER, office: Party | None = None, **how: Any) -> etree._Element:
    """An invoice signed by itself, as sellers do before it is put into a message."""
    document = etree.fromstring(
        f'<HDon><DLHDon Id="data"><TTChung><KHMSHDon>1</KHMSHDon><KHHDon>C26TAA</KHHDon><SHDon>{number}</SHDon><NLap>2026-11-20</NLap>\n'
        f"<DVTTe>VND</DVTTe></TTChung><NDHDon><NBan><Ten>Cửa hàng  Ví Dụ</Ten><MST>3800000011</MST></NBan><NMua/>{TOTALS}</NDHDon></DLHDon></HDon>"
    )
    sign(document, "DLHDon", "DSCKS/NBan", by, **{"chain": (ISSUER,)} | how)
    if office is not None:
        code = etree.Element("MCCQT", Id="code")
        code.text = "00A1B2C3D4E5F60718293A4B5C6D7E8F90"
        document.insert(1, code)
        sign(document, "DLHDon", "DSCKS/CQT", office, (ISSUER,), "2026-11-20T09:00:07")
    return document


def message(*documents: etree._Element, kind: str = "203", around: str = "", after: str = "") -> bytes:
    inside = b"".join(etree.tostring(each, encoding="utf-8") for each in documents)
    head = f"<TDiep{around}><TTChung><PBan>2.1.0</PBan><MLTDiep>{kind}</MLTDiep><MTDiep>V1</MTDiep><MST>3800000011</MST></TTChung>"
    return f'{head}<DLieu Id="pack">'.encode() + inside + f"</DLieu>{after}</TDiep>".encode()


def said(raw: bytes, authorities: bytes | None = ARRIVAL.authorities) -> list[str | None]:
    (event,) = load("tvan").parse(raw, replace(ARRIVAL, authorities=authorities))
    assert isinstance(event, Einvoice)
    return [invoice.signature for invoice in event.facts.invoices]


def test_the_signing_time_may_stand_in_no_namespace_as_most_sellers_write_it() -> None:
    raw = message(hdon(time_in="", office=OFFICE), kind="202")
    assert b'<SignatureProperties xmlns="">' in raw
    assert said(raw) == ["signed"]
    assert said(raw.replace(b"T09:00:00<", b"T09:00:01<")) == ["invalid"]


@cache
def signed_once() -> bytes:
    return message(hdon(office=OFFICE), kind="202")


def test_nothing_is_said_of_signatures_while_nobody_is_trusted() -> None:
    assert said(signed_once(), None) == [None]


def test_an_invoice_signed_by_seller_and_tax_office_is_signed() -> None:
    assert said(signed_once()) == ["signed"]


def test_the_certificates_between_may_come_with_the_signature_or_with_the_bundle() -> None:
    assert said(message(hdon()), ROOT.pem) == ["signed"]
    assert said(message(hdon(chain=())), ROOT.pem) == ["invalid"]
    assert said(message(hdon(chain=())), ROOT.pem + ISSUER.pem) == ["signed"]


def test_each_invoice_of_a_package_is_looked_at_by_itself_although_their_ids_are_the_same() -> None:
    changed = etree.fromstring(etree.tostring(hdon(8)).replace(b">108000<", b">108001<"))
    bare = hdon(9)
    for element in bare.findall("DSCKS"):
        bare.remove(element)
    assert said(message(hdon(7), changed, bare)) == ["signed", "invalid", "unsigned"]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(lambda: hdon(by=STRANGER, chain=()), id="a stranger's"),
        pytest.param(lambda: hdon(by=Party(STRANGER.key, SELLER.certificate)), id="another key"),
        pytest.param(lambda: hdon(at="2028-06-01T09:00:00"), id="after the certificate"),
        pytest.param(lambda: hdon(at="gần đây"), id="no time"),
        pytest.param(lambda: hdon(leave_out=("part",)), id="over nothing but its time"),
        pytest.param(lambda: hdon(leave_out=("time",)), id="its time left out"),
        pytest.param(lambda: hdon(method=hashes.SHA1), id="SHA-1"),
        pytest.param(lambda: hdon(by=signer("x", SELLER), chain=(SELLER, ISSUER)), id="issued by somebody who is no authority"),
        pytest.param(lambda: hdon(office=STRANGER), id="the tax office's is not right"),
    ],
)
def test_a_signature_that_proves_nothing_is_invalid(document: Any) -> None:
    raw = message(document())
    if b"2028" in raw:  # the invoice itself must not lie ahead
        (event,) = load("tvan").parse(raw, replace(ARRIVAL, known_at_us=1_900_000_000_000_000))
        assert event.facts.invoices[0].signature == "invalid"  # type: ignore[attr-defined]
    else:
        known = {"signing_time"} if "gần đây" in raw.decode() else set()
        (event,) = load("tvan").parse(raw, ARRIVAL)
        assert (event.facts.invoices[0].signature, {*event.facts.invoices[0].flags}) == ("invalid", known)  # type: ignore[attr-defined]


def test_a_certificate_that_ended_since_is_judged_at_the_signing_time() -> None:
    day = datetime(2026, 11, 20, tzinfo=UTC)
    ended = signer("Hết hạn", ISSUER, day - timedelta(days=30), day + timedelta(days=1))
    assert said(message(hdon(by=ended))) == ["signed"]


def test_a_signed_invoice_hidden_beside_another_proves_nothing() -> None:
    document = hdon()
    true = document.find("DLHDon")
    assert true is not None
    false = etree.fromstring(etree.tostring(true).replace(b">108000<", b">908000<").replace(b'Id="data"', b'Id="other"'))
    document.remove(true)
    document.insert(0, false)
    etree.SubElement(document, "TTKhac").append(true)
    assert said(message(document)) == ["invalid"]


def test_namespaces_that_the_message_declares_do_not_matter() -> None:
    around = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    assert said(message(hdon(), around=around)) == ["signed"]
    inside = etree.fromstring(message(hdon(), around=around))  # signed where it lies
    place = inside.find("DLieu/HDon")
    assert place is not None
    for element in place.findall("DSCKS"):
        place.remove(element)
    sign(place, "DLHDon", "DSCKS/NBan", SELLER, (ISSUER,))
    assert said(etree.tostring(inside)) == ["signed"]


def test_the_signature_of_a_cash_registers_package_counts_for_its_invoices() -> None:
    bare = [hdon(1), hdon(2)]
    for document in bare:
        for element in document.findall("DSCKS"):
            document.remove(element)
    package = etree.fromstring(message(*bare, kind="206"))
    sign(package, "DLieu", "CKSNNT", SELLER, (ISSUER,))
    raw = etree.tostring(package)
    assert said(raw) == ["signed", "signed"]
    assert said(raw.replace(b">108000<", b">108001<", 1)) == ["invalid", "invalid"]


def test_a_packages_signature_counts_though_its_invoices_carry_extra_fields_named_as_it_is() -> None:
    document = hdon()
    holder, about = document.find("DSCKS"), document.find("DLHDon/TTChung")
    assert holder is not None
    assert about is not None
    document.remove(holder)
    about.append(etree.fromstring("<TTKhac><TTin><TTruong>Ca</TTruong><KDLieu>string</KDLieu><DLieu>3</DLieu></TTin></TTKhac>"))
    package = etree.fromstring(message(document, kind="206"))
    sign(package, "DLieu", "CKSNNT", SELLER, (ISSUER,))
    raw = etree.tostring(package)
    assert said(raw) == ["signed"]
    assert said(raw.replace(b"<DLieu>3<", b"<DLieu>4<")) == ["invalid"]


def test_a_signature_over_another_element_of_that_name_proves_nothing() -> None:
    document = hdon()
    true = document.find("DLHDon")
    assert true is not None
    for identity in ("other", "data", ""):
        false = etree.fromstring(etree.tostring(true).replace(b">108000<", b">908000<").replace(b'Id="data"', f'Id="{identity}"'.encode()))
        wrapped = etree.fromstring(etree.tostring(document))
        hidden = wrapped.find("DLHDon")
        assert hidden is not None
        wrapped.replace(hidden, false)
        etree.SubElement(wrapped, "TTKhac").append(hidden)
        assert said(message(wrapped)) == ["invalid"], identity


def test_the_signature_of_a_summary_table_counts_for_its_rows() -> None:
    rows = "<DLieu><KHMSHDon>2</KHMSHDon><KHHDon>K26TAA</KHHDon><SHDon>1</SHDon><TgTTToan>5</TgTTToan></DLieu>"
    table = etree.fromstring(
        f'<BTHDLieu><DLBTHop Id="t"><TTChung><NLap>2026-11-20</NLap></TTChung><NDBTHDLieu><DSDLieu>{rows}</DSDLieu></NDBTHDLieu></DLBTHop></BTHDLieu>'
    )
    sign(table, "DLBTHop", "DSCKS/NNT", SELLER, (ISSUER,))
    assert said(message(table, kind="400")) == ["signed"]
    assert said(message(table, kind="400").replace(b">5<", b">6<")) == ["invalid"]


@settings(deadline=None, database=None, max_examples=40)
@given(st.data())
def test_no_changed_byte_of_what_is_signed_goes_unnoticed(data: st.DataObject) -> None:
    raw = signed_once()
    begin, end = raw.index(b"<DLHDon"), raw.index(b"</DLHDon>")
    where = data.draw(st.integers(begin, end - 1))
    changed = bytearray(raw)
    changed[where] ^= 1 << data.draw(st.integers(0, 6))
    try:
        found = said(bytes(changed))
    except Exception as error:
        assert type(error).__name__ == "Reject"  # noqa: PT017  # most changes break the document
        return
    assert found == ["invalid"]


def test_thousands_of_references_cost_nothing() -> None:
    raw = signed_once()
    begin, end = raw.index(b"<Reference "), raw.index(b"</Reference>") + len(b"</Reference>")
    assert said(raw[:begin] + raw[begin:end] * 3000 + raw[end:]) == ["invalid"]


def test_a_source_names_its_bundle_and_the_door_hands_it_on(tmp_path: Path) -> None:
    keys = Keys(dict.fromkeys(DOMAINS, (Pseudonyms(bytes(range(32))),)), sealing.pair()[0])
    bundle = tmp_path / "ca.pem"

    def door() -> Any:
        options = {"authorities": str(bundle)}
        return intake(Source.model_validate({"name": "tax", "department": "einvoice", "connector": "files", "options": options}), keys)

    with pytest.raises(Misconfigured, match="cannot be read"):
        door()
    bundle.write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with pytest.raises(Misconfigured, match="cannot be read"):
        door()
    bundle.write_bytes(ROOT.pem)
    taken = door()
    (sent,) = taken.take(signed_once(), taken.arrival(ARRIVAL.known_at_us))
    assert b'"signature":"signed"' in sent.value
