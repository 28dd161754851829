"""Rule 11 of the field, at every door: what would exhaust or leave the machine is refused with a reason, and quickly."""

import gzip
import time

import pytest

from connectors.formats import FORMATS
from connectors.intake import Intake, intake
from streams import sealing
from streams.pseudonym import DOMAINS, Keys, Pseudonyms
from streams.settings import Source
from tests.format_cases import CASES

KEYS = Keys(dict.fromkeys(DOMAINS, (Pseudonyms(bytes(range(32))),)), sealing.pair()[0])
OWNER = {case.format: case.department for case in CASES}
HOSTILE = {
    "entity expansion": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
    "XXE": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "XXE in UTF-16": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>'.encode("utf-16"),
    "depth of XML": b"<a>" * 100_000 + b"</a>" * 100_000,
    "depth of JSON": b"[" * 100_000 + b"]" * 100_000,
    "zip bomb": gzip.compress(b"<" + b" " * (150 << 20)),
    "size": b"<a>" + b" " * (70 << 20) + b"</a>",
}
AMOUNT = {  # a record of each format, but for its amount
    "tvan": b"<TDiep><TTChung><MLTDiep>200</MLTDiep><MST>3800000011</MST></TTChung><DLieu><HDon><DLHDon><TTChung><KHMSHDon>1</KHMSHDon><KHHDon>C26TAA</KHHDon>"
    b"<SHDon>1</SHDon><NLap>2026-11-10</NLap></TTChung><NDHDon><TToan><TgTTTBSo>%b</TgTTTBSo></TToan></NDHDon></DLHDon></HDon></DLieu></TDiep>",
    "bhyt": b"<X><MA_LK>1</MA_LK><NGAY_VAO>202611100730</NGAY_VAO><MA_CSKCB>38001</MA_CSKCB><T_BNTT>%b</T_BNTT></X>",
    "hdbank": b'{"transactionId": "1", "merchantId": "38001", "status": "00", "paidTime": "20261110020000", "paidAmount": %b}',
    "payos": b'{"code": "00", "data": {"code": "00", "orderCode": 1, "reference": "1", "accountNumber": "1", '
    b'"transactionDateTime": "2026-11-10 09:00:00", "amount": %b}}',
    "sepay": b'{"id": 1, "transferType": "in", "accountNumber": "1", "transactionDate": "2026-11-10 09:00:00", "transferAmount": %b}',
    "telequality": b'{"session": "1", "site": "38001", "measured_at": "2026-11-10T08:00:00+07:00", "in_loss_percent": 0, "in_kbps": %b}',
}
QUICKLY_SECONDS = 3.0


def door(form: str) -> Intake:
    return intake(Source(name="feed", department=OWNER[form], connector="files", format=form), KEYS)


def causes(form: str, raw: bytes) -> list[str | None]:
    own, began = door(form), time.process_time()
    found = [made.cause for part in own.split(raw) for made in own.take(part, own.arrival(1_795_000_000_000_000))]
    assert time.process_time() - began < QUICKLY_SECONDS
    return found


@pytest.mark.parametrize("way", HOSTILE)
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_rule_11_a_bomb_or_a_document_that_reaches_out_is_refused_with_a_reason_at_every_door(form: str, way: str) -> None:
    found = causes(form, HOSTILE[way])
    assert found
    assert {None, "parser_error"}.isdisjoint(found), found


@pytest.mark.parametrize("form", AMOUNT)
def test_rule_11_a_number_of_a_million_digits_is_refused_with_a_reason(form: str) -> None:
    assert causes(form, AMOUNT[form] % b"100") == [None]
    (cause,) = causes(form, AMOUNT[form] % (b"1" * 1_000_000))
    assert cause in ("number", "json_broken", "field", "too_large")
