"""The reader role under a viewer who may send any SQL and has switched every setting off: nothing lasting, nothing of others, nothing for long."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from deploy.embedded.parts import Parts
from sinks import watch
from sinks.migrations import migrate
from sinks.roles import ingest_dsn, reader_dsn
from streams.settings import Settings
from tests.eventually import eventually


@pytest.fixture(scope="module")
def reader(parts: Parts, settings: Settings) -> str:
    """The reader's DSN on a migrated database."""
    migrate(parts.dsn, settings)
    return reader_dsn(settings)


@pytest.fixture
def viewer(reader: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session as Grafana's pool hands it on: what could be SET off is off."""
    with contextlib.closing(psycopg.connect(reader, autocommit=True)) as connection:  # `with connect()` would commit at the end
        connection.execute("set default_transaction_read_only = off")
        connection.execute("set statement_timeout = 0")
        connection.execute("set idle_in_transaction_session_timeout = 0")
        yield connection


ATTEMPTS = [
    "create temp table t (a int)", "create table t (a int)", "create table public.t (a int)", "create schema mine", "create view board.mine as select 1",
    "create function f() returns int language sql as 'select 1'", "create function pg_temp.f() returns int language sql as 'select 1'",
    "select lo_creat(-1)", "select lo_create(0)", "select lo_from_bytea(0, 'x')", "select lo_put(1, 0, 'x')", "select lo_unlink(1)", "select lo_import('/etc/passwd')",
    "select pg_notify('touched', 'x')", "select pg_advisory_lock(1)", "select pg_advisory_xact_lock(1)", "select pg_try_advisory_lock(1)",
    "select pg_try_advisory_lock_shared(1, 2)", "select set_config('statement_timeout', '0', false)", "select pg_sleep(1)", "select pg_sleep_for('1 second')",
    "select pg_logical_emit_message(false, 'a', 'b')", "select pg_export_snapshot()", "select pg_terminate_backend(1)", "select pg_cancel_backend(1)",
    "select pg_read_file('/etc/passwd')", "select pg_ls_dir('/')", "copy (select 1) to program 'true'", "copy (select 1) to '/tmp/x'",
    "select * from live.einvoice_event", "select * from live.quarantine", "select * from live.seller", "select * from ioc.migration", "select * from pg_authid",
    "insert into board.unit (code) values ('x')", "update board.unit set name = 'x'", "delete from board.ledger", "truncate live.ledger",
    "set role ioc_ingest", "set role ioc_owner", "set session authorization ioc_owner", "alter role ioc_reader connection limit 1000",
    "alter system set statement_timeout = 0", "create extension dblink",
]  # fmt: skip


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_viewer_who_may_send_any_sql_gets_nothing_but_the_views(viewer: psycopg.Connection[tuple[object, ...]], attempt: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        viewer.execute(attempt)  # type: ignore[arg-type]  # statements of this file


def test_a_panel_still_runs(viewer: psycopg.Connection[tuple[object, ...]]) -> None:
    assert viewer.execute("select count(*) from einvoice_1m").fetchone() is not None


def test_a_viewer_sees_no_statement_of_other_roles(viewer: psycopg.Connection[tuple[object, ...]], dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select 'secret of another role'")
        rows = viewer.execute("select query from pg_stat_activity where usename <> current_user").fetchall()
    assert rows
    assert {query for (query,) in rows} <= {"<insufficient privilege>", "", None}


def test_the_role_holds_a_limited_number_of_connections(reader: str) -> None:
    with contextlib.ExitStack() as held:

        def connect_often() -> None:
            for _ in range(60):
                held.enter_context(psycopg.connect(reader))

        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            connect_often()


HEAVY = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"


def test_the_watcher_ends_what_a_viewer_runs_without_a_timeout(viewer: psycopg.Connection[tuple[object, ...]], settings: Settings) -> None:
    watcher = watch.Watcher(ingest_dsn(settings), longest_seconds=0.5, every_seconds=0.1)
    watcher.start()
    try:
        with pytest.raises(psycopg.OperationalError):  # AdminShutdown, or the connection already gone
            viewer.execute(HEAVY)  # type: ignore[arg-type]
    finally:
        watcher.stop()
    assert viewer.closed
    assert not watcher.is_alive()


def test_the_watcher_ends_transactions_left_open_and_leaves_others_alone(
    viewer: psycopg.Connection[tuple[object, ...]], settings: Settings, dsn: str
) -> None:
    with psycopg.connect(dsn) as owner, psycopg.connect(ingest_dsn(settings), autocommit=True) as watching:
        owner.execute("select 1")  # a transaction of another role, open
        viewer.execute("begin")
        ended: list[watch.Ended] = []
        eventually(lambda: ended.extend(watch.end_long(watching, 0.3)) or ended)
        assert [(each.pid, each.done) for each in ended] == [(viewer.info.backend_pid, True)]
        assert owner.execute("select 2").fetchone() == (2,)


def test_the_watcher_goes_on_after_its_own_connection_was_cut(reader: str, settings: Settings, dsn: str) -> None:
    watcher = watch.Watcher(ingest_dsn(settings), longest_seconds=0.3, every_seconds=0.05)
    watcher.start()
    try:
        with psycopg.connect(dsn, autocommit=True) as admin:
            cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ioc-watch'"
            eventually(lambda: admin.execute(cut).fetchall())
        gone = threading.Event()

        def heavy() -> None:
            with psycopg.connect(reader, autocommit=True, options="-c statement_timeout=0") as connection:
                try:
                    connection.execute(HEAVY)  # type: ignore[arg-type]
                except psycopg.OperationalError:
                    gone.set()

        threading.Thread(target=heavy, daemon=True).start()
        assert gone.wait(20)
    finally:
        watcher.stop()
