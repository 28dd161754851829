"""Spaces beside live: made with what live knows of places, emptied beside a working worker, counted, dropped without a trace."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
import typer
from kafka import KafkaAdminClient
from psycopg import sql
from typer.testing import CliRunner, Result

from deploy import console
from deploy import spaces as whole
from deploy.commands import spaces as commands
from deploy.embedded.parts import Parts
from sinks import communes, roles, spaces, units
from sinks.lives import Figures
from sinks.migrations import migrate, schema
from sinks.timescale import Timescale
from streams import pseudonym
from streams.brokers import admin_options
from streams.department import NAMES
from streams.errors import Misconfigured
from streams.event import encode
from streams.settings import Settings
from streams.store import Fenced, Partition, Records
from tests.services.space import NOW, paid


@pytest.fixture
def live(settings: Settings, parts: Parts) -> Settings:
    """Live's tables are there."""
    migrate(parts.dsn, settings)
    return settings


@pytest.fixture
def drill(live: Settings, parts: Parts) -> Iterator[Settings]:
    name = f"drill-{uuid.uuid4().hex[:8]}"
    yield spaces.make(parts.dsn, live, name, "test")
    with psycopg.connect(parts.dsn) as connection:
        there = spaces.why_not(connection, name) is None
    if there:
        spaces.drop(parts.dsn, live, name)


def rows(dsn: str, query: str, *names: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql.SQL(query).format(*map(sql.Identifier, names))).fetchall()  # type: ignore[arg-type]  # of this file


def test_a_new_space_knows_the_units_sellers_plans_and_rules_that_live_knows(live: Settings, parts: Parts) -> None:
    name = f"drill-{uuid.uuid4().hex[:8]}"
    seller = uuid.uuid4().hex
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        units.load(connection, "live", *communes.given())
        connection.execute("insert into live.plan values ('payment', 'paid_vnd', 2199, 7) on conflict do nothing")
        connection.execute(
            "insert into live.rule_change (who, what, rule, version, body) select 'test', 'added', %s, 3, 'x' where not exists (select from live.rule_change)",
            [name],
        )
    figures = Figures(roles.ingest_dsn(live), "live", "einvoice")
    figures.reassign({seller: "14812"})
    figures.close()
    spaces.make(parts.dsn, live, name, "test", rules="live")
    try:
        for table in ("unit", "succession", "seller", "seller_was", "plan", "rule", "rule_change"):
            query = "select * from {}.{} order by 1, 2, 3"
            assert rows(parts.dsn, query, schema(name), table) == rows(parts.dsn, query, "live", table), table
        with psycopg.connect(roles.ingest_dsn(spaces.within(live, name))) as writing:  # a rule's next change has a number of its own
            writing.execute(
                sql.SQL("insert into {}.rule_change (who, what, rule, version, body) values ('a', 'added', 'b', 1, 'c')").format(
                    sql.Identifier(schema(name))
                )
            )
    finally:
        spaces.drop(parts.dsn, live, name)


def test_a_fleeting_space_is_not_logged_and_has_no_indexes_but_those_of_its_worker(live: Settings, parts: Parts) -> None:
    name = f"drill-{uuid.uuid4().hex[:8]}"
    own = whole.make(live, name, fleeting=True)
    try:
        with psycopg.connect(roles.ingest_dsn(own)) as connection:
            kinds = "select distinct relpersistence from pg_class where relnamespace = to_regnamespace(%s) and relkind in ('r', 'i')"
            assert connection.execute(kinds, [schema(name)]).fetchall() == [("u",)]
            held = "select indexname from pg_indexes where schemaname = %s and tablename = any(%s) order by 1"
            found = connection.execute(held, [schema(name), ["payment_event", "payment_receipt", "payment_1m"]]).fetchall()
            assert [index for (index,) in found] == ["payment_1m_pkey", "payment_event_batch", "payment_receipt_pkey"]
    finally:
        whole.drop(live, parts, name)


@pytest.mark.parametrize(
    "name", ["live", "board", "board-drill-01", "ioc", "public", "pg-temp", "Drill", "drill_01", "", "timescaledb-information"]
)
def test_a_space_is_not_called_what_the_database_has_already(live: Settings, parts: Parts, name: str) -> None:
    with pytest.raises(Misconfigured):
        spaces.make(parts.dsn, live, name, "test")


def test_there_are_no_two_spaces_of_one_name_and_never_too_many(live: Settings, parts: Parts, drill: Settings) -> None:
    with pytest.raises(Misconfigured, match="already"):
        spaces.make(parts.dsn, live, drill.space, "test")
    few = live.model_copy(update={"spaces": live.spaces.model_copy(update={"most": 1})})
    with pytest.raises(Misconfigured, match="as many as there may be"):
        spaces.make(parts.dsn, few, "drill-more", "test")


def test_a_dropped_space_leaves_no_schema_no_role_no_password_and_no_note(live: Settings, parts: Parts) -> None:
    name = f"drill-{uuid.uuid4().hex[:8]}"
    own = spaces.make(parts.dsn, live, name, "test")
    with closing(psycopg.connect(roles.ingest_dsn(own))) as working:
        working.execute(sql.SQL("select count(*) from {}.batch").format(sql.Identifier(schema(name))))  # and leaves its transaction open
        spaces.drop(parts.dsn, live, name)
    left = "select nspname from pg_namespace where nspname like {} union all select rolname from pg_roles where rolname like {}"
    pattern = sql.Literal(f"%{schema(name)}%")
    with psycopg.connect(parts.dsn) as connection:
        assert connection.execute(sql.SQL(left).format(pattern, pattern)).fetchall() == []
        assert (
            connection.execute(
                "select from ioc.space where name = %s union all select from ioc.migration where space = %s", [name, name]
            ).fetchall()
            == []
        )
        assert "no space" in str(spaces.why_not(connection, name))
    assert name.replace("-", "_") not in (live.state_dir / "secrets" / "database.json").read_text()
    with pytest.raises(Misconfigured, match="no password"):
        roles.ingest_dsn(own)


def replaying(dsn: str, name: str, state: str, beat: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "insert into ioc.replay (space, since, until, follows, departments, clock, followed, begun_by, state, beat_at) values "
            "(%s, now() - interval '1 day', now(), 'event_time', '{}', now(), now(), 'test', %s, now() + %s::interval) "
            "on conflict (space) do update set state = excluded.state, beat_at = excluded.beat_at",
            [name, state, beat],
        )


def test_live_is_never_dropped_and_no_space_while_its_replay_plays(live: Settings, parts: Parts, drill: Settings) -> None:
    replaying(parts.dsn, drill.space, "playing", "0 s")
    for name, why in (("live", "never dropped"), (drill.space, "plays"), ("drill-none", "no space")):
        with pytest.raises(Misconfigured, match=why):
            spaces.drop(parts.dsn, live, name)
    for state, beat in (("playing", "-1 min"), ("done", "0 s")):  # killed; done
        replaying(parts.dsn, drill.space, state, beat)
        with psycopg.connect(parts.dsn) as connection:
            assert spaces.why_not(connection, drill.space) is None


def test_what_is_past_its_age_is_old_unless_it_is_kept_or_plays(live: Settings, parts: Parts, drill: Settings) -> None:
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        assert drill.space not in spaces.old(connection)
        connection.execute("update ioc.space set used_at = now() - interval '31 days' where name = %s", [drill.space])
        assert drill.space in spaces.old(connection)
        replaying(parts.dsn, drill.space, "playing", "0 s")
        assert drill.space not in spaces.old(connection)
        replaying(parts.dsn, drill.space, "done", "0 s")
        assert spaces.keep(connection, drill.space, True)
        assert drill.space not in spaces.old(connection)
        assert not spaces.keep(connection, "drill-none", True)


class Working:
    """A worker of a space, batch by batch, on one partition of payments."""

    def __init__(self, own: Settings) -> None:
        self.own = own
        self.partition = Partition("payment", uuid.uuid4().hex, 0)
        self.store = Timescale(roles.ingest_dsn(own), own.space, pseudonym.load(own.state_dir))
        self.figures = Figures(roles.ingest_dsn(own), own.space, "payment")
        self.next = self.store.offsets([self.partition])[self.partition]

    def take(self, first: int, count: int) -> None:
        values = [encode(paid(number)) for number in range(first, first + count)]
        self.store.write(self.store.prepare([Records(self.partition, self.next, self.next + count, values, [NOW // 1000] * count)]))
        self.next += count

    def follow(self) -> None:
        while self.figures.catch_up():
            pass

    def close(self) -> None:
        self.store.close()
        self.figures.close()


def held(own: Settings, parts: Parts) -> tuple[object, ...]:
    """What is there of events, states, minutes, batches, and where it stands."""
    query = (
        "select (select count(*) from {0}.payment_event), (select count(*) from {0}.payment_receipt), (select coalesce(sum(receipts), 0)::int from {0}.payment_1m), "
        "(select count(*) from {0}.batch), (select count(*) from {0}.payment_identity), (select max(next_offset) from {0}.stream_offset)"
    )
    return rows(parts.dsn, query, schema(own.space))[0]


def test_an_emptied_space_begins_again_where_its_topics_end(drill: Settings, parts: Parts) -> None:
    with closing(Working(drill)) as working, psycopg.connect(roles.ingest_dsn(drill), autocommit=True) as connection:
        working.take(0, 50)
        working.follow()
        assert held(drill, parts) == (50, 50, 50, 1, 50, 50)
        prepared = working.store.prepare([Records(working.partition, 50, 60, [encode(paid(n)) for n in range(50, 60)], [NOW // 1000] * 10)])
        spaces.empty(connection, drill.space, {working.partition: 200})
        assert held(drill, parts) == (0, 0, 0, 0, 0, 200)
        with pytest.raises(Fenced):
            working.store.write(prepared)
        working.next = working.store.offsets([working.partition])[working.partition]
        working.take(0, 30)
        working.follow()
        assert held(drill, parts) == (30, 30, 30, 1, 30, 230)


def test_a_space_is_emptied_beside_a_worker_and_readers_in_at_most_a_second_or_so(drill: Settings, parts: Parts) -> None:
    """What was there before is gone whole, again and again, whatever the worker, its figures and the wall are doing."""
    stop = threading.Event()
    working, wrong, fenced = Working(drill), list[BaseException](), 0
    at = iter(range(0, 10_000_000, 100))

    def runs(step: object) -> None:
        try:
            while not stop.wait(0.005):
                step()  # type: ignore[operator]
        except BaseException as error:
            wrong.append(error)

    def ingest() -> None:
        nonlocal fenced
        try:
            working.take(next(at), 100)
        except Fenced:
            fenced += 1
            working.next = working.store.offsets([working.partition])[working.partition]

    with psycopg.connect(roles.reader_dsn(drill), autocommit=True) as reading:
        views = sql.SQL("select count(*) from {0}.payment_1m, {0}.payment_1d, {0}.ledger, {0}.behind").format(
            sql.Identifier(f"board_{schema(drill.space)}")
        )
        threads = [
            threading.Thread(target=runs, args=[step]) for step in (ingest, working.follow, lambda: reading.execute(views).fetchall())
        ]
        for thread in threads:
            thread.start()
        try:
            took = []
            with psycopg.connect(roles.ingest_dsn(drill), autocommit=True) as connection:
                for turn in range(8):
                    end = 1_000_000 * (turn + 1)
                    began = time.monotonic()
                    spaces.empty(connection, drill.space, {working.partition: end})
                    took.append(time.monotonic() - began)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    working.follow()
    working.close()
    assert wrong == []
    events, states, receipts, _, identities, stands = held(drill, parts)
    assert events == states == receipts == identities
    assert isinstance(stands, int)
    assert events == stands - 8_000_000  # what came after the last time, and nothing else
    assert max(took) < 15  # 0.05 to 1 s where nothing else is at work


def test_what_a_space_holds_is_counted_and_bounded(drill: Settings, parts: Parts) -> None:
    with closing(Working(drill)) as working, psycopg.connect(roles.replay_dsn(drill), autocommit=True) as connection:
        before = spaces.held(connection, drill.space)
        working.take(0, 2000)
        events, size = spaces.held(connection, drill.space)
        assert (before[0], events) == (0, 2000)
        assert size > before[1] + 2000 * 100  # chunks too
        assert spaces.over_quota(connection, drill.space) is None
        for column, limit, what in (("most_rows", 1999, "2,000 events"), ("most_bytes", 1, "GB")):
            with psycopg.connect(parts.dsn) as admin:
                admin.execute(sql.SQL("update ioc.space set {} = %s where name = %s").format(sql.Identifier(column)), [limit, drill.space])
            assert what in str(spaces.over_quota(connection, drill.space))
            with psycopg.connect(parts.dsn) as admin:
                admin.execute("update ioc.space set most_rows = 1000000, most_bytes = 1000000000 where name = %s", [drill.space])
        assert "gone" in str(spaces.over_quota(connection, "drill-none"))


def test_ioc_spaces_lists_keeps_and_drops(live: Settings, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_STATE_DIR", str(live.state_dir))
    app = typer.Typer()
    commands.register(app)

    def ioc(*words: str) -> Result:
        return CliRunner().invoke(app, ["spaces", *words])

    name = f"drill-{uuid.uuid4().hex[:8]}"
    own = whole.make(live, name, "Diễn tập")
    mine = {f"ioc.{name}.{each}" for each in (*NAMES, "rejects", "asked", "touched", "cursors")}
    assert topics(own, parts) == mine
    listed = ioc("list", "--json")
    assert listed.exit_code == 0, listed.exception
    (row,) = [row for row in json.loads(listed.stdout)["spaces"] if row["name"] == name]
    assert (row["rows"], row["kept"], row["replay"], row["label"]) == (0, False, None, "Diễn tập")
    assert row["bytes"] > 0
    assert json.loads(ioc("keep", name, "--json").stdout) == {"name": name, "kept": True}
    with psycopg.connect(parts.dsn) as connection:
        connection.execute("update ioc.space set used_at = now() - interval '31 days' where name = %s", [name])
    assert name not in json.loads(ioc("clean", "--json").stdout)["dropped"]
    ioc("keep", name, "--no")
    replaying(parts.dsn, name, "playing", "0 s")
    for refused in (name, "live", "drill-none"):
        said = ioc("drop", refused, "--yes")
        assert isinstance(said.exception, console.No), refused
    replaying(parts.dsn, name, "done", "0 s")
    assert ioc("drop", name).exit_code == 1  # nobody says yes
    assert name in json.loads(ioc("clean", "--json").stdout)["dropped"]
    assert topics(own, parts) == set()
    assert isinstance(ioc("keep", name).exception, console.No)


def topics(own: Settings, parts: Parts) -> set[str]:
    admin = KafkaAdminClient(**admin_options(own, parts.bootstrap))
    try:
        return {name for name in admin.list_topics() if name.startswith(f"ioc.{own.space}.")}
    finally:
        admin.close()
