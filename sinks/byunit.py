"""Figures by unit, in the units of each record's own day or of any other day; each row says whether it is exact or estimated."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import psycopg

from sinks import units
from sinks.figures import EVER, NEVER, Places, figures
from streams.department import department
from streams.event import VIETNAM
from streams.figures import Sum
from streams.units import Gazetteer, Piece, Unit, recut

_DAY = timedelta(days=1)


class _Span(NamedTuple):
    """From `since` up to `until` what has the code means `unit`; `pieces` are where that lies among the units asked for."""

    since: datetime
    until: datetime
    unit: Unit
    pieces: tuple[Piece, ...]

    @property
    def place(self) -> str:
        """What tells it from others: the one unit where all of it lies, or itself in its parts."""
        whole = len(self.pieces) == 1 and self.pieces[0].exact
        unit = self.pieces[0].unit if whole else self.unit
        return f"{unit.code} {unit.valid_from}{'' if whole else f' from {self.since:%Y-%m-%d}'}"


def by_unit(
    connection: psycopg.Connection[Any],
    space: str,
    name: str,
    bounds: tuple[datetime | None, datetime | None, datetime | None],
    today: date,
    units_at: date | None = None,
) -> dict[str, Any]:
    """`figures` by unit within `bounds` (since, until, as of), with name, valid_from, valid_to and exact in each row, and how many are estimated.

    A code in a record means the unit that had it on the record's day; of sellers, whose registry says where they are now, the one of today. units_at:
    in the units of that day (None: of each record's own). What a divided unit counted is shared out; then counts of different things and percentiles
    are null, for they cannot be.
    """
    chosen, held = department(name), units.known(connection, space)
    spans = [*_spans(held, chosen.glass.place_kind, today if chosen.members else None, units_at)]
    columns = ([s.unit.code for s in spans], [s.since for s in spans], [s.until for s in spans], [s.place for s in spans])
    found = figures(connection, space, name, "unit", *bounds, Places(*columns))
    added = [figure.name for figure in chosen.glass.figures if isinstance(figure.measured, Sum)]
    rows = _rows(found["rows"], {span.place: span for span in spans}, added)
    estimated = sum(not row["exact"] for row in rows)
    return found | {"units_at": units_at and units_at.isoformat(), "exact": not estimated, "estimated": estimated, "rows": rows}


def _spans(held: Gazetteer, kind: str, registered: date | None, units_at: date | None) -> Iterator[_Span]:
    if registered is not None:
        for code in {unit.code for unit in held.of(kind)}:
            unit = held.version(kind, code, registered)
            if unit is not None:
                yield _Span(NEVER, EVER, unit, held.pieces(unit, registered, units_at or registered))
        return
    for unit in held.of(kind):
        before, after = held.beside(unit)
        days = [unit.valid_from, *held.grown(unit), *([unit.valid_to + _DAY] if unit.valid_to else [])]
        if after is not None:
            days = [day for day in days if day < after.valid_from]
        starts = [_midnight(day) for day in days]
        ends = [*starts[1:], _midnight(after.valid_from) if after else EVER]
        if before is None:
            starts[0] = NEVER
        for day, since, until in zip(days, starts, ends, strict=True):
            of = day if unit.stands(day) else unit.valid_to or day  # a code that is still used after its end
            yield _Span(since, until, unit, held.pieces(unit, of, units_at or day))


def _rows(rows: Sequence[Mapping[str, Any]], spans: Mapping[str, _Span], added: Sequence[str]) -> list[dict[str, Any]]:
    found: dict[Unit, dict[str, Any]] = {}
    strange, divided = [], {}
    for row in rows:
        span = spans.get(row["unit"] or "")
        if span is None:
            strange.append({"unit": row["unit"], "name": None, "valid_from": None, "valid_to": None, "exact": True} | dict(row))
        elif len(span.pieces) == 1 and span.pieces[0].exact:
            found[span.pieces[0].unit] = _said(span.pieces[0].unit, True) | {key: row[key] for key in row if key != "unit"}
        else:
            divided[row["unit"]] = row
    for place, row in divided.items():
        span = spans[place]
        for unit, total in recut({span.unit: {name: row[name] or 0 for name in added}}, {span.unit: span.pieces}).items():
            held = found.get(unit, {})
            sums = {name: (held.get(name) or 0) + value for name, value in total.values.items()}
            found[unit] = _said(unit, False) | {key: None for key in row if key != "unit"} | sums
    ordered = sorted(found.items(), key=lambda item: (item[0].code, item[0].valid_from))
    return [row for _, row in ordered] + strange


def _said(unit: Unit, exact: bool) -> dict[str, Any]:
    ends = unit.valid_to.isoformat() if unit.valid_to else None
    return {"unit": unit.code, "name": unit.name, "valid_from": unit.valid_from.isoformat(), "valid_to": ends, "exact": exact}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), VIETNAM)
