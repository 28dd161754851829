"""Database roles: owner makes tables, ingest writes live, each space has its own, replay reads live, reader sees boards' views, duty takes alarms."""

import json
import os
import secrets
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from streams.topics import LIVE

OWNER, INGEST, READER, DUTY, REPLAY = "ioc_owner", "ioc_ingest", "ioc_reader", "ioc_duty", "ioc_replay"
ROLES = (OWNER, INGEST, READER, DUTY, REPLAY)
SPACE_CONNECTIONS = 30

# What PUBLIC may do by default and a reader must not: each was managed by an anonymous viewer of a dashboard (lasting writes, locks, messages).
_FORBIDDEN = (
    "pg_cancel_backend", "pg_terminate_backend", "pg_logical_emit_message", "pg_export_snapshot", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    "lo_creat", "lo_create", "lo_from_bytea", "lo_open", "lo_put", "lo_unlink", "lo_truncate", "lo_truncate64", "lowrite", "pg_notify", "set_config",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
)  # fmt: skip


def writer(space: str) -> str:
    """The role that writes a space: ioc_ingest in live, elsewhere one of the space's own, which can reach nothing else."""
    return INGEST if space == LIVE else f"ioc_space_{space.replace('-', '_')}"


def create(admin: psycopg.Connection, settings: Settings) -> None:
    """Make the roles with passwords kept in `<state_dir>/secrets/database.json`; harden the reader. Safe to repeat."""
    space = writer(settings.space)
    roles = tuple(dict.fromkeys((*ROLES, space)))
    passwords = _passwords(settings, roles)
    database = admin.info.dbname
    for role in roles:
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
        sql.SQL("grant connect, temporary on database {} to {}").format(sql.Identifier(database), sql.Identifier(REPLAY)),
        sql.SQL("grant connect, temporary on database {} to {}").format(sql.Identifier(database), sql.Identifier(space)),
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
    if settings.space != LIVE:
        run.append(sql.SQL("alter role {} connection limit {}").format(sql.Identifier(space), sql.Literal(SPACE_CONNECTIONS)))
    for statement in run:
        admin.execute(statement)
    _harden(admin)


def forget(admin: psycopg.Connection, settings: Settings) -> None:
    """End the sessions of the role of `settings.space`, remove it with its password. The space's schemas are gone already."""
    role = writer(settings.space)
    if settings.space == LIVE:
        raise ValueError("the role of live stays")
    if admin.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
        for statement in ("grant {} to current_user", "drop owned by {}", "drop role {}"):
            admin.execute(sql.SQL(statement).format(sql.Identifier(role)))
    path = _path(settings)
    _write(path, {name: password for name, password in _read(path).items() if name != role})


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
    """The DSN of the role that writes `settings.space`. A login that was given counts where it is of that role: live's is none for a space."""
    given, role = settings.database.ingest_dsn, writer(settings.space)
    if given and (settings.space == LIVE or conninfo_to_dict(given).get("user") == role):
        return given
    return _as(role, database_dsn(settings), settings)


def replay_dsn(settings: Settings) -> str:
    """The DSN of the role that replays read live with, and say in ioc.replay how they stand."""
    return settings.database.replay_dsn or _as(REPLAY, database_dsn(settings), settings)


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
    passwords = _read(_path(settings))
    if role not in passwords:
        mend = (
            f"run `ioc up`, or set IOC_DATABASE__{role.removeprefix('ioc_').upper()}_DSN"
            if role in ROLES
            else "`ioc spaces list` names those there are"
        )
        raise Misconfigured(f"there is no password for the role {role}", mend)
    return make_conninfo("", **(conninfo_to_dict(dsn) | {"user": role, "password": passwords[role]}))


def _passwords(settings: Settings, roles: tuple[str, ...]) -> dict[str, str]:
    """Those of the roles, made where there are none yet."""
    path = _path(settings)
    held = _read(path)
    missing = {role: secrets.token_urlsafe(24) for role in roles if role not in held}
    if missing:
        _write(path, held | missing)
    return held | missing


def _path(settings: Settings) -> Path:
    return settings.state_dir / "secrets" / "database.json"


def _read(path: Path) -> dict[str, str]:
    held: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return held


def _write(path: Path, held: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(held, file)
    fresh.replace(path)
