"""T-VAN messages: the TDiep envelope, tax office answers and notices, bare HDon (notes: Decisions 1450/QĐ-TCT and 1271/QĐ-CT)."""

import re
from collections.abc import Iterator, Mapping

from connectors.formats import Arrival, times, xml
from connectors.formats.tvan_invoice import Package, document, key, named, seller, signing_time, table_rows
from connectors.formats.xml import Node
from streams.departments.einvoice import Answer, Einvoice, Facts, Invoice, Notice, Outcome, Verdict
from streams.errors import Reject
from streams.event import day_start_us

_GROUPS = ((100, 114), (200, 213), (300, 304), (503, 507), (600, 603))
_KNOWN = frozenset(
    ["-1", "-2", "150", "216", "400", "401", "500", "901", "902", "999"]
    + [str(code) for first, last in _GROUPS for code in range(first, last + 1)]
)
_WITH_INVOICES = frozenset(("200", "201", "202", "203", "206", "208", "210"))
_OTHER_ROOTS = frozenset(("BBan", "TKhai", "TBao", "DLHDon", "BTHDLieu", "CTu", "Invoice", "invoice", "inv", "html"))
_KIND = re.compile(r"-?\d{1,3}", re.ASCII)
_SHORT_CODE = re.compile(r"[0-9]{1,5}", re.ASCII)
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
_NOTHING = Node("", "")


def split(raw: bytes) -> list[bytes]:
    """The message itself: one document is one record."""
    return [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Einvoice]:
    """One event per TDiep in the document (whatever wraps it), else one per bare HDon.

    Raises Reject: the causes of `xml.read`, `not_tvan`, `missing`, `seller_missing`, `number`, `time`, `time_out_of_range`.
    """
    root = xml.read(raw)
    messages = [root] if root.name == "TDiep" else [node for node in root.walk() if node.name == "TDiep"]
    if messages:
        return [_message(node, arrival) for node in messages]
    documents = list(_documents(root))
    if not documents:
        what = f"a {root.name}" if root.name in _OTHER_ROOTS else "another kind of document"
        raise Reject("not_tvan", f"the document is {what}: neither a message (TDiep) nor an invoice (HDon with DLHDon) is in it")
    return [_bare(node, arrival) for node in documents]


def _message(tdiep: Node, arrival: Arrival) -> Einvoice:
    head, data = tdiep.child("TTChung") or _NOTHING, tdiep.child("DLieu") or tdiep
    unknown = set[str]()
    kind = _kind(head.get("MLTDiep"), unknown)
    notices = data.all("TBao")
    about = (notices[0] if notices else _NOTHING).child("DLTBao") or _NOTHING
    package = Package(arrival, kind, head.get("MST"), signing_time(tdiep.child("CKSNNT"))[0], tuple(data.all("BKe")))
    facts = _facts(data, notices, package, unknown)
    canonical = tdiep.canonical()
    question = head.get("MTDTChieu") or about.get("MGDDTu") or (notices[0].get("MTDiep") if notices else "")
    sellers = head.get("MST") or about.get("MST") or about.get("MDVQHNSach")
    return Einvoice(
        id=arrival.pseudonyms("message", head.get("MTDiep") or canonical.decode()),
        body=arrival.pseudonyms.body(canonical),
        source=arrival.source,
        event_time_us=_event_time(data, facts, package),
        known_at_us=arrival.known_at_us,
        kind=kind,
        seller=seller(arrival, sellers) if sellers.strip("- ") else (facts.invoices[0].seller if facts.invoices else None),
        question=arrival.pseudonyms("message", question) if question else None,
        unknown=tuple(sorted(unknown)),
        facts=facts,
    )


def _bare(hdon: Node, arrival: Arrival) -> Einvoice:
    invoice = document(hdon, Package(arrival, "HDon"))
    coded = "coded" if hdon.get("MCCQT") else "plain"
    facts = Facts(invoices=(invoice,))
    return Einvoice(
        id=arrival.pseudonyms("message", f"HDon|{invoice.key}|{coded}"),
        body=arrival.pseudonyms.body(hdon.canonical()),
        source=arrival.source,
        event_time_us=_invoice_time(facts.invoices),
        known_at_us=arrival.known_at_us,
        kind="HDon",
        seller=invoice.seller,
        facts=facts,
    )


def _kind(text: str, unknown: set[str]) -> str:
    """MLTDiep as it stands when it is a number, known or not; else `unknown`."""
    if text not in _KNOWN:
        _note(unknown, "MLTDiep", text)
    return text if _KIND.fullmatch(text) else "unknown"


def _note(unknown: set[str], tag: str, value: str) -> None:
    """Remember a code that no list has: with its value when that is a short number, for nothing personal has five digits."""
    unknown.add(f"{tag}={value}" if _SHORT_CODE.fullmatch(value) else tag)


def _documents(data: Node) -> Iterator[Node]:
    """The HDon that are invoices (not the HDon rows of a notice, which have no DLHDon)."""
    for node in [*data.kids, data] if any(kid.name == "HDon" for kid in data.kids) else data.walk():
        if node.name == "HDon" and node.child("DLHDon"):
            yield node


def _facts(data: Node, notices: list[Node], package: Package, unknown: set[str]) -> Facts:
    """What the message tells, by its type; a type that no list has is read for invoices only."""
    match package.kind:
        case "204":
            return Facts(verdict=_verdict(_one(notices, "204"), package, unknown))
        case "300" | "303":
            return Facts(notices=tuple(_notice(n, part, package, unknown) for part, n in enumerate(_some(notices, "300"), 1)))
        case "301":
            return Facts(answers=tuple(_answer(n, part, package, unknown) for part, n in enumerate(_some(notices, "301"), 1)))
        case "999":
            return Facts(acknowledged_at_us=_acknowledged(_one(notices, "999"), package, unknown))
        case "400" | "401":
            tables = [node for node in data.walk() if node.name == "DLBTHop"]
            return Facts(invoices=tuple(row for table in tables for row in table_rows(table, package)))
        case kind if kind in _KNOWN and kind[0] != "2":
            return Facts()
    invoices = tuple(document(hdon, package) for hdon in _documents(data))
    if not invoices and package.kind in _WITH_INVOICES:
        raise Reject("missing", f"a message {package.kind} has no invoice (HDon) in it")
    return Facts(invoices=invoices)


def _some(notices: list[Node], kind: str) -> list[Node]:
    if not notices:
        raise Reject("missing", f"a message {kind} has no notice (TBao) in it")
    return notices


def _one(notices: list[Node], kind: str) -> Node:
    return _some(notices, kind)[0]


def _verdict(notice: Node, package: Package, unknown: set[str]) -> Verdict:
    """What a 204 says of its package. Of LTBao 7 an error that names no invoice leaves the package undecided."""
    about = notice.child("DLTBao") or _NOTHING
    code = about.get("LTBao")
    if code not in _VERDICTS:
        _note(unknown, "LTBao", code)
        return Verdict()
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
        unknown.add("refused_invoice")
        judged = None
    return Verdict(package=judged, refused=tuple(dict.fromkeys(name for name in refused if name)))


def _key(about: Node, row: Node, package: Package) -> str | None:
    """The invoice that a row of a notice names; the seller is the notice's, else the envelope's."""
    return named(package.arrival, _seller(about, package), row)


def _key_in_words(about: Node, words: str, package: Package) -> str | None:
    """LTBao 7 names its invoices in the text of the error: `KHMSHDon;KHHDon;SHDon;words`."""
    parts = [part.strip() for part in words.split(";")[:3]]
    return key(package.arrival, _seller(about, package), *parts) if len(parts) == 3 and all(parts) else None


def _seller(about: Node, package: Package) -> str:
    return seller(package.arrival, about.get("MST"), about.get("MDVQHNSach"), package.mst)


def _notice(notice: Node, part: int, package: Package, unknown: set[str]) -> Notice:
    """One TBao of a 300: only TCTBao 1 (cancel) changes an invoice."""
    about = notice.child("DLTBao") or _NOTHING
    rows = about.child("DSHDon") or _NOTHING
    cancels = []
    for row in rows.all("HDon"):
        code = row.get("TCTBao")
        if code not in ("", "0", "1", "2", "3", "4", "5", "6"):
            _note(unknown, "TCTBao", code)
        found = _key(about, row, package) if code == "1" else None
        if found:
            cancels.append(found)
        elif code == "1":
            unknown.add("cancelled_invoice")
    return Notice(part=part, cancels=tuple(dict.fromkeys(cancels)))


def _answer(notice: Node, position: int, package: Package, unknown: set[str]) -> Answer:
    """One TBao of a 301, by one rule for 2.0.x and 2.1.0: a reason for the whole refuses all; a listed invoice is refused unless
    its TTTNCCQT is 1; what is not listed is accepted."""
    about = notice.child("DLTBao") or _NOTHING
    part = about.get("STTThe")
    whole = any(reason.all("LDo") for tag in ("DSLDKTNhan", "DSLDKCNhan") for reason in about.all(tag))
    refused = []
    for row in (about.child("DSHDon") or _NOTHING).all("HDon"):
        result = row.get("TTTNCCQT")
        if result not in ("", "1", "2"):
            _note(unknown, "TTTNCCQT", result)
        found = _key(about, row, package) if result != "1" else None
        if found:
            refused.append(found)
        elif result != "1":
            unknown.add("refused_invoice")
    return Answer(part=int(part) if _SHORT_CODE.fullmatch(part) else position, refused_all=whole, refused=tuple(dict.fromkeys(refused)))


def _acknowledged(notice: Node, package: Package, unknown: set[str]) -> int | None:
    """NNhan of a 999 that says all is well (TTTNhan 0)."""
    state = notice.get("TTTNhan")
    if state not in ("0", "1"):
        _note(unknown, "TTTNhan", state)
    if state != "0":
        return None
    at = _received(notice)
    return None if at is None else times.in_range(at, package.arrival.known_at_us, "NNhan")


def _received(notice: Node) -> int | None:
    text = notice.get("NNhan")
    at = times.instant(text) if text else None
    if text and at is None:
        raise Reject("time", "NNhan is not a time written YYYY-MM-DDThh:mm:ss")
    return at


def _invoice_time(invoices: tuple[Invoice, ...]) -> int:
    """The latest signature of the tax office, else of the seller, else the start of the latest NLap."""
    for moments in ([i.coded_at_us for i in invoices], [i.signed_at_us for i in invoices]):
        found = [us for us in moments if us is not None]
        if found:
            return max(found)
    return max(day_start_us(invoice.day) for invoice in invoices)


def _event_time(data: Node, facts: Facts, package: Package) -> int:
    """When the message says it was made: its signatures, else its own times, else its dates; the arrival where it has none."""
    known = package.arrival.known_at_us
    if facts.invoices and package.kind not in ("400", "401"):
        return _invoice_time(facts.invoices)
    found = [us for holder in data.all("TBao") + data.all("BTHDLieu") for us in _made(holder)]
    return times.in_range(max(found), known, "the time of the message") if found else known


def _made(holder: Node) -> Iterator[int]:
    """The first that is there: NNhan (999), the signing time of the tax office or of the seller, TGGui (204), a date."""
    signatures = holder.child("DSCKS") or _NOTHING
    about = holder.child("DLTBao") or holder.child("DLBTHop", "TTChung") or _NOTHING
    at = _received(holder)
    for signer in ("CQT", "TTCQT", "NNT"):
        at = signing_time(signatures.child(signer))[0] if at is None else at
    if at is None and about.get("TGGui"):
        at = times.instant(about.get("TGGui"))
    for date in (about.get("NTBao"), holder.get("STBao", "NTBao"), about.get("TGNhan"), about.get("NLap")):
        made = times.day(date) if at is None and date else None
        at = day_start_us(made) if made is not None else at
    if at is not None:
        yield at
