"""`ioc units sellers`: the tax registry, which says in which commune each seller is registered."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from psycopg import sql

from connectors.formats.mst import normal
from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from sinks import alias, units
from sinks.lives import Figures
from sinks.migrations import schema
from sinks.roles import ingest_dsn
from streams import pseudonym, settings
from streams.errors import Misconfigured
from streams.event import VIETNAM
from streams.settings import Settings
from streams.units import Gazetteer, fold


class Loaded(NamedTuple):
    """How many sellers; of these: in a commune of today that their old one went into whole; placed by estimate, where the centre of their divided
    commune lies; in a code that no unit has."""

    sellers: int
    moved: int
    estimated: int
    unknown: int


def sellers(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with the columns mst and commune_code (or commune, its name).")],
    units_at: Annotated[
        str | None, typer.Option("--units-at", metavar="DATE", help="The day whose communes FILE names (default: today's).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load the tax registry: which seller is registered in which commune. MST become pseudonyms here, at the door.

    A seller that moves takes its invoices along; FILE may be loaded again at any time. Sellers always count in the communes of today: those of an older
    registry are carried over, and the communes that hold part of a divided one are marked as estimated.
    """
    day = console.at(units_at)
    console.result(load_sellers(settings.load(), path, day.astimezone(VIETNAM).date() if day else None)._asdict(), as_json)


def load_sellers(chosen: Settings, path: Path, units_at: date | None = None) -> Loaded:
    """Register the sellers of a CSV. units_at: the day whose communes it names (None: today's). Raises Misconfigured when it cannot be read."""
    names = _Names(chosen)
    today = datetime.now(UTC).astimezone(VIETNAM).date()
    with connect(chosen) as connection:
        places = _Places(units.known(connection, chosen.space), units_at or today, today)
    found, estimated, tally = {}, set(), Counter[str]()
    for line, mst, code, name in _read(path):
        where, how = places.of(path, line, code, name)
        seller = names.of(normal(mst))
        found[seller] = where
        estimated.discard(seller)
        if how == "estimated":
            estimated.add(seller)
        tally[how] += 1
    known = names.settled(found)
    figures = Figures(ingest_dsn(chosen), chosen.space, "einvoice")
    try:
        found = {known.get(seller, seller): unit for seller, unit in found.items()}
        estimated = {known.get(seller, seller) for seller in estimated}
        return Loaded(figures.reassign(found, estimated), tally["moved"], len(estimated), tally["unknown"])
    finally:
        figures.close()


class _Names:
    """What sellers are called in the tables; while one key takes over from another, both names of each are noted, whether it sends anything or not."""

    def __init__(self, chosen: Settings) -> None:
        keys = pseudonym.load(chosen.state_dir)
        self._chosen, self._name, self._newer = chosen, keys.domain("tax"), keys.newer("tax")
        self._aka: dict[str, str] = {}

    def of(self, mst: str) -> str:
        """The name that the door gives it."""
        name = self._name("mst", mst)
        if self._newer is not None:
            self._aka[self._newer("mst", mst)] = name
        return name

    def settled(self, names: Iterable[str]) -> Mapping[str, str]:
        """Those of the names for which the tables have an older one."""
        with connect(self._chosen) as connection:
            connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(self._chosen.space))))
            alias.keep(connection, self._aka)
            return alias.of(connection, names)


class _Places:
    """The commune of today for one of the registry's day."""

    def __init__(self, held: Gazetteer, of: date, today: date) -> None:
        self._held, self._of, self._today = held, of, today
        self._named: dict[str, list[str]] = defaultdict(list)
        for code, unit in held.valid("commune", of).items():
            self._named[fold(unit.name)].append(code)

    def of(self, path: Path, line: int, code: str, name: str) -> tuple[str, str]:
        """(code, how it was found: kept, moved, estimated, unknown)."""
        if not code:
            codes = self._named[fold(name)]
            if len(codes) != 1:
                raise Misconfigured(
                    f"{path}, line {line}, column commune: {len(codes) or 'no'} communes of {self._of} have that name",
                    "give their commune_code",
                )
            (code,) = codes
        unit = self._held.version("commune", code, self._of)
        if unit is None:
            return code, "unknown"
        if not unit.stands(self._of):
            raise Misconfigured(
                f"{path}, line {line}, column commune_code: {code} was a commune from {unit.valid_from} to {unit.valid_to or 'now'}, not on {self._of}",
                f"say of which day the file's communes are: --units-at {unit.valid_to or unit.valid_from}",
            )
        heir, exact = self._held.heir(unit, self._today)
        return heir.code, "estimated" if not exact else "moved" if heir != unit else "kept"


def _read(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line, mst, code, name)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                code = row["commune_code"] if "commune" not in row else row.get("commune_code") or ""
                yield rows.line_num, row["mst"], code.strip(), (row.get("commune") or "").strip()
    except (OSError, KeyError, AttributeError, csv.Error, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read as a seller registry ({type(error).__name__})", "give a UTF-8 CSV with the columns mst,commune_code"
        ) from error
