"""Bank statements and notifications of ISO 20022 (camt.052, 053, 054, any version): what really stands on the hospital's account."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import chain

from lxml import etree

from connectors.formats import Arrival, receipt, times, xml
from connectors.formats.receipt import Receipt
from streams.departments.payment import Payment, Status
from streams.errors import Reject
from streams.event import day_start_us, vietnam_day

MAX_BYTES = 16 * 1024 * 1024  # a day of a large hospital: ten thousand entries of a kilobyte and a half

_MESSAGES = re.compile(r"BkToCstmr(?:Stmt|DbtCdtNtfctn|AcctRpt)(?:V\d\d)?", re.ASCII)  # the first version has its number in the name
_STATEMENTS = ("Stmt", "Ntfctn", "Rpt")
_BANKS = {"HDBCVNVX": "hdbank"}  # by BIC; any other bank is named by the source's option `bank`
_RETURNS = ("RRTN", "RPCR", "RIMB")  # BkTxCd SubFmlyCd: returned, cancelled, reimbursed
_CLOSING = ("CLBD", "CLAV")  # Bal/Tp: closing booked, closing available
_NO_REFERENCE = ("", "NOTPROVIDED", "NONREF")
_OTHERS = ("EndToEndId", "InstrId", "NtryRef")  # numbers that the payer chose, or that count the entries of one statement: they come again
_MOST_LINES = 1000  # under one number on one statement

Element = etree._Element


def split(raw: bytes) -> list[bytes]:
    """A statement for each entry, with the account it stands on, and with the other entries of its number, so that each counts; anything else
    is one record."""
    try:
        message = _message(xml.element(raw, MAX_BYTES))
    except Reject:
        return [raw]
    statements = [kid for kid in message if _name(kid) in _STATEMENTS]
    if sum(1 for statement in statements for kid in statement if _name(kid) == "Ntry") < 2:
        return [raw]
    for statement in statements:
        message.remove(statement)
    return [*chain.from_iterable(_alone(message, statement) for statement in statements)]


def _alone(message: Element, statement: Element) -> Iterator[bytes]:
    entries = [kid for kid in statement if _name(kid) == "Ntry"]
    for kid in [kid for kid in statement if _name(kid) not in ("Id", "CreDtTm", "FrToDt", "Acct", "Bal")]:
        statement.remove(kid)
    shell = deepcopy(message)
    shell.append(statement)
    together: dict[object, list[Element]] = {}
    for place, entry in enumerate(entries):
        together.setdefault(_number(entry) or place, []).append(entry)
    for alike in together.values():
        statement.extend(alike)
        yield etree.tostring(shell)
        for entry in alike:
            statement.remove(entry)


def _number(entry: Element) -> str:
    """Under which number an entry stands, "" where each of its transactions has one of its own or there is none."""
    details = _details(entry)
    try:
        return "" if _is_several(details) else _reference(entry, details[:1], False)[0]
    except Reject:
        return ""


def parse(raw: bytes, arrival: Arrival) -> list[Payment]:
    """The credits of a statement, and what was given back: a credit reversed, or returned. Booked entries only; other debits are none of ours.

    Raises Reject: the causes of `xml.element`, `missing`, `field`, `number`, `time`, `time_out_of_range`.
    """
    message = _message(xml.element(raw, MAX_BYTES))
    said = _text(message, "GrpHdr", "CreDtTm")
    found = []
    for statement in message:
        if _name(statement) in _STATEMENTS:
            account = _text(statement, "Acct", "Id", "IBAN") or _text(statement, "Acct", "Id", "Othr", "Id")
            served = _text(statement, "Acct", "Svcr", "FinInstnId", "BICFI") or _text(statement, "Acct", "Svcr", "FinInstnId", "BIC")
            bank = arrival.bank or _BANKS.get(served[:8], "camt")
            at = _instant(_text(statement, "CreDtTm") or said, "CreDtTm")
            met: Counter[object] = Counter()
            for entry in statement:
                if _name(entry) == "Ntry":
                    found += [receipt.event(each, arrival) for each in _entry(entry, statement, bank, account, at, met)]
    return found


def _entry(entry: Element, statement: Element, bank: str, account: str, said_at_us: int | None, met: Counter[object]) -> Iterator[Receipt]:
    """What an entry tells: of each of its transactions, where they have amounts of their own, else of itself. met: the lines of its
    statement so far."""
    if (_text(entry, "Sts", "Cd") or _text(entry, "Sts") or "BOOK") != "BOOK":
        return
    way, reversal = _text(entry, "CdtDbtInd"), _text(entry, "RvslInd") in ("true", "1")
    if way not in ("CRDT", "DBIT"):
        raise Reject("field", "CdtDbtInd is neither CRDT nor DBIT" if way else "CdtDbtInd is absent")
    details = _details(entry)
    given_back = way == "DBIT" and (reversal or _is_returned(entry, details))
    if not given_back and (way == "DBIT" or reversal):
        return
    booked = _booked(entry, statement, said_at_us)
    several = _is_several(details)
    whole = _whole(entry) if details else ("", 0)
    met = Counter() if several else met
    for each in details if several else [entry]:
        amount = _amount(each)
        if amount is None:
            raise Reject("missing", "Amt is absent")
        number, is_lasting = _reference(entry, [each] if several else details[:1], several)
        batch, batch_vnd = whole if several or number != whole[0] else ("", 0)
        status: Status = "credited"
        if given_back:
            status, number, batch = "returned", receipt.refund(number), batch and receipt.refund(batch)
        line = _line(number, amount, "" if is_lasting else str(vietnam_day(booked)), met)
        yield Receipt(bank, number, status, account, amount, booked, None, said_at_us, line, batch, batch_vnd)


def _whole(entry: Element) -> tuple[str, int]:
    """The entry's own number and amount, under which another statement may tell as one sum what this one tells in parts. "" and 0 where it has no
    number that lasts, or no amount that can be read."""
    own = _text(entry, "AcctSvcrRef")
    if own.upper() in _NO_REFERENCE:
        return "", 0
    try:
        amount = _amount(entry)
    except Reject:
        amount = None
    return (own, amount) if amount else ("", 0)


def _line(number: str, amount: int, day: str, met: Counter[object]) -> str:
    """Which of the lines of that amount under that number it is, as Payment.line has it. Raises Reject `too_large`."""
    met.update([number, (number, amount, day)])
    if met[number] > _MOST_LINES:
        raise Reject("too_large", f"a statement has more than {_MOST_LINES} lines under one number")
    nth = met[number, amount, day]
    return " ".join(filter(None, (day, str(nth) if nth > 1 else "")))


def _details(entry: Element) -> list[Element]:
    return [each for group in entry if _name(group) == "NtryDtls" for each in group if _name(each) == "TxDtls"]


def _is_several(details: list[Element]) -> bool:
    """Whether an entry is several transactions, each with an amount of its own."""
    return len(details) > 1 and all(_amount(each) is not None for each in details)


def _is_returned(entry: Element, details: list[Element]) -> bool:
    codes = [_text(each, "BkTxCd", "Domn", "Fmly", "SubFmlyCd") for each in (entry, *details)]
    return any(code in _RETURNS for code in codes) or any(_kid(each, "RtrInf") is not None for each in details)


def _reference(entry: Element, details: list[Element], several: bool) -> tuple[str, bool]:
    """The bank's own number of the transaction, which its notices carry as transactionId, else what others call it; and whether it names one
    transaction for ever. several: the entry has others, so that its own number comes last. Raises Reject `missing`."""
    own = ("AcctSvcrRef", _text(entry, "AcctSvcrRef"))
    found = [("AcctSvcrRef", _text(each, "Refs", "AcctSvcrRef")) for each in details]
    found += [] if several else [own]
    found += [(name, _text(each, "Refs", name)) for each in details for name in ("TxId", "EndToEndId", "InstrId", "UETR")]
    found += [own, ("NtryRef", _text(entry, "NtryRef"))]
    for name, number in found:
        if number.upper() not in _NO_REFERENCE:
            return number, name not in _OTHERS
    raise Reject("missing", "the entry has no reference: AcctSvcrRef, TxId, EndToEndId, InstrId, UETR, NtryRef")


def _amount(element: Element) -> int | None:
    """Whole đồng. Raises Reject `number`, and `field` for money of another country."""
    found = _kid(element, "Amt")
    found = found if found is not None else _kid(element, "AmtDtls", "TxAmt", "Amt")
    if found is None:
        return None
    if found.get("Ccy", "VND") != "VND":
        raise Reject("field", "Amt is not in VND")
    return receipt.money(found.text, "Amt")


def _booked(entry: Element, statement: Element, said_at_us: int | None) -> int:
    """When the bank booked it. Both dates of an entry may be absent: then it is of the day its statement closes, else of when that was made.

    Raises Reject: `time`, `missing`.
    """
    closings = ((kid, "Dt") for kid in statement if _name(kid) == "Bal" and _text(kid, "Tp", "CdOrPrtry", "Cd") in _CLOSING)
    for holder, name in chain(((entry, "BookgDt"), (entry, "ValDt")), closings):
        at = _instant(_text(holder, name, "DtTm"), name)
        if at is not None:
            return at
        written = _text(holder, name, "Dt")
        if written:
            day = times.day(written)
            if day is None:
                raise Reject("time", f"{name} is not a day written YYYY-MM-DD")
            return day_start_us(day)
    at = _instant(_text(statement, "FrToDt", "ToDtTm"), "ToDtTm")
    at = said_at_us if at is None else at
    if at is None:
        raise Reject("missing", "there is no BookgDt, no ValDt, and the statement has no date either")
    return at


def _instant(written: str, name: str) -> int | None:
    if not written:
        return None
    at = times.instant(written)
    if at is None:
        raise Reject("time", f"{name} is not a time written YYYY-MM-DDThh:mm:ss")
    return at


def _message(root: Element) -> Element:
    """The message in a document, whatever wraps it. Raises Reject `field`."""
    for element in root.iter(etree.Element):
        if _MESSAGES.fullmatch(_name(element)):
            return element
    raise Reject("field", "the document holds no BkToCstmrStmt, BkToCstmrDbtCdtNtfctn or BkToCstmrAcctRpt")


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]  # versions differ by namespace, and some banks have one of their own


def _kid(element: Element, *path: str) -> Element | None:
    for name in path:
        for kid in element:
            if _name(kid) == name:
                element = kid
                break
        else:
            return None
    return element


def _text(element: Element, *path: str) -> str:
    found = _kid(element, *path)
    return (found.text or "").strip() if found is not None else ""
