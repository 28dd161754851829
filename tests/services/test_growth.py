"""A contract that grew: tables and events of before are brought to it, figures are counted anew, what was migrated once stays as it reads."""

import random
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from deploy.commands import parts as command
from deploy.embedded.parts import Parts
from sinks import growth, migrations
from sinks.archive.chain import events_name
from sinks.derive import columns
from streams.department import Department, departments
from streams.errors import Misconfigured
from streams.event import moment
from streams.settings import Settings
from tests.services.space import Space
from tests.stories import T0, hex32, story

SHIPPED = {
    "department_einvoice_v1": "fed95087e856808c", "department_einvoice_slots": "77ff4710769c2a75", "department_einvoice_v2": "e465f42cf44e1d60",
    "department_payment_v1": "8538b352844057ad", "department_payment_slots": "d847ebd91c85110a", "department_payment_v2": "68403b4ccfc1ef58",
    "department_telehealth_v1": "b0c9d5058781c3eb", "department_telehealth_slots": "35bc6d99c2949b28", "department_telehealth_v2": "1329aaee78863434",
    "department_telehealth_histories": "4be6040fa6e977e2",
}  # fmt: skip


def first() -> tuple[Department, ...]:
    """All departments as their first contracts had them."""
    return tuple(growth.contract(each, 1) for each in departments())


@pytest.fixture
def old(parts: Parts, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Space]:
    """A space as the program made it before any contract grew."""
    with monkeypatch.context() as before:
        before.setattr(migrations, "departments", first)
        made = Space(settings, parts)
    yield made
    made.drop()


def test_what_was_migrated_once_still_reads_as_it_did() -> None:
    now = {name: digest for name, digest, _ in migrations._steps("live")}
    assert {name: now.get(name) for name in SHIPPED} == SHIPPED


def _remembered(space: Space) -> None:
    """Three versions of sessions as the first contract wrote them: one planned, one finished, one of another class."""
    rows = [("a", "VR", "planned"), ("b", "VR", "finished"), ("c", "AMB", "finished")]
    with space.connect() as connection:
        connection.execute(
            "insert into batch (department, events, first_time, last_time) values ('telehealth', 3, %s, %s)", [moment(T0), moment(T0)]
        )
        for name, kind, status in rows:
            values = [hex32(f"event {name}"), moment(T0), kind, hex32(f"session {name}"), status, moment(T0 + 1_800_000_000)]
            connection.execute(
                "insert into telehealth_event (id, body, source, event_time, known_at, kind, unit, contract, session, status, updated_at, revision, "
                "started_at, ended_at, batch) select %(1)s, 1, 'old', %(2)s, %(2)s, %(3)s, '38001', 1, %(4)s, %(5)s, %(2)s, 1, %(2)s, %(6)s, max(batch) from batch",
                {str(n): value for n, value in enumerate(values, 1)},
            )
            connection.execute("insert into telehealth_identity values (%s, 1, %s)", [values[0], moment(T0)])
        connection.execute("insert into telehealth_1m values (now(), now(), '', 'VR', 9, 9, 9, 9, 9)")


def test_old_events_are_counted_by_the_contract_that_grew_and_new_ones_stand_beside_them(old: Space) -> None:
    _remembered(old)
    assert "planned" not in _columns(old, "telehealth_1m")
    done = migrations.migrate(old.dsn, old.settings)
    assert [name for name in done if "contract" in name] == [
        f"department_{each.name}_contract_{n}" for each in departments() for n in range(2, 2 + len(each.grown))
    ]
    command.count_anew(old.settings, "telehealth", lambda words: None)
    (row,) = old.figures("telehealth")
    assert {name: row[name] for name in ("sessions", "finished", "planned", "not_telehealth", "minutes")} == {
        "sessions": 1, "finished": 1, "planned": 1, "not_telehealth": 1, "minutes": 30,
    }  # fmt: skip
    for each in departments():
        assert set(_columns(old, f"{each.name}_event")) == set(_columns_of_contract(each))
    old.take("telehealth", *story("telehealth", random.Random(1), 30))
    old.follow("telehealth")
    assert old.rows("select count(*) from telehealth_event where supporting is not null")[0][0] > 0
    assert old.rows("select count(*) from telehealth_event where source = 'old' and requests = '[]' and supporting is null") == [(3,)]


def test_a_space_that_grew_and_one_that_is_new_show_the_same_columns(old: Space, parts: Parts, settings: Settings) -> None:
    migrations.migrate(old.dsn, old.settings)
    new = Space(settings, parts)
    try:
        for where in (migrations.board, migrations.board_at):
            shown = [_shown(old, where(space.name)) for space in (old, new)]
            assert shown[0] == shown[1]
            assert ("telehealth_1m", "planned") in shown[0]
    finally:
        new.drop()


def test_a_contract_does_not_grow_where_events_are_in_the_archive_only(old: Space) -> None:
    with old.connect() as connection:
        name = events_name("telehealth", old.name)
        connection.execute("insert into archived (chain, lines, head, dropped_before, dropped) values (%s, 1, 'x', now(), 5)", [name])
    with pytest.raises(Misconfigured, match="archive only"):
        migrations.migrate(old.dsn, old.settings)
    assert "planned" not in _columns(old, "telehealth_1m")


def _columns(space: Space, table: str) -> list[str]:
    with space.connect() as connection:
        described = connection.execute(sql.SQL("select * from {} limit 0").format(sql.Identifier(table))).description or []
    return [column.name for column in described]


def _columns_of_contract(each: Department) -> list[str]:
    return [*(column.name for column in columns(each.event)), "batch"]


def _shown(space: Space, board: str) -> list[tuple[str, str]]:
    with psycopg.connect(space.dsn) as connection:
        return connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = %s order by table_name, ordinal_position", [board]
        ).fetchall()  # fmt: skip
