"""Round trips of the payment formats: what a bank would write of a fact is read as that fact, whatever the fact."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from operator import attrgetter
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Arrival, load, receipt, times
from streams.event import VIETNAM, micros
from streams.pseudonym import Pseudonyms

LAW = settings(deadline=None, database=None)
SECRET = b"kh\xc3\xb3a"
MOMO_SECRET = b"ACCESS:" + SECRET
UNITS = {"BV+280 & co": "38280"}
(ACCOUNT,) = UNITS
NOW = micros(datetime(2026, 11, 22, 1, tzinfo=UTC))
ARRIVAL = Arrival("bank", NOW, Pseudonyms(bytes(range(32))), UNITS, SECRET)
FILE = Arrival("file", NOW, Pseudonyms(bytes(range(32))), UNITS, trusted=True)


@dataclass(frozen=True)
class Fact:
    """What happened: a number, an amount, a moment, and free text that must not matter."""

    number: str
    vnd: int
    at: datetime
    words: str


FACTS = st.builds(
    Fact,
    number=st.from_regex(r"[A-Z0-9]{1,24}", fullmatch=True).filter(lambda number: number.strip("0") != ""),
    vnd=st.integers(0, 10**12),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 21)).map(lambda at: at.replace(microsecond=0, tzinfo=VIETNAM)),  # noqa: DTZ001  # its zone follows
    words=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40),
)


def sealed(text: str, how: object = hashlib.sha256, secret: bytes = SECRET) -> str:
    return hmac.new(secret, text.encode(), how).hexdigest()  # type: ignore[arg-type]  # one of hashlib's own


def vnpay(fact: Fact, **more: str) -> bytes:
    fields = {
        "vnp_Amount": str(fact.vnd * 100),
        "vnp_OrderInfo": fact.words,
        "vnp_PayDate": f"{fact.at:%Y%m%d%H%M%S}",
        "vnp_TmnCode": ACCOUNT,
    }
    fields |= {"vnp_ResponseCode": "00", "vnp_TransactionNo": fact.number, "vnp_TransactionStatus": "00"} | more
    text = "&".join(f"{name}={quote_plus(value)}" for name, value in sorted(fields.items()))
    return f"{text}&vnp_SecureHash={sealed(text, hashlib.sha512)}".encode()


def momo(fact: Fact) -> bytes:
    said = {
        "amount": fact.vnd, "extraData": "", "message": fact.words, "orderId": "HD1", "orderInfo": fact.words, "orderType": "momo_wallet",
        "partnerCode": ACCOUNT, "payType": "qr", "requestId": "r", "responseTime": micros(fact.at) // 1000, "resultCode": 0, "transId": fact.number,
    }  # fmt: skip
    said["message"] = said["orderInfo"] = fact.words.strip()
    text = "accessKey=ACCESS&" + "&".join(f"{name}={said[name]}" for name in sorted(said, key=str))
    return json.dumps(said | {"signature": sealed(text)}).encode()


def payos(fact: Fact) -> bytes:
    data = {"accountNumber": ACCOUNT, "amount": fact.vnd, "code": "00", "description": fact.words, "reference": fact.number}
    data["transactionDateTime"] = f"{fact.at:%Y-%m-%d %H:%M:%S}"
    text = "&".join(f"{name}={value if value not in ('null', 'undefined') else ''}" for name, value in sorted(data.items()))
    return json.dumps({"code": "00", "data": data, "signature": sealed(text)}).encode()


def sepay(fact: Fact) -> bytes:
    said = {"id": fact.number, "transactionDate": f"{fact.at:%Y-%m-%d %H:%M:%S}", "accountNumber": ACCOUNT, "content": fact.words}
    return json.dumps(said | {"transferType": "in", "transferAmount": fact.vnd}).encode()


def camt(fact: Fact, way: str = "CRDT", reversed_: str = "false", version: int = 2) -> bytes:
    status = "<Cd>BOOK</Cd>" if version > 7 else "BOOK"
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02}"><BkToCstmrStmt><GrpHdr/><Stmt>'
        f"<Acct><Id><Othr><Id>{escape(ACCOUNT)}</Id></Othr></Id></Acct><Ntry><Amt Ccy='VND'>{fact.vnd}.00</Amt><CdtDbtInd>{way}</CdtDbtInd>"
        f"<RvslInd>{reversed_}</RvslInd><Sts>{status}</Sts><BookgDt><DtTm>{fact.at.astimezone(UTC).isoformat()}</DtTm></BookgDt>"
        f"<AcctSvcrRef>{fact.number}</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>{escape(fact.words)}</Ustrd></RmtInf></TxDtls></NtryDtls>"
        "</Ntry></Stmt></BkToCstmrStmt></Document>"
    ).encode()


def read(name: str, raw: bytes, arrival: Arrival) -> tuple[object, ...]:
    (part,) = load(name).split(raw)
    (event,) = load(name).parse(part, arrival)
    return event.status, event.paid_vnd, event.paid_at_us, event.unit, event.transaction  # type: ignore[attr-defined]  # payments


def transaction(name: str, number: str) -> str:
    return ARRIVAL.pseudonyms("transaction", f"{name}|{number}")


@LAW
@given(fact=FACTS)
def test_a_vnpay_notice_is_read_as_what_was_paid(fact: Fact) -> None:
    assert read("vnpay", vnpay(fact), ARRIVAL) == ("paid", fact.vnd, micros(fact.at), "38280", transaction("vnpay", fact.number))


@LAW
@given(fact=FACTS, part=st.sampled_from(["02", "03"]))
def test_a_vnpay_refund_is_read_as_what_was_given_back(fact: Fact, part: str) -> None:
    said = read("vnpay", vnpay(fact, vnp_TransactionType=part), ARRIVAL)
    assert said == ("refunded", fact.vnd, micros(fact.at), "38280", transaction("vnpay", f"refund|{fact.number}"))


@pytest.mark.parametrize(("name", "write", "arrival"), [
    ("momo", momo, Arrival("bank", NOW, ARRIVAL.pseudonyms, UNITS, MOMO_SECRET)), ("payos", payos, ARRIVAL), ("sepay", sepay, FILE),
])  # fmt: skip
@LAW
@given(fact=FACTS)
def test_a_json_notice_is_read_as_what_was_paid(name: str, write: object, arrival: Arrival, fact: Fact) -> None:
    said = read(name, write(fact), arrival)  # type: ignore[operator]  # one of the writers above
    assert said == ("paid", fact.vnd, micros(fact.at), "38280", transaction(name, fact.number))


@LAW
@given(
    fact=FACTS,
    version=st.integers(2, 13),
    way=st.sampled_from([("CRDT", "false", "credited", ""), ("DBIT", "true", "returned", "refund|")]),
)
def test_a_line_of_a_statement_of_any_version_is_read_as_what_moved(fact: Fact, version: int, way: tuple[str, str, str, str]) -> None:
    ind, reversed_, status, prefix = way
    said = read("camt", camt(fact, ind, reversed_, version), FILE)
    assert said == (status, fact.vnd, micros(fact.at), "38280", transaction("camt", prefix + fact.number))


@LAW
@given(facts=st.lists(FACTS, min_size=2, max_size=8))
def test_a_statement_in_pieces_tells_what_the_whole_tells(facts: list[Fact]) -> None:
    entries = [camt(fact).decode().partition("</Acct>")[2].partition("</Stmt>")[0] for fact in facts]
    before, _, rest = camt(facts[0]).decode().partition("</Acct>")
    whole = (before + "</Acct>" + "".join(entries) + "</Stmt>" + rest.partition("</Stmt>")[2]).encode()
    reader = load("camt")
    parts = reader.split(whole)
    assert len(parts) == len({fact.number for fact in facts})
    told = [event for part in parts for event in reader.parse(part, FILE)]
    assert sorted(told, key=attrgetter("id")) == sorted(reader.parse(whole, FILE), key=attrgetter("id"))
    lines = {(event.transaction, event.paid_vnd, event.line) for event in told}  # type: ignore[attr-defined]  # payments
    assert len(lines) == len(facts)


@LAW
@given(written=st.from_regex(r"[0-9]{1,14}(\.[0-9]{0,3})?", fullmatch=True), unit=st.sampled_from([1, 100]))
def test_an_amount_is_rounded_half_up_however_it_is_written(written: str, unit: int) -> None:
    assert receipt.money(written, "amount", unit) == int((Decimal(written) / unit).quantize(Decimal(1), ROUND_HALF_UP))


@LAW
@given(written=st.from_regex(r"[0-9]{14}", fullmatch=True) | st.datetimes(datetime(1900, 1, 1)).map(lambda at: f"{at:%Y%m%d%H%M%S}"))  # noqa: DTZ001  # digits of any zone
def test_digits_are_the_time_that_the_calendar_knows_or_none(written: str) -> None:
    try:
        known = datetime.strptime(written, "%Y%m%d%H%M%S")  # noqa: DTZ007  # its zone follows
    except ValueError:
        assert times.compact(written, VIETNAM) is None
    else:
        if known.second < 60:
            assert times.compact(written, VIETNAM) == micros(known.replace(tzinfo=VIETNAM))
            assert times.compact(written) == micros(known.replace(tzinfo=UTC))
