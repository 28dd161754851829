"""Bank statements and notifications of ISO 20022 (camt.052, 053, 054, any version): what really stands on the hospital's account."""

import re
from collections.abc import Iterator
from copy import deepcopy
from itertools import chain

from lxml import etree

from connectors.formats import Arrival, receipt, times, xml
from connectors.formats.receipt import Receipt
from streams.departments.payment import Payment
from streams.errors import Reject
from streams.event import day_start_us

MAX_BYTES = 16 * 1024 * 1024  # a day of a large hospital: ten thousand entries of a kilobyte and a half

_MESSAGES = re.compile(r"BkToCstmr(?:Stmt|DbtCdtNtfctn|AcctRpt)(?:V\d\d)?", re.ASCII)  # the first version has its number in the name
_STATEMENTS = ("Stmt", "Ntfctn", "Rpt")
_BANKS = {"HDBCVNVX": "hdbank"}  # by BIC; any other bank is named by the source's option `bank`
_RETURNS = ("RRTN", "RPCR", "RIMB")  # BkTxCd SubFmlyCd: returned, cancelled, reimbursed
_CLOSING = ("CLBD", "CLAV")  # Bal/Tp: closing booked, closing available
_NO_REFERENCE = ("", "NOTPROVIDED", "NONREF")

Element = etree._Element


def split(raw: bytes) -> list[bytes]:
    """A statement for each entry, with the account it stands on; anything else is one record."""
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
    for entry in entries:
        statement.append(entry)
        yield etree.tostring(shell)
        statement.remove(entry)


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
            for entry in statement:
                if _name(entry) == "Ntry":
                    found += [receipt.event(each, arrival) for each in _entry(entry, statement, bank, account, at)]
    return found


def _entry(entry: Element, statement: Element, bank: str, account: str, said_at_us: int | None) -> Iterator[Receipt]:
    """What an entry tells: of each of its transactions, where they have amounts of their own, else of itself."""
    if (_text(entry, "Sts", "Cd") or _text(entry, "Sts") or "BOOK") != "BOOK":
        return
    way, reversal = _text(entry, "CdtDbtInd"), _text(entry, "RvslInd") in ("true", "1")
    if way not in ("CRDT", "DBIT"):
        raise Reject("field", "CdtDbtInd is neither CRDT nor DBIT" if way else "CdtDbtInd is absent")
    details = [each for group in entry if _name(group) == "NtryDtls" for each in group if _name(each) == "TxDtls"]
    given_back = way == "DBIT" and (reversal or _is_returned(entry, details))
    if not given_back and (way == "DBIT" or reversal):
        return
    booked = _booked(entry, statement, said_at_us)
    several = len(details) > 1 and all(_amount(each) is not None for each in details)
    for each in details if several else [entry]:
        amount = _amount(each)
        if amount is None:
            raise Reject("missing", "Amt is absent")
        lone = None if several else entry
        transaction = _reference(lone, details[:1] if lone is not None else [each])
        name = receipt.refund(transaction) if given_back else transaction
        yield Receipt(bank, name, "refunded" if given_back else "credited", account, amount, booked, None, said_at_us)


def _is_returned(entry: Element, details: list[Element]) -> bool:
    codes = [_text(each, "BkTxCd", "Domn", "Fmly", "SubFmlyCd") for each in (entry, *details)]
    return any(code in _RETURNS for code in codes) or any(_kid(each, "RtrInf") is not None for each in details)


def _reference(entry: Element | None, details: list[Element]) -> str:
    """The bank's own number of the transaction, which its notices carry as transactionId; else what others call it. Raises Reject `missing`."""
    found = [_text(each, "Refs", "AcctSvcrRef") for each in details]
    found += [_text(entry, "AcctSvcrRef")] if entry is not None else []
    found += [_text(each, "Refs", name) for each in details for name in ("TxId", "EndToEndId", "InstrId", "UETR")]
    found += [_text(entry, "NtryRef")] if entry is not None else []
    for each in found:
        if each.upper() not in _NO_REFERENCE:
            return each
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
