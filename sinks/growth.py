"""Contracts that grew: what a later version of a department's contract added, brought to tables that are there."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_type_hints

import msgspec
import psycopg
from psycopg import sql

from sinks import derive, hindsight
from sinks.archive.chain import events_name
from streams.department import Department
from streams.errors import Misconfigured

Connection = psycopg.Connection[tuple[object, ...]]


def contract(chosen: Department, number: int) -> Department:
    """The department as the contract of that number had it (the first is 1): the shape of its tables then, not what it counted."""
    later = chosen.grown[number - 1 :]
    fields = {name for each in later for name in each.fields}
    measures = {name for each in later for name in each.measures}
    states = {name for each in later for name in each.states}
    hints = get_type_hints(chosen.event, include_extras=True)
    event: Any = msgspec.defstruct(
        chosen.event.__name__, [(name, kind) for name, kind in hints.items() if name not in fields], kw_only=True
    )
    life = replace(chosen.life, states={name: kind for name, kind in chosen.life.states.items() if name not in states})
    kept = tuple(name for name in chosen.measures if name not in measures)
    return replace(chosen, event=event, measures=kept, life=life, grown=chosen.grown[: number - 1])


def steps(chosen: Department, space: str, board: str, board_at: str) -> Iterator[tuple[str, list[sql.Composed]]]:
    """(name, statements) for each contract after the first: columns, measures, kinds of subjects, the views that show them; then everything that
    is derived is counted anew."""
    for number, added in enumerate(chosen.grown, 2):
        now = contract(chosen, number)
        statements = [
            *_columns(chosen, added.fields),
            *_measures(chosen, added.measures),
            *(derive.state_table(now, name) for name in added.states),
        ]
        shown = [
            *derive.views(now, space, board),
            derive.slots(now, board)[-1],
            *hindsight.views(now, space, board, board_at),
            *hindsight.withdrawn(now, board, board_at),
        ]
        yield f"department_{chosen.name}_contract_{number}", [*statements, *map(derive.replaced, shown), *derive.anew(now)]


def refuse_without_events(connection: Connection, name: str, space: str) -> None:
    """Raises Misconfigured when events of the department have left the table: what is derived of them could not be counted anew."""
    chain = events_name(name, space)
    if connection.execute("select from archived where chain = %s and dropped > 0", [chain]).fetchone() is not None:
        raise Misconfigured(
            f"the contract of {name} has grown, and its figures cannot be counted anew: some of its events are in the archive only",
            f"`ioc archive restore {name}` puts them back; then run `ioc up` again",
        )


def _columns(chosen: Department, names: Sequence[str]) -> Iterator[sql.Composed]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(chosen.event)}
    for column in derive.columns(chosen.event):
        if column.field in names:
            default = defaults[column.field]
            kept = msgspec.json.encode(default).decode() if column.kind == "json" else default
            rest = sql.SQL("") if column.null else sql.SQL(" not null default {}").format(sql.Literal(kept))
            yield sql.SQL("alter table {} add column {} {}{}").format(
                sql.Identifier(f"{chosen.name}_event"), sql.Identifier(column.name), sql.SQL(column.type), rest
            )


def _measures(chosen: Department, names: Sequence[str]) -> Iterator[sql.Composed]:
    for table in ("1m", "10m", "1d"):
        for name in names:
            yield sql.SQL("alter table {} add column {} bigint not null default 0").format(
                sql.Identifier(f"{chosen.name}_{table}"), sql.Identifier(name)
            )
