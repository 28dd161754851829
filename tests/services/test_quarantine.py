"""Quarantine heals: ten thousand records of five causes become what they would have been, each once; who looks is noted."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kafka import KafkaProducer

from connectors.intake import Message, intake
from deploy import retrying
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics, delete_topics
from deploy.fleet import Fleet
from sinks import quarantine
from sinks.migrations import board
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.errors import Retry
from streams.event import DAY_US
from streams.settings import Settings, Source
from tests.eventually import eventually
from tests.samples import item, message
from tests.services.space import NOW, Space

OF_EACH = 2000
FIXES = {
    "number": "  - strip: {at: paidAmount, characters: ', đ'}\n",
    "time": "  - strip: {at: paidTime, characters: '-: '}\n",
    "missing": "  - set: {at: /status, to: '00'}\n",
    "json_cut": "  - strip: {outside: ['{', '}']}\n",
    "xml_broken": "  - strip: {outside: ['<', '>']}\n",
}


def good(cause: str, number: int) -> tuple[str, bytes]:
    """(department, record) as it should have been."""
    if cause == "xml_broken":
        return "einvoice", message(number).replace(b"2026-11-20", b"2026-11-10")
    n = [*FIXES].index(cause) * OF_EACH + number
    paid = f"202611{1 + n % 15:02d}0{n % 10}0000"  # days gone by at NOW
    return "payment", json.dumps(item(n, amount=f"{1000 + n}.00") | {"paidTime": paid, "merchantId": f"380{n % 27:02d}"}).encode()


def broken(cause: str, record: bytes) -> bytes:
    """The same as it came."""
    if cause == "xml_broken":
        return b"HTTP/1.1 200 OK\r\n\r\n" + record
    held = json.loads(record)
    if cause == "number":
        held["paidAmount"] = f"{held['paidAmount']} đ"
    if cause == "time":
        at = held["paidTime"]
        held["paidTime"] = f"{at[:4]}-{at[4:6]}-{at[6:8]} {at[8:10]}:{at[10:12]}:{at[12:]}"
    if cause == "missing":
        del held["status"]
    return json.dumps(held).encode() + (b" -- end" if cause == "json_cut" else b"")


class House:
    """A space with a worker, and `ioc` at work in it."""

    def __init__(self, settings: Settings, parts: Parts, folder: Path) -> None:
        self.space = Space(settings, parts)
        self.settings, self.bootstrap, self.folder = self.space.settings, parts.bootstrap, folder
        create_topics(self.settings, parts.bootstrap)
        self.fleet = Fleet(folder, {"IOC_STATE_DIR": str(settings.state_dir), "IOC_SPACE": self.space.name})

    def messages(self, department: str, records: list[bytes], days: int = 0) -> list[Message]:
        """What a door makes of records that an operator hands over."""
        door = intake(Source(name=f"files-{department}", department=department, connector="files"), self.space.keys, self.settings.space)
        arrival = door.arrival(NOW + days * DAY_US)
        return [made for record in records for made in door.take(record, arrival)]

    def produce(self, messages: list[Message]) -> None:
        producer = KafkaProducer(**kafka_python_options(self.settings, self.bootstrap))
        futures = [producer.send(each.topic, key=each.key, value=each.value) for each in messages]
        for future in futures:
            future.get(timeout=60)
        producer.close()

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "deploy", *words]

    def ioc(self, *words: str, code: int = 0, **environment: str) -> Any:
        """What a command answers to scripts."""
        done = subprocess.run(
            self.command(*words, "--json"), env=self.fleet.environment | environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, (words, done.stdout[-1000:], done.stderr[-3000:])
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    def states(self) -> dict[str, int]:
        return dict(self.space.rows("select state, count(*) from quarantine group by 1"))  # type: ignore[arg-type]

    def sums(self) -> tuple[int, int]:
        """(received, quarantined) of the ledger."""
        ((received, held),) = self.space.rows("select coalesce(sum(received), 0)::int, coalesce(sum(quarantined), 0)::int from ledger")
        return received, held

    def settles(self, received: int, held: int, within_seconds: float = 90) -> None:
        """Wait until the ledger has as many and all figures have followed."""

        def so() -> bool:
            owed = self.space.rows("select count(*) from owed")
            assert (*self.sums(), *owed[0]) == (received, held, 0), (self.folder / "logs" / "worker.log").read_text()[-2000:]
            return True

        eventually(so, within_seconds)

    def repair(self, cause: str, steps: str) -> str:
        path = self.folder / f"{cause}.yaml"
        path.write_text(f"repair: mend-{cause.replace('_', '-')}\nwhy: a test\nmatch: {{cause: {cause}}}\nsteps:\n{steps}")
        return str(path)


@pytest.fixture
def make(settings: Settings, parts: Parts, tmp_path: Path) -> Iterator[Callable[[], House]]:
    made: list[House] = []

    def one() -> House:
        made.append(House(settings, parts, tmp_path / str(len(made))))
        made[-1].folder.mkdir()
        return made[-1]

    yield one
    for house in made:
        house.fleet.end()
        delete_topics(house.settings, house.bootstrap)
        house.space.drop()


@pytest.fixture
def house(make: Callable[[], House]) -> House:
    return make()


@pytest.mark.timeout(600)
def test_ten_thousand_records_of_five_causes_healed_by_five_repairs_equal_a_run_that_was_never_broken(
    house: House, settings: Settings, parts: Parts
) -> None:
    records = {cause: [good(cause, number) for number in range(OF_EACH)] for cause in FIXES}
    steady = Space(settings, parts)
    try:
        by_department: dict[str, list[bytes]] = {name: [] for name in NAMES}
        for some in records.values():
            for department, record in some:
                by_department[department].append(record)
        for department, some in by_department.items():
            values = [made.value for made in house.messages(department, some)]
            for start in range(0, len(values), 1000):
                steady.take(department, *values[start : start + 1000])
            steady.follow(department)
        before = {name: steady.derived(name) for name in ("payment", "einvoice")}
        figures = {name: steady.figures(name, "day") for name in ("payment", "einvoice")}
    finally:
        steady.drop()

    house.fleet.start("worker", "deploy", "work")
    house.produce([made for cause, some in records.items() for name, raw in some for made in house.messages(name, [broken(cause, raw)])])
    house.settles(5 * OF_EACH, 5 * OF_EACH)
    listed = house.ioc("quarantine", "list")["rows"]
    assert {(row["cause"], row["records"]) for row in listed} == {(cause, OF_EACH) for cause in FIXES}
    assert all(len(row["fingerprint"]) == 8 and len(row["examples"]) == 3 and row["said"].endswith(".") for row in listed)

    files = {cause: house.repair(cause, steps) for cause, steps in FIXES.items()}
    (tried,) = house.ioc("quarantine", "fix", files["number"], "--dry-run")["repairs"]
    assert (tried["healed"], tried["left"]) == (OF_EACH, {})
    assert house.states() == {"held": 5 * OF_EACH}
    assert house.space.rows("select count(*) from payment_event") == [(0,)]

    healing = subprocess.Popen(house.command("quarantine", "fix", *files.values()), env=house.fleet.environment, stderr=subprocess.DEVNULL)
    eventually(lambda: house.states().get("retried", 0) > 0 or healing.poll() is not None, 90)
    healing.send_signal(signal.SIGKILL)
    healing.wait()
    left = house.states()
    assert 0 < left.get("retried", 0) < 5 * OF_EACH, left
    done = house.ioc("quarantine", "fix", *files.values())["repairs"]
    assert {row["repair"]: row["left"] for row in done if row["left"]} == {}
    assert house.states() == {"retried": 5 * OF_EACH}
    house.settles(10 * OF_EACH, 5 * OF_EACH)
    for name in ("payment", "einvoice"):
        assert house.space.derived(name) == before[name]
        assert house.space.figures(name, "day") == figures[name]
    ledger = house.space.ledger()
    assert ledger["balanced"], ledger["wrong"]
    assert sum(row["duplicate"] + row["conflict"] for row in ledger["rows"]) == 0
    promised = {(row["day"], row["figure"]): row["after"] for row in tried["figures"]}
    only = {row["day"]: row for row in figures["payment"]}
    assert promised[None, "receipts"] == OF_EACH
    assert {day for day, _ in promised if day} == only.keys()
    assert {row["what"] for row in house.ioc("quarantine", "audit")["rows"]} >= {"try", "fix"}


def test_a_page_is_bounded_in_records_and_bytes_and_each_record_is_on_one_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = [message(n).replace(b"<DLieu>", b"<DLieu>" + b" " * 1000 * (n % 3))[:-100] for n in range(20)]
    for days in range(2):  # ten arrive in the same instant
        rejects = house.messages("einvoice", cut[10 * days : 10 * days + 10], days)
        house.space.take("rejects", *(each.value for each in rejects))
    stood = "select id::text, size_bytes, sealed from quarantine order by known_at, id"
    there = house.space.rows(stood)
    with house.space.connect() as connection:
        for most_records, most_bytes in ((3, 1 << 20), (500, 4000), (1, 1), (500, 1 << 20)):
            monkeypatch.setattr(quarantine, "PAGE_RECORDS", most_records)
            monkeypatch.setattr(quarantine, "PAGE_BYTES", most_bytes)
            held = quarantine.held(connection, {"cause": "xml_cut"})
            assert held.records == 20
            pages = [*quarantine.pages(connection, {"cause": "xml_cut"}, held.until)]
            assert [(row["id"], row["size_bytes"], row["sealed"]) for page in pages for row in page] == there
            assert all(len(page) <= most_records and sum(row["size_bytes"] for row in page[:-1]) < most_bytes for page in pages)
        monkeypatch.setattr(quarantine, "PAGE_RECORDS", 7)
        seen = []
        for page in quarantine.pages(connection, {}, held.until):  # what becomes of a page, and what comes meanwhile, moves no other
            seen += [row["id"] for row in page]
            quarantine.move(connection, [row["id"] for row in page], "held", "retried")
            house.space.take("rejects", *(each.value for each in house.messages("einvoice", [b"<a>%d" % len(seen)], 5)))
        assert seen == [id for id, *_ in there]
    assert house.states() == {"retried": 20, "held": 3}


def test_a_dry_run_foretells_the_figures_as_they_are_afterwards(house: House) -> None:
    house.fleet.start("worker", "deploy", "work")
    numbers = range(40)
    house.produce(house.messages("payment", [good("number", n)[1] for n in range(100, 130)]))
    house.produce(house.messages("payment", [broken("number", good("number", n)[1]) for n in numbers]))
    house.settles(70, 40)
    file = house.repair("number", FIXES["number"])
    (told,) = house.ioc("quarantine", "fix", file, "--dry-run")["repairs"]
    before = {(row["day"], row["figure"]): row["before"] for row in told["figures"]}
    after = {(row["day"], row["figure"]): row["after"] for row in told["figures"]}

    def standing() -> dict[tuple[str | None, str], Any]:
        rows = house.space.figures("payment", "day") + house.space.figures("payment")
        return {(row.get("day"), figure): row[figure] for row in rows for figure in row if figure != "day"}

    assert {place: standing().get(place) for place in before} == before
    house.ioc("quarantine", "fix", file)
    house.settles(110, 40)
    assert {place: standing()[place] for place in after} == after
    assert after[None, "receipts"] == before[None, "receipts"] + 40


def test_what_was_on_its_way_when_a_retry_died_is_neither_sent_twice_nor_lost(house: House) -> None:
    records = [good("missing", n)[1] for n in range(3)]
    made = house.messages("payment", records)
    rejected = house.messages("payment", [broken("missing", record) for record in records])
    house.space.take("rejects", *(each.value for each in rejected))
    ids = [str(uuid.UUID(json.loads(each.value)["id"])) for each in rejected]
    events = [json.loads(each.value)["id"] for each in made]
    with house.space.connect() as connection:
        assert quarantine.claim(connection, dict(zip(ids, [[each] for each in events], strict=True)), "mend-it") == {*ids}
        assert quarantine.claim(connection, {ids[0]: events}, None) == set()
        house.produce(made[:1])  # then it died
        with pytest.raises(Retry, match="worker has not yet taken"):
            retrying.settle(house.settings, house.bootstrap, connection, patience_seconds=0.5)
        house.fleet.start("worker", "deploy", "work")
        eventually(lambda: house.space.rows("select count(*) from payment_event") == [(1,)], 60)
        assert retrying.settle(house.settings, house.bootstrap, connection) == 3
    assert house.states() == {"held": 2, "retried": 1}
    house.ioc("quarantine", "fix", house.repair("missing", FIXES["missing"]))
    assert house.states() == {"retried": 3}
    eventually(lambda: house.space.rows("select count(*) from payment_event") == [(3,)], 60)
    assert house.space.rows("select count(*) from repeat") == [(0,)]


def test_only_one_works_on_a_quarantine_at_a_time(house: House) -> None:
    with house.space.connect() as one, house.space.connect() as other:
        with retrying.alone(one, house.space.name), pytest.raises(Retry, match="somebody else"), retrying.alone(other, house.space.name):
            pass
        with retrying.alone(other, house.space.name):
            pass


def test_whoever_opens_a_record_is_noted_and_without_the_private_key_nobody_does(house: House, tmp_path: Path) -> None:
    raw = message(5)[:-100]
    house.space.take("rejects", *(each.value for each in house.messages("einvoice", [raw])))
    ((id,),) = house.space.rows("select id::text from quarantine")
    assert "raw" not in house.ioc("quarantine", "show", id[:10])
    shown = house.ioc("quarantine", "show", id[:10], "--raw", "--who", "lan", "--why", "nhà cung cấp hỏi")
    assert shown["raw"].encode() == raw
    refused = house.ioc("quarantine", "show", id, "--raw", "--who", "nam", code=2, IOC_QUARANTINE_KEYS_FILE=str(tmp_path / "none.json"))
    assert "private keys" in refused
    notes = house.ioc("quarantine", "audit")["rows"]
    assert [(note["who"], note["what"], note["record"], note["result"]) for note in notes] == [
        ("nam", "show", id, "refused: no private key here"),
        ("lan", "show", id, "opened"),
    ]
    house.ioc("quarantine", "list", IOC_QUARANTINE_KEYS_FILE=str(tmp_path / "none.json"))
    with house.space.connect() as connection:
        for statement in ("delete from quarantine_audit", "update quarantine_audit set who = 'nobody'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_what_is_dropped_is_erased_with_a_reason_and_stays_counted(house: House) -> None:
    house.space.take("rejects", *(each.value for each in house.messages("einvoice", [message(6)[:-90], b"not at all"])))
    asked = subprocess.run(house.command("quarantine", "drop", "--yes"), env=house.fleet.environment, capture_output=True, timeout=60)
    assert asked.returncode == 2
    assert house.ioc("quarantine", "drop", "--cause", "not_xml", "--why", "thư rác", "--yes") == {"dropped": 1}
    assert house.space.rows("select state, sealed = '' from quarantine order by 1") == [("dropped", True), ("held", False)]
    assert house.space.ledger()["balanced"]
    assert house.ioc("quarantine", "audit")["rows"][0]["why"] == "thư rác"


def test_the_same_mistake_has_the_same_fingerprint_wherever_its_line_is(house: House) -> None:
    cut = [message(1).replace(b"<DLieu>", b"<DLieu>" + b"\n" * lines)[:-300] for lines in range(4)]
    other = [message(1).replace(b"<SHDon>1</SHDon>", b"")]
    house.space.take("rejects", *(each.value for each in house.messages("einvoice", cut + other)))
    rows = house.ioc("quarantine", "list")["rows"]
    assert sorted(row["records"] for row in rows) == [1, 4]
    assert len({row["fingerprint"] for row in rows}) == 2
    assert house.ioc("quarantine", "list", "--fingerprint", rows[0]["fingerprint"])["rows"] == rows[:1]


def test_a_blown_fuse_is_seen_by_a_door_and_on_the_boards_until_it_is_reset(house: House) -> None:
    (house.folder / "in").mkdir()
    (house.folder / "in" / "rubbish.ndjson").write_text("".join(f'{{"nothing": {number}}}\n' for number in range(200)))
    config = house.folder / "ioc.toml"
    table = '[[sources]]\nname = "bank"\ndepartment = "payment"\nconnector = "files"\nformat = "hdbank"\n'
    config.write_text(f'{table}path = "{house.folder / "in"}"\noptions = {{ settled_seconds = 0 }}\n')
    view = f"select source from {board(house.space.name)}.fuse"
    house.fleet.start("worker", "deploy", "work")
    house.ioc("pull", "bank", "--once", code=1, IOC_CONFIG=str(config))
    eventually(lambda: house.space.rows(view) == [("bank",)], 60)
    (row,) = house.ioc("sources", "list", IOC_CONFIG=str(config))["rows"]
    assert (row["source"], row["fuse"]) == ("bank", "blown")
    assert row["held"] > 100
    assert house.ioc("sources", "reset", "bank", IOC_CONFIG=str(config)) == {"source": "bank", "was": "blown", "fuse": "holds"}
    assert house.ioc("sources", "list", IOC_CONFIG=str(config))["rows"][0]["fuse"] == "holds"
    eventually(lambda: house.space.rows(view) == [], 60)
