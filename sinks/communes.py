"""The units that come with the program: communes of both eras of any province, and what became of them; hospitals and districts of Thanh Hóa."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sinks.unitfile import Given, read
from streams.errors import Misconfigured
from streams.units import Succession, Unit

PROVINCE = "38"  # Thanh Hóa
COMMUNES_SINCE = date(2025, 7, 1)  # the communes of resolution 202/2025/QH15; districts ended the day before
BEFORE_SINCE = date(2025, 1, 1)  # the communes and districts that the package knows as the old ones
BEFORE_UNTIL = COMMUNES_SINCE - timedelta(days=1)


def given(province: str = PROVINCE) -> Given:
    """All that comes with the program for a province. Raises Misconfigured for one that there is not."""
    shipped = _shipped() if province == PROVINCE else Given(tuple(districts(province)), ())
    return Given((*communes(province), *communes_before(province), *shipped.units), (*successions(province), *shipped.successions))


def communes(province: str = PROVINCE) -> Iterator[Unit]:
    """The communes of a province since July 2025."""
    rows = _rows(
        "select wardCode, ward, wardLat, wardLon, wardAreaKm2 from admin_units where provinceCode = ? order by wardCode", [province]
    )
    for code, name, latitude, longitude, area in rows:
        yield Unit(str(code), name, "commune", COMMUNES_SINCE, None, None, None, latitude, longitude, area)


def communes_before(province: str = PROVINCE) -> Iterator[Unit]:
    """The communes, as of January 2025, of the provinces that went into this one. An island district that had none stands for itself."""
    for code, name, latitude, longitude, district in _before(
        province,
        "coalesce(wardCode, districtCode), coalesce(ward, district), coalesce(wardLat, districtLat), coalesce(wardLon, districtLon), districtCode",
    ):
        yield Unit(code, name, "commune", BEFORE_SINCE, BEFORE_UNTIL, None, district, latitude, longitude)


def districts(province: str = PROVINCE) -> Iterator[Unit]:
    """The districts of those provinces, as of January 2025; the level ended on 30 June. Those of Thanh Hóa, in streams/data, reach further back."""
    for code, name, latitude, longitude in _before(province, "districtCode, district, districtLat, districtLon"):
        yield Unit(code, name, "district", BEFORE_SINCE, BEFORE_UNTIL, None, None, latitude, longitude)


def hospitals() -> tuple[Unit, ...]:
    """The hospitals of Thanh Hóa, from streams/data/hospitals.csv."""
    return tuple(unit for unit in _shipped().units if unit.kind == "hospital")


def successions(province: str = PROVINCE) -> Iterator[Succession]:
    """Which commune of before went whole, or in parts, into which of the province since July 2025."""
    key, held = _key(province), _converter()
    new = dict(_rows("select wardKey, wardCode from admin_units where provinceCode = ?", [province]))
    old = {
        f"{of}_{district}_{ward or ''}": code
        for of, district, ward, code in _before(province, "provinceKey, districtKey, wardKey, coalesce(wardCode, districtCode)")
    }
    for into, wholes in held["DICT_PROVINCE_WARD_NO_DIVIDED"].get(key, {}).items():
        for each in wholes:
            yield Succession("commune", old[each], BEFORE_UNTIL, new[into])
    for each, parts in held["DICT_PROVINCE_WARD_DIVIDED"].get(key, {}).items():
        for part in parts:
            yield Succession("commune", old[each], BEFORE_UNTIL, new[part["newWardKey"]], False, bool(part["isDefaultNewWard"]))


def dataset() -> Path:
    """The database file of the package vietnamadminunits. The package itself is never imported: it would bring a geocoder along, and a second of time."""
    return _data() / "dataset.db"


def _data() -> Path:
    spec = find_spec("vietnamadminunits")
    if spec is None or spec.origin is None:
        raise Misconfigured("the package vietnamadminunits is not installed", "run `make setup`")
    return Path(spec.origin).parent / "data"


@cache
def _converter() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((_data() / "converter_2025.json").read_bytes())
    return found


def _key(province: str) -> str:
    rows = _rows("select distinct provinceKey from admin_units where provinceCode = ?", [province])
    if not rows:
        raise Misconfigured(f"there is no province with the code {province}", "set web.province to a code such as 38 (Thanh Hóa)")
    return str(rows[0][0])


def _before(province: str, columns: str) -> list[Any]:
    """Different rows of the old units of all provinces that went into this one; `columns` is our own text."""
    of = _converter()["DICT_PROVINCE"][_key(province)]
    places = ",".join("?" * len(of))
    return _rows(f"select distinct {columns} from admin_units_legacy where provinceKey in ({places}) order by 1", of)  # noqa: S608


def _rows(query: str, values: Sequence[object]) -> list[Any]:
    connection = sqlite3.connect(f"file:{dataset()}?mode=ro", uri=True)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


@cache
def _shipped() -> Given:
    units: list[Unit] = []
    went: list[Succession] = []
    for name in ("hospitals.csv", "districts.csv"):
        with resources.as_file(resources.files("streams") / "data" / name) as path:
            found = read(path)
        units += found.units
        went += found.successions
    return Given(tuple(units), tuple(went))
