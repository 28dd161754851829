"""The judge's own reading of e-invoices: the life of every invoice from the messages that were issued (tvan.md 9)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import HDon, TaxLine

Key = tuple[str, str, str, str]
FIGURES = (
    "messages", "invoices", "accepted", "rejected", "pending", "cancelled", "replaced", "value_vnd", "tax_vnd", "sellers", "code_seconds_p50", "code_seconds_p95",
    "unlisted", "flagged", "signed", "unsigned", "invalid",
)  # fmt: skip
IN_FORCE = ("accepted", "pending")
VERSIONS, STATES = ("", "2.0.0", "2.0.1", "2.1.0"), ("", "0", "1", "2", "3", "4", "5", "6")  # PBan, TCTBao that lists have


@dataclass
class _Book:
    """Everything the messages say, whatever their order."""

    documents: dict[Key, HDon] = field(default_factory=dict)
    package: dict[str, list[Key]] = field(default_factory=dict)
    accepted: set[Key] = field(default_factory=set)
    rejected: set[Key] = field(default_factory=set)
    names: dict[Key, set[Key]] = field(default_factory=lambda: defaultdict(set))
    codes: dict[Key, tuple[str, str, str | None]] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)
    cancels: dict[tuple[str, int], list[Key]] = field(default_factory=dict)
    communes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, TaxLine] = field(default_factory=dict)


def facts(lines: Iterable[TaxLine]) -> Iterator[Fact]:
    """One fact for each message and each invoice. Nobody looks at signatures in a demo, so that none is said to be signed, unsigned or invalid."""
    book = _read(lines)
    cancelled = _verdicts(book)
    replaced = {old for key in book.accepted & book.documents.keys() for old in book.names[key]}
    for message in book.messages.values():
        yield Fact(message.time[:10], book.communes.get(_bare(message.MST)), {"messages": 1, "unlisted": int(_is_unlisted(message))})
    for key, document in book.documents.items():
        state = _state(key, book, cancelled, replaced)
        adds = {"invoices": 1, state: 1, "flagged": int(_is_flagged(document))}
        if state in IN_FORCE:
            adds |= {"value_vnd": _dong(document.TgTTTBSo, document), "tax_vnd": _dong(document.TgTThue, document)}
        yield Fact(document.NLap, book.communes.get(key[0]), adds, (("sellers", key[0]),), _code_seconds(key, book))


def ids(lines: Iterable[TaxLine]) -> tuple[set[str], set[str]]:
    """The MTDiep that must have arrived, and (none here) those that may."""
    return {line.MTDiep for line in lines if line.what == "fact"}, set()


def _read(lines: Iterable[TaxLine]) -> _Book:
    book = _Book()
    for line in lines:
        if line.what == "registry":
            book.communes[_bare(line.MST)] = line.commune
        elif line.what == "fact" and line.MTDiep not in book.messages:
            book.messages[line.MTDiep] = line
            _take_invoices(book, line)
            if line.MLTDiep == "999" and line.TTTNhan == "0":
                book.heard[line.MTDTChieu] = min(line.time, book.heard.get(line.MTDTChieu, line.time))
            if line.MLTDiep == "300":
                for part, notice in enumerate(line.TBao, 1):
                    book.cancels[line.MTDiep, part] = [_key(line.MST, *named) for *named, action in notice.HDon if action == "1"]
    return book


def _take_invoices(book: _Book, line: TaxLine) -> None:
    keys = []
    for document in line.HDon:
        key = _key(document.MST, document.KHMSHDon, document.KHHDon, document.SHDon)
        keys.append(key)
        book.documents.setdefault(key, document)
        if document.TCHDon == "1":
            book.names[key] |= {_key(document.MST, *old) for old in document.CLQuan}
        if document.TCHDon == "3":
            book.names[key] |= {_key(document.MST, *old) for old in line.BKe}
        if line.MLTDiep == "202":
            book.accepted.add(key)
            book.codes.setdefault(key, (line.MTDTChieu, line.time, document.SigningTime))
    book.package[line.MTDiep] = keys


def _verdicts(book: _Book) -> set[Key]:
    """Apply every 204 to the package it answers; the invoices that a 301 lets be cancelled."""
    cancelled: set[Key] = set()
    for line in book.messages.values():
        listed = {_key(line.MST, *named) for named in line.refused}
        package = set(book.package.get(line.MTDTChieu, ()))
        match line.MLTDiep, line.LTBao:
            case "204", "2":
                book.accepted |= package
            case "204", "3" | "7":
                book.accepted |= package - listed
                book.rejected |= listed
            case "204", "9":
                book.rejected |= package
            case "204", "1":
                book.rejected |= listed
            case "301", _:
                cancelled |= _let_go(book, line)
    return cancelled


def _let_go(book: _Book, line: TaxLine) -> set[Key]:
    """What a 301 accepts of the cancellations it answers: not listed, or listed with TTTNCCQT 1 (tvan.md 6)."""
    gone: set[Key] = set()
    for notice in line.TBao:
        refused = {_key(line.MST, *named) for *named, state in notice.HDon if state != "1"}
        if not notice.DSLDKTNhan:
            gone |= set(book.cancels.get((line.MTDTChieu, notice.STTThe), ())) - refused
    return gone


def _state(key: Key, book: _Book, cancelled: set[Key], replaced: set[Key]) -> str:
    for state, members in (("cancelled", cancelled), ("replaced", replaced), ("accepted", book.accepted), ("rejected", book.rejected)):
        if key in members:
            return state
    return "pending"


def _code_seconds(key: Key, book: _Book) -> int | None:
    """From the tax office's 999 (else the seller's signature) to the code."""
    if key not in book.codes:
        return None
    question, coded, signed = book.codes[key]
    begin = book.heard.get(question, signed)
    return None if begin is None else int((datetime.fromisoformat(coded) - datetime.fromisoformat(begin)).total_seconds())


def _is_unlisted(message: TaxLine) -> bool:
    """Whether it has a code that no list has: of the version, or of a notice, where 1 (cancel) is none any more since 2.1.0 (tvan.md 6)."""
    actions = [action for notice in message.TBao for *_, action in notice.HDon] if message.MLTDiep == "300" else []
    is_old = message.PBan[:3] in ("", "2.0")
    return message.PBan not in VERSIONS or any(action not in STATES or (action == "1" and not is_old) for action in actions)


def _is_flagged(document: HDon) -> bool:
    """Whether money is wrong in it: parts that do not come to the total, a fraction of a đồng, foreign money without its rate."""
    total, net = document.TgTTTBSo, document.TgTCThue
    if total is None:
        return False
    if net is not None and abs(Decimal(net) + Decimal(document.TgTThue or "0") - Decimal(total)) > 1:
        return True
    return bool(Decimal(total) % 1) if document.DVTTe == "VND" else not Decimal(document.TGia or "0")


def _dong(amount: str | None, document: HDon) -> int:
    if amount is None:
        return 0
    return int((Decimal(amount) * Decimal(document.TGia or "1")).quantize(Decimal(1), ROUND_HALF_UP))


def _key(mst: str, form: str, series: str, number: str) -> Key:
    return _bare(mst), form, series, str(int(number))


def _bare(mst: str) -> str:
    return mst.strip().replace("-", "")
