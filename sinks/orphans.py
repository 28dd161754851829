"""Answers without their question: verdicts, receipts and answers whose message never came. They count nothing until it does."""

from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from streams.department import Department
from streams.errors import Misconfigured

ENOUGH = ("202",)  # a code result carries its invoice: it is enough by itself (tvan 3)


def orphans(connection: psycopg.Connection[Any], owner: Department, older: timedelta, limit: int) -> dict[str, Any]:
    """How many answers arrived longer ago than `older` and wait for their question, by kind and source, and the ids of the first of them. Raises
    Misconfigured for a department whose records answer no others.

    `connection` sees the views of the space's boards; call it in `explain.snapshot`.
    """
    if "question" not in owner.event.__struct_fields__:
        raise Misconfigured(f"the records of {owner.name} answer no others", "ask for einvoice")
    tables = {"event": sql.Identifier(f"{owner.name}_event"), "identity": sql.Identifier(f"{owner.name}_identity")}
    waiting = sql.SQL(
        "from {event} e where question is not null and kind <> all(%(enough)s) and known_at < now() - %(older)s "
        "and not exists (select from {identity} i where i.id = e.question)"
    ).format(**tables)
    values = {"older": older, "enough": [*ENOUGH], "limit": limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        groups = cursor.execute(
            sql.SQL(
                "select kind, source, count(*) as answers, min(known_at) as first, max(known_at) as last {} group by 1, 2 order by 1, 2"
            ).format(waiting),
            values,
        ).fetchall()
        rows = cursor.execute(
            sql.SQL("select id, question, kind, source, known_at {} order by known_at, id limit %(limit)s").format(waiting), values
        ).fetchall()
    return {"department": owner.name, "orphans": sum(group["answers"] for group in groups), "groups": groups, "rows": rows}
