"""The pump on a real broker, over real HTTP."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from samples import CANARIES, message
from source_server import Question, Reply, SourceServer, serving
from structlog.testing import capture_logs
from topic import records

from connectors import cursors, pump, spool
from connectors.connector import connect
from connectors.fuse import REJECTS_ALLOWED, WINDOW_RECORDS
from connectors.intake import intake
from deploy.embedded import kafka as embedded_kafka
from deploy.embedded.processes import until
from deploy.embedded.topics import create_topics
from streams import pseudonym, sealing
from streams.brokers import kafka_python_options
from streams.errors import Misconfigured, Retry
from streams.settings import Settings, Source
from streams.topics import topic

# kafka-python leaves a socket open when a connection is given up in the middle of being made, as happens on a busy machine
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

PAGE = 20


@dataclass
class Feed:
    """A feed of T-VAN messages behind a cursor. held: raw records; pace: if set, waited for before each answer."""

    held: list[bytes] = field(default_factory=list)
    pace: threading.Semaphore | None = None

    def answer(self, asked: Question) -> Reply:
        if self.pace is not None:
            self.pace.acquire(timeout=30)
        after = int(asked.params.get("after", "0"))
        page = self.held[after : after + PAGE]
        items = [{"content": base64.b64encode(record).decode()} for record in page]
        return Reply({"items": items, "next": str(after + len(page)), "more": after + PAGE < len(self.held)})


@dataclass
class Bench:
    """One test's own topics and one source."""

    settings: Settings
    bootstrap: str
    feed: Feed
    server: SourceServer
    source: Source

    def pump(self, **changes: Any) -> pump.Pump:
        """A new pump, as a new process would have it."""
        source = self.source.model_copy(update=changes.pop("source", {}))
        door = intake(source, pseudonym.load(self.settings.state_dir), self.settings.space)
        options = changes.pop("kafka", self.options)
        return pump.Pump(door, connect(source, self.settings.state_dir), options, **changes)

    @property
    def options(self) -> dict[str, object]:
        return kafka_python_options(self.settings, self.bootstrap)

    def topic(self, name: str) -> str:
        return topic(name, self.settings.space)

    def events(self) -> list[Any]:
        return [json.loads(record.value) for record in records(self.settings, self.bootstrap, self.topic("einvoice"))]

    def rejects(self) -> list[Any]:
        return [json.loads(record.value) for record in records(self.settings, self.bootstrap, self.topic("rejects"))]

    def kept(self) -> list[spool.Raw]:
        """What was kept as it came."""
        keys, where = sealing.load(self.settings.state_dir), spool.folder(self.settings.state_dir, self.settings.space, "feed")
        chunks = [chunk for path in sorted(where.glob("*.ndjson")) for chunk, _ in spool.chunks(path.read_bytes())]
        return [raw for chunk in chunks for raw in spool.unsealed(chunk, keys)]

    def place(self) -> cursors.Place:
        return cursors.load(self.options, self.topic("cursors"), self.source.name)


@pytest.fixture
def bench(settings: Settings, bootstrap: str) -> Iterator[Bench]:
    own = settings.model_copy(update={"space": f"pump-{uuid.uuid4().hex[:8]}"})
    create_topics(own, bootstrap)
    feed = Feed()
    with serving(feed.answer) as server:
        source = {"name": "feed", "department": "einvoice", "connector": "rest", "url": server.url + "/m", "options": {"limit": PAGE}}
        yield Bench(own, bootstrap, feed, server, Source.model_validate(source | {"timeout_seconds": 2, "interval_seconds": 0.05}))


def never() -> threading.Event:
    return threading.Event()


def test_every_record_becomes_an_event_and_the_cursor_is_kept(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(95)]
    tally = bench.pump().once(never())
    assert (tally.pulled, tally.produced, tally.rejected, tally.cursor) == (95, 95, 0, "95")
    assert len({event["id"] for event in bench.events()}) == 95
    assert bench.place() == cursors.Place("95")


def test_a_second_run_goes_on_where_the_first_ended(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(30)]
    bench.pump().once(never())
    bench.feed.held += [message(n) for n in range(30, 40)]
    assert bench.pump().once(never()).pulled == 10
    assert len(bench.events()) == 40


def test_a_source_forgotten_is_read_from_the_beginning(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(30)]
    bench.pump().once(never())
    pump.forget(bench.options, bench.topic("cursors"), "feed")
    assert bench.pump().once(never()).pulled == 30


def test_all_about_one_seller_stays_in_one_partition_in_order(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(200)]
    bench.pump().once(never())
    partitions: dict[bytes, set[int]] = {}
    for record in records(bench.settings, bench.bootstrap, bench.topic("einvoice")):
        assert record.key.decode() == json.loads(record.value)["seller"]
        partitions.setdefault(record.key, set()).add(record.partition)
    assert all(len(found) == 1 for found in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_the_records_of_a_page_share_the_moment_they_were_received(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(PAGE)]
    bench.pump().once(never())
    assert len({event["known_at_us"] for event in bench.events()}) == 1


def test_a_record_that_cannot_be_parsed_is_sealed_and_stops_nothing(bench: Bench) -> None:
    bad = message(3)[:-300]
    bench.feed.held = [message(0), bad, message(1), b"", message(2)]
    tally = bench.pump().once(never())
    assert (tally.pulled, tally.produced, tally.rejected) == (5, 3, 2)
    keys = sealing.load(bench.settings.state_dir)
    found = {keys.open(reject["sealed"]): reject for reject in bench.rejects()}
    assert set(found) == {bad, b""}
    assert found[bad]["source"] == "feed"
    assert found[bad]["size_bytes"] == len(bad)


def test_what_a_source_sent_is_kept_as_it_came_before_the_cursor_moves(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(30)] + [b"<cut", b""]
    where = spool.folder(bench.settings.state_dir, bench.settings.space, "feed")
    where.parent.mkdir(parents=True)
    where.write_text("no folder can be made here")
    keeping = spool.Spool(where, pseudonym.load(bench.settings.state_dir))
    with pytest.raises(Retry, match="cannot be kept"):
        bench.pump(spool=keeping, patience_seconds=0.1).once(never())
    assert bench.place().cursor is None
    where.unlink()
    bench.pump(spool=keeping).once(never())
    assert bench.place().cursor == "32"
    assert [raw for _, raw in bench.kept()] == bench.feed.held
    assert not any(canary.encode() in path.read_bytes() for path in where.glob("*.ndjson") for canary in CANARIES)


def test_an_item_that_cannot_be_unwrapped_is_a_reject(bench: Bench) -> None:
    items = [{"content": base64.b64encode(message(0)).decode()}, {"content": "not base64!"}, {"other": 1}, 7]
    bench.server.answer = lambda asked: Reply({"items": items if "after" not in asked.params else [], "next": "4", "more": False})
    tally = bench.pump().once(never())
    assert (tally.pulled, tally.produced, tally.rejected) == (4, 1, 3)
    assert sorted(reject["cause"] for reject in bench.rejects()) == ["base64", "item_malformed", "item_malformed"]


def test_a_defect_in_a_parser_is_a_reject_and_says_nothing_of_the_record(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.formats import tvan

    parse = tvan.parse

    def defective(raw: bytes, arrival: Any) -> Any:
        if b"<SHDon>7<" in raw:
            raise ValueError(raw.decode())
        return parse(raw, arrival)

    monkeypatch.setattr(tvan, "parse", defective)
    bench.feed.held = [message(n) for n in range(10)] + [message(7)]
    with capture_logs() as logs:
        tally = bench.pump().once(never())
    assert (tally.produced, tally.rejected) == (9, 2)
    assert {reject["cause"] for reject in bench.rejects()} == {"parser_error"}
    assert len([line for line in logs if line["log_level"] == "error"]) == 1
    assert not any(canary in str(logs) + str(bench.rejects()) for canary in CANARIES)


def test_a_record_larger_than_a_message_is_still_counted(bench: Bench) -> None:
    huge = b"<TDiep>" + b"x" * 3_000_000
    bench.feed.held = [huge, message(1)]
    tally = bench.pump().once(never())
    assert (tally.produced, tally.rejected) == (1, 1)
    assert bench.rejects()[0]["size_bytes"] == len(huge)


@pytest.mark.parametrize(
    "faults",
    [
        [Reply(b"", 429, {"Retry-After": "0"}), Reply(b"", 500), Reply(b"", 502), Reply(b"", 503)],
        [Reply({"items": [], "next": "0", "more": False}, keep_bytes=4), Reply(b"<html>sorry</html>")],
        [Reply(b"", after=threading.Event())],
    ],
    ids=["busy and broken", "cut", "silent"],
)
def test_a_source_in_trouble_loses_nothing_and_is_said_once(bench: Bench, faults: list[Reply]) -> None:
    bench.feed.held = [message(n) for n in range(50)]
    bench.server.faults.extend(faults)
    with capture_logs() as logs:
        tally = bench.pump(source={"timeout_seconds": 0.5}).once(never())
    for fault in faults:
        if fault.after is not None:
            fault.after.set()
    assert tally.produced == 50
    assert [line["log_level"] for line in logs] == ["warning", "info"]


def test_once_gives_up_with_a_retry_when_there_is_no_progress(bench: Bench) -> None:
    bench.server.faults.extend(Reply(b"", 503) for _ in range(1000))
    with pytest.raises(Retry, match="503"):
        bench.pump(patience_seconds=0.5).once(never())


def test_a_wrong_credential_stops_at_once(bench: Bench) -> None:
    bench.server.faults.append(Reply(b"", 401))
    with pytest.raises(Misconfigured, match="credential"):
        bench.pump().follow(never())


def test_a_refusal_after_things_went_well_is_waited_out(bench: Bench) -> None:
    bench.feed.held = [message(0)]
    stop, moving = never(), bench.pump()
    running = threading.Thread(target=moving.follow, args=(stop,))
    running.start()
    eventually(lambda: moving.tally.produced == 1)
    bench.server.faults.append(Reply(b"", 403))
    eventually(lambda: not bench.server.faults)
    bench.feed.held.append(message(1))
    eventually(lambda: moving.tally.produced == 2)
    stop.set()
    running.join()


def test_without_kafka_once_gives_up_and_says_what_to_do(bench: Bench, unused_port: int) -> None:
    with pytest.raises(Retry, match="Kafka"):
        bench.pump(kafka={"bootstrap_servers": f"127.0.0.1:{unused_port}"}, patience_seconds=0.2).once(never())


def test_a_source_with_too_many_rejects_is_stopped_until_its_fuse_is_reset(bench: Bench) -> None:
    bench.feed.held = [b"<cut" if n % 4 == 0 else message(n) for n in range(4 * WINDOW_RECORDS)]
    with capture_logs() as logs:
        tally = bench.pump().once(never())
    assert tally.blown
    assert REJECTS_ALLOWED < tally.rejected < REJECTS_ALLOWED + PAGE
    assert any("is stopped" in line["event"] for line in logs)
    restarted = bench.pump().once(never())
    assert restarted.blown
    assert restarted.pulled == 0
    bench.feed.held[tally.pulled :] = [message(n) for n in range(10)]
    pump.reset_fuse(bench.options, bench.topic("cursors"), "feed")
    mended = bench.pump()
    assert (mended.once(never()).produced, mended.tally.blown) == (10, False)


def test_names_and_numbers_of_people_reach_no_topic(bench: Bench) -> None:
    bench.feed.held = [message(n) for n in range(20)] + [message(20)[:-200]]
    bench.pump().once(never())
    for name in ("einvoice", "rejects", "cursors"):
        held = b"".join(record.value or b"" for record in records(bench.settings, bench.bootstrap, bench.topic(name)))
        assert not any(canary.encode() in held for canary in CANARIES)
        assert b"0100000001" not in held


@pytest.fixture
def process(bench: Bench, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `ioc pull` as an operator does."""
    toml = tmp_path / "ioc.toml"
    toml.write_text(
        f'[[sources]]\nname = "feed"\ndepartment = "einvoice"\nconnector = "rest"\nurl = "{bench.server.url}/m"\n'
        f"interval_seconds = 0.05\ntimeout_seconds = 5\n[sources.options]\nlimit = {PAGE}\n"
    )
    told = {"IOC_CONFIG": str(toml), "IOC_STATE_DIR": str(bench.settings.state_dir), "IOC_SPACE": bench.settings.space}
    environment = os.environ | told | {"IOC_ARCHIVE__RAW": "true"}
    with ExitStack() as started:

        def start(*words: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", "from deploy.cli import main; main()", "pull", *words, "--json"]
            return started.enter_context(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )

        yield start


def test_a_killed_process_resumes_with_nothing_lost(bench: Bench, process: Any) -> None:
    held = [message(n) for n in range(1000)]
    bench.feed.held, bench.feed.pace = held, threading.Semaphore(0)
    for _ in range(4):
        running = process("feed")
        before = len(bench.server.asked)
        for _ in range(8):
            bench.feed.pace.release()
        eventually(lambda before=before: len(bench.server.asked) >= before + 5, within_seconds=60)
        running.send_signal(signal.SIGKILL)  # in the middle: pages read and not produced, produced and not acknowledged, cursor not kept
        running.communicate()
    for _ in range(1000):
        bench.feed.pace.release()
    ended = process("feed", "--once")
    said, _ = ended.communicate(timeout=60)
    assert ended.returncode == 0
    assert json.loads(said.splitlines()[-1])["cursor"] == "1000"
    events = bench.events()
    assert len({event["id"] for event in events}) == 1000
    assert len(events) < 2000  # it did go on, and not from the beginning
    assert {raw for _, raw in bench.kept()} == {*held}


def test_a_termination_finishes_the_page_in_hand_and_tells_the_tally(bench: Bench, process: Any) -> None:
    bench.feed.held = [message(n) for n in range(60)]
    running = process("feed")
    eventually(lambda: bench.place().cursor == "60", within_seconds=60)
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert json.loads(said) == {"source": "feed", "pulled": 60, "produced": 60, "rejected": 0, "cursor": "60"}


def test_a_termination_while_kafka_is_away_ends_at_once_and_loses_nothing(bench: Bench, process: Any, settings: Settings) -> None:
    bench.feed.held = [message(n) for n in range(5)]
    running = process("feed")
    eventually(lambda: bench.place().cursor == "5", within_seconds=60)
    broker = embedded_kafka.pid_of(settings.state_dir.resolve())
    assert broker is not None
    os.kill(broker, signal.SIGSTOP)
    try:
        bench.feed.held += [message(n) for n in range(5, 9)]
        asked = [len(bench.server.asked)]
        while not until(lambda: len(bench.server.asked) > asked[-1], 5):  # it was telling Kafka something: another moment
            os.kill(broker, signal.SIGCONT)
            eventually(lambda: len(bench.server.asked) > asked[-1])
            os.kill(broker, signal.SIGSTOP)
            asked.append(len(bench.server.asked))
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    finally:
        os.kill(broker, signal.SIGCONT)
    assert process("feed", "--once").wait(timeout=60) == 0
    assert len({event["id"] for event in bench.events()}) == 9


def test_a_termination_while_it_waits_for_kafka_ends_soon_and_loses_nothing(bench: Bench, process: Any, settings: Settings) -> None:
    bench.feed.held = [message(n) for n in range(5)]
    bench.feed.pace = threading.Semaphore(0)
    broker = embedded_kafka.pid_of(settings.state_dir.resolve())
    assert broker is not None
    for moment in ("its first record needs to know the topic", "its records are not acknowledged"):
        first = moment.startswith("its first")
        asked = len(bench.server.asked)
        running = process("feed")
        if not first:
            bench.feed.pace.release()  # the topic is known after this page
        eventually(lambda asked=asked, first=first: len(bench.server.asked) > asked + (not first), within_seconds=60)
        os.kill(broker, signal.SIGSTOP)
        try:
            bench.feed.held += [message(n) for n in range(len(bench.feed.held), len(bench.feed.held) + 4)]
            bench.feed.pace.release()
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=20)
        finally:
            os.kill(broker, signal.SIGCONT)
    for _ in range(100):
        bench.feed.pace.release()
    assert process("feed", "--once").wait(timeout=60) == 0
    assert len({event["id"] for event in bench.events()}) == len(bench.feed.held)


def test_files_are_pulled_by_one_command(bench: Bench, process: Any, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for n in range(12):
        (folder / f"{n}.xml").write_bytes(message(n))
    (folder / "cut.xml").write_bytes(message(99)[:500])
    (folder / "notes.txt").write_text("not ours")
    pulled = process("files", "einvoice", str(folder), "--once")
    said, _ = pulled.communicate(timeout=60)
    tally = json.loads(said)
    assert (tally["source"], tally["pulled"], tally["produced"], tally["rejected"]) == ("files-einvoice", 13, 12, 1)
    again, _ = process("files", "einvoice", str(folder), "--once").communicate(timeout=60)
    assert json.loads(again)["pulled"] == 0


def test_a_source_stopped_by_its_fuse_exits_with_one(bench: Bench, process: Any) -> None:
    bench.feed.held = [b"<cut"] * 300
    running = process("feed", "--once")
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 1
    assert json.loads(said)["rejected"] > REJECTS_ALLOWED
    assert "--reset-fuse" in errors


def test_words_that_make_no_sense_exit_with_two_and_say_how_to_write_them(process: Any) -> None:
    wrong = (("nowhere",), ("files",), ("files", "tax", "/tmp"), ("files", "einvoice", "/not/there"), ("feed", "einvoice"))  # noqa: S108
    for words, running in [(words, process(*words, "--once")) for words in wrong]:
        _, errors = running.communicate(timeout=60)
        assert (words, running.returncode) == (words, 2)
        assert "→" in errors


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
