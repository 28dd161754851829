"""The folder of banks' files: statements (camt.054 as it goes, camt.053 at the end), MoMo's answers to queries, SePay's exports."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import orjson

from deploy.simulators import hospitals
from deploy.simulators.clock import SECOND_US, VIETNAM_US, digits, stamp
from deploy.simulators.notices import momo_answer, sepay_notice
from deploy.simulators.payments import Status
from deploy.simulators.truth import Truth

EVERY_US = 4 * SECOND_US
BIC = "HDBCVNVX"
UNSTATED, HALVES, DIFFERING, BATCHED, STRANGE, STATED_FAILURE = 0.1, 0.06, 0.04, 0.3, 0.03, 0.1
ENTRY = '<Ntry><Amt Ccy="VND">{vnd}.00</Amt><CdtDbtInd>{way}</CdtDbtInd><RvslInd>{reversal}</RvslInd><Sts>{status}</Sts>{day}{rest}</Ntry>'


@dataclass(frozen=True)
class Booking:
    """What the bank booked of one transaction: its credits, or one debit that gives money back. batched: several credits are one entry, whose parts
    a notification tells and a statement does not."""

    transaction: str
    hospital: str
    amounts: tuple[int, ...]
    booked_us: int
    given_back: bool = False
    batched: bool = False
    is_corrupt: bool = False


@dataclass
class Folder:
    """Writes files whole, each once the truth says what is in it. corrupt: how often a booking has a neighbour that nobody can read."""

    path: Path
    truth: Truth
    corrupt: float
    random: Random
    _due_us: int = 0
    _number: int = 0
    _fresh: list[Booking] = field(default_factory=list)
    _unstated: list[Booking] = field(default_factory=list)
    _before: set[str] = field(default_factory=set)  # booked while the notice still said that it failed
    _exported: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def pending(self) -> int:
        """What is not in a file yet."""
        return len(self._fresh) + len(self._unstated) + sum(map(len, self._exported.values()))

    def book(self, status: Status) -> None:
        """The bank that has statements knows of a status: it may have booked something."""
        random, at_us = self.random, (status.paid_us or status.made_us) // SECOND_US * SECOND_US
        if status.status == "refund":
            self._booked(Booking(status.transaction, status.hospital, (status.paid,), at_us, given_back=True))
        elif status.status == "01" and random.random() < STATED_FAILURE:
            self._booked(Booking(status.transaction, status.hospital, (status.amount,), at_us))
            self._before.add(status.transaction)
        elif status.paid and status.transaction not in self._before and (draw := random.random()) >= UNSTATED:
            draw -= UNSTATED
            half = status.paid // 2000 * 1000
            split, other = draw < HALVES, HALVES <= draw < HALVES + DIFFERING
            amounts = (half, status.paid - half) if split else (status.paid + 2000,) if other else (status.paid,)
            self._booked(Booking(status.transaction, status.hospital, amounts, at_us, batched=split and random.random() < BATCHED))
        if random.random() < STRANGE:
            self._booked(Booking(f"K{status.transaction}{status.status}", status.hospital, (1000 * random.randint(5, 900),), at_us))

    def export(self, status: Status) -> None:
        """A status of MoMo or SePay that no notice tells, or whose notice nobody took."""
        written = momo_answer(status) if status.bank == "momo" else sepay_notice(status)
        self._exported[status.bank].append(orjson.dumps(written))

    def write(self, now: int, stopped: bool) -> None:
        """What is due: notifications and exports every EVERY_US, at once when the bank stops, and then a statement of everything. The first
        of both are of the past."""
        if not stopped and now < self._due_us:
            return
        if self._fresh and not stopped:
            self._document("camt.054.001.08", "BkToCstmrDbtCdtNtfctn", "Ntfctn", now, self._fresh)
        if (stopped or not self._due_us) and self._unstated:
            self._document("camt.053.001.08", "BkToCstmrStmt", "Stmt", now, self._unstated)
            self._unstated = []
        self._fresh = []
        for bank, lines in self._exported.items():
            self._put(f"{bank}-{self._next()}.ndjson", b"\n".join(lines) + b"\n")
        self._exported.clear()
        self._due_us = now + EVERY_US

    def _booked(self, booking: Booking) -> None:
        booking = replace(booking, is_corrupt=self.random.random() < self.corrupt)
        self._fresh.append(booking)
        self._unstated.append(booking)

    def _document(self, schema: str, message: str, statement: str, now: int, bookings: Sequence[Booking]) -> None:
        """One document with a statement for each account. A notification has the second of each booking, a statement its day."""
        name = f"{schema}-{self._next()}"
        by_hospital: dict[str, list[Booking]] = defaultdict(list)
        for booking in bookings:
            by_hospital[booking.hospital].append(booking)
            if booking.is_corrupt:
                self.truth.add(
                    {"what": "corrupt", "system": "banks", "bank": "hdbank", "transactionId": f"X{booking.transaction}", "how": "number"}
                )
            self.truth.add(
                {"what": "booked", "system": "banks", "bank": "hdbank", "statement": name} | _told(booking, statement == "Ntfctn")
            )
        self.truth.keep()
        made = f"<CreDtTm>{stamp(now)}</CreDtTm>"
        shown = "".join(
            f"<{statement}><Id>{name}-{hospital}</Id>{made}<Acct><Id><IBAN>{hospitals.account(hospital)}</IBAN></Id><Ccy>VND</Ccy><Svcr><FinInstnId>"
            f"<BICFI>{BIC}</BICFI></FinInstnId></Svcr></Acct>{''.join(_entries(held, statement == 'Ntfctn'))}</{statement}>"
            for hospital, held in by_hospital.items()
        )
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:{schema}"><{message}><GrpHdr><MsgId>{name}</MsgId>{made}'
            f"</GrpHdr>{shown}</{message}></Document>"
        )
        self._put(f"{name}.xml", text.encode())

    def _put(self, name: str, content: bytes) -> None:
        unfinished = self.path / f".{name}"
        unfinished.write_bytes(content)
        unfinished.rename(self.path / name)

    def _next(self) -> str:
        self._number += 1
        return f"{self._number:06d}"


def _told(booking: Booking, to_second: bool) -> dict[str, object]:
    """A line for the truth. time: yyyyMMddHHmmss, Vietnamese, of the second or of the day's beginning."""
    written = digits(booking.booked_us + VIETNAM_US)
    is_sum = booking.batched and not to_second
    return {
        "transactionId": _batch(booking) if is_sum else booking.transaction,
        "status": "refund" if booking.given_back else "",
        "hospital": booking.hospital,
        "amounts": (sum(booking.amounts),) if is_sum else booking.amounts,
        "batch": _batch(booking) if booking.batched and to_second else "",
        "booked": written if to_second else f"{written[:8]}000000",
    }


def _batch(booking: Booking) -> str:
    return f"B{booking.transaction}"


def _entries(bookings: Iterable[Booking], is_notified: bool) -> Iterable[str]:
    """The entries of one account, and with them what says nothing: a credit that is still pending, and a payment of the hospital's own."""
    for booking in bookings:
        at = stamp(booking.booked_us)
        day = f"<BookgDt><DtTm>{at}</DtTm></BookgDt>" if is_notified else f"<BookgDt><Dt>{at[:10]}</Dt></BookgDt>"
        common = {"status": "<Cd>BOOK</Cd>", "day": day, "way": "DBIT" if booking.given_back else "CRDT"}
        reference = f"<AcctSvcrRef>{booking.transaction}</AcctSvcrRef>"
        if booking.is_corrupt:
            yield ENTRY.format(vnd="mười nghìn", reversal="false", rest=reference.replace(">", ">X", 1), **common)
        if booking.batched:
            parts = "".join(f'<TxDtls><Refs>{reference}</Refs><Amt Ccy="VND">{vnd}</Amt></TxDtls>' for vnd in booking.amounts)
            rest = f"<AcctSvcrRef>{_batch(booking)}</AcctSvcrRef>" + (f"<NtryDtls>{parts}</NtryDtls>" if is_notified else "")
            yield ENTRY.format(vnd=sum(booking.amounts), reversal="false", rest=rest, **common)
        else:
            for vnd in booking.amounts:
                yield ENTRY.format(vnd=vnd, reversal=str(booking.given_back).lower(), rest=reference, **common)
    noise = {"vnd": 77000, "reversal": "false", "day": "", "rest": "<AcctSvcrRef>NOISE</AcctSvcrRef>"}
    yield ENTRY.format(way="CRDT", status="<Cd>PDNG</Cd>", **noise)
    yield ENTRY.format(way="DBIT", status="<Cd>BOOK</Cd>", **noise)
