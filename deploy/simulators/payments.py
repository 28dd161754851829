"""Transactions at the hospitals' banks: what was paid, how its status changed, and what goes wrong with the notices of it."""

from dataclasses import dataclass, field
from random import Random

from deploy.simulators import hospitals, people
from deploy.simulators.clock import SECOND_US, digits
from deploy.simulators.faults import Faults, lag_us

BANK_WEIGHTS = (40, 22, 14, 12, 12)
PUSHED = {
    "hdbank": ("00", "01", "10"),
    "vnpay": ("00", "01", "refund"),
    "payos": ("00",),
    "momo": ("00", "01", "99"),
    "sepay": ("00", "refund"),
}
PATHS = (("00",), ("10",), ("01",), ("99",), ("99", "00"), ("01", "00"))
PATH_WEIGHTS = (86, 3, 6, 2, 1.5, 1.5)
NEVER_PUSHED = 0.03
REFUNDED, AT_GATEWAY = 0.06, 0.4
SERVICES = ("KHAM", "XN", "CDHA", "THUOC", "VIENPHI")


@dataclass(slots=True)
class Status:
    """One status of one transaction, `refund` for one that gives its money back. way: `push` (and the list, or a file should nobody take it), `list`,
    or `file`. origin: what a refund gives back. twist: `""`, or what its notice is: `again`, `conflict`,
    `signature`, `number` (in the list: a row of its own). told: its line for the truth; None once that is written."""

    bank: str
    transaction: str
    hospital: str
    status: str
    amount: int
    paid: int
    made_us: int
    paid_us: int | None
    patient: people.Person
    service: str
    way: str
    twist: str
    told: dict[str, object] | None = field(default=None)
    origin: "Status | None" = field(default=None)


class Payments:
    """`make(begin_us)` gives the statuses of one transaction for a `Schedule`. In the past nothing is pushed any more: the list has it."""

    def __init__(self, seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/payments/{run_us}")
        self._faults = faults
        self._run_us = run_us
        self._prefix = run_us // SECOND_US
        self._count = 0
        self._patients = people.crowd(self._random, 500)

    def make(self, begin_us: int) -> list[tuple[int, Status]]:
        """The statuses and their faulty notices, each with the moment at which the bank has it."""
        random = self._random
        self._count += 1
        bank = random.choices(hospitals.BANKS, BANK_WEIGHTS)[0]
        path = _possible(bank, random.choices(PATHS, PATH_WEIGHTS)[0])
        lag = lag_us(random) if random.random() < self._faults.late else 0
        amount = 1000 * (5 + int(random.lognormvariate(5.2, 1.0)))
        made_us = begin_us - lag - int(random.uniform(20, 240) * SECOND_US)
        hospital = random.choices(hospitals.CODES, cum_weights=hospitals.BUSY)[0]
        if bank == "sepay" and random.random() < AT_GATEWAY:
            hospital = hospitals.CODES[0]
        common = (f"{self._prefix}{self._count:07d}", hospital)
        patient, service = random.choice(self._patients), random.choice(SERVICES)
        listed = begin_us < self._run_us or random.random() < NEVER_PUSHED
        out: list[tuple[int, Status]] = []
        at_us = begin_us
        for code in path:
            paid = (
                amount if code == "00" else max(1000, amount + random.choice((-1, 1)) * random.randint(1, 4) * 1000) if code == "10" else 0
            )
            if code == "10" and paid == amount:
                paid += 1000
            paid_us = made_us + int(random.uniform(3, 20) * SECOND_US) if code in ("00", "10") else None
            elsewhere = "list" if bank in hospitals.LISTED else "file"
            way = elsewhere if listed or code not in PUSHED[bank] else "push"
            status = Status(bank, *common, code, amount, paid, made_us, paid_us, patient, service, way, "")
            out += self._with_faults(at_us, status)
            at_us += int(random.uniform(3, 15) * SECOND_US)
        if status.status == "00" and random.random() < REFUNDED:
            out += self._refund(at_us, status, listed)
        return out

    def _refund(self, at_us: int, paid: Status, listed: bool) -> list[tuple[int, Status]]:
        """All or half of it given back: told by VNPAY's and the gateway's notices, HDBank's statement and MoMo's answers; the others tell nobody."""
        way = {"hdbank": "statement", "momo": "file"}.get(paid.bank, "push")
        is_gateway = hospitals.bank_code(paid.bank, paid.hospital) == "gateway"
        if way == "push" and (listed or not (paid.bank == "vnpay" or is_gateway)):
            return []
        amount = paid.paid if is_gateway or self._random.random() < 0.5 else paid.paid // 2
        at_second = at_us // SECOND_US * SECOND_US
        status = Status(
            paid.bank, paid.transaction, paid.hospital, "refund", paid.amount, amount, paid.made_us, at_second, paid.patient, paid.service, way, "",
            origin=paid,
        )  # fmt: skip
        if way == "push":
            return self._with_faults(at_us + SECOND_US, status)
        status.told = {"what": "fact"} | _told(status)
        return [(at_us + SECOND_US, status)]

    def _with_faults(self, at_us: int, status: Status) -> list[tuple[int, Status]]:
        random, faults = self._random, self._faults
        status.told = {"what": "fact"} | _told(status)
        out = [(at_us, status)]
        if status.way != "push":
            if random.random() < faults.corrupt:
                out.append((at_us, _twisted(status, "number")))
            return out
        if random.random() < faults.corrupt:
            how = random.choice(("signature", "number"))
            out.append((at_us + int(random.uniform(-1, 3) * SECOND_US), _twisted(status, how)))
        if random.random() < faults.again:
            out.append((at_us + int(random.uniform(1, 15) * SECOND_US), _twisted(status, "again")))
        if status.paid and random.random() < faults.conflict:
            out.append((at_us + int(random.uniform(1, 15) * SECOND_US), _twisted(status, "conflict")))
        return out


def _possible(bank: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """MoMo never says that another amount was paid; SePay tells of money that came, of nothing else."""
    return ("00",) if bank == "sepay" or (bank == "momo" and path == ("10",)) else path


def _twisted(status: Status, twist: str) -> Status:
    what = twist if twist in ("again", "conflict") else "corrupt"
    told: dict[str, object] = {
        "what": what,
        "system": "banks",
        "bank": status.bank,
        "transactionId": status.transaction,
        "status": status.status,
        "how": twist,
    }
    paid = status.paid + 1000 if twist == "conflict" else status.paid
    return Status(
        status.bank, status.transaction, status.hospital, status.status, status.amount, paid, status.made_us, status.paid_us,
        status.patient, status.service, status.way, twist, told, status.origin,
    )  # fmt: skip


def _told(status: Status) -> dict[str, object]:
    return {
        "system": "banks",
        "bank": status.bank,
        "transactionId": status.transaction,
        "status": status.status,
        "hospital": status.hospital,
        "transactionAmount": status.amount,
        "paidAmount": status.paid,
        "paidTime": None if status.paid_us is None else digits(status.paid_us),
        "transactionTime": digits(status.made_us),
        "way": status.way,
    }
