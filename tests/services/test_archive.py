"""The archive on a real database, in a folder and in an S3-compatible store: nothing lost, nothing doubled, every changed bit named."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from connectors.spool import Spool, folder
from deploy.commands import archive
from sinks import derive, growth, history
from sinks.archive import chain, raw, reading, restoring, verifying, writing
from sinks.archive import store as at
from sinks.archive.keeping import Keeping
from sinks.history import Period
from streams import sealing
from streams.department import department
from streams.errors import Misconfigured
from streams.event import encode, micros
from streams.settings import Archive
from tests import s3
from tests.services.space import Space, paid

HOUR_US = 3_600_000_000
START = datetime(2026, 3, 2, 1, tzinfo=UTC)
Ioc = Callable[..., Result]


def arrived(number: int, hours: float = 0.0, late_hours: float = 0.0, **more: Any) -> Any:
    """A payment that arrived so long after START, and happened so long before that."""
    known = micros(START) + round(hours * HOUR_US) + number
    happened = known - round(late_hours * HOUR_US)
    return paid(number, 1000 + number, event_time_us=happened, known_at_us=known, paid_at_us=happened, **more)


def three_hours() -> list[Any]:
    """60 payments over three hours of arrival, some of them days late, from two sources."""
    chosen = random.Random(7)
    return [
        arrived(n, n / 20, chosen.choice([0, 0, 0, 0.5, 3, 50, 300]), source="bank" if n % 3 else "other", unit=f"3800{n % 4}")
        for n in range(60)
    ]


@pytest.fixture(params=["folder", "bucket"])
def kept(request: pytest.FixtureRequest, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Space]:
    """A space with an archive of its own."""
    monkeypatch.setenv("IOC_STATE_DIR", str(space.settings.state_dir))
    monkeypatch.setenv("IOC_SPACE", space.name)
    if request.param == "folder":
        settled = Archive(folder=tmp_path / "archive")
        monkeypatch.setenv("IOC_ARCHIVE__FOLDER", str(settled.folder))
        space.settings = space.settings.model_copy(update={"archive": settled})
        yield space
        return
    with s3.serving("ioc") as url:
        monkeypatch.setenv("SECRET", "secret")
        told = {"bucket": "ioc", "url": url, "key_id": "key", "credential": "env:SECRET"}
        for name, value in told.items():
            monkeypatch.setenv(f"IOC_ARCHIVE__{name.upper()}", value)
        space.settings = space.settings.model_copy(update={"archive": Archive(**told)})  # type: ignore[arg-type]  # all text
        yield space


in_folder = pytest.mark.parametrize("kept", ["folder"], indirect=True)


@pytest.fixture
def ioc() -> Ioc:
    app = typer.Typer()
    archive.register(app)
    return lambda *words: CliRunner().invoke(app, ["archive", *map(str, words)])


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def lines(space: Space) -> list[chain.Line]:
    found, broken = at.load(at.opened(space.settings), chain.events_name("payment", space.name))
    assert broken is None
    return found


def replayed(space: Space, period: Period, from_archive: bool = True) -> list[bytes]:
    with space.connect() as connection:
        read = reading.reader(space.settings) if from_archive else history.events
        return [record.value for record in read(connection, department("payment"), period)]


def ever(follows: Any = "event_time", units: tuple[str, ...] | None = None) -> Period:
    return Period(micros(START) - 1000 * HOUR_US, micros(START) + 1000 * HOUR_US, follows, ("payment",), units)


def test_an_hour_of_arrivals_becomes_a_file_and_the_chain_says_what_is_in_it(kept: Space, ioc: Ioc) -> None:
    events = three_hours()
    kept.take("payment", *events)
    assert told(ioc("run", "--json"))["events"] == 60
    found = lines(kept)
    assert [(line.hour, line.records) for line in found] == [("2026-03-02T01", 20), ("2026-03-02T02", 20), ("2026-03-02T03", 20)]
    assert sum(sum(line.sources.values()) for line in found) == 60
    store, name = at.opened(kept.settings), chain.events_name("payment", kept.name)
    held = [record for line in found for record in archive.raw.packing.lines_of(store, name, line)]
    assert sorted(held) == sorted(encode(event) for event in events)
    verified = told(ioc("verify", "--json"))
    assert (verified["ok"], verified["files"], verified["events"], verified["first_wrong"]) == (True, 3, 60, None)


def test_a_second_run_writes_nothing_and_what_is_too_young_stays(kept: Space, ioc: Ioc) -> None:
    kept.take("payment", *three_hours())
    early = START + timedelta(hours=2, minutes=30)
    assert told(ioc("run", "--before", early.isoformat(), "--json"))["events"] == 40
    assert told(ioc("run", "--json"))["events"] == 20
    assert told(ioc("run", "--json"))["events"] == 0
    assert len(lines(kept)) == 3


def test_what_is_committed_late_for_an_archived_hour_goes_in_a_further_part(kept: Space, ioc: Ioc) -> None:
    events = three_hours()
    kept.take("payment", *events[::2])
    ioc("run")
    kept.take("payment", *events[1::2])
    assert told(ioc("run", "--json"))["events"] == 30
    assert [line.path for line in lines(kept)][3:] == [f"2026/03/02/{hour}.1.ndjson.zst" for hour in ("01", "02", "03")]
    assert told(ioc("verify", "--json"))["events"] == 60
    assert told(ioc("run", "--json"))["events"] == 0


@in_folder
def test_the_same_hour_gives_the_same_bytes_and_a_run_that_died_is_done_again(kept: Space, ioc: Ioc) -> None:
    kept.take("payment", *three_hours())
    ioc("run")
    where = kept.settings.archive.folder
    assert where is not None
    first = {path: path.read_bytes() for path in where.rglob("*.ndjson*")}
    files = [path for path in first if path.name.endswith(".zst")]
    for survivors in (files, files[:1], []):  # it died before the chain was written, or the database heard of it
        shutil.rmtree(where)
        for path in survivors:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(first[path])
        forget(kept)
        assert ioc("run").exit_code == 0
        assert {path: path.read_bytes() for path in where.rglob("*.ndjson*")} == first
    forget(kept)  # the chain is there, the database did not hear of it
    assert told(ioc("run", "--json"))["events"] == 0


def forget(space: Space) -> None:
    """As a database that never heard of the archive."""
    space.rows("delete from archived returning chain")


def drop_all(space: Space, monkeypatch: pytest.MonkeyPatch, ioc: Ioc) -> int:
    monkeypatch.setenv("IOC_ARCHIVE__DROP_AFTER_DAYS", "31")
    dropped: int = told(ioc("run", "--json"))["dropped"]
    return dropped


def test_what_left_the_table_is_read_from_the_archive_in_the_same_order(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.take("payment", *three_hours())
    kept.follow("payment")
    figures = kept.figures("payment")
    periods = [ever("event_time"), ever("known_at"), ever("event_time", ("38001",))]
    periods.append(Period(micros(START) - 60 * HOUR_US, micros(START) + HOUR_US, "event_time", ("payment",)))
    before = [replayed(kept, period, from_archive=False) for period in periods]
    ioc("run")
    assert [replayed(kept, period) for period in periods] == before
    assert drop_all(kept, monkeypatch, ioc) == 60
    assert kept.rows("select count(*) from payment_event") == [(0,)]
    assert [replayed(kept, period) for period in periods] == before
    assert all(before)
    assert kept.ledger()["balanced"]
    assert kept.figures("payment") == figures
    kept.take("payment", *three_hours())  # repeats are still known as such
    assert kept.rows("select count(*) from payment_event") == [(0,)]
    assert told(ioc("run", "--json"))["events"] == 0


@in_folder
@pytest.mark.parametrize("grown", [True, False])
def test_what_left_the_table_comes_back_and_may_leave_again(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch, grown: bool) -> None:
    """grown: whether the table has the newest contract's columns; if not, `ioc up` waits for the events."""
    kept.take("payment", *three_hours())
    kept.follow("payment")
    names = [
        name
        for (name,) in kept.rows(
            "select attname from pg_attribute where attrelid = 'payment_event'::regclass and attnum > 0 and not attisdropped"
        )
    ]
    shown = ", ".join(name for name in names if name not in ("batch", "booking", "booking_vnd"))
    held, figures = kept.rows(f"select {shown} from payment_event order by id"), kept.figures("payment")
    assert told(ioc("restore", "--json")) == {"events": 0}
    ioc("run")
    assert drop_all(kept, monkeypatch, ioc) == 60
    if not grown:
        with archive.owning(kept.settings) as connection:
            connection.execute("alter table payment_event drop column booking cascade, drop column booking_vnd cascade")
    monkeypatch.setattr(restoring, "BATCH_EVENTS", 7)
    put = restoring._put
    left = iter(range(3))
    monkeypatch.setattr(restoring, "_put", lambda *given: put(*given) if next(left, None) is not None else 1 / 0)
    assert isinstance(ioc("restore").exception, ZeroDivisionError)
    assert kept.rows("select dropped, dropped_before is null from archived") == [(40, False)]
    assert kept.ledger()["balanced"]
    monkeypatch.setattr(restoring, "_put", put)
    with kept.connect() as connection, pytest.raises(Misconfigured, match="archive only"):
        growth.refuse_without_events(connection, "payment", kept.name)
    assert told(ioc("restore", "payment", "--json")) == {"events": 40}
    assert kept.rows("select dropped, dropped_before is null from archived") == [(0, True)]
    with kept.connect() as connection:
        growth.refuse_without_events(connection, "payment", kept.name)
    assert kept.rows(f"select {shown} from payment_event order by id") == held
    assert kept.ledger()["balanced"]
    if grown:
        kept.follow("payment")
        assert kept.figures("payment") == figures
        with archive.owning(kept.settings) as connection:
            for statement in derive.anew(department("payment")):
                connection.execute(statement)
        kept.follow("payment")
        assert kept.figures("payment") == figures
    assert drop_all(kept, monkeypatch, ioc) == 60


@in_folder
def test_what_is_in_no_archive_is_not_said_to_be_back(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.take("payment", *three_hours())
    kept.follow("payment")
    ioc("run")
    assert drop_all(kept, monkeypatch, ioc) == 60
    kept.rows("update archived set dropped = dropped + 1 returning chain")
    refused = ioc("restore")
    assert isinstance(refused.exception, Misconfigured)
    assert "1 events of payment" in str(refused.exception)
    assert kept.rows("select dropped, dropped_before is null from archived") == [(1, False)]


@in_folder
def test_what_comes_after_the_drop_is_archived_and_read_too(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch) -> None:
    events = three_hours()
    kept.take("payment", *events[::2])
    kept.follow("payment")
    ioc("run")
    assert drop_all(kept, monkeypatch, ioc) == 30
    kept.take("payment", *events[1::2])
    want = [encode(e) for e in sorted(events, key=lambda e: (e.event_time_us, e.id))]
    assert replayed(kept, ever()) == want
    kept.follow("payment")
    assert told(ioc("run", "--json"))["events"] == 30
    assert replayed(kept, ever()) == want
    assert kept.ledger()["balanced"]


@in_folder
def test_a_chunk_with_an_event_that_is_not_archived_or_not_followed_stays(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.take("payment", *three_hours())
    ioc("run")
    assert drop_all(kept, monkeypatch, ioc) == 0  # its figures are still owed
    kept.follow("payment")
    now = micros(datetime.now(UTC))
    young = paid(900, 5, event_time_us=micros(START), known_at_us=now, paid_at_us=micros(START))
    kept.take("payment", young)
    kept.follow("payment")
    assert drop_all(kept, monkeypatch, ioc) < 60
    assert kept.rows("select count(*) from payment_event where event_time >= '2026-03-01'")[0][0] >= 40
    assert kept.ledger()["balanced"]


@in_folder
def test_large_hours_are_cut_into_parts_and_read_in_order_all_the_same(kept: Space, ioc: Ioc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART_EVENTS", 7)
    events = three_hours()
    kept.take("payment", *events)
    kept.follow("payment")
    ioc("run")
    assert len(lines(kept)) == 9
    assert drop_all(kept, monkeypatch, ioc) == 60
    assert replayed(kept, ever()) == [encode(e) for e in sorted(events, key=lambda e: (e.event_time_us, e.id))]
    assert replayed(kept, ever("known_at")) == [encode(e) for e in sorted(events, key=lambda e: (e.known_at_us, e.id))]


@in_folder
def test_every_bit_of_the_archive_counts_and_its_hour_is_named(kept: Space, ioc: Ioc) -> None:
    kept.take("payment", *three_hours())
    keys = kept.keys
    for hour in (1, 2):
        spool = Spool(folder(kept.settings.state_dir, kept.name, "bank"), keys)
        for n in range(5):
            spool.keep(b"record %d" % n, micros(START) + hour * HOUR_US + n)
        spool.flush()
    assert told(ioc("run", "--json")) == {"events": 60, "missing": 0, "raw_files": 2, "dropped": 0}
    where = kept.settings.archive.folder
    assert where is not None
    store = at.opened(kept.settings)
    files = sorted(path for path in where.rglob("*") if path.is_file())
    assert len(files) == 3 + 1 + 2 + 1

    def wrong() -> list[dict[str, Any]]:
        found = verifying.Verified()
        with kept.connect() as connection:
            for name in verifying.names(store, kept.name, connection):
                verifying.verify(store, name, found, connection, "", "9")
        return found.wrong

    assert wrong() == []

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(which=st.integers(0, len(files) - 1), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flips(which: int, place: float, bit: int) -> None:
        path = files[which]
        whole = path.read_bytes()
        offset = int(place * len(whole))
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1 << bit]) + whole[offset + 1 :])
        try:
            first = wrong()[0]
        finally:
            path.write_bytes(whole)
        owner = {"department": "payment"} if "events" in path.parts else {"source": "bank"}
        assert owner.items() <= first.items()
        if path.name == "chain.ndjson":
            number = whole[:offset].count(b"\n")
            hour = msgspec.json.decode(whole.split(b"\n")[number], type=chain.Line).hour
        else:
            hour = "-".join(path.parts[-4:-1]) + "T" + path.name[:2]
        assert first["hour"] == hour, (first, path, offset)

    flips()


@in_folder
def test_a_file_or_line_that_is_gone_is_named_and_exits_with_one(kept: Space, ioc: Ioc) -> None:
    kept.take("payment", *three_hours())
    ioc("run")
    where = kept.settings.archive.folder
    assert where is not None
    name = chain.events_name("payment", kept.name)
    lost = where / name / "2026/03/02/02.ndjson.zst"
    whole = lost.read_bytes()
    lost.unlink()
    result = ioc("verify", "--json")
    assert told(result)["first_wrong"] == {
        "department": "payment", "sources": ["bank", "other"], "hour": "2026-03-02T02", "what": "the file is missing", "file": f"{name}/2026/03/02/02.ndjson.zst",
    }  # fmt: skip
    assert result.exit_code == 1
    lost.write_bytes(whole)
    ends = where / chain.chain_path(name)
    lines_ = ends.read_bytes().splitlines(keepends=True)
    ends.write_bytes(b"".join(lines_[:-1]))
    cut = told(ioc("verify", "--json"))
    assert (cut["ok"], cut["first_wrong"]["hour"]) == (False, "2026-03-02T03")
    refused = ioc("run")
    assert isinstance(refused.exception, Misconfigured)
    ends.unlink()
    assert told(ioc("verify", "--json"))["ok"] is False


def test_an_archive_of_other_history_with_a_right_chain_is_not_taken_for_ours(kept: Space, ioc: Ioc) -> None:
    kept.take("payment", *three_hours())
    ioc("run")
    name = chain.events_name("payment", kept.name)
    forged: list[chain.Line] = []
    for line in lines(kept):
        forged.append(chain.linked(forged[-1].chain if forged else "", msgspec.structs.replace(line, records=1)))
    at.put(at.opened(kept.settings), chain.chain_path(name), chain.encoded(forged))
    assert told(ioc("verify", "--json"))["ok"] is False


def test_what_sources_sent_is_sealed_archived_and_opened_with_the_key(kept: Space, ioc: Ioc) -> None:
    hour = START.replace(minute=0)
    sent = [(micros(hour) + n, b"<TDiep>%d \xff</TDiep>" % n if n % 2 else f"bản ghi {n}".encode()) for n in range(50)]
    where = folder(kept.settings.state_dir, kept.name, "bank")
    spool = Spool(where, kept.keys)
    for known, record in sent[:30]:
        spool.keep(record, known)
    spool.flush()
    with next(where.glob("*.ndjson")).open("ab") as torn:
        torn.write(b'{"records":3,"first_us"')  # a process died here
    for known, record in sent[30:40]:
        spool.keep(record, known)
    spool.flush()
    assert b"TDiep" not in next(where.glob("*.ndjson")).read_bytes()
    local = at.opened(kept.settings)
    assert [*raw.records(local, kept.settings.state_dir, kept.name, "bank", hour, sealing.load(kept.settings.state_dir))] == sent[:40]
    assert told(ioc("run", "--json"))["raw_files"] == 1
    for known, record in sent[40:]:  # a connector that waited for Kafka all the while
        spool.keep(record, known)
    spool.flush()
    ioc("run")
    assert not [*where.glob("*.ndjson*")]
    assert [*raw.records(local, kept.settings.state_dir, kept.name, "bank", hour, sealing.load(kept.settings.state_dir))] == sent
    shown = ioc("open", "bank", hour.isoformat())
    found = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    assert len(found) == 50
    assert found[0]["raw"] == "bản ghi 0"
    assert "base64" in found[1]
    other = sealing.PrivateKeys({"0" * 8: b"1" * 32}, (Fernet.generate_key().decode(),))
    with pytest.raises(Misconfigured, match="key"):
        [*raw.records(local, kept.settings.state_dir, kept.name, "bank", hour, other)]


@in_folder
def test_an_open_hour_of_a_source_stays_where_it_is(kept: Space, ioc: Ioc) -> None:
    spool = Spool(folder(kept.settings.state_dir, kept.name, "bank"), kept.keys)
    spool.keep(b"now", micros(datetime.now(UTC)))
    spool.flush()
    assert told(ioc("run", "--json"))["raw_files"] == 0


@in_folder
def test_a_run_that_died_after_the_chain_was_written_ships_nothing_twice(kept: Space) -> None:
    where = folder(kept.settings.state_dir, kept.name, "bank")
    spool = Spool(where, kept.keys)
    spool.keep(b"one", micros(START))
    spool.flush()
    file = next(where.glob("*.ndjson"))
    content = file.read_bytes()
    store = at.opened(kept.settings)
    with archive.owning(kept.settings) as connection:
        for _ in range(2):
            raw.ship(connection, store, kept.settings.state_dir, kept.name, "bank", datetime.now(UTC))
            file.with_name(file.name + ".taken").write_bytes(content)  # as if it had not been taken away
        assert len(Keeping(connection, store, chain.raw_name("bank", kept.name)).lines) == 1
