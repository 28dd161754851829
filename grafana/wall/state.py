"""What makes a tile honest: when each source was heard, how far its figures reach, and how much each source usually brings."""

from datetime import datetime
from typing import Any

from grafana.wall.reader import Reader
from streams.department import department, glasses

_HEARD = """SELECT f.department, f.source, f.known_at, f.watermark, f.asked_at, f.whole_at, f.failed_at, 1000 * f.every_seconds AS every,
  o.events AS owed, o.since, n.known_at AS reached,
  (SELECT sum(on_time + late) FROM ledger l WHERE l.department = f.department AND l.source = f.source AND l.hour > now() - interval '7 days') AS usual,
  (SELECT sum(on_time + late) FROM ledger l WHERE l.department = f.department AND l.hour >= date_trunc('day', now(), 'Asia/Ho_Chi_Minh')) AS today
FROM freshness f LEFT JOIN behind o USING (department) LEFT JOIN followed n USING (department) ORDER BY 1, 2"""


async def heard(reader: Reader, at: datetime | None = None) -> dict[str, Any]:
    """department -> {label, short, silent_after_seconds, as_of, reached, owed, sources: [{name, known, asked, failed, every, usual}]}.

    Instants and `every` in milliseconds, null where unknown.
    at: as it was at that minute (None: now). owed: {events, since, share} committed and not in the figures yet; share of today's.
    reached: the arrival of the newest event that is in the figures.

    as_of: how far the figures reach. That is the newest arrival while news comes on time, and the newest event time while a source is
    catching up, because then the hours between are still on their way; never beyond `reached` while something is owed. A department that
    was never heard has no sources: its figures are unknown. Raises Retry, Misconfigured.
    """
    answer = await reader.read(_HEARD, at)
    departments: dict[str, Any] = {
        d.name: {
            "label": d.label,
            "short": d.short,
            "silent_after_seconds": d.silent_after_seconds,
            "as_of": None,
            "reached": None,
            "owed": None,
            "sources": [],
        }
        for d in glasses()
    }
    for name, source, known, watermark, asked, whole, failed, every, owed, since, reached, usual, today in zip(
        *answer["columns"], strict=True
    ):
        if name not in departments:
            continue
        found = departments[name]
        found["sources"].append({"name": source, "known": known, "asked": asked, "failed": failed, "every": every, "usual": usual or 0})
        found["reached"] = reached
        if owed:
            found["owed"] = {"events": owed, "since": since, "share": owed / max(today or 0, owed)}
        if known is not None:
            on_time = known - watermark <= department(name).late_after_seconds * 1000
            found["as_of"] = max(max(known, whole or 0) if on_time else watermark, found["as_of"] or 0)
    for found in departments.values():
        if found["owed"] and found["as_of"] is not None:
            found["as_of"] = None if found["reached"] is None else min(found["as_of"], found["reached"])
    return departments
