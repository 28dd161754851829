"""The ingest and the figures' transactions on a real TimescaleDB: exactly once, whatever comes twice, late, changed or broken."""

import random
import threading
import uuid
from typing import Any

import msgspec
import psycopg
import pytest

from deploy.embedded.parts import Parts
from sinks import communes, units
from sinks.lives import Figures
from sinks.migrations import migrate, schema
from sinks.roles import ingest_dsn, reader_dsn
from streams.departments.einvoice import Einvoice, Facts, Invoice
from streams.errors import Misconfigured
from streams.event import Rejected, day_start_us, encode, vietnam_day
from streams.settings import Settings
from streams.store import Fenced
from tests.services.space import NOW, Space, paid


def sent(number: int, seller: str, at: int = NOW) -> Einvoice:
    invoice = Invoice(
        key=f"{number:032x}", seller=seller, form="1", series="C26TAA", day=vietnam_day(at), value_vnd=108, tax_vnd=8, signed_at_us=at
    )
    return Einvoice(
        id=f"{number + 2**65:032x}",
        body="0" * 16,
        source="tax",
        event_time_us=at,
        known_at_us=at,
        kind="200",
        seller=seller,
        facts=Facts(invoices=(invoice,)),
    )


def test_a_batch_that_comes_again_is_fenced_and_changes_nothing(space: Space) -> None:
    space.take("payment", paid(1), paid(2))
    again = space.store.prepare([space.records("payment", [encode(paid(1)), encode(paid(2))], after=0)])
    with pytest.raises(Fenced):
        space.store.write(again)
    assert space.figures("payment")[0]["paid_vnd"] == 2000
    assert space.ledger()["balanced"]


def test_of_two_workers_with_the_same_batch_one_writes(space: Space) -> None:
    space.store.offsets([space.partition("payment")])
    outcomes: list[str] = []

    def write() -> None:
        worker = space.worker()
        try:
            worker.write(worker.prepare([space.records("payment", [encode(paid(n)) for n in range(500)], after=0)]))
            outcomes.append("written")
        except Fenced:
            outcomes.append("fenced")
        finally:
            worker.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["fenced", "fenced", "fenced", "written"]
    assert space.figures("payment")[0]["receipts"] == 500


def test_a_recreated_topic_begins_at_zero_again(space: Space) -> None:
    space.take("payment", paid(1))
    space.topics["payment"] = uuid.uuid4().hex
    space.next["payment"] = 0
    space.take("payment", paid(2))
    assert space.figures("payment")[0]["receipts"] == 2


def test_a_repeat_with_another_event_time_is_a_repeat(space: Space) -> None:
    space.take("payment", paid(1))
    space.take("payment", paid(1, event_time_us=NOW + 86_400_000_000 * 40, known_at_us=NOW + 86_400_000_000 * 40))
    row = space.ledger()["rows"][0]
    assert (row["received"], row["on_time"], row["duplicate"]) == (2, 1, 1)
    assert space.figures("payment")[0]["receipts"] == 1


def test_another_body_under_a_known_id_is_a_conflict_and_is_kept(space: Space) -> None:
    space.take("payment", paid(1, 1000), paid(1, 999), paid(1, 1000))
    space.take("payment", paid(1, 998), paid(2))
    row = space.ledger()["rows"][0]
    assert (row["received"], row["on_time"], row["duplicate"], row["conflict"]) == (5, 2, 1, 2)
    assert space.figures("payment")[0]["paid_vnd"] == 2000
    assert sorted(r[0] for r in space.rows("select body from conflict")) == [998, 999]


def test_late_is_decided_by_the_events_own_two_times(space: Space) -> None:
    space.take("payment", paid(1), paid(2, known_at_us=NOW + 3_600_000_000 * 30))
    rows = space.ledger()["rows"]
    assert sum(r["late"] for r in rows) == sum(r["on_time"] for r in rows) == 1
    assert space.figures("payment")[0]["receipts"] == 2


@pytest.mark.parametrize(
    "poison",
    [
        b"", b"{", b"\xff\xfe", b"[]", b'{"id": 1}', encode(paid(1)).replace(b'"id":"0', b'"id":"x', 1), encode(paid(1)).replace(b'"body":"0', b'"body":"', 1),
        encode(paid(1, event_time_us=2**62)), encode(paid(1, paid_vnd=2**70)), encode(paid(1, paid_at_us=-(2**62))),
        encode(paid(1, unit="\0")), encode(paid(1, unit="x" * 3000)), encode(paid(1, status="odd")), encode(paid(1, paid_vnd=10**16)),
        encode(paid(1)).replace(b"38001", b"\xc3\x28"),
    ],
)  # fmt: skip
def test_a_record_that_breaks_the_contract_is_set_aside_and_stops_nothing(space: Space, poison: bytes) -> None:
    space.take("payment", paid(2), poison, paid(3))
    found = space.ledger()
    assert found["balanced"], found
    assert sum(r["received"] for r in found["rows"]) == 3
    assert space.figures("payment")[0]["receipts"] in (2, 3)  # a unit of NUL is a unit without a name, not poison


@pytest.mark.parametrize(
    "change",
    [{"day": 10**9}, {"key": "x" * 32}, {"seller": "S" * 32}, {"value_vnd": 10**16}, {"signed_at_us": 2**61}, {"replaces": ("1",)}],
)
def test_nested_facts_that_no_table_can_hold_are_set_aside_and_stop_no_figures(space: Space, change: dict[str, Any]) -> None:
    good = sent(1, "cd" * 16)
    broken = msgspec.structs.replace(sent(2, "cd" * 16).facts.invoices[0], **change)
    space.take("einvoice", msgspec.structs.replace(good, id="ab" * 16, facts=Facts(invoices=(broken,))), good)
    assert space.figures("einvoice")[0]["invoices"] == 1
    assert [(r["source"], r["quarantined"]) for r in space.ledger()["rows"] if r["quarantined"]] == [("topic", 1)]


def test_the_same_reject_twice_is_held_once(space: Space) -> None:
    sealed = space.keys.seal(b"secret")
    reject = Rejected(
        id="ab" * 16, source="bank", department="payment", known_at_us=NOW, cause="signature", wrong="no", sealed=sealed, size_bytes=6
    )
    space.take("rejects", reject, reject)
    space.take("rejects", reject, b"not even json")
    rows = {r["source"]: r for r in space.ledger()["rows"]}
    assert (rows["bank"]["received"], rows["bank"]["quarantined"], rows["bank"]["duplicate"]) == (3, 1, 2)
    assert rows["topic"]["quarantined"] == 1
    assert space.figures("payment")[0]["refused"] == 1


def test_a_figure_without_a_value_is_null_and_never_zero(space: Space) -> None:
    assert set(space.figures("einvoice")[0].values()) == {None}


def test_a_seller_that_moves_takes_its_invoices_along(space: Space) -> None:
    seller = "cd" * 16
    space.take("einvoice", sent(1, seller), sent(2, "ef" * 16))
    assert {r["unit"]: r["invoices"] for r in space.figures("einvoice", "unit")} == {None: 2}
    figures = Figures(ingest_dsn(space.settings), space.name, "einvoice")
    figures.reassign({seller: "14776"})
    assert {r["unit"]: r["invoices"] for r in space.figures("einvoice", "unit") if r["invoices"]} == {None: 1, "14776": 1}
    figures.reassign({seller: "14797"})
    figures.close()
    space.take("einvoice", sent(3, seller))
    assert {r["unit"]: r["invoices"] for r in space.figures("einvoice", "unit") if r["invoices"]} == {None: 1, "14797": 2}
    assert space.rows("select sum(invoices) from einvoice_1d") == [(3,)]


def test_a_day_is_a_vietnamese_day(space: Space) -> None:
    midnight = day_start_us(vietnam_day(NOW))
    space.take("payment", paid(1, paid_at_us=midnight), paid(2, paid_at_us=midnight - 1, event_time_us=midnight - 1))
    assert [r["receipts"] for r in space.figures("payment", "day")] == [1, 1]


def test_figures_are_the_same_however_the_stream_is_cut_and_shuffled(space: Space, settings: Settings, parts: Parts) -> None:
    rng = random.Random(7)
    events = [paid(n % 90, amount=1000 + n % 90, status=("paid", "failed")[n % 3 == 0], event_time_us=NOW - n * 10**9) for n in range(300)]
    events = [
        msgspec.structs.replace(e, id=f"{i % 90:031x}{'ab'[e.status == 'paid']}", body=f"{i % 90:016x}") for i, e in enumerate(events)
    ]
    first = {e.id: e for e in reversed(events)}
    for start in range(0, 300, 37):
        space.take("payment", *events[start : start + 37])
        if rng.random() < 0.5:
            space.follow("payment")
    other = Space(settings, parts)
    shuffled = [*first.values(), *first.values()]
    rng.shuffle(shuffled)
    other.take("payment", *shuffled)
    for by in ("total", "unit", "kind"):
        assert space.figures("payment", by) == other.figures("payment", by)
    assert space.ledger()["balanced"]
    other.store.close()


def test_an_older_program_refuses_a_newer_database(space: Space) -> None:
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        connection.execute("insert into ioc.migration (space, name, hash) values (%s, '9999_future', 'x')", [space.name])
    with pytest.raises(Misconfigured, match="newer than this code"):
        migrate(space.dsn, space.settings)


def test_a_migration_that_was_changed_after_it_ran_is_refused(space: Space) -> None:
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        connection.execute("update ioc.migration set hash = 'other' where space = %s and name = '0001_core'", [space.name])
    with pytest.raises(Misconfigured, match="0001_core"):
        migrate(space.dsn, space.settings)


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from {live}.payment_event", "select * from {live}.quarantine", "insert into {board}.unit (code) values ('x')", "create temp table t (a int)",
        "create table public.t (a int)", "select lo_create(0)", "select pg_notify('a', 'b')", "select pg_advisory_lock(1)",
        "select set_config('statement_timeout', '0', false)", "select pg_read_file('/etc/passwd')", "copy {board}.unit to program 'true'",
        "set role ioc_ingest",
    ],
)  # fmt: skip
def test_the_reader_can_read_the_boards_views_and_nothing_else(space: Space, attempt: str) -> None:
    with psycopg.connect(reader_dsn(space.settings), autocommit=True) as connection:
        board = f"board_{schema(space.name)}"
        assert connection.execute(f"select count(*) from {board}.payment_1m").fetchone() == (0,)  # type: ignore[arg-type]
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
            connection.execute(attempt.format(live=schema(space.name), board=board))  # type: ignore[arg-type]


def test_the_units_of_the_province_are_loaded(space: Space) -> None:
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        units.load(connection, space.name, *communes.given())
        assert not units.load(connection, space.name, *communes.given())
    standing = "select kind, count(*) from unit where valid_to is null group by 1 order by 1"
    assert space.rows(standing) == [("commune", 166), ("hospital", 27)]
    assert space.rows("select whole, count(*) from succession where kind = 'commune' group by 1 order by 1") == [(False, 21), (True, 537)]
