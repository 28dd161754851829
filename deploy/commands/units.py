"""`ioc units`: communes, districts, hospitals, agencies with their validity, what became of them, and where sellers are registered."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console
from deploy.commands import sellers
from deploy.commands.figures import connect
from deploy.console import Json
from sinks import communes, unitfile, units
from streams import settings
from streams.errors import Misconfigured
from streams.event import VIETNAM
from streams.settings import Settings
from streams.units import KINDS, Gazetteer, Unit, fold, recut

COLUMNS = ("code", "name", "kind", "level", "parent", "valid_from", "valid_to")
Kind = Annotated[str | None, typer.Option(help="commune, district, hospital or agency.")]
Level = Annotated[str | None, typer.Option(help="Of hospitals: central, provincial, district, regional, commune.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(
        help="Communes, districts, hospitals, agencies at any time, and the communes where sellers are registered.", no_args_is_help=True
    )
    group.command("list")(list_)
    group.command("at")(at)
    group.command("show")(show)
    group.command("load")(load)
    group.command("recut")(recut_)
    group.command("sellers")(sellers.sellers)
    app.add_typer(group, name="units")


def list_(kind: Kind = None, as_json: Json = False) -> None:
    """All units of all times that the boards know, with the first and the last day each was valid."""
    _kinds(kind)
    chosen = settings.load()
    with connect(chosen) as connection:
        rows = [*map(_row, (unit for unit in units.listed(connection, chosen.space) if kind in (None, unit.kind)))]
    console.result({"rows": rows}, as_json, lambda: _table(rows))


def at(
    day: Annotated[str, typer.Argument(metavar="DATE", help="2022-09-30, today, yesterday.")],
    kind: Kind = None,
    level: Level = None,
    as_json: Json = False,
) -> None:
    """The units that stood on a day. Where a kind or level has ended: since when, and what took the place of its last units.

    Example: ioc units at 2026-01-01 --kind district
    """
    chosen, on = settings.load(), day_of(day)
    with connect(chosen) as connection:
        held = units.known(connection, chosen.space)
    answers = {each: units.at(held, on, each, level) for each in _kinds(kind)}
    rows = [_row(unit) for answer in answers.values() for unit in answer.units]
    ended = {each: answer.ended for each, answer in answers.items() if answer.ended}
    became = {
        each: {code: [_row(unit) for unit in found] for code, found in answer.became.items()}
        for each, answer in answers.items()
        if answer.ended
    }
    said = [*_said(held, on, answers, level)]
    found = {
        "day": on,
        "rows": rows,
        "counts": {each: len(answer.units) for each, answer in answers.items()},
        "ended": ended,
        "became": became,
    }

    def shown() -> None:
        _table(rows)
        for sentence in said:
            console.say(sentence)

    console.result(found | {"said": said}, as_json, shown)


def _said(held: Gazetteer, on: date, answers: Mapping[str, units.Answer], level: str | None) -> Iterator[str]:
    for kind, answer in answers.items():
        what = f"{kind} of level {level}" if level else kind
        if answer.ended:
            yield f"{what}: abolished {answer.ended:%d/%m/%Y}; `ioc units at {answer.ended.fromordinal(answer.ended.toordinal() - 1)} --kind {kind}` shows the last ones"
            for code, found in answer.became.items():
                yield f"  {code} {_name(held, kind, code, answer.ended)} → {', '.join(f'{unit.code} {unit.name}' for unit in found) or 'nothing known'}"
        elif not answer.units:
            first = min((unit.valid_from for unit in held.of(kind)), default=None)
            yield f"{what}: none is known of {on:%d/%m/%Y}" + (f"; the first is of {first:%d/%m/%Y}" if first else "")


def _name(held: Gazetteer, kind: str, code: str, ended: date) -> str:
    unit = held.version(kind, code, date.fromordinal(ended.toordinal() - 1))
    return unit.name if unit else code


def show(word: Annotated[str, typer.Argument(help="A code or a name; Hoá and Hóa are the same.")], as_json: Json = False) -> None:
    """A unit at all times: its validity, what it was made of, what it became. Exit 1 when there is none of that code or name."""
    chosen = settings.load()
    with connect(chosen) as connection:
        held = units.known(connection, chosen.space)
    named = fold(word)
    found = [unit for kind in KINDS for unit in held.of(kind) if word == unit.code or named in fold(unit.name)]
    exact = [unit for unit in found if word == unit.code or fold(unit.name) == named]
    rows = [_row(unit) | {"came_of": held.came_of(unit), "became": held.became(unit)} for unit in exact or found]
    if not rows:
        raise console.No(f"no unit has the code or name {word!r}", "`ioc units list` shows all there are")

    def shown() -> None:
        _table(rows)
        for row in rows:
            for key, said in (("came_of", "was made of"), ("became", "became")):
                for each in row[key]:
                    part = "all of " if each.whole else "a part of "
                    what = f"{part}{each.code}" if key == "came_of" else f"{'' if each.whole else 'in part '}{each.into}"
                    console.say(f"{row['code']} {row['name']} ({row['valid_from']}): {said} {what}")

    told = [row | {key: [each._asdict() for each in row[key]] for key in ("came_of", "became")} for row in rows]
    console.result({"rows": told}, as_json, shown)


def load(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help=f"CSV with the columns {', '.join(unitfile.COLUMNS)}.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """Load units: FILE, or what comes with the program (communes of both eras; hospitals and districts of Thanh Hóa), as `ioc up` does by itself.

    What FILE says of a code is all there is of it, all of FILE or nothing. Loading it twice changes nothing.
    """
    chosen = settings.load()
    with connect(chosen) as connection:
        given = unitfile.read(path, units.listed(connection, chosen.space)) if path else communes.given(chosen.web.province)
        if dry_run:
            found = units.changes(connection, chosen.space, *given, from_file=path is not None)
        else:
            found = units.load(connection, chosen.space, *given, from_file=path is not None)
    rows = [{"": sign} | _row(unit) for sign, several in (("-", found.removed), ("+", found.added)) for unit in several]
    told = {"units": len(given.units), "dry_run": dry_run} | {key: len(several) for key, several in found._asdict().items()}

    def shown() -> None:
        if rows:
            console.table(["", *COLUMNS], ([row[c] for c in ("", *COLUMNS)] for row in rows))
        console.say(
            f"{len(given.units)} units read: {len(found.added)} added, {len(found.removed)} removed, {len(found.linked)} successions added, {len(found.unlinked)} removed"
        )
        console.say("nothing was written" if dry_run else "done" if found else "nothing changed")

    console.result(told | {"changes": rows}, as_json, shown)


def load_defaults(chosen: Settings) -> int:
    """Write the units that come with the program, where no file spoke of them; how many there are."""
    given = communes.given(chosen.web.province)
    with connect(chosen) as connection:
        units.load(connection, chosen.space, *given)
    return len(given.units)


def recut_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with the column code, and whole numbers in all others.")],
    of: Annotated[str, typer.Option("--of", metavar="DATE", help="The day whose units FILE is of.")],
    at: Annotated[str, typer.Option("--at", metavar="DATE", help="The day in whose units it is asked for.")] = "today",
    kind: Kind = "commune",
    as_json: Json = False,
) -> None:
    """Totals by unit of one day, cut anew for the units of another. Sums stay what they were; a row that holds a share of a divided unit is estimated.

    Example: ioc units recut report-2024.csv --of 2025-06-30 --at 2026-01-01
    """
    chosen, then, now = settings.load(), day_of(of), day_of(at)
    (asked,) = _kinds(kind or "commune")
    with connect(chosen) as connection:
        held = units.known(connection, chosen.space)
    counted = {_standing(held, asked, code, then, path, line): values for line, code, values in _totals(path)}
    found = recut(counted, {unit: held.pieces(unit, then, now) for unit in counted})
    rows = [
        {"unit": unit.code, "name": unit.name, **total.values, "exact": total.exact}
        for unit, total in sorted(found.items(), key=lambda item: item[0].code)
    ]
    columns = [*rows[0]] if rows else ["unit"]

    def shown() -> None:
        marked = ([("chính xác" if row[c] else "ước tính") if c == "exact" else row[c] for c in columns] for row in rows)
        console.table(columns, marked, f"in the units of {now:%d/%m/%Y}")

    told = {"of": then, "at": now, "exact": all(row["exact"] for row in rows), "estimated": sum(not row["exact"] for row in rows)}
    console.result(told | {"rows": rows}, as_json, shown)


def _totals(path: Path) -> Iterator[tuple[int, str, dict[str, int]]]:
    mend = "give a UTF-8 CSV with the column code, each code once, and whole numbers in all others"
    seen = set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            for row in rows:
                code = (row.pop("code") or "").strip()
                yield rows.line_num, code, {name: int(value) for name, value in row.items()}
                if code in seen:
                    raise Misconfigured(f"{path}, line {rows.line_num}: {code} is there twice", mend)
                seen.add(code)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise Misconfigured(f"{path} cannot be read as totals by unit ({type(error).__name__}: {error})", mend) from error


def _standing(held: Gazetteer, kind: str, code: str, day: date, path: Path, line: int) -> Unit:
    unit = held.version(kind, code, day)
    if unit is None or not unit.stands(day):
        raise Misconfigured(f"{path}, line {line}: no {kind} {code} stood on {day}", f"`ioc units show {code}` says when it did")
    return unit


def day_of(text: str) -> date:
    """A day of the command line, Vietnamese. Raises Misconfigured."""
    found = console.at(text) or datetime.now(UTC)
    return found.astimezone(VIETNAM).date()


def _kinds(kind: str | None) -> tuple[str, ...]:
    if kind is not None and kind not in KINDS:
        raise Misconfigured(f"there is no kind {kind!r}", f"choose one of {', '.join(KINDS)}")
    return (kind,) if kind else KINDS


def _row(unit: Unit) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in unit._asdict().items()}


def _table(rows: Iterable[Mapping[str, Any]]) -> None:
    console.table(COLUMNS, ([row[c] for c in COLUMNS] for row in rows))
