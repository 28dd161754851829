"""The judge's own reading of payments: the strongest status of every transaction is what holds."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import BankLine

FIGURES = (
    *("receipts", "paid_vnd", "mismatched", "failed", "unknown", "refused", "hospitals"),
    *("refunds", "refunded_vnd", "matched", "unstated", "unnotified", "differs", "stated_vnd"),
)
STATES = {"00": "paid", "10": "mismatched", "01": "failed", "99": "unknown"}
STRONGEST = ("paid", "mismatched", "failed", "unknown")
VIETNAM = timezone(timedelta(hours=7))


def facts(lines: Iterable[BankLine]) -> Iterator[Fact]:
    """One fact for each transaction, and one for each notice with a bad signature."""
    held: dict[tuple[str, str], list[BankLine]] = {}
    for line in lines:
        if line.what == "fact":
            held.setdefault((line.bank, line.transactionId), []).append(line)
        elif line.what == "corrupt" and line.how == "signature":
            yield Fact(line.offered[:10], None, {"refused": 1})
    for statuses in held.values():
        last = min(statuses, key=lambda line: STRONGEST.index(STATES[line.status]))
        state = STATES[last.status]
        day = _day(last.paidTime or min(line.transactionTime for line in statuses))
        if state == "paid":
            yield Fact(day, last.hospital, {"receipts": 1, "paid_vnd": last.paidAmount, "unstated": 1}, (("hospitals", last.hospital),))
        else:
            yield Fact(day, last.hospital, {state: 1, "unstated": int(state == "mismatched")})


def ids(lines: Iterable[BankLine]) -> tuple[set[str], set[str]]:
    """The last status of each transaction must have arrived, for the list has it; a passing one when its notice was confirmed."""
    told = list(lines)
    held = [line for line in told if line.what == "fact"]
    given_up = {_id(line) for line in told if line.what == "given_up"}
    last = {(line.bank, line.transactionId): _id(line) for line in held}
    pushed = {_id(line) for line in held if line.way == "push"}
    return (pushed - given_up) | set(last.values()), {_id(line) for line in held}


def _id(line: BankLine) -> str:
    return f"{line.bank}|{line.transactionId}|{STATES[line.status]}"


def _day(digits: str) -> str:
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).astimezone(VIETNAM).date().isoformat()
