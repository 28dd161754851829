"""Database roles: owner makes and changes tables, ingest writes them, reader sees the views of the boards, duty takes and silences alarms."""

import json
import os
import secrets
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from streams.errors import Misconfigured, Retry
from streams.settings import Settings

OWNER, INGEST, READER, DUTY = "ioc_owner", "ioc_ingest", "ioc_reader", "ioc_duty"
ROLES = (OWNER, INGEST, READER, DUTY)

# What PUBLIC may do by default and a reader must not: each was managed by an anonymous viewer of a dashboard (lasting writes, locks, messages).
_FORBIDDEN = (
    "pg_cancel_backend", "pg_terminate_backend", "pg_logical_emit_message", "pg_export_snapshot", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    "lo_creat", "lo_create", "lo_from_bytea", "lo_open", "lo_put", "lo_unlink", "lo_truncate", "lo_truncate64", "lowrite", "pg_notify", "set_config",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
)  # fmt: skip


def create(admin: psycopg.Connection, settings: Settings) -> None:
    """Make the roles with passwords kept in `<state_dir>/secrets/database.json`; harden the reader. Safe to repeat."""
    passwords = _passwords(settings, make=True)
    database = admin.info.dbname
    for role in ROLES:
        if not admin.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        if role in passwords:
            admin.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(passwords[role])))
    run: list[sql.SQL | sql.Composed] = [
        sql.SQL("revoke all on schema public from public"),
        sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)),
        sql.SQL("grant connect, create on database {} to {}").format(sql.Identifier(database), sql.Identifier(OWNER)),
        sql.SQL("grant connect, temporary on database {} to {}").format(sql.Identifier(database), sql.Identifier(INGEST)),
        sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), sql.Identifier(READER)),
        sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), sql.Identifier(DUTY)),
        sql.SQL("grant usage on schema public to {}, {}, {}").format(*map(sql.Identifier, (OWNER, INGEST, READER))),
        sql.SQL("grant {} to {}").format(sql.Identifier(READER), sql.Identifier(INGEST)),  # so that the watcher may end readers' sessions
        sql.SQL("alter role {} connection limit 40").format(sql.Identifier(READER)),
        sql.SQL("alter role {} set default_transaction_read_only = on").format(sql.Identifier(READER)),
        sql.SQL("alter role {} set statement_timeout = '5s'").format(sql.Identifier(READER)),
        sql.SQL("alter role {} set idle_in_transaction_session_timeout = '30s'").format(sql.Identifier(READER)),
        sql.SQL("alter role {} set search_path = board, public").format(sql.Identifier(READER)),
        sql.SQL("alter role {} connection limit 10").format(sql.Identifier(DUTY)),
        sql.SQL("alter role {} set statement_timeout = '5s'").format(sql.Identifier(DUTY)),
    ]
    for statement in run:
        admin.execute(statement)
    _harden(admin)


def _harden(admin: psycopg.Connection) -> None:
    found = admin.execute(
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = 'pg_catalog' and proname = any(%s)",
        [list(_FORBIDDEN)],
    ).fetchall()
    for (signature,) in found:  # names and argument types as the catalogue itself prints them
        admin.execute(sql.SQL("revoke execute on function {} from public").format(sql.SQL(signature)))
        admin.execute(
            sql.SQL("grant execute on function {} to {}, {}").format(sql.SQL(signature), sql.Identifier(OWNER), sql.Identifier(INGEST))
        )


def owner_dsn(dsn: str, settings: Settings) -> str:
    """The DSN of the role that owns the tables."""
    return _as(OWNER, dsn, settings)


def ingest_dsn(settings: Settings) -> str:
    """The DSN of the role that writes."""
    return settings.database.ingest_dsn or _as(INGEST, database_dsn(settings), settings)


def reader_dsn(settings: Settings) -> str:
    """The DSN of the role that boards read with: views of the schema `board` only."""
    return settings.database.reader_dsn or _as(READER, database_dsn(settings), settings)


def duty_dsn(settings: Settings) -> str:
    """The DSN of the role that acknowledges alarms and adds silences, and may write nothing else."""
    return settings.database.duty_dsn or _as(DUTY, database_dsn(settings), settings)


def database_dsn(settings: Settings) -> str:
    """The DSN that was given, else that of the embedded database that runs. Raises Retry when none does."""
    if settings.database.dsn:
        return settings.database.dsn
    path = settings.state_dir / "parts.json"
    try:
        return str(json.loads(path.read_text())["database_dsn"])
    except (OSError, KeyError, ValueError) as error:
        raise Retry("no database runs here", "run `ioc up`, or set IOC_DATABASE__DSN") from error


def _as(role: str, dsn: str, settings: Settings) -> str:
    passwords = _passwords(settings, make=False)
    if role not in passwords:
        raise Misconfigured(
            f"there is no password for the role {role}", f"run `ioc up`, or set IOC_DATABASE__{role.removeprefix('ioc_').upper()}_DSN"
        )
    return make_conninfo("", **(conninfo_to_dict(dsn) | {"user": role, "password": passwords[role]}))


def _passwords(settings: Settings, *, make: bool) -> dict[str, str]:
    path: Path = settings.state_dir / "secrets" / "database.json"
    held: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [role for role in ROLES if role not in held]
    if not make or not missing:
        return held
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held |= {role: secrets.token_urlsafe(24) for role in missing}
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(held, file)
    fresh.replace(path)
    return held
