"""Units from a CSV: hospitals, agencies, communes, districts with their validity; every fault named by line and column, all of it or nothing."""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from io import StringIO
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import NamedTuple, TypeVar

from streams.errors import Misconfigured
from streams.units import KINDS, Succession, Unit, fold

COLUMNS = ("code", "name", "kind", "level", "parent", "latitude", "longitude", "area_km2", "valid_from", "valid_to", "successor")
NEEDED = ("code", "name", "kind", "valid_from")
LEVELS = ("central", "provincial", "district", "regional", "commune")
MOST_BYTES, MOST_ROWS, MOST_FAULTS = 10_000_000, 100_000, 10
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Given(NamedTuple):
    """Units, and what became of those that ended."""

    units: tuple[Unit, ...]
    successions: tuple[Succession, ...]


_T = TypeVar("_T")


class _Fault(ValueError):
    """column, and what is wrong in it."""


def read(path: Path, known: Iterable[Unit] = ()) -> Given:
    """The units of a CSV. known: units there are, which successors and names without a code may mean.

    Raises Misconfigured, naming line and column of the first faults.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Misconfigured(f"{path} is larger than {MOST_BYTES} bytes", "give a list of units only")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__})", "give a UTF-8 CSV") from error
    rows = csv.DictReader(StringIO(text, newline=""), restkey="", restval="", strict=True)
    here = [*known]
    try:
        columns = [*(rows.fieldnames or ())]
        wrong = [f"line 1, column {name}: it is missing" for name in NEEDED if name not in columns]
        wrong += [f"line 1, column {name}: there is no such column" for name in columns if name not in COLUMNS]
        wrong += [f"line 1, column {name}: it is there twice" for name in {*columns} if columns.count(name) > 1]
        found = _rows(rows, here, wrong) if not wrong else []
    except csv.Error as error:
        raise Misconfigured(f"{path}, line {rows.line_num} is no CSV: {error}", "quote fields that hold commas") from error
    given = Given(tuple(unit for _, unit, _ in found), tuple(each for *_, successors in found for each in successors))
    wrong += _between(found, here)
    if wrong:
        more = f" (and {len(wrong) - MOST_FAULTS} more)" if len(wrong) > MOST_FAULTS else ""
        raise Misconfigured(f"{path}: {'; '.join(wrong[:MOST_FAULTS])}{more}", f"columns are {','.join(COLUMNS)}; nothing was loaded")
    return given


_Row = tuple[int, Unit, list[Succession]]


def _rows(rows: "csv.DictReader[str]", known: Iterable[Unit], wrong: list[str]) -> list[_Row]:
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for unit in known:
        names[unit.kind, fold(unit.name)].add(unit.code)
    found: list[_Row] = []
    for row in rows:
        line = rows.line_num
        if line > MOST_ROWS:
            raise Misconfigured(f"there are more than {MOST_ROWS} lines", "give a list of units only")
        if row.get(""):
            wrong.append(f"line {line}: it has more fields than there are columns")
            continue
        try:
            found.append((line, *_unit({name: (value or "").strip() for name, value in row.items()}, names)))
        except _Fault as fault:
            wrong.append(f"line {line}, column {fault}")
    return found


def _unit(row: Mapping[str, str], names: Mapping[tuple[str, str], set[str]]) -> tuple[Unit, list[Succession]]:
    kind = _one_of(row, "kind", KINDS)
    name = unicodedata.normalize("NFC", row["name"])
    if not 0 < len(name) <= 200 or any(unicodedata.category(letter) == "Cc" for letter in name):
        raise _Fault("name: it has from 1 to 200 letters")
    code = row["code"] or _code_of(kind, name, names)
    if not _CODE.fullmatch(code):
        raise _Fault("code: it has up to 40 letters, digits, dots and dashes")
    begins, ends = _date(row, "valid_from"), _date(row, "valid_to")
    if begins is None:
        raise _Fault("valid_from: it is missing")
    if ends is not None and ends < begins:
        raise _Fault("valid_to: it lies before valid_from")
    latitude, longitude = _number(row, "latitude", -90, 90), _number(row, "longitude", -180, 180)
    if (latitude is None) != (longitude is None):
        raise _Fault("longitude: latitude and longitude come together")
    parent = row.get("parent") or None
    if parent and not _CODE.fullmatch(parent):
        raise _Fault("parent: it is no code")
    level = _one_of(row, "level", LEVELS) if row.get("level") else None
    area = _number(row, "area_km2", 1e-4, 1e6)
    unit = Unit(code, name, kind, begins, ends, level, parent, latitude, longitude, area)
    return unit, _successors(row.get("successor", ""), unit)


def _code_of(kind: str, name: str, names: Mapping[tuple[str, str], set[str]]) -> str:
    codes = names.get((kind, fold(name)), set())
    if len(codes) != 1:
        raise _Fault(f"code: it is missing, and {len(codes) or 'no'} units of kind {kind} have that name")
    return next(iter(codes))


def _successors(text: str, unit: Unit) -> list[Succession]:
    """`38010`; of parts `38010;38011`, or with what part each is `38010:0.4;38011:0.6`."""
    if not text:
        return []
    if unit.valid_to is None:
        raise _Fault("successor: a unit that has one ends, so it needs valid_to")
    parts = [part.strip().partition(":") for part in text.split(";")]
    shares = [_number({"successor": share}, "successor", 1e-6, 1) for *_, share in parts]
    codes = [code.strip() for code, *_ in parts]
    if not all(map(_CODE.fullmatch, codes)) or len({*codes}) < len(codes):
        raise _Fault("successor: write one code, or several different ones like 38010:0.4;38011:0.6")
    given = [share for share in shares if share is not None]
    if given and (len(given) < len(shares) or abs(sum(given) - 1) > 0.001):
        raise _Fault("successor: the parts of a unit add up to 1")
    whole, largest = len(codes) == 1, max(range(len(codes)), key=lambda i: shares[i] or 0)
    return [
        Succession(unit.kind, unit.code, unit.valid_to, code, whole, i == largest, None if whole else share)
        for i, (code, share) in enumerate(zip(codes, shares, strict=True))
    ]


def _between(found: list[_Row], known: Iterable[Unit]) -> list[str]:
    """What is wrong between lines: validities of one code that overlap, successors that nobody is."""
    wrong = []
    versions: dict[tuple[str, str], list[tuple[Unit, int]]] = defaultdict(list)
    for line, unit, _ in found:
        versions[unit.kind, unit.code].append((unit, line))
    for several in versions.values():
        several.sort(key=lambda each: each[0].valid_from)
        for (before, first), (after, line) in pairwise(several):
            if before.valid_to is None or before.valid_to >= after.valid_from:
                wrong.append(f"line {line}, column valid_from: the unit of line {first} with this code still stands then")
    standing: dict[tuple[str, str], list[Unit]] = defaultdict(list)
    for unit in [*(unit for unit in known if (unit.kind, unit.code) not in versions), *(unit for _, unit, _ in found)]:
        standing[unit.kind, unit.code].append(unit)
    for line, _, successors in found:
        for each in successors:
            if not any(unit.stands(date.fromordinal(each.ended.toordinal() + 1)) for unit in standing[each.kind, each.into]):
                wrong.append(f"line {line}, column successor: no {each.kind} {each.into} stands on the day after")
    return wrong


def _one_of(row: Mapping[str, str], column: str, words: tuple[str, ...]) -> str:
    if row[column] not in words:
        raise _Fault(f"{column}: it is one of {', '.join(words)}")
    return row[column]


def _date(row: Mapping[str, str], column: str) -> date | None:
    found = _parsed(row, column, date.fromisoformat, "it is no day such as 2025-07-01")
    if found is not None and not 1900 <= found.year <= 2200:
        raise _Fault(f"{column}: it is not between 1900 and 2200")
    return found


def _number(row: Mapping[str, str], column: str, least: float, most: float) -> float | None:
    found = _parsed(row, column, float, "it is no number")
    if found is not None and not (isfinite(found) and least <= found <= most):
        raise _Fault(f"{column}: it is not between {least:g} and {most:g}")
    return found


def _parsed(row: Mapping[str, str], column: str, parse: Callable[[str], _T], wrong: str) -> _T | None:
    text = row.get(column, "")
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise _Fault(f"{column}: {wrong}") from error
