"""The events behind a row that differs: those that became known in its minute and moved it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sinks.compare import Difference
from sinks.history import Period, events
from sinks.seeding import load, reached
from sinks.session import Connection
from streams.department import Department
from streams.event import micros, moment
from streams.lives import MINUTE_US, Count

MOST = 20


def behind(connection: Connection, chosen: Department, difference: Difference) -> list[dict[str, Any]]:
    """At most MOST events, as scripts are told of them; none where the row has no second time. `connection` sees live's tables."""
    key = difference.key
    if "known" in key:
        told = _known(connection, chosen, micros(key["known"]))
        moved = _moving(connection, chosen, told, key)
    elif "key" in key:
        table = difference.table.removeprefix(f"{chosen.name}_")
        minutes = _minutes(connection, chosen, (table, key["key"]))
        moved = (
            e
            for at_us in minutes
            for e in _known(connection, chosen, at_us)
            if (table, key["key"]) in {subject for subject, _, _ in chosen.life.tell(e)}
        )
    else:
        return []
    return [_as_json(event) for event, _ in zip(moved, range(MOST), strict=False)]


def _known(connection: Connection, chosen: Department, minute_us: int) -> list[Any]:
    decode = msgspec.json.Decoder(chosen.event).decode
    period = Period(minute_us, minute_us + MINUTE_US, "known_at", (chosen.name,))
    return [decode(record.value) for record in events(connection, chosen, period)]


def _moving(connection: Connection, chosen: Department, told: list[Any], key: Mapping[str, Any]) -> Iterator[Any]:
    """Those whose subjects count, or counted, where the row lies, or that count there themselves."""
    found = reached(connection, chosen, told)
    units: dict[str, str] = (
        dict(connection.execute("select replace(seller::text, '-', ''), unit from seller").fetchall()) if chosen.members else {}
    )
    counting = next(iter(chosen.life.states))
    for event in told:
        subjects = {subject for subject, _, _ in chosen.life.tell(event)}
        subjects |= {other for s in subjects for state in found[s][-1:] for other, _, _ in chosen.life.follows(s, state)}
        states = [state for subject in subjects if subject[0] == counting for state in found.get(subject, ())]
        counts = [*(chosen.life.counts(state, units) for state in states), chosen.life.also(event, lambda member, _: units.get(member, ""))]
        if any(count is not None and _lies(count, key) for count in counts):
            yield event


def _lies(count: Count, key: Mapping[str, Any]) -> bool:
    if "minute" in key and (count.minute_us, count.unit, count.kind) != (micros(key["minute"]), key["unit"], key["kind"]):
        return False
    return "member" not in key or count.member == key["member"].hex


def _minutes(connection: Connection, chosen: Department, subject: tuple[str, str]) -> list[int]:
    found = dict(load(connection, chosen, [subject]))
    return [state.known_us for state in found.get(subject, ())]


def _as_json(event: Any) -> dict[str, Any]:
    times = {"event_time": moment(event.event_time_us).isoformat(), "known_at": moment(event.known_at_us).isoformat()}
    return {"id": event.id, "source": event.source, "kind": event.kind, "unit": event.unit} | times
