"""The judge's own reading of shares: one department's sum against another's, over the units and days for which the other has any."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

from deploy.simulators.judge_cells import Fact, Place

SHARES: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "payment": {"cashless_percent": ("paid_vnd", "visit", "patient_vnd"), "cashless_count_percent": ("receipts", "visit", "payers")}
}
"""department -> share -> (its own figure, the other department, that one's figure)."""
GROUPS = ("total", "day", "unit", "day,unit")


def shares(department: str, facts: Mapping[str, Iterable[Fact]]) -> dict[str, dict[Place, dict[str, float]]]:
    """Percents to one decimal, by group and place; a place without a denominator has none."""
    found: dict[str, dict[Place, dict[str, float]]] = {group: defaultdict(dict) for group in GROUPS}
    for name, (own, of, whole) in SHARES.get(department, {}).items():
        parts, wholes = _sums(facts[department], own), _sums(facts[of], whole)
        sums: dict[tuple[str, Place], list[int]] = defaultdict(lambda: [0, 0])
        for (day, unit), total in wholes.items():
            if total > 0:
                for group in GROUPS:
                    both = sums[group, Fact(day, unit).place(group)]
                    both[0] += parts.get((day, unit), 0)
                    both[1] += total
        for (group, place), (part, total) in sums.items():
            found[group][place][name] = float((Decimal(100 * part) / total).quantize(Decimal("0.1"), ROUND_HALF_UP))
    return found


def _sums(facts: Iterable[Fact], figure: str) -> dict[tuple[str, str], int]:
    """Of each day and unit that is known."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for fact in facts:
        if fact.unit is not None:
            sums[fact.day, fact.unit] += fact.adds.get(figure, 0)
    return sums
