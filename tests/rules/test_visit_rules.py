"""The testable rules of hospital visits (halves of 7, 12 and 13), each by its name."""

from dataclasses import replace
from datetime import UTC, datetime

from connectors.formats import Arrival, load
from streams.departments.visit import Visit
from streams.event import encode, micros, vietnam_day
from streams.pseudonym import Pseudonyms

HEALTH, PAYMENT = Pseudonyms(bytes(range(32))), Pseudonyms(bytes(range(1, 33)))
ARRIVAL = Arrival("hospitals", micros(datetime(2026, 11, 22, 1, tzinfo=UTC)), HEALTH)
CANARIES = ("NGUYỄN THỊ CANARY", "001087123456", "0912345678", "GD4010123456789", "BN-CANARY", "LK-CANARY", "J00")


def record(came: str = "202611200730", born: str = "198700000000", paid: str = "") -> bytes:
    return (
        f"<TONG_HOP><MA_LK>LK-CANARY</MA_LK><MA_BN>BN-CANARY</MA_BN><HO_TEN>NGUYỄN THỊ CANARY</HO_TEN><SO_CCCD>001087123456</SO_CCCD><NGAY_SINH>{born}</NGAY_SINH>"
        f"<DIEN_THOAI>0912345678</DIEN_THOAI><MA_THE_BHYT>GD4010123456789</MA_THE_BHYT><MA_BENH_CHINH>J00</MA_BENH_CHINH><NGAY_VAO>{came}</NGAY_VAO>"
        f"<NGAY_TTOAN>{paid}</NGAY_TTOAN><T_BNTT>1000</T_BNTT><MA_CSKCB>38001</MA_CSKCB></TONG_HOP>"
    ).encode()


def one(raw: bytes, arrival: Arrival = ARRIVAL) -> Visit:
    (event,) = load("bhyt").parse(raw, arrival)
    assert isinstance(event, Visit)
    return event


def test_rule_07_bhyt_times_are_vietnamese_and_a_birth_of_0000_does_not_matter() -> None:
    assert one(record()).arrived_at_us == micros(datetime(2026, 11, 20, 0, 30, tzinfo=UTC))
    for born in ("198700000000", "198702030000", "", "không rõ"):
        assert one(record(born=born)).id == one(record()).id


def test_rule_07_ngay_ttoan_is_empty_until_the_patient_pays_and_the_file_is_sent_again() -> None:
    before, after = one(record()), one(record(paid="202611201100"))
    assert (before.settled_at_us, after.settled_at_us) == (None, micros(datetime(2026, 11, 20, 4, tzinfo=UTC)))
    assert before.settlement == after.settlement
    assert before.id != after.id


def test_rule_07_a_day_begins_at_vietnamese_midnight() -> None:
    assert vietnam_day(one(record(came="202611200000")).arrived_at_us) == vietnam_day(one(record(came="202611202359")).arrived_at_us)
    assert vietnam_day(one(record(came="202611192359")).arrived_at_us) + 1 == vietnam_day(one(record(came="202611200000")).arrived_at_us)


def test_rule_12_no_name_number_or_diagnosis_of_a_patient_gets_past_the_parser() -> None:
    out = encode(one(record())).decode()
    assert [canary for canary in CANARIES if canary in out] == []


def test_rule_13_the_same_person_through_bhyt_and_through_ipn_has_different_pseudonyms() -> None:
    card = "GD4010123456789"
    assert one(record()).patient == HEALTH("card", card)
    assert one(record()).patient != one(record(), replace(ARRIVAL, pseudonyms=PAYMENT)).patient
    assert len({domain(what, card) for domain in (HEALTH, PAYMENT) for what in ("card", "transaction")}) == 4
