"""What was set aside, in the database: by cause, by record, its states, and who did what with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
State = Literal["held", "sending", "retried", "dropped"]
What = Literal["show", "fix", "try", "retry", "drop"]
_COLUMNS = "id::text, department, source, known_at, cause, wrong, fingerprint, size_bytes, state, sealed, events::text[]"
_EXAMPLES = 3
PAGE_RECORDS = 500
PAGE_BYTES = 32 << 20  # of records as they came, which may have 4 MB each


class Held(NamedTuple):
    """How many records there are, and when the last of them arrived; None where there are none."""

    records: int
    until: datetime | None


def where(chosen: Mapping[str, str | None], state: State | None = "held") -> tuple[sql.Composed, list[Any]]:
    """The condition for records of a cause, source, department, fingerprint, or an id that begins so; with its values."""
    parts: list[sql.Composable] = [sql.SQL("true")]
    values: list[Any] = []
    if state is not None:
        parts.append(sql.SQL("state = %s"))
        values.append(state)
    for column, value in chosen.items():
        if value is not None:
            if column == "id":
                parts.append(sql.SQL("id::text like %s"))
                values.append(value.replace("\\", "").replace("%", "").replace("_", "") + "%")
            else:
                parts.append(sql.SQL("{} = %s").format(sql.Identifier(column)))
                values.append(value)
    return sql.SQL(" and ").join(parts), values


def groups(connection: Connection, chosen: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """What is held or on its way, by department, source and fingerprint: how many, since when, until when, and some ids; most first."""
    condition, values = where(chosen, None)
    query = sql.SQL(
        "select department, source, cause, fingerprint, min(wrong) as wrong, count(*) as records, count(*) filter (where state = 'sending') as sending, "
        "sum(size_bytes)::bigint as bytes, min(known_at) as first, max(known_at) as last, (array_agg(id::text order by known_at desc))[:{}] as examples "
        "from quarantine where state in ('held', 'sending') and {} group by 1, 2, 3, 4 order by records desc, 1, 2, 3, 4"
    ).format(sql.Literal(_EXAMPLES), condition)
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def held(connection: Connection, chosen: Mapping[str, str | None], state: State | None = "held") -> Held:
    """The records that there are now."""
    condition, values = where(chosen, state)
    rows = connection.execute(sql.SQL("select count(*), max(known_at) from quarantine where {}").format(condition), values)
    return Held(*rows.fetchall()[0])


def pages(
    connection: Connection, chosen: Mapping[str, str | None], until: datetime | None, state: State | None = "held"
) -> Iterator[list[dict[str, Any]]]:
    """The records that arrived until then, sealed, in the order of their arrival: at most PAGE_RECORDS at a time, of PAGE_BYTES and one record.

    Their states may be changed meanwhile; those of a page are read when it is asked for.
    """
    condition, values = where(chosen, state)
    query = sql.SQL(
        "select {} from (select *, sum(size_bytes) over (order by known_at, id) - size_bytes as before from ("
        "select * from quarantine where {} and known_at <= %s and (known_at, id) > (%s, %s::uuid) order by known_at, id limit {}) due) page "
        "where before < {} order by page.known_at, page.id"
    ).format(sql.SQL(_COLUMNS), condition, sql.Literal(PAGE_RECORDS), sql.Literal(PAGE_BYTES))
    after: tuple[Any, str] = ("-infinity", "00000000-0000-0000-0000-000000000000")
    while True:
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(query, [*values, until, *after]).fetchall()
        if not found:
            return
        yield found
        after = found[-1]["known_at"], found[-1]["id"]


def move(connection: Connection, ids: Iterable[str], before: State, after: State) -> int:
    """Put records that are in one state in another; how many were."""
    query = "update quarantine set state = %s where id = any(%s::uuid[]) and state = %s"
    return connection.execute(query, [after, [*ids], before]).rowcount


def drop(connection: Connection, chosen: Mapping[str, str | None], until: datetime | None) -> int:
    """Give up the records that are held and arrived until then, and erase what they hold; how many."""
    condition, values = where(chosen)
    query = sql.SQL("update quarantine set state = 'dropped', sealed = '' where {} and known_at <= %s").format(condition)
    return connection.execute(query, [*values, until]).rowcount


def claim(connection: Connection, events: Mapping[str, Sequence[str]], repaired: str | None) -> set[str]:
    """Note that these held records are about to be sent as these events; the ids of those that nobody else has taken meanwhile."""
    query = sql.SQL(
        "update quarantine q set state = 'sending', repaired = %s, events = string_to_array(n.events, ',')::uuid[] "
        "from unnest(%s::uuid[], %s::text[]) n(id, events) where q.id = n.id and q.state = 'held' returning q.id::text"
    )
    rows = connection.execute(query, [repaired, [*events], [",".join(ids) for ids in events.values()]])
    return {id for (id,) in rows}


def unsent(connection: Connection, id: str, events: Iterable[str]) -> None:
    """Hold a record again whose sending was cut off. events: those of its events that arrived before."""
    connection.execute("update quarantine set state = 'held', events = %s::uuid[] where id = %s and state = 'sending'", [[*events], id])


def audit(
    connection: Connection, who: str, what: What, records: int, result: str, record: str | None = None, why: str | None = None
) -> None:
    """Note who did what."""
    connection.execute(
        "insert into quarantine_audit (who, what, record, records, why, result) values (%s, %s, %s, %s, %s, %s)",
        [who, what, record, records, why, result],
    )


def audited(connection: Connection, last: int) -> list[dict[str, Any]]:
    """The last notes, newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        query = "select at, who, what, record::text, records, why, result from quarantine_audit order by at desc limit %s"
        return cursor.execute(query, [last]).fetchall()


def arrived(connection: Connection, department: str, ids: Sequence[str]) -> set[str]:
    """Which of these events are in the tables."""
    query = sql.SQL("select replace(id::text, '-', '') from {} where id = any(%s::uuid[])").format(sql.Identifier(f"{department}_identity"))
    return {id for (id,) in connection.execute(query, [[*ids]])}


def offsets(connection: Connection, topic_ids: Iterable[str]) -> dict[tuple[str, int], int]:
    """How far each partition is committed: (topic id, partition) -> next offset."""
    rows = connection.execute(
        "select replace(topic_id::text, '-', ''), partition, next_offset from stream_offset where topic_id = any(%s::uuid[])",
        [[*topic_ids]],
    )
    return {(id, number): offset for id, number, offset in rows}


def counts(connection: Connection, since: datetime) -> dict[str, int]:
    """How many records are in which state, of those that arrived since."""
    return dict(connection.execute("select state, count(*) from quarantine where known_at >= %s group by 1", [since]).fetchall())
