"""The unit table: communes and hospitals with their validity, and the sellers' registry."""

import csv
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import date
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from sinks.migrations import schema
from streams.errors import Misconfigured

PROVINCE = "38"  # Thanh Hóa
COMMUNES_SINCE = date(2025, 7, 1)  # the communes of resolution 202/2025/QH15; districts ended that day


class Unit(NamedTuple):
    """One unit as it was from `valid_from` on; kind: commune or hospital."""

    code: str
    name: str
    kind: str
    latitude: float | None
    longitude: float | None
    valid_from: date


def dataset() -> Path:
    """The database file of the package vietnamadminunits. The package itself is never imported: it would bring a geocoder along, and a second of time."""
    spec = find_spec("vietnamadminunits")
    if spec is None or spec.origin is None:
        raise Misconfigured("the package vietnamadminunits is not installed", "run `make setup`")
    return Path(spec.origin).parent / "data" / "dataset.db"


def communes(province: str = PROVINCE) -> Iterator[Unit]:
    """The communes of a province since July 2025, from the package vietnamadminunits."""
    with sqlite3.connect(f"file:{dataset()}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "select wardCode, ward, wardLat, wardLon from admin_units where provinceCode = ? order by wardCode", [province]
        ).fetchall()
    for code, name, latitude, longitude in rows:
        yield Unit(str(code), name, "commune", latitude, longitude, COMMUNES_SINCE)


def hospitals() -> Iterator[Unit]:
    """The hospitals of the province, from streams/data/hospitals.csv."""
    text = (resources.files("streams") / "data" / "hospitals.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        valid_from = date.fromisoformat(row["valid_from"])
        yield Unit(row["code"], row["name"], "hospital", float(row["latitude"]), float(row["longitude"]), valid_from)


def load(connection: psycopg.Connection[Any], space: str, units: Iterable[Unit]) -> int:
    """Write units; those known with the same code, kind and first day are replaced. The number written."""
    rows = [*units]
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "insert into {} (code, name, kind, latitude, longitude, valid_from) values (%s, %s, %s, %s, %s, %s) on conflict (code, kind, valid_from) "
                "do update set name = excluded.name, latitude = excluded.latitude, longitude = excluded.longitude"
            ).format(sql.Identifier(schema(space), "unit")),
            rows,
        )
    return len(rows)
