"""What a replay that begins in the middle must know from before: the histories, as they stood then, of all subjects its events can reach."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from psycopg import sql

from sinks.history import Period, events
from sinks.lives import histories
from sinks.session import Connection
from streams.department import Department, department
from streams.lives import History, Subject

SIZE = 5_000


def seed(live: Connection, own: Connection, period: Period) -> int:
    """Copy them from live into the space; how many. live sees live's tables, own those of the space (search_path). The period is one of arrivals."""
    copied = 0
    for name in period.departments:
        chosen = department(name)
        decode = msgspec.json.Decoder(chosen.event).decode
        told = events(live, chosen, period)
        while chunk := [*islice(told, SIZE)]:
            copied += _copy(own, chosen, _then(reached(live, chosen, (decode(r.value) for r in chunk)), period.since_us))
    return copied


def reached(live: Connection, chosen: Department, told: Iterable[Any]) -> Mapping[Subject, History]:
    """The whole histories of the subjects that events tell of, and of those that these speak about, and so on."""
    wanted = {subject for event in told for subject, _, _ in chosen.life.tell(event)}
    found: dict[Subject, History] = {}
    while wanted:
        loaded = dict(load(live, chosen, wanted))
        found |= {subject: loaded.get(subject, ()) for subject in wanted}
        told_of = {other for subject, held in loaded.items() if held for other, _, _ in chosen.life.follows(subject, held[-1])}
        wanted = told_of - found.keys()
    return found


def load(live: Connection, chosen: Department, wanted: Iterable[Subject]) -> Iterator[tuple[Subject, History]]:
    """The histories of subjects, of those that have one."""
    keys: dict[str, list[str]] = {}
    for table, key in wanted:
        keys.setdefault(table, []).append(key)
    for table, several in keys.items():
        decode = histories(chosen, table)
        query = sql.SQL("select uuid_send(key), state from {} where key = any(%s::uuid[])").format(sql.Identifier(f"{chosen.name}_{table}"))
        for key, packed in live.execute(query, [several], binary=True):
            yield (table, key.hex()), decode(packed)


def _then(found: Mapping[Subject, History], since_us: int) -> Mapping[Subject, History]:
    then = {subject: tuple(state for state in held if state.known_us < since_us) for subject, held in found.items()}
    return {subject: held for subject, held in then.items() if held}


def _copy(own: Connection, chosen: Department, found: Mapping[Subject, History]) -> int:
    pack = msgspec.msgpack.Encoder().encode
    for table in chosen.life.states:
        rows = [(key, pack(held)) for (of, key), held in found.items() if of == table]
        if rows:
            into = sql.SQL("insert into {} (key, state) select * from unnest(%s::uuid[], %s::bytea[]) n on conflict do nothing")
            own.execute(into.format(sql.Identifier(f"{chosen.name}_{table}")), [*map(list, zip(*rows, strict=True))])
    return len(found)
