"""What T-VAN messages say of invoices that are elsewhere: check results (204), errors (300, 303) and their answers (301), receipts (999)."""

import re
from collections.abc import Mapping

from connectors.formats import times
from connectors.formats.tvan_invoice import STATES, Package, key, named, seller
from connectors.formats.xml import Node
from streams.departments.einvoice import Answer, Notice, Outcome, Verdict
from streams.errors import Reject

NOTHING = Node("", "")
_PART = re.compile(r"[0-9]{1,5}", re.ASCII)
_REASON = re.compile(r"[0-9]{4,5}", re.ASCII)  # MLoi: 4 digits by Decision 1450, 5 in all real ones
_VERDICTS: Mapping[str, Outcome | None] = {
    "1": None,
    "2": "accepted",
    "3": "accepted_but",
    "4": None,
    "5": None,
    "6": None,
    "7": "accepted_but",
    "9": "refused",
}


def verdict(notice: Node, package: Package) -> Verdict:
    """What a 204 says of its package. Of LTBao 3 and 7 a refusal that names no invoice leaves the package undecided."""
    about = notice.child("DLTBao") or NOTHING
    code = about.get("LTBao")
    reasons = _reasons(about, package)
    if code not in _VERDICTS:
        package.note("LTBao", code)
        return Verdict(reasons=reasons)
    judged = _VERDICTS[code]
    refused: list[str | None] = []
    if code == "1":
        row = about.child("LCMa")
        refused = [_key(about, row, package)] if row else []
        judged = None if any(refused) else "refused"
    elif code == "3":
        refused = [_key(about, row, package) for row in about.walk() if row.name == "HDon"]
    elif code == "7":
        refused = [_key_in_words(about, row.get("MTLoi"), package) for row in about.walk() if row.name == "LDo"]
    if code in ("3", "7") and (None in refused or not refused):
        package.unknown.add("refused_invoice")
        judged = None
    return Verdict(package=judged, refused=tuple(dict.fromkeys(name for name in refused if name)), reasons=reasons)


def notice(told: Node, part: int, package: Package) -> Notice:
    """One TBao of a 300: only TCTBao 1 (cancel) changes an invoice. Since 2.1.0 no list has it, but programs write it."""
    about = told.child("DLTBao") or NOTHING
    rows = about.child("DSHDon") or NOTHING
    cancels = []
    for row in rows.all("HDon"):
        code = row.get("TCTBao")
        if code not in STATES or (code == "1" and package.version[:3] not in ("", "2.0")):
            package.note("TCTBao", code)
        found = _key(about, row, package) if code == "1" else None
        if found:
            cancels.append(found)
        elif code == "1":
            package.unknown.add("cancelled_invoice")
    return Notice(part=part, cancels=tuple(dict.fromkeys(cancels)))


def answer(told: Node, position: int, package: Package) -> Answer:
    """One TBao of a 301, by one rule for 2.0.x and 2.1.0: a reason for the whole refuses all; a listed invoice is refused unless
    its TTTNCCQT is 1; what is not listed is accepted."""
    about = told.child("DLTBao") or NOTHING
    _reasons(about, package)
    part = about.get("STTThe")
    whole = any(reason.all("LDo") for tag in ("DSLDKTNhan", "DSLDKCNhan") for reason in about.all(tag))
    refused = []
    for row in (about.child("DSHDon") or NOTHING).all("HDon"):
        if row.get("TCTBao") not in STATES:
            package.note("TCTBao", row.get("TCTBao"))
        result = row.get("TTTNCCQT")
        if result not in ("", "1", "2"):
            package.note("TTTNCCQT", result)
        found = _key(about, row, package) if result != "1" else None
        if found:
            refused.append(found)
        elif result != "1":
            package.unknown.add("refused_invoice")
    return Answer(part=int(part) if _PART.fullmatch(part) else position, refused_all=whole, refused=tuple(dict.fromkeys(refused)))


def acknowledged(told: Node, package: Package) -> int | None:
    """NNhan of a 999 that says all is well (TTTNhan 0)."""
    _reasons(told, package)
    state = told.get("TTTNhan")
    if state not in ("0", "1"):
        package.note("TTTNhan", state)
    if state != "0":
        return None
    at = received(told)
    return None if at is None else times.in_range(at, package.arrival.known_at_us, "NNhan")


def refusal(told: Node, package: Package) -> None:
    """A -1 or -2: that a message could not be read changes no invoice; a reason that no list has is noted."""
    _reasons(told, package)


def received(told: Node) -> int | None:
    """NNhan. Raises Reject `time`."""
    text = told.get("NNhan")
    at = times.instant(text) if text else None
    if text and at is None:
        raise Reject("time", "NNhan is not a time written YYYY-MM-DDThh:mm:ss")
    return at


def _reasons(about: Node, package: Package) -> tuple[str, ...]:
    """The different MLoi; one that is not written as they are is noted."""
    found = {node.text for node in about.walk() if node.name == "MLoi" and node.text}
    for code in found:
        if not _REASON.fullmatch(code):
            package.note("MLoi", code)
    return tuple(sorted(code for code in found if _REASON.fullmatch(code)))


def _key(about: Node, row: Node, package: Package) -> str | None:
    """The invoice that a row of a notice names; the seller is the notice's, else the envelope's."""
    return named(package.arrival, _seller(about, package), row)


def _key_in_words(about: Node, words: str, package: Package) -> str | None:
    """LTBao 7 names its invoices in the text of the error: `KHMSHDon;KHHDon;SHDon;words`."""
    parts = [part.strip() for part in words.split(";")[:3]]
    return key(package.arrival, _seller(about, package), *parts) if len(parts) == 3 and all(parts) else None


def _seller(about: Node, package: Package) -> str:
    return seller(package.arrival, about.get("MST"), about.get("MDVQHNSach"), package.mst)
