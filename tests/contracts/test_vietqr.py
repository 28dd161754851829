"""VietQR: read as it was written, and never with a wrong checksum."""

import binascii
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import load, vietqr
from streams.errors import Reject
from streams.event import micros, moment
from tests.contracts.test_payment_codecs import FILE

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=25).map(str.strip)
AMOUNTS = st.none() | st.integers(0, 10**12)


def field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}" if value else ""


def written(amount: int | None, account: str, bill: str = "", reference: str = "", purpose: str = "") -> str:
    """A payload as NAPAS' guide builds it."""
    to = field("38", field("00", "A000000727") + field("01", field("00", "970437") + field("01", account)) + field("02", "QRIBFTTA"))
    asked = "" if amount is None else field("54", str(amount))
    more = field("62", field("01", bill) + field("05", reference) + field("08", purpose))
    text = f"000201{field('01', '11' if amount is None else '12')}{to}5303704{asked}5802VN{more}6304"
    return f"{text}{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"


@given(amount=AMOUNTS, account=st.from_regex("[0-9A-Z]{4,19}", fullmatch=True), bill=TEXT, reference=TEXT, purpose=TEXT)
def test_a_code_is_read_as_what_it_was_made_of(amount: int | None, account: str, bill: str, reference: str, purpose: str) -> None:
    assert vietqr.read(written(amount, account, bill, reference, purpose)) == vietqr.Code(
        "970437", account, amount, bill, reference, purpose
    )


@given(amount=AMOUNTS, place=st.integers(0, 400), other=st.characters(min_codepoint=33, max_codepoint=126))
def test_rule_06_vietqr_with_a_wrong_crc_is_rejected(amount: int | None, place: int, other: str) -> None:
    good = written(amount, "0123456789", "HD1")
    place %= len(good)
    bad = good[:place] + other + good[place + 1 :]
    if (bad.upper() == good.upper() and place >= len(good) - 4) or bad == good:
        return
    with pytest.raises(Reject) as caught:
        vietqr.read(bad)
    assert caught.value.cause == "crc"


def test_rule_06_the_checksum_is_crc_16_ccitt_false() -> None:
    assert vietqr.checksum("123456789") == "29B1"


@given(text=st.text(max_size=80))
def test_any_text_raises_nothing_but_reject(text: str) -> None:
    for payload in (text, f"{text}6304{vietqr.checksum(text + '6304')}"):
        with pytest.raises(Reject):
            vietqr.read(payload)


def test_a_notice_takes_from_its_code_what_it_does_not_say_itself() -> None:
    item = {"transactionId": "FT1", "status": "00", "paidTime": "20261120020000", "qrCode": written(150_000, "BV+280 & co")}
    (event,) = load("hdbank").parse(json.dumps(item).encode(), FILE)
    assert (event.unit, event.paid_vnd) == ("38280", 150_000)  # type: ignore[attr-defined]  # a payment
    assert event.event_time_us == micros(moment(1_795_140_000_000_000))
    with pytest.raises(Reject) as caught:
        load("hdbank").parse(json.dumps(item | {"qrCode": written(150_000, "1234")[:-1] + "?"}).encode(), FILE)
    assert caught.value.cause == "crc"
