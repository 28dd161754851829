"""Units of the state in time: communes, districts, hospitals, agencies; what became of them, and totals cut anew for those of another day."""

import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Final, NamedTuple

KINDS: Final = ("commune", "district", "hospital", "agency")
_DAY = timedelta(days=1)
_TONES = "\u0300\u0301\u0303\u0309\u0323"  # huyền, sắc, ngã, hỏi, nặng


class Unit(NamedTuple):
    """A unit as it was from `valid_from` up to and with `valid_to` (None: it stands). A code may be given anew to another unit later.

    level: of a hospital or agency. parent: the code of the unit above it (a commune's or hospital's district).
    """

    code: str
    name: str
    kind: str
    valid_from: date
    valid_to: date | None = None
    level: str | None = None
    parent: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    area_km2: float | None = None

    def stands(self, day: date) -> bool:
        """Whether it was valid on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class Succession(NamedTuple):
    """A unit whose last day was `ended` went into another one of its kind: whole, or in part.

    main: of several parts the one where its centre lies. share: what part of it that was, where somebody knows.
    """

    kind: str
    code: str
    ended: date
    into: str
    whole: bool = True
    main: bool = True
    share: float | None = None


class Piece(NamedTuple):
    """What of a unit lies in another one. exact: all of what it counted went there, or came from there, by the successions."""

    unit: Unit
    weight: Fraction
    exact: bool


def fold(name: str) -> str:
    """A name to compare by: NFC, lower case, one space, and the tone at the end of its syllable (Hoá and Hóa, Thuỵ and Thụy are the same)."""
    return " ".join(map(_toneless_first, unicodedata.normalize("NFC", name).casefold().split()))


def _toneless_first(word: str) -> str:
    letters = unicodedata.normalize("NFD", word)
    tones = "".join(letter for letter in letters if letter in _TONES)
    return unicodedata.normalize("NFC", "".join(letter for letter in letters if letter not in _TONES)) + tones


class Gazetteer:
    """All units of all times, and what became of them. Pure: it reads nothing."""

    def __init__(self, units: Iterable[Unit], successions: Iterable[Succession]) -> None:
        self._versions: dict[tuple[str, str], list[Unit]] = defaultdict(list)
        for unit in sorted(units, key=lambda unit: (unit.kind, unit.code, unit.valid_from)):
            self._versions[unit.kind, unit.code].append(unit)
        self._after: dict[tuple[str, str, date], list[Succession]] = defaultdict(list)
        self._before: dict[tuple[str, str, date], list[Succession]] = defaultdict(list)
        self._grown: dict[tuple[str, str], set[date]] = defaultdict(set)
        for each in sorted(successions, key=lambda each: each[:4]):
            self._after[each.kind, each.code, each.ended].append(each)
            self._before[each.kind, each.into, each.ended].append(each)
            self._grown[each.kind, each.into].add(each.ended + _DAY)
        self._changes = {kind: self._days_of_change(kind) for kind in {kind for kind, _ in self._versions}}
        self._pieces: dict[tuple[Unit, date, date], tuple[Piece, ...]] = {}

    def valid(self, kind: str, day: date) -> dict[str, Unit]:
        """The units of a kind that were valid on a day, by code."""
        return {unit.code: unit for unit in self.of(kind) if unit.stands(day)}

    def of(self, kind: str) -> Iterator[Unit]:
        """Every version of every unit of a kind, by code and time."""
        return (unit for (of, _), versions in self._versions.items() if of == kind for unit in versions)

    def version(self, kind: str, code: str, day: date) -> Unit | None:
        """What a code meant on a day: the newest unit that had it by then, else the first that ever had; None for a code never heard of."""
        versions = self._versions.get((kind, code))
        if not versions:
            return None
        return versions[max(0, bisect_right(versions, day, key=lambda unit: unit.valid_from) - 1)]

    def beside(self, unit: Unit) -> tuple[Unit | None, Unit | None]:
        """The units that had the same code before and after."""
        versions = self._versions[unit.kind, unit.code]
        place = versions.index(unit)
        return (versions[place - 1] if place else None), (versions[place + 1] if place + 1 < len(versions) else None)

    def grown(self, unit: Unit) -> list[date]:
        """The days, after its first, on which a unit took others in."""
        return sorted(day for day in self._grown.get((unit.kind, unit.code), ()) if unit.valid_from < day and unit.stands(day))

    def became(self, unit: Unit) -> tuple[Succession, ...]:
        """What it went into when it ended."""
        return tuple(self._after.get((unit.kind, unit.code, unit.valid_to), ())) if unit.valid_to else ()

    def came_of(self, unit: Unit) -> tuple[Succession, ...]:
        """What it was made of, or took in later."""
        days = [unit.valid_from, *self.grown(unit)]
        return tuple(each for day in days for each in self._before.get((unit.kind, unit.code, day - _DAY), ()))

    def pieces(self, unit: Unit, of: date, at: date) -> tuple[Piece, ...]:
        """Where what a unit counted on the day `of` belongs among the units of the day `at`; the weights add up to 1.

        What ended for good, or began of nothing, stays itself.
        """
        key = (unit, of, at)
        if key not in self._pieces:
            self._pieces[key] = self._cut(unit, of, at)
        return self._pieces[key]

    def heir(self, unit: Unit, day: date) -> tuple[Unit, bool]:
        """The one unit of `day` that took the place of an ended one, and whether all of it went there; of parts the main one."""
        exact = True
        while unit.valid_to is not None and unit.valid_to < day:
            after = unit.valid_to + _DAY
            pieces = self._on(unit, after)
            links = {each.into: each for each in self._after.get((unit.kind, unit.code, unit.valid_to), [])}
            following = max(pieces, key=lambda piece: (piece.unit.code in links and links[piece.unit.code].main, piece.weight))
            if following.unit == unit:
                break
            unit, exact = following.unit, exact and following.exact
        return unit, exact

    def _cut(self, unit: Unit, of: date, at: date) -> tuple[Piece, ...]:
        held = {unit: (Fraction(1), True)}
        days = self._changes.get(unit.kind, ())
        forward = at >= of
        steps = [day for day in days if of < day <= at] if forward else [day for day in reversed(days) if at < day <= of]
        for day in steps:
            moved: dict[Unit, tuple[Fraction, bool]] = {}
            for each, (weight, exact) in held.items():
                for piece in self._on(each, day) if forward else self._back(each, day):
                    had, true = moved.get(piece.unit, (Fraction(0), True))
                    moved[piece.unit] = had + weight * piece.weight, true and exact and piece.exact
            held = moved
        return tuple(Piece(each, weight, exact) for each, (weight, exact) in sorted(held.items(), key=lambda item: item[0][:4]))

    def _on(self, unit: Unit, day: date) -> list[Piece]:
        """What a unit is from `day` on, on which some units begin."""
        eve = day - _DAY
        if unit.valid_to != eve:
            return [Piece(unit, Fraction(1), True)]
        links = self._after.get((unit.kind, unit.code, eve), [])
        into = {each.into: each for each in links}
        found = [to for code in into or [unit.code] if (to := self.version(unit.kind, code, day)) and to.stands(day)]
        if not found:
            return [Piece(unit, Fraction(1), True)]
        shares = [into[to.code].share if to.code in into else None for to in found]
        exact = len(found) == 1 and all(each.whole for each in links)
        return [Piece(to, weight, exact) for to, weight in zip(found, _weights(found, shares), strict=True)]

    def _back(self, unit: Unit, day: date) -> list[Piece]:
        """What a unit was until the day before `day`."""
        eve = day - _DAY
        if not unit.stands(day):
            return [Piece(unit, Fraction(1), True)]
        codes = [each.code for each in self._before.get((unit.kind, unit.code, eve), [])]
        found = [to for code in codes if (to := self.version(unit.kind, code, eve)) and to.stands(eve)]
        if unit.valid_from <= eve:
            found = [unit, *found]
        elif not codes and (unit.kind, unit.code, eve) not in self._after:
            same = self.version(unit.kind, unit.code, eve)
            found = [same] if same and same.stands(eve) else []
        if not found:
            return [Piece(unit, Fraction(1), True)]
        return [Piece(to, weight, len(found) == 1) for to, weight in zip(found, _weights(found, [None] * len(found)), strict=True)]

    def _days_of_change(self, kind: str) -> tuple[date, ...]:
        begins = {unit.valid_from for unit in self.of(kind)}
        return tuple(sorted(begins | {unit.valid_to + _DAY for unit in self.of(kind) if unit.valid_to is not None}))


def _weights(found: Sequence[Unit], shares: Sequence[float | None]) -> list[Fraction]:
    """By the shares that are known, else by the areas of those that get a part, else in equal parts."""
    known: Sequence[float | None] = shares if all(shares) else [unit.area_km2 for unit in found]
    sizes = [round(each * 10_000) if each else 0 for each in known]
    if not all(each > 0 for each in sizes):
        sizes = [1] * len(found)
    return [Fraction(each, sum(sizes)) for each in sizes]


def split(value: int, weights: Sequence[Fraction]) -> list[int]:
    """A whole number in whole parts that add up to it: each rounded down, what is left one by one to those that lost most."""
    exact = [value * weight for weight in weights]
    parts = [each.numerator // each.denominator for each in exact]
    most = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in most[: value - sum(parts)]:
        parts[i] += 1
    return parts


class Total(NamedTuple):
    """What was counted for a unit. exact: no part of it is a share of what a divided unit counted."""

    values: dict[str, int]
    exact: bool


def recut(counted: Mapping[Unit, Mapping[str, int]], pieces: Mapping[Unit, Sequence[Piece]]) -> dict[Unit, Total]:
    """Totals by the units that `pieces` name. Every sum over all units stays what it was."""
    found: dict[Unit, Total] = {}
    for unit, values in counted.items():
        parts = pieces[unit]
        for name, value in values.items():
            for piece, amount in zip(parts, split(value, [piece.weight for piece in parts]), strict=True):
                held = found.setdefault(piece.unit, Total({}, True))
                held.values[name] = held.values.get(name, 0) + amount
        for piece in parts:
            if piece.unit in found and not piece.exact:
                found[piece.unit] = Total(found[piece.unit].values, False)
    return found
