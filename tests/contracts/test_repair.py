"""Repairs are data: each step on XML, JSON and query strings, what they refuse, and who is never believed."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.connector import Refused
from connectors.intake import intake
from connectors.repair import Repair
from connectors.retry import Retrying
from streams import sealing
from streams.errors import Reject
from streams.event import Rejected, encode
from streams.pseudonym import DOMAINS, Keys, Pseudonyms
from streams.rules.reading import read_as
from streams.settings import Settings, Source
from tests.samples import item, message, signed

SECRET = b"shared"
PUBLIC, PRIVATE = sealing.pair()
KEYS = Keys(dict.fromkeys(DOMAINS, (Pseudonyms(b"k" * 32),)), PUBLIC)
OPENS = sealing.PrivateKeys({PUBLIC.id: PRIVATE})
NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
HEAD = "repair: a-test\nwhy: because\nmatch: {cause: number}\nsteps:\n"


def repair(*steps: str) -> Repair:
    found = read_as(HEAD + "".join(f"  - {step}\n" for step in steps), Repair, "repair")
    assert isinstance(found, Repair), found
    return found


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("strip: {at: b/c, characters: ', đ'}", "<a><b><c>1,000 đ</c></b><c>1,0</c></a>", "<a><b><c>1000</c></b><c>1,0</c></a>"),
        ("strip: {at: b/c, characters: ', đ'}", '{"b":[{"c":"1,000 đ"},{"c":7}],"c":"1,0"}', '{"b":[{"c":"1000"},{"c":7}],"c":"1,0"}'),
        ("strip: {at: c, characters: ','}", "c=1%2C000&d=1%2C0", "c=1000&d=1%2C0"),
        ("strip: {outside: ['<', '>']}", "\x07rubbish <a>x</a> more", "<a>x</a>"),
        ("set: {at: /a/b, to: x}", "<a><b>y</b><c><a><b>z</b></a></c></a>", "<a><b>x</b><c><a><b>z</b></a></c></a>"),
        ("set: {at: b, to: x, absent_only: true}", '{"b":"y"}', '{"b":"y"}'),
        ("set: {at: a/b, to: x}", "<p:a xmlns:p='u'><c/></p:a>", '<p:a xmlns:p="u"><c/><p:b>x</p:b></p:a>'),
        ("set: {at: /b, to: x}", '{"c":{"b":1}}', '{"c":{"b":1},"b":"x"}'),
        ("set: {at: b, to: x}", "a=1", "a=1&b=x"),
        ("map: {at: b, values: {OK: '00'}}", '{"b":"OK","c":{"b":"no"}}', '{"b":"00","c":{"b":"no"}}'),
        ("map: {at: b, values: {OK: '00'}}", "<a><b> OK </b></a>", "<a><b>00</b></a>"),
        ("read_as: {version: 2.1.0}", "<TDiep><TTChung><X/></TTChung></TDiep>", "<TDiep><TTChung><X/><PBan>2.1.0</PBan></TTChung></TDiep>"),
        ("read_as: {encoding: utf-16-le}", "<\0a\0>\0", "<a>"),
        ("read_as: {inside: data}", "data=" + base64.b64encode(b'{"a":1}').decode() + "&sign=x", '{"a":1}'),
        ("map: {at: x, values: {a: b}}", '{"amount":150000.00,"n":12345678901234567890}', '{"amount":150000.00,"n":12345678901234567890}'),
    ],
)  # fmt: skip
def test_a_step_changes_what_it_names_and_nothing_else(step: str, before: str, after: str) -> None:
    assert repair(step).applied(before.encode()).decode() == after


@pytest.mark.parametrize(
    ("step", "record"),
    [
        ("set: {at: a, to: x}", b"no document at all"),
        ("set: {at: a, to: x}", b"\xff\xfe\xfd"),
        ("strip: {outside: ['<', '>']}", b"nothing"),
        ("read_as: {encoding: utf-16}", b"<a>"),
        ("read_as: {inside: data}", b"data=%%%"),
        ("read_as: {inside: data}", b'{"other": 1}'),
        ("set: {at: a, to: x}", b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'),
        ("set: {at: a, to: x}", b"<a>" * 400 + b"</a>"),
        ("set: {at: a, to: x}", b" " * 3_000_000 + b"<a/>"),
    ],
)
def test_a_step_that_cannot_be_done_rejects_and_nothing_else(step: str, record: bytes) -> None:
    with pytest.raises(Reject):
        repair(step).applied(record)


@given(record=st.binary(max_size=300), start=st.sampled_from([b"", b"<", b"{", b"[", b"a="]))
def test_no_bytes_make_a_repair_fail_otherwise_than_by_a_reject(record: bytes, start: bytes) -> None:
    steps = ["set: {at: a, to: x}", "strip: {at: a, characters: x}", "read_as: {inside: a}", "read_as: {encoding: windows-1258}"]
    for step in steps:
        try:
            repair(step).applied(start + record)
        except Reject:
            continue


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "  - {set: {at: a, to: x}, map: {at: a, values: {b: c}}}\n", "one of set, map, strip, read_as"),
        (HEAD + "  - {set: {at: 'a b', to: x}}\n", "pattern"),
        (HEAD + "  - {read_as: {format: nothing}}\n", "there is no format nothing"),
        (HEAD + "  - {strip: {at: a}}\n", "characters"),
        (HEAD.replace("{cause: number}", "{source: feed}") + "  - {set: {at: a, to: x}}\n", "cause or a fingerprint"),
        (HEAD + "  - {sed: {at: a, to: x}}\n", "sed"),
    ],
)
def test_a_repair_that_is_wrong_is_refused_with_its_line(text: str, said: str) -> None:
    found = read_as(text, Repair, "repair")
    assert isinstance(found, list)
    assert said in str(found[0])
    assert found[0].line > 2


def held(source: Source, raw: bytes) -> dict[str, Any]:
    """The record as it lies in quarantine after it came through its source's door."""
    door = intake(source, KEYS)
    (sent,) = door.take(raw, door.arrival(1_795_000_000_000_000))
    assert sent.cause is not None
    rejected = msgspec.json.decode(sent.value, type=Rejected)
    columns = json.loads(encode(rejected))
    return columns | {"known_at": NOW}


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setenv("SHARED", SECRET.decode())
    return Source(name="bank", department="payment", connector="webhook", format="hdbank", credential="env:SHARED")


def notice(content: object, secret: bytes = SECRET) -> bytes:
    data, sign = signed(content, secret)
    return f"data={data.replace('+', '%2B')}&sign={sign}".encode()


def test_a_signed_notice_is_believed_after_its_repair(bank: Source) -> None:
    row = held(bank, notice(item(1) | {"paidAmount": "150,000.00"}))
    assert row["cause"] == "number"
    healing = repair("read_as: {inside: data}", "strip: {at: paidAmount, characters: ','}")
    understood, left = Retrying(Settings(sources=(bank,)), KEYS, OPENS, healing).read([row])
    assert left == {}
    (event,) = [json.loads(message.value) for message in understood[0].messages]
    assert (event["paid_vnd"], event["status"], event["known_at_us"]) == (150_000, "paid", row["known_at"].timestamp() * 1e6)


def test_a_forged_notice_is_never_repaired_nor_retried_however_its_source_is_configured(bank: Source) -> None:
    row = held(bank, notice(item(1), b"forged"))
    assert row["cause"] == "signature"
    opening = repair("read_as: {inside: data}")
    for sources in ((bank,), (), (bank.model_copy(update={"credential": None}),)):
        for healing in (None, opening):
            understood, left = Retrying(Settings(sources=sources), KEYS, OPENS, healing).read([row])
            assert understood == []
            assert left in ({"signature": 1}, {"source_gone": 1})


def test_a_notice_that_was_broken_before_its_check_is_not_believed(bank: Source) -> None:
    row = held(bank, b"data=abc&data=abc&sign=x")
    understood, left = Retrying(Settings(sources=(bank,)), KEYS, OPENS, repair("set: {at: data, to: e30=}")).read([row])
    assert (understood, left) == ([], {"signature": 1})


def test_a_notice_whose_sender_was_proved_by_a_header_is_healed_and_one_that_was_not_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED", SECRET.decode())
    sepay = Source(name="sepay", department="payment", connector="webhook", format="sepay", credential="env:SHARED")
    notice = {
        "id": 92704,
        "transferType": "in",
        "transferAmount": "1,000 đ",
        "accountNumber": "1",
        "transactionDate": "2026-11-20 09:00:00",
    }
    door = intake(sepay, KEYS)
    wrong = door.refuse(Refused(json.dumps(notice).encode(), "number", "transferAmount is no amount"), 1_795_000_000_000_000)
    row = json.loads(wrong.value) | {"known_at": NOW}
    reading = Retrying(Settings(sources=(sepay,)), KEYS, OPENS, repair("strip: {at: transferAmount, characters: ', đ'}"))
    assert [len(each.events) for each in reading.read([row])[0]] == [1]
    assert reading.read([row | {"cause": "signature"}]) == ([], {"signature": 1})


def test_what_no_key_opens_or_was_kept_in_part_stays_held() -> None:
    feed = Source(name="files-einvoice", department="einvoice", connector="files")
    row = held(feed, message(1)[:-100])
    assert Retrying(Settings(), KEYS, sealing.PrivateKeys({})).read([row])[1] == {"not_opened": 1}
    assert Retrying(Settings(), KEYS, OPENS).read([row | {"size_bytes": 5_000_000}])[1] == {"sealed_cut": 1}
    assert Retrying(Settings(), KEYS, OPENS).read([row])[1] == {"xml_cut": 1}


def test_a_record_of_another_format_is_read_as_that() -> None:
    feed = Source(name="files-payment", department="payment", connector="files", format="vnpay")
    row = held(feed, json.dumps(item(3)).encode())
    understood, _ = Retrying(Settings(sources=(feed,)), KEYS, OPENS, repair("read_as: {format: hdbank}")).read([row])
    assert len(understood[0].events) == 1
