"""The unit table of a space: what is in it, and loading it so that a code is all of one word and a second time changes nothing."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from sinks.migrations import schema
from streams.units import Gazetteer, Succession, Unit

Connection = psycopg.Connection[Any]
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Unit._fields))
_LINKED = sql.SQL(", ").join(map(sql.Identifier, ("kind", "code", "ended", "successor", "whole", "main", "share")))


class Changes(NamedTuple):
    """What loading changes; a unit that reads differently is in `removed` as it was and in `added` as it will be."""

    added: tuple[Unit, ...]
    removed: tuple[Unit, ...]
    linked: tuple[Succession, ...]
    unlinked: tuple[Succession, ...]

    def __bool__(self) -> bool:
        return any(map(len, self))


def known(connection: Connection, space: str) -> Gazetteer:
    """All units of the space and what became of them."""
    return Gazetteer(*_held(connection, space))


def listed(connection: Connection, space: str) -> list[Unit]:
    """Every version of every unit of the space."""
    return _held(connection, space)[0]


def load(
    connection: Connection, space: str, units: Iterable[Unit], successions: Iterable[Succession] = (), from_file: bool = False
) -> Changes:
    """Make `units` all there is of their codes, with `successions` all that became of these; other codes stay. What changed, in one transaction.

    from_file: an operator's word. What is none leaves alone the codes that a file spoke of.
    """
    given = [*units]
    with connection.transaction():
        connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(sql.Identifier(schema(space), "unit")))
        found = changes(connection, space, given, successions, from_file)
        _write(connection, space, found)
        if from_file:
            mark = sql.SQL(
                "update {} u set from_file = true from unnest(%s::text[], %s::text[]) g(kind, code) where (u.kind, u.code) = (g.kind, g.code)"
            )
            connection.execute(mark.format(sql.Identifier(schema(space), "unit")), [[u.kind for u in given], [u.code for u in given]])
    return found


def changes(
    connection: Connection, space: str, units: Iterable[Unit], successions: Iterable[Succession] = (), from_file: bool = False
) -> Changes:
    """What `load` would change."""
    theirs = set() if from_file else _from_files(connection, space)
    now = {unit for unit in units if (unit.kind, unit.code) not in theirs}
    spoken = {(unit.kind, unit.code) for unit in now}
    links = {each for each in successions if (each.kind, each.code) in spoken}
    held, linked = _held(connection, space)
    before = {unit for unit in held if (unit.kind, unit.code) in spoken}
    tied = {each for each in linked if (each.kind, each.code) in spoken}
    added, removed = (tuple(sorted(each, key=str)) for each in (now - before, before - now))
    new, gone = (tuple(sorted(each, key=str)) for each in (links - tied, tied - links))
    return Changes(added, removed, new, gone)


def _held(connection: Connection, space: str) -> tuple[list[Unit], list[Succession]]:
    units = sql.SQL("select {} from {} order by kind, code, valid_from").format(_COLUMNS, sql.Identifier(schema(space), "unit"))
    links = sql.SQL("select {} from {} order by 1, 2, 3, 4").format(_LINKED, sql.Identifier(schema(space), "succession"))
    return [Unit(*row) for row in connection.execute(units)], [Succession(*row) for row in connection.execute(links)]


def _from_files(connection: Connection, space: str) -> set[tuple[str, str]]:
    query = sql.SQL("select distinct kind, code from {} where from_file").format(sql.Identifier(schema(space), "unit"))
    return {*connection.execute(query).fetchall()}


def _write(connection: Connection, space: str, found: Changes) -> None:
    unit, succession = sql.Identifier(schema(space), "unit"), sql.Identifier(schema(space), "succession")
    with connection.cursor() as cursor:
        gone = sql.SQL("delete from {} where kind = %s and code = %s and valid_from = %s").format(unit)
        cursor.executemany(gone, [(each.kind, each.code, each.valid_from) for each in found.removed])
        loose = sql.SQL("delete from {} where kind = %s and code = %s and ended = %s and successor = %s").format(succession)
        cursor.executemany(loose, [each[:4] for each in found.unlinked])
        values = sql.SQL(", ").join([sql.Placeholder()] * len(Unit._fields))
        cursor.executemany(sql.SQL("insert into {} ({}) values ({})").format(unit, _COLUMNS, values), found.added)
        tied = sql.SQL("insert into {} ({}) values (%s, %s, %s, %s, %s, %s, %s)").format(succession, _LINKED)
        cursor.executemany(tied, found.linked)


class Answer(NamedTuple):
    """The units of a day. ended: where there are none, the first day on which there were none any more; became: the units of that day in which those lie
    that were the last, by code."""

    units: tuple[Unit, ...]
    ended: date | None
    became: dict[str, tuple[Unit, ...]]


def at(held: Gazetteer, day: date, kind: str, level: str | None = None) -> Answer:
    """The units of a kind (and level) that stand on a day. Where there are none any more: since when, and what took their place: what they became, or,
    where the kind itself ended, what the units below them became."""
    asked = [unit for unit in held.of(kind) if level in (None, unit.level)]
    standing = tuple(unit for unit in asked if unit.stands(day))
    over = [unit for unit in asked if unit.valid_to is not None and unit.valid_to < day]
    if standing or not over:
        return Answer(standing, None, {})
    last = max(unit.valid_to for unit in over if unit.valid_to is not None)
    became = {unit.code: _in_its_place(held, unit, last, day) for unit in over if unit.valid_to == last}
    return Answer((), date.fromordinal(last.toordinal() + 1), became)


def _in_its_place(held: Gazetteer, unit: Unit, last: date, day: date) -> tuple[Unit, ...]:
    found = {piece.unit for piece in held.pieces(unit, last, day) if piece.unit.stands(day)}
    if not found:
        below = [each for kind in ("commune", "hospital", "agency") for each in held.valid(kind, last).values() if each.parent == unit.code]
        found = {piece.unit for each in below for piece in held.pieces(each, last, day) if piece.unit.stands(day)}
    order: dict[str, list[Unit]] = defaultdict(list)
    for each in sorted(found, key=lambda each: (each.kind, each.code)):
        order[each.kind].append(each)
    return tuple(each for several in order.values() for each in several)
