"""The walls of a space in the database, attacked with all that a replay's worker has: it gets nothing of live, and nothing of other spaces."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from deploy.embedded.parts import Parts
from sinks import posting, roles, spaces
from sinks.migrations import board, board_at, migrate, schema
from streams.settings import Settings

Connection = psycopg.Connection[tuple[object, ...]]
REFUSED = (errors.InsufficientPrivilege, errors.UndefinedObject, errors.FeatureNotSupported, errors.ObjectNotInPrerequisiteState)


@pytest.fixture(scope="module")
def live(settings: Settings, parts: Parts) -> Settings:
    migrate(parts.dsn, settings)
    return settings


@pytest.fixture(scope="module")
def drill(live: Settings, parts: Parts) -> Iterator[Settings]:
    """The settings of the space that is attacked from, beside another one and live, where something lies."""
    with psycopg.connect(roles.ingest_dsn(live)) as connection:
        connection.execute(
            "insert into live.payment_1m (minute, known, unit, kind, receipts, paid_vnd, mismatched, failed, unknown) "
            "values (now(), now(), '38001', 'walls', 0, 0, 0, 0, 0)"
        )
    names = [f"drill-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    mine, _ = [spaces.make(parts.dsn, live, name, "test") for name in names]
    yield mine
    for name in names:
        spaces.drop(parts.dsn, live, name)
    with psycopg.connect(roles.ingest_dsn(live)) as connection:
        connection.execute("delete from live.payment_1m where kind = 'walls'")


@pytest.fixture
def attacker(drill: Settings) -> Iterator[Connection]:
    with closing(psycopg.connect(roles.ingest_dsn(drill), autocommit=True)) as connection:
        yield connection


def inside(drill: Settings) -> list[str]:
    """The schemas the space's role may use, and the catalogues that PostgreSQL shows to everybody."""
    return [schema(drill.space), board(drill.space), board_at(drill.space), "pg_catalog", "information_schema"]


def outside(drill: Settings, parts: Parts, kinds: str) -> list[str]:
    """Every relation elsewhere, as the catalogue spells it: of live, its boards, ioc, other spaces, chunks; not TimescaleDB's own catalogue."""
    with psycopg.connect(parts.dsn) as connection:
        rows = connection.execute(
            "select format('%%I.%%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = any(%s) "
            "and nspname <> all(%s) and nspname !~ '^pg_(toast|temp)' "
            "and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') order by 1",
            [[*kinds], inside(drill)],
        ).fetchall()
    return [str(name) for (name,) in rows]


def refused(attacker: Connection, statement: str) -> bool:
    try:
        attacker.execute(statement)  # type: ignore[arg-type]  # names as the catalogue spells them
    except REFUSED:
        return True
    return False


def test_no_table_and_no_view_outside_can_be_read_written_or_locked(attacker: Connection, drill: Settings, parts: Parts) -> None:
    names = outside(drill, parts, "rvm")
    assert {
        "live.payment_event",
        "live.quarantine",
        "live.seller",
        "board.payment_1m",
        "board_at.payment_1d",
        "ioc.replay",
        "ioc.space",
    } <= {*names}
    assert [name for name in names if name.startswith("_timescaledb_internal._hyper")]
    assert len({name.split(".")[0] for name in names if "drill" in name}) >= 3  # the other space, its boards, their past
    attacks = (
        "select count(*) from {}", "insert into {} default values", "delete from {}", "truncate {}", "do $$begin lock table {} in access share mode; end$$",
        "alter table {} owner to current_user", "drop table {}", "explain analyze select * from {}",
    )  # fmt: skip
    got = [attack.format(name) for name in names for attack in attacks if not refused(attacker, attack.format(name))]
    assert got == []
    for name in names:  # a view reads as who made it: who may not read may not read by one
        attacker.execute("drop view if exists stolen")
        assert refused(attacker, f"create temp view stolen as select * from {name}") or refused(attacker, "select count(*) from stolen"), (
            name
        )


def test_no_sequence_and_no_function_outside_can_be_used(attacker: Connection, drill: Settings, parts: Parts) -> None:
    assert [name for name in outside(drill, parts, "S") if not refused(attacker, f"select nextval('{name}')")] == []
    with psycopg.connect(parts.dsn) as connection:
        calls = connection.execute(
            "select format('%%I.%%I(%%s)', nspname, proname, (select coalesce(string_agg('null::' || format_type(t, null), ', '), '') from unnest(proargtypes) t)) "
            "from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname <> all(%s) and nspname !~ 'timescaledb' and prokind = 'f' "
            "and prorettype not in ('trigger'::regtype, 'internal'::regtype)",
            [inside(drill)],
        ).fetchall()
    assert len(calls) > 10
    assert [call for (call,) in calls if not refused(attacker, f"select {call}")] == []


def test_the_role_owns_nothing_joins_nobody_and_may_make_things_nowhere(drill: Settings, parts: Parts) -> None:
    role = roles.writer(drill.space)
    with psycopg.connect(parts.dsn) as connection:

        def all_of(query: str) -> list[object]:
            return [row[0] for row in connection.execute(query, {"role": role, "own": schema(drill.space)})]  # type: ignore[arg-type]  # of this file

        assert (
            all_of(
                "select rolname from pg_roles where rolname = %(role)s and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)"
            )
            == []
        )
        assert all_of("select roleid::regrole from pg_auth_members where member = %(role)s::regrole") == []
        assert all_of("select datname from pg_database where has_database_privilege(%(role)s, datname, 'create')") == []
        assert all_of("select nspname from pg_namespace where has_schema_privilege(%(role)s, oid, 'create') and nspname !~ '^pg_t'") == []
        owned = "select relname from pg_class where relowner = %(role)s::regrole union all select proname from pg_proc where proowner = %(role)s::regrole"
        assert all_of(owned) == []
        defined = (
            "select proname from pg_proc where prosecdef and has_function_privilege(%(role)s, oid, 'execute') "
            "and has_schema_privilege(%(role)s, pronamespace, 'usage') and pronamespace <> '_timescaledb_functions'::regnamespace order by 1"
        )
        assert all_of(defined) == ["await_lock", "clock", "free_lock", "keep_lock", "try_lock"]
        assert all_of("select nspname from pg_namespace where has_schema_privilege('ioc_ingest', oid, 'usage') and nspname = %(own)s") == []


ATTEMPTS = """
set role ioc_owner
set role ioc_ingest
set role ioc_replay
set role ioc_reader
set role postgres
set session authorization ioc_owner
alter role current_user superuser
alter role current_user createrole
alter role ioc_ingest password 'x'
create role friend
grant ioc_ingest to current_user
drop role ioc_ingest
reassign owned by ioc_owner to current_user
alter system set log_statement = 'all'
alter database ioc set search_path = pg_temp
create schema mine
create table {own}.t (a int)
create table live.t (a int)
create table public.t (a int)
create view {boards}.mine as select 1
create function {own}.clock_timestamp() returns timestamptz language sql as 'select now()'
create function {own}.unit(int) returns int language sql as 'select 1'
create function public.now() returns timestamptz language sql as 'select null::timestamptz'
create extension dblink schema {own}
create extension file_fdw schema {own}
create trigger t after insert on {own}.batch execute function pg_catalog.suppress_redundant_updates_trigger()
create rule r as on select to {own}.batch do instead nothing
alter table {own}.batch add column a int
drop table {own}.batch
drop schema {own} cascade
alter function {own}.await_lock(bigint) reset search_path
create publication p for all tables
create subscription s connection 'dbname=ioc' publication p
create server s foreign data wrapper w
create event trigger e on ddl_command_start execute function f()
select pg_read_file('/etc/passwd')
select pg_read_binary_file('/etc/passwd')
select pg_ls_dir('/')
select pg_stat_file('/etc/passwd')
copy (select 1) to program 'true'
copy (select 1) to '/tmp/x'
copy {own}.unit from program 'true'
copy {own}.unit from '/etc/passwd'
load 'plpython3u'
do language plpython3u 'pass'
select lo_import('/etc/passwd')
select lo_export(1, '/tmp/x')
select lo_creat(-1)
select lo_create(0)
select lo_from_bytea(0, 'x')
select lo_put(1, 0, 'x')
select pg_notify('touched', 'x')
select pg_logical_emit_message(false, 'a', 'b')
select pg_create_logical_replication_slot('a', 'pgoutput')
select pg_export_snapshot()
select pg_terminate_backend(1)
select pg_cancel_backend(1)
select pg_reload_conf()
select pg_rotate_logfile()
select pg_switch_wal()
checkpoint
select pg_advisory_lock(7241)
select pg_advisory_xact_lock(1)
select pg_try_advisory_lock(1)
select pg_try_advisory_xact_lock(7241)
select pg_advisory_lock(1, 2)
select pg_advisory_lock_shared(1)
select pg_sleep(1)
select set_config('role', 'ioc_owner', false)
select live.await_lock(1)
select ioc.replayed('live')
select * from pg_authid
select * from pg_shadow
select * from pg_statistic
select * from pg_user_mapping
select * from pg_hba_file_rules
select public.add_job('pg_sleep', '1s')
select public.drop_chunks('live.payment_event', now())
select _timescaledb_functions.stop_background_workers()
"""


@pytest.mark.parametrize("attempt", ATTEMPTS.strip().splitlines())
def test_no_trick_leads_out_of_the_space(attacker: Connection, drill: Settings, attempt: str) -> None:
    assert refused(attacker, attempt.format(own=schema(drill.space), boards=board(drill.space)))


def test_nobody_else_in_the_database_is_overheard(attacker: Connection, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select 'a secret of live'")
        seen = attacker.execute("select distinct query from pg_stat_activity where usename is distinct from current_user").fetchall()
    assert {query for (query,) in seen} <= {"<insufficient privilege>", "", None}
    assert attacker.execute("select count(*) from pg_stats where schemaname in ('live', 'ioc')").fetchone() == (0,)
    assert attacker.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_what_lies_in_the_temporary_schema_shadows_nothing_that_runs_as_the_owner(attacker: Connection, drill: Settings) -> None:
    own = schema(drill.space)
    for name, gives in (("pg_try_advisory_xact_lock(int, int)", "bool"), ("hashint8(bigint)", "int"), ("clock_timestamp()", "timestamptz")):
        attacker.execute(f"create function pg_temp.{name} returns {gives} language plpgsql as 'begin raise exception ''shadowed''; end'")  # type: ignore[arg-type]
    attacker.execute("create temp table replay (space text, followed timestamptz)")
    attacker.execute(f"set search_path = pg_temp, {own}, pg_catalog")  # type: ignore[arg-type]
    assert attacker.execute("select try_lock(1)").fetchone() == (True,)
    assert attacker.execute("select clock() > timestamptz '2020-01-01Z'").fetchone() == (True,)


def test_live_and_a_space_never_wait_for_each_others_locks(attacker: Connection, live: Settings, drill: Settings) -> None:
    numbers = [7241, 7242 * 2**32, 7243 * 2**32, 1]
    with psycopg.connect(roles.ingest_dsn(live)) as worker, attacker.transaction():
        for number in numbers:
            assert attacker.execute(
                sql.SQL("select {}(%s)").format(sql.Identifier(schema(drill.space), "try_lock")), [number]
            ).fetchone() == (True,)
            assert worker.execute("select live.try_lock(%s)", [number]).fetchone() == (True,)


def test_the_player_reads_live_and_writes_nothing_but_how_it_stands(live: Settings, drill: Settings) -> None:
    with closing(psycopg.connect(roles.replay_dsn(live), autocommit=True)) as player:
        for name in (
            "live.payment_event",
            "live.quarantine",
            "live.payment_1m",
            "live.firing",
            f"{schema(drill.space)}.payment_1m",
            "ioc.replay",
        ):
            assert player.execute(f"select count(*) from {name}").fetchone() is not None  # type: ignore[arg-type]
        writes = [f"insert into {where}.batch default values" for where in ("live", schema(drill.space))]
        writes += [
            "delete from live.payment_event",
            "truncate live.batch",
            "update ioc.space set kept = true",
            "delete from ioc.space",
        ]
        reads = [f"select * from live.{name}" for name in ("stream_offset", "outbox", "silence")] + ["select * from ioc.migration"]
        assert [
            each
            for each in (*writes, *reads, "select pg_advisory_lock(7241)", "select pg_try_advisory_lock(7244, 1)")
            if not refused(player, each)
        ] == []


def test_a_login_of_live_that_was_given_is_not_taken_for_a_spaces(live: Settings, drill: Settings) -> None:
    given = make_conninfo(roles.ingest_dsn(live))
    for own, taken in ((live, True), (drill, False)):
        chosen = own.model_copy(update={"database": own.database.model_copy(update={"ingest_dsn": given})})
        assert (roles.ingest_dsn(chosen) == given) is taken
    mine = make_conninfo(roles.ingest_dsn(drill))
    assert roles.ingest_dsn(drill.model_copy(update={"database": drill.database.model_copy(update={"ingest_dsn": mine})})) == mine


def test_in_a_space_no_channel_is_open_but_those_of_the_route_drill() -> None:
    named = [{"name": name, "kind": "webhook", "url": "http://127.0.0.1:9/"} for name in ("duty", "chief", "drill-hook", "drill-later")]
    routes = [{"name": "default", "channels": ["duty"], "escalate_after_minutes": 5, "escalate_to": ["chief"]}]
    drill = {"name": "drill", "channels": ["drill-hook"], "escalate_after_minutes": 5, "escalate_to": ["drill-later"]}
    for told, space, heard in (
        (routes, "live", ["duty", "chief", "drill-hook", "drill-later"]),
        (routes, "drill-01", []),
        ([*routes, drill], "drill-01", ["drill-hook", "drill-later"]),
    ):
        chosen = Settings.model_validate({"space": space, "channels": named, "routes": told})
        assert [channel.name for channel in posting.audible(chosen).channels] == heard
