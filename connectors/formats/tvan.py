"""T-VAN messages: the TDiep envelope, tax office answers and notices, bare HDon (notes: Decisions 1450/QĐ-TCT and 1271/QĐ-CT)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from lxml import etree
from msgspec import structs

from connectors.formats import Arrival, layers, times, xml
from connectors.formats.tvan_answers import NOTHING, acknowledged, answer, notice, received, refusal, verdict
from connectors.formats.tvan_invoice import Package, document, seller, signing_time, table_rows
from connectors.formats.xml import Node
from streams.departments.einvoice import Einvoice, Facts, Invoice
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
_VERSION = re.compile(r"\d{1,2}\.\d{1,2}\.\d{1,2}", re.ASCII)
_VERSIONS = ("", "2.0.0", "2.0.1", "2.1.0")
_LAYERS = 2  # a document that is the text of an element: in a SOAP answer, as text or base64
_LONG = 64  # shorter texts are no documents


def split(raw: bytes) -> list[bytes]:
    """The message itself: one document is one record."""
    return [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Einvoice]:
    """One event per TDiep in the document (whatever wraps it), else one per bare HDon.

    Raises Reject: the causes of `xml.document` and `layers.documents`, `xml_deep`, `not_tvan`, `missing`, `seller_missing`, `number`, `time`,
    `time_out_of_range`.
    """
    return _read(raw, arrival, _LAYERS)


def _read(raw: bytes, arrival: Arrival, deeper: int) -> list[Einvoice]:
    found = xml.document(raw)
    root = xml.node(found.element)
    flags = {"encoding"} if found.misdeclared else set[str]()
    elements: dict[int, etree._Element] = {}
    if arrival.authorities is not None:  # both trees have the same elements in the same order: comments are gone from both
        elements = {id(node): element for node, element in zip(root.walk(), found.element.iter(etree.Element), strict=True)}
    messages = [root] if root.name == "TDiep" else [node for node in root.walk() if node.name == "TDiep"]
    if messages:
        return [_message(node, arrival, elements, flags) for node in messages]
    documents = list(_documents(root))
    if documents:
        return [_bare(node, arrival, elements, flags) for node in documents]
    inside = _inside(root) if deeper else []
    if inside:
        return [event for text in inside for event in _read(text, arrival, deeper - 1)]
    what = f"a {root.name}" if root.name in _OTHER_ROOTS else "another kind of document"
    raise Reject("not_tvan", f"the document is {what}: neither a message (TDiep) nor an invoice (HDon with DLHDon) is in it")


def _inside(root: Node) -> list[bytes]:
    """Documents that are the text of elements, as SOAP programs send them: written out, or as base64, perhaps zipped."""
    texts = [node.text for node in root.walk() if len(node.text) > _LONG and not node.kids]
    return [
        document
        for text in texts
        for document in layers.documents(text.encode())
        if document.lstrip()[:1] == b"<" or layers.wrapped(text.encode())
    ]


def _message(tdiep: Node, arrival: Arrival, elements: Mapping[int, etree._Element], flags: set[str]) -> Einvoice:
    head, data = tdiep.child("TTChung") or NOTHING, tdiep.child("DLieu") or tdiep
    notices = data.all("TBao")
    about = (notices[0] if notices else NOTHING).child("DLTBao") or NOTHING
    package = _package(tdiep, head, data, arrival, elements, flags)
    facts = _facts(data, notices, package)
    canonical = tdiep.canonical()
    question = head.get("MTDTChieu") or about.get("MGDDTu") or (notices[0].get("MTDiep") if notices else "")
    sellers = head.get("MST") or about.get("MST") or about.get("MDVQHNSach")
    return Einvoice(
        id=arrival.pseudonyms("message", head.get("MTDiep") or canonical.decode()),
        body=arrival.pseudonyms.body(canonical),
        source=arrival.source,
        event_time_us=_event_time(data, facts, package),
        known_at_us=arrival.known_at_us,
        kind=package.kind,
        seller=seller(arrival, sellers) if sellers.strip("- ") else (facts.invoices[0].seller if facts.invoices else None),
        question=arrival.pseudonyms("message", question) if question else None,
        unknown=tuple(sorted(package.unknown)),
        unlisted=bool(package.unknown),
        facts=facts,
    )


def _package(tdiep: Node, head: Node, data: Node, arrival: Arrival, elements: Mapping[int, etree._Element], flags: set[str]) -> Package:
    """What the envelope says. MLTDiep stands as it is when it is a number, known or not; else it is `unknown`."""
    text, version = head.get("MLTDiep"), head.get("PBan")
    package = Package(
        arrival=arrival,
        kind=text if _KIND.fullmatch(text) else "unknown",
        version=version,
        mst=head.get("MST"),
        stated=head.get("SLuong"),
        signed_at_us=signing_time(tdiep.child("CKSNNT"))[0],
        lists=tuple(data.all("BKe")),
        elements=elements,
        flags={*flags},
    )
    if text not in _KNOWN:
        package.note("MLTDiep", text)
    if version not in _VERSIONS:
        package.unknown.add(f"PBan={version}" if _VERSION.fullmatch(version) else "PBan")
    if tdiep.child("CKSNNT"):
        return replace(package, signature=package.looked_at(tdiep, "DLieu", "CKSNNT"))
    return package


def _bare(hdon: Node, arrival: Arrival, elements: Mapping[int, etree._Element], flags: set[str]) -> Einvoice:
    package = Package(arrival, "HDon", elements=elements)
    invoice = document(hdon, package)
    coded = "coded" if hdon.get("MCCQT") else "plain"
    facts = Facts(invoices=(invoice,), flags=tuple(sorted(flags)))
    return Einvoice(
        id=arrival.pseudonyms("message", f"HDon|{invoice.key}|{coded}"),
        body=arrival.pseudonyms.body(hdon.canonical()),
        source=arrival.source,
        event_time_us=_invoice_time(facts.invoices),
        known_at_us=arrival.known_at_us,
        kind="HDon",
        seller=invoice.seller,
        unknown=tuple(sorted(package.unknown)),
        unlisted=bool(package.unknown),
        facts=facts,
    )


def _documents(data: Node) -> Iterator[Node]:
    """The HDon that are invoices (not the HDon rows of a notice, which have no DLHDon)."""
    for node in [*data.kids, data] if any(kid.name == "HDon" for kid in data.kids) else data.walk():
        if node.name == "HDon" and node.child("DLHDon"):
            yield node


def _facts(data: Node, notices: list[Node], package: Package) -> Facts:
    """What the message tells, by its type; a type that no list has is read for invoices only."""
    told = _told(data, notices, package)
    return structs.replace(told, flags=tuple(sorted(package.flags))) if package.flags else told


def _told(data: Node, notices: list[Node], package: Package) -> Facts:
    match package.kind:
        case "204":
            return Facts(verdict=verdict(_one(notices, "204"), package))
        case "300" | "303":
            return Facts(notices=tuple(notice(n, part, package) for part, n in enumerate(_some(notices, "300"), 1)))
        case "301":
            return Facts(answers=tuple(answer(n, part, package) for part, n in enumerate(_some(notices, "301"), 1)))
        case "999":
            return Facts(acknowledged_at_us=acknowledged(_one(notices, "999"), package))
        case "-1" | "-2":
            refusal(data, package)
            return Facts()
        case "400" | "401":
            tables = [node for node in data.walk() if node.child("DLBTHop")]
            package.count(len(tables))
            return Facts(invoices=tuple(row for table in tables for row in table_rows(table, package)))
        case kind if kind in _KNOWN and kind[0] != "2":
            return Facts()
    invoices = tuple(document(hdon, package) for hdon in _documents(data))
    if not invoices and package.kind in _WITH_INVOICES:
        raise Reject("missing", f"a message {package.kind} has no invoice (HDon) in it")
    if invoices:
        package.count(len(invoices))
    return Facts(invoices=invoices)


def _some(notices: list[Node], kind: str) -> list[Node]:
    if not notices:
        raise Reject("missing", f"a message {kind} has no notice (TBao) in it")
    return notices


def _one(notices: list[Node], kind: str) -> Node:
    return _some(notices, kind)[0]


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
    found = [us for holder in data.kids for us in _made(holder)]
    return times.in_range(max(found), known, "the time of the message") if found else known


def _made(holder: Node) -> Iterator[int]:
    """The first that is there: NNhan (999), the signing time of the tax office or of the seller, TGGui (204), a date."""
    signatures = holder.child("DSCKS") or NOTHING
    held = next((kid for kid in holder.kids if kid.name[:2] == "DL"), NOTHING)  # DLTBao, DLBTHop, DLTKhai, ..
    about = held.child("TTChung") or held
    at = received(holder)
    for signer in ("CQT", "TTCQT", "NNT"):
        at = signing_time(signatures.child(signer))[0] if at is None else at
    if at is None and about.get("TGGui"):
        at = times.instant(about.get("TGGui"))
    for date in (about.get("NTBao"), holder.get("STBao", "NTBao"), about.get("TGNhan"), about.get("NLap")):
        made = times.day(date) if at is None and date else None
        at = day_start_us(made) if made is not None else at
    if at is not None:
        yield at
