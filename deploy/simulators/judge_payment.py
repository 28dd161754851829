"""The judge's own reading of payments: the strongest status of every transaction is what holds."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import BankLine

FIGURES = (
    *("receipts", "paid_vnd", "mismatched", "failed", "unknown", "refused", "hospitals"),
    *("refunds", "refunded_vnd", "matched", "unstated", "unnotified", "differs", "stated_vnd"),
)
STATES = {"00": "paid", "10": "mismatched", "01": "failed", "99": "unknown", "refund": "refunded"}
STRONGEST = ("paid", "mismatched", "failed", "unknown")
VIETNAM = timezone(timedelta(hours=7))

Name = tuple[str, str]  # bank, transaction


def facts(lines: Iterable[BankLine]) -> Iterator[Fact]:
    """One fact for each transaction, each refund, and each notice with a bad signature."""
    told = list(lines)
    given_up = {_id(line) for line in told if line.what == "given_up"}
    in_parts = {(line.bank, line.batch) for line in told}
    held: dict[Name, list[BankLine]] = defaultdict(list)
    booked: dict[Name, list[BankLine]] = defaultdict(list)
    for line in told:
        if line.what == "corrupt" and line.how == "signature":
            yield Fact(line.offered[:10], None, {"refused": 1})
        elif line.what == "fact" and line.status == "refund":
            if _id(line) not in given_up:
                money = {"refunds": 1, "refunded_vnd": line.paidAmount, "paid_vnd": -line.paidAmount}
                yield Fact(_day(line.paidTime or ""), line.hospital, money)
        elif line.what in ("fact", "booked") and line.status != "refund" and (line.bank, line.transactionId) not in in_parts:
            (held if line.what == "fact" else booked)[line.bank, line.transactionId].append(line)
    for name in held.keys() | booked.keys():
        yield _fact(held[name], booked[name])


def _fact(statuses: list[BankLine], booked: list[BankLine]) -> Fact:
    """What one transaction adds: what holds of it, and what the statements have of it, each line as often as the one that has most of it."""
    most: Counter[int] = Counter()
    for statement in {line.statement for line in booked}:
        most |= Counter(vnd for line in booked if line.statement == statement for vnd in line.amounts)
    stated = sum(vnd * times for vnd, times in most.items())
    if not statuses:
        first = min(booked, key=lambda line: line.booked)
        return Fact(f"{first.booked[:4]}-{first.booked[4:6]}-{first.booked[6:8]}", first.hospital, {"unnotified": 1, "stated_vnd": stated})
    last = min(statuses, key=lambda line: STRONGEST.index(STATES[line.status]))
    state = STATES[last.status]
    notified = state in ("paid", "mismatched")
    against = (("matched" if stated == last.paidAmount else "differs") if notified else "unnotified") if booked else "unstated" * notified
    adds = {"receipts": 1, "paid_vnd": last.paidAmount} if state == "paid" else {state: 1}
    day = _day(last.paidTime or min(line.transactionTime for line in statuses))
    distinct = (("hospitals", last.hospital),) if state == "paid" else ()
    return Fact(day, last.hospital, adds | {"stated_vnd": stated} | ({against: 1} if against else {}), distinct)


def ids(lines: Iterable[BankLine]) -> tuple[set[str], set[str]]:
    """The last status of each transaction must have arrived, for a list or a file has it; a passing one and a refund when its notice was confirmed;
    and every line of every statement."""
    told = list(lines)
    held = [line for line in told if line.what == "fact"]
    given_up = {_id(line) for line in told if line.what == "given_up"}
    last = {(line.bank, line.transactionId): _id(line) for line in held if line.status != "refund"}
    sure = {_id(line) for line in held if line.way == "push"} - given_up | {_id(line) for line in held if line.way == "file"}
    stated = {name for line in told if line.what == "booked" for name in _stated(line)}
    return sure | set(last.values()) | stated, {_id(line) for line in held}


def _id(line: BankLine) -> str:
    return f"{_transaction(line)}|{STATES[line.status]}"


def _transaction(line: BankLine) -> str:
    """Its name; a refund has one of its own."""
    return f"{line.bank}|{'refund|' if line.status == 'refund' else ''}{line.transactionId}"


def _stated(line: BankLine) -> Iterator[str]:
    """The names of the lines of one transaction on one statement: of those that are alike the second and later are numbered."""
    told = "returned" if line.status == "refund" else "credited"
    at_us = int(datetime.strptime(line.booked, "%Y%m%d%H%M%S").replace(tzinfo=VIETNAM).timestamp()) * 1_000_000
    for place, vnd in enumerate(line.amounts):
        nth = line.amounts[: place + 1].count(vnd)
        yield f"{_transaction(line)}|{told}|{at_us}|{vnd}" + (f"|{nth}" if nth > 1 else "")


def _day(digits: str) -> str:
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).astimezone(VIETNAM).date().isoformat()
