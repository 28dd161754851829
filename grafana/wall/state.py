"""What makes a tile honest: when each source was heard, how far its figures reach, and how much each source usually brings."""

from typing import Any

from grafana.wall.reader import Reader
from streams.department import department, glasses

_HEARD = """SELECT department, source, max(known_at) AS known_at, max(watermark) AS watermark,
  (SELECT sum(on_time + late) FROM ledger l WHERE l.department = f.department AND l.source = f.source AND l.hour > now() - interval '7 days') AS usual
FROM freshness f GROUP BY 1, 2 ORDER BY 1, 2"""


async def heard(reader: Reader) -> dict[str, Any]:
    """department -> {label, short, silent_after_seconds, as_of, sources: [{name, known, usual}]}; instants in milliseconds, null where unknown.

    as_of: how far the figures reach. That is the newest arrival while news comes on time, and the newest event time while a source is
    catching up, because then the hours between are still on their way. A department that was never heard has no sources: its figures
    are unknown. Raises Retry, Misconfigured.
    """
    answer = await reader.read(_HEARD)
    departments: dict[str, Any] = {
        d.name: {"label": d.label, "short": d.short, "silent_after_seconds": d.silent_after_seconds, "as_of": None, "sources": []}
        for d in glasses()
    }
    for name, source, known, watermark, usual in zip(*answer["columns"], strict=True):
        if name not in departments:
            continue
        found = departments[name]
        found["sources"].append({"name": source, "known": known, "usual": usual or 0})
        on_time = known - watermark <= department(name).late_after_seconds * 1000
        found["as_of"] = max(known if on_time else watermark, found["as_of"] or 0)
    return departments


def newest(departments: dict[str, Any]) -> int | None:
    """When the newest record of all arrived, in milliseconds since 1970."""
    known = [source["known"] for each in departments.values() for source in each["sources"] if source["known"] is not None]
    return max(known, default=None)
