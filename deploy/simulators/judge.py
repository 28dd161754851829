"""The judge: recomputes every figure from what the departments really sent and compares it with what the system says."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from deploy.simulators import judge_einvoice, judge_payment, judge_telehealth, judge_video, judge_visit
from deploy.simulators.judge_cells import GROUPS, Cell, Fact, Place, Value, cells
from deploy.simulators.judge_lines import BankLine, Line, TaxLine, TelehealthLine, VideoLine, VisitLine, read
from deploy.simulators.judge_shares import SHARES, shares

Rows = Sequence[Mapping[str, object]]
TOLERANCE = 0.055
SHOWN = 200
FIGURES = {
    "einvoice": judge_einvoice.FIGURES,
    "telehealth": judge_telehealth.FIGURES,
    "payment": judge_payment.FIGURES,
    "telequality": judge_video.FIGURES,
    "visit": judge_visit.FIGURES,
}
HASHED = {
    "einvoice": ("tax", "message"),
    "telehealth": ("health", "encounter"),
    "payment": ("payment", "transaction"),
    "telequality": ("health", "telequality"),
    "visit": ("health", "record"),
}


@dataclass(frozen=True)
class Difference:
    """One cell that differs. place: the group's keys (nothing for total)."""

    department: str
    group: str
    place: Place
    figure: str
    expected: Value | float
    actual: object


@dataclass
class Tally:
    """sent: facts that must have arrived. lost: of those, how many did not. doubled: ids that are there more than once.
    strangers: ids that no fact has. corrupt: deliveries that cannot be understood."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    strangers: int = 0
    corrupt: int = 0
    lost_examples: list[str] = field(default_factory=list)


@dataclass
class Report:
    """departments: a Tally each. cells: how many figures were compared. differences: at most SHOWN of `differing`."""

    departments: dict[str, Tally]
    cells: int
    differing: int
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Nothing lost, doubled or strange, and every figure equal."""
        return self.differing == 0 and all(t.lost == t.doubled == t.strangers == 0 for t in self.departments.values())

    def json(self) -> dict[str, object]:
        """As plain data."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True)
class Truth:
    """What the truth files say, by department."""

    facts: Mapping[str, list[Fact]]
    required: Mapping[str, set[str]]
    possible: Mapping[str, set[str]]
    corrupt: Mapping[str, int]


def truth(files: Iterable[Path]) -> Truth:
    """Read the truth files of any of the departments, of one run or of several."""
    lines: list[Line] = list(read(files))
    tax = [line for line in lines if isinstance(line, TaxLine)]
    telehealth = [line for line in lines if isinstance(line, TelehealthLine)]
    banks = [line for line in lines if isinstance(line, BankLine)]
    video = [line for line in lines if isinstance(line, VideoLine)]
    hospitals = [line for line in lines if isinstance(line, VisitLine)]
    named = {
        "einvoice": judge_einvoice.ids(tax),
        "telehealth": judge_telehealth.ids(telehealth),
        "payment": judge_payment.ids(banks),
        "telequality": judge_video.ids(video),
        "visit": judge_visit.ids(hospitals),
    }
    of: dict[str, Sequence[Line]] = {
        "einvoice": tax,
        "telehealth": telehealth,
        "payment": banks,
        "telequality": video,
        "visit": hospitals,
    }
    return Truth(
        facts={
            "einvoice": list(judge_einvoice.facts(tax)),
            "telehealth": list(judge_telehealth.facts(telehealth)),
            "payment": list(judge_payment.facts(banks)),
            "telequality": list(judge_video.facts(video)),
            "visit": list(judge_visit.facts(hospitals)),
        },
        required={department: required for department, (required, _) in named.items()},
        possible={department: required | optional for department, (required, optional) in named.items()},
        corrupt={department: sum(line.what == "corrupt" for line in found) for department, found in of.items()},
    )


def judge(
    truth_files: Iterable[Path],
    figures: Mapping[str, Mapping[str, Rows]],
    ids: Mapping[str, Iterable[str]],
    keys: Mapping[str, Any],
    days: tuple[str, str] | None = None,
) -> Report:
    """Compare. figures: department -> group (`total`, `day`, `unit` or `day,unit`) -> rows of `ioc figures --json`; what is not given is
    not compared. ids: department -> the ids of its raw events, with repeats if there are any. keys: the keys file's content.
    days: first and last day (ISO) of the figures when they do not cover everything.
    """
    known = truth(truth_files)
    differences: list[Difference] = []
    compared = 0
    inside = {name: [fact for fact in facts if days is None or days[0] <= fact.day <= days[1]] for name, facts in known.facts.items()}
    for department, groups in figures.items():
        counted, shared = cells(inside[department]), shares(department, inside)
        for group, rows in groups.items():
            found, count = _compare(department, group, counted[group], shared.get(group, {}), rows)
            differences += found
            compared += count
    tallies = {department: _tally(department, known, held, keys) for department, held in ids.items()}
    return Report(tallies, compared, len(differences), differences[:SHOWN])


def pseudonym(domain: Sequence[Mapping[str, str]], what: str, value: str) -> str:
    """What the door makes of a value with the oldest of a domain's keys: its id and 120 bits of HMAC-SHA256 under the key HMAC-SHA256(key, what);
    with a key of before November 2026, which has no id, 128 bits of BLAKE2b."""
    key = hmac.new(bytes.fromhex(domain[0]["key"]), what.encode(), "sha256").digest()
    if not domain[0]["id"]:
        return hashlib.blake2b(value.encode(), key=key, digest_size=16).hexdigest()
    return domain[0]["id"] + hmac.new(key, value.encode(), "sha256").hexdigest()[:30]


def _tally(department: str, known: Truth, held: Iterable[str], keys: Mapping[str, Any]) -> Tally:
    domain, what = HASHED[department]
    counted = Counter(held)
    names = {pseudonym(keys[domain], "servicerequest" if "#yc|" in name else what, name): name for name in known.possible[department]}
    required = {hashed for hashed, name in names.items() if name in known.required[department]}
    lost = required - counted.keys()
    return Tally(
        sent=len(required),
        lost=len(lost),
        doubled=sum(count - 1 for count in counted.values()),
        strangers=len(counted.keys() - names.keys()),
        corrupt=known.corrupt[department],
        lost_examples=sorted(names[hashed] for hashed in lost)[:10],
    )


def _compare(
    department: str, group: str, expected: Mapping[Place, Cell], shared: Mapping[Place, Mapping[str, float]], rows: Rows
) -> tuple[list[Difference], int]:
    names = () if group == "total" else tuple(group.split(","))
    differences: list[Difference] = []
    actual: dict[Place, Mapping[str, object]] = {}
    for row in rows:
        place = tuple(_text(name, row.get(name)) for name in names)
        if place in actual:
            differences.append(Difference(department, group, place, "(row)", 1, 2))
        actual[place] = row
    places, names_shared = expected.keys() | actual.keys() | shared.keys(), SHARES.get(department, {})
    for place in sorted(places, key=str):
        for figure in FIGURES[department]:
            wanted = expected[place].figure(figure) if place in expected else None
            given = actual[place].get(figure, "absent") if place in actual else None
            if not _same(figure, wanted, given):
                differences.append(Difference(department, group, place, figure, wanted, given))
        for name in names_shared:
            percent, given = shared.get(place, {}).get(name), actual[place].get(name, "absent") if place in actual else None
            if percent != given:  # unknown is not 0
                differences.append(Difference(department, group, place, name, percent, given))
    return differences, len(places) * (len(FIGURES[department]) + len(names_shared))


def _same(figure: str, wanted: Value, given: object) -> bool:
    if figure.startswith("code_seconds"):
        if wanted is None or given is None:
            return wanted is given
        return isinstance(given, int | float) and abs(given - wanted) <= TOLERANCE * wanted
    return (wanted or 0) == (given or 0) and given != "absent"


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    return str(value)[:10] if name == "day" else str(value)


def command(truth_files: Sequence[Path], figures: Path, ids: Path | None, keys: Path | None) -> tuple[dict[str, object], bool]:
    """`python -m deploy.simulators judge`. figures: JSON {department: {group: rows}}, where rows may be a whole answer of `ioc figures`;
    ids: JSON {department: [id, ..]}; keys: the keys file. The report as plain data, and whether all is well."""
    asked = orjson.loads(figures.read_bytes())
    given = {department: {group: _rows(rows) for group, rows in groups.items()} for department, groups in asked.items()}
    held = orjson.loads(ids.read_bytes()) if ids else {}
    report = judge(truth_files, given, held, orjson.loads(keys.read_bytes()) if keys else {})
    return report.json(), report.ok


def _rows(answer: Rows | Mapping[str, Rows]) -> Rows:
    return answer["rows"] if isinstance(answer, Mapping) else answer


__all__ = ["GROUPS", "Difference", "Report", "Tally", "Truth", "command", "judge", "pseudonym", "truth"]
