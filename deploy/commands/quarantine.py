"""`ioc quarantine`: records that could not be understood, by cause; look at one, try again, drop."""

from typing import Annotated, Any

import typer
from psycopg import sql
from psycopg.rows import dict_row

from connectors.retry import produce_again
from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from deploy.embedded import parts
from sinks.migrations import schema
from streams import pseudonym, settings

_CHOOSE = "select id::text, department, source, known_at, cause, wrong, size_bytes, state, sealed from quarantine where state = 'held'"
Cause = Annotated[str | None, typer.Option(help="Only records set aside for this cause.")]
Name = Annotated[str | None, typer.Option("--department", help="Only this department's.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(
        help="Records that could not be understood: sealed, with their cause, until somebody retries or drops them.", no_args_is_help=True
    )
    group.command("list")(list_)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("drop")(drop)
    app.add_typer(group, name="quarantine")


def _held(name: str | None, cause: str | None, id: str | None = None) -> list[dict[str, Any]]:
    chosen = settings.load()
    wanted = [("department", name), ("cause", cause)]
    query: sql.SQL | sql.Composed = sql.SQL(_CHOOSE)
    values = []
    for column, value in wanted:
        if value is not None:
            query += sql.SQL(" and {} = %s").format(sql.Identifier(column))
            values.append(value)
    if id is not None:
        query += sql.SQL(" and id::text like %s")
        values.append(id.replace("%", "").replace("_", "") + "%")
    with connect(chosen) as connection, connection.cursor(row_factory=dict_row) as cursor:
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        return cursor.execute(query + sql.SQL(" order by known_at"), values).fetchall()


def list_(department: Name = None, cause: Cause = None, as_json: Json = False) -> None:
    """How many records are held, by department, source and cause, with the newest one's fingerprint."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in _held(department, cause):
        key = (row["department"], row["source"], row["cause"])
        group = groups.setdefault(key, dict(zip(("department", "source", "cause"), key, strict=True)) | {"records": 0})
        group |= {"records": group["records"] + 1, "newest": row["known_at"].isoformat(), "id": row["id"], "wrong": row["wrong"]}
    found = [groups[key] for key in sorted(groups)]
    columns = ["department", "source", "cause", "records", "newest", "wrong"]
    shown = [[row[c] if c != "newest" else f"{row['id'][:8]} at {row[c][:19]}" for c in columns] for row in found]
    console.result({"rows": found}, as_json, lambda: console.table(columns, shown))


def show(
    id: Annotated[str, typer.Argument(help="The record's id, or how it begins.")],
    raw: Annotated[bool, typer.Option("--raw", help="Unseal and print the record itself: it may hold personal data.")] = False,
    as_json: Json = False,
) -> None:
    """One record: where from, why it is held; with --raw the record itself."""
    rows = _held(None, None, id)
    if not rows:
        raise console.No(f"no held record begins with {id}", "`ioc quarantine list` shows what there is")
    row = rows[0]
    sealed = row.pop("sealed")
    if raw:
        row["raw"] = pseudonym.load(settings.load().state_dir).unseal(sealed).decode("utf-8", "replace")
    console.result(row, as_json)


def retry(department: Name = None, cause: Cause = None, as_json: Json = False) -> None:
    """Parse held records again, with today's parsers. What is understood now enters at the front door; the rest stays held.

    A record that is produced twice counts once, so this is safe to repeat.
    """
    chosen = settings.load()
    rows = _held(department, cause)
    bootstrap = parts.find(chosen).bootstrap
    with console.progress("retrying", len(rows)) as step:
        understood = produce_again(chosen, bootstrap, rows, step)
    _mark(understood, "retried")
    console.result({"tried": len(rows), "understood": len(understood)}, as_json)


def drop(
    department: Name = None,
    cause: Cause = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Give held records up: they stay counted as quarantined, their contents are erased."""
    rows = _held(department, cause)
    if not yes:
        typer.confirm(f"Erase the contents of {len(rows)} records?", abort=True, err=True)
    _mark([row["id"] for row in rows], "dropped")
    console.result({"dropped": len(rows)}, as_json)


def _mark(ids: list[str], state: str) -> None:
    chosen = settings.load()
    erase = sql.SQL(", sealed = ''") if state == "dropped" else sql.SQL("")
    with connect(chosen) as connection:
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        connection.execute(sql.SQL("update quarantine set state = %s{} where id = any(%s::uuid[])").format(erase), [state, ids])
