"""Where the communes of a province lie: what screens draw their map from."""

import sqlite3

import orjson

from sinks.communes import dataset
from streams.errors import Misconfigured

_COMMUNES = "SELECT wardCode, ward, wardLat, wardLon, wardAreaKm2 FROM admin_units WHERE provinceCode = ? ORDER BY wardCode"


def communes(province: str) -> bytes:
    """{"communes": [{"code", "name", "lat", "lon", "km2"}]} as JSON, from the package vietnamadminunits (units since July 2025).

    Raises Misconfigured for a province that has none.
    """
    connection = sqlite3.connect(f"file:{dataset()}?mode=ro", uri=True)
    try:
        rows = connection.execute(_COMMUNES, [province]).fetchall()
    finally:
        connection.close()
    if not rows:
        raise Misconfigured(f"there is no province with the code {province}", "set web.province to a code such as 38 (Thanh Hóa)")
    return orjson.dumps({"communes": [dict(zip(("code", "name", "lat", "lon", "km2"), row, strict=True)) for row in rows]})
