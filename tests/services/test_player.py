"""Replays of a live of this module's own, by the commands and processes that people start: paced, steered, killed, verified, by other code."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deploy.embedded import kafka, timescale
from deploy.embedded import parts as embedded
from deploy.embedded.parts import Parts
from deploy.replay.yielding import half
from sinks import proof
from sinks.evaluator import Evaluator
from sinks.roles import ingest_dsn
from sinks.round import Standing
from streams.department import NAMES
from streams.event import moment
from streams.rules.firing import Change
from streams.settings import Settings
from tests.bench.events import DAY_START_US, SHARES, Truth, events, sellers
from tests.eventually import eventually
from tests.services.space import Space, paid, stand

_WORDS = "title: Thử xem\ntext: thử xem\nwhy: để thử\nowner: Trực ban\nrunbook: gọi\nmissing: ok\n"
RULES = (
    f"rule: payment-many\n{_WORDS}department: payment\nmeasure: {{sum: receipts}}\nwindow: 30m\nby: unit\nwhen: {{above: 1}}\n",
    f"rule: payment-again\n{_WORDS}department: payment\nmeasure: {{sum: duplicate}}\nwindow: 30m\nwhen: {{above: 0}}\n",
    f"rule: payment-held\n{_WORDS}department: payment\nmeasure: {{sum: receipts}}\nwindow: 1h\nwhen: {{above: 20}}\ninhibited_by: [payment-again]\n",
)
HERE = Path(__file__).resolve().parents[2]
EVENTS = 3000
BATCH = 250
START = moment(DAY_START_US)
PERIOD = ("--from", START.isoformat(), "--to", (START + timedelta(days=2)).isoformat())


class House:
    """A live with a day in it, and `ioc` at work on it."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings, self.parts = settings, parts
        self.live = Space(settings, parts, "live")
        self.live.register(sellers(), DAY_START_US - 3600 * 10**6)
        told = events(EVENTS, Truth())
        while some := [*islice(told, BATCH)]:
            for name in NAMES:
                if of_it := [event for department, event in some if department == name]:
                    self.live.take(name, *of_it)
        for name in NAMES:
            self.live.follow(name)
        with self.live.connect() as connection:
            stand(connection, RULES, int((datetime.now(UTC) - START).total_seconds() // 60))
        evaluator = Evaluator(ingest_dsn(settings), "live", _silent)
        assert evaluator.evaluate()
        evaluator.close()
        self.live.store.close()
        self.made = {name: self.live.derived(name) for name in NAMES}
        assert all(self.made[name][f"{name}_1d"] for name in SHARES)

    def ioc(self, *words: str, space: str = "live", code: int = 0) -> dict[str, Any]:
        """What a command answers to scripts."""
        command = [sys.executable, "-m", "deploy", *words, "--json"]
        done = subprocess.run(command, cwd=HERE, env=self.environment(space), capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == code, (words, done.stdout[-2000:], done.stderr[-2000:])
        told: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {"said": done.stderr}
        return told

    def environment(self, space: str) -> dict[str, str]:
        return os.environ | {"IOC_STATE_DIR": str(self.settings.state_dir), "IOC_SPACE": space}

    def status(self, space: str) -> dict[str, Any]:
        return self.ask("select *, state in ('done', 'stopped', 'failed') as ended from ioc.replay where space = %s", space)[0]

    def ask(self, query: str | sql.Composed, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.parts.dsn, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[arg-type,no-any-return,unused-ignore]  # of this file

    def becomes(self, space: str, state: str, within_seconds: float = 120) -> dict[str, Any]:
        def so() -> dict[str, Any] | None:
            row = self.status(space)
            assert state == "failed" or row["state"] != "failed", row["wrong"]
            return row if row["state"] == state else None

        found = eventually(so, within_seconds)
        assert found
        return found

    def processes(self, space: str, *words: str) -> list[int]:
        """Those at work for a space here, found by how they were started."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                said = (process / "cmdline").read_bytes().split(b"\0")
                held = (process / "environ").read_bytes().split(b"\0")
                if {w.encode() for w in words} <= {*said} and {
                    f"IOC_SPACE={space}".encode(),
                    f"IOC_STATE_DIR={self.settings.state_dir.resolve()}".encode(),
                } <= {*held}:
                    found.append(int(process.name))
        return found

    def signal(self, number: signal.Signals, space: str, *words: str) -> None:
        pids = eventually(lambda: self.processes(space, *words), 30)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, space: str) -> None:
        for words in (("replay", "play"), ("work", "--until-alone")):
            for pid in self.processes(space, *words):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def same_as_live(self, space: str, again: bool = False) -> None:
        """again: what came again was played as well; without it sources were heard less often, and rules may decide otherwise."""
        drill = Space(self.settings, self.parts, space)
        for name in NAMES:
            assert drill.derived(name) == self.made[name], name
        if again:
            with self.live.connect() as ours, drill.connect() as theirs:
                last = int(self.status(space)["until"].timestamp()) // 60
                count, differs = proof.same(ours, theirs, int(START.timestamp()) // 60, last)
            assert count > 20
            assert differs == []
        drill.store.close()


def _silent(connection: Any, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
    """Nobody is told."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = Settings(state_dir=tmp_path_factory.mktemp("house"))
    try:
        yield House(settings, embedded.ensure(settings))
    finally:
        embedded.wipe(settings)


@pytest.fixture
def drill(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"d{abs(hash(request.node.name)) % 10**8}"
    yield name
    house.end(name)


def test_a_replay_as_fast_as_it_goes_makes_what_live_made(house: House, drill: str) -> None:
    told = house.ioc("replay", "start", *PERIOD, "--speed", "max", space=drill)
    stored = sum(house.live.rows(f"select count(*) from {name}_event")[0][0] for name in NAMES)
    assert (told["state"], told["produced"], told["total"], told["share"]) == ("done", stored, stored, 1.0)
    house.same_as_live(drill)


def test_a_replay_beside_a_live_at_work_goes_no_faster_than_it_may(house: House, drill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 300
    monkeypatch.setenv("IOC_SPACES__BESIDE_LIVE", str(most))
    with house.live.connect() as connection, subprocess.Popen(
        [sys.executable, "-m", "deploy", "replay", "start", *PERIOD, "--speed", "max", "--json"],
        cwd=HERE, env=house.environment(drill), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as playing:  # fmt: skip

        def live_works() -> bool:
            connection.execute("update batch set committed_at = clock_timestamp() where batch = (select max(batch) from batch)")
            return True

        eventually(lambda: live_works() and house.ask("select from ioc.replay where space = %s and produced > 0", drill), 120, 0.1)
        begun = time.monotonic()
        told = eventually(lambda: live_works() and house.status(drill)["mark"].get("most_rate"), 60, 0.1)
        eventually(lambda: live_works() and playing.poll() is not None, 120, 0.1)
        took = time.monotonic() - begun
    row = house.status(drill)
    assert (row["state"], house.ioc("replay", "status", space=drill)["most_rate"]) == ("done", None)
    assert told == most * max(1, len(half(os.sched_getaffinity(0))))
    assert took > row["produced"] / told - 2
    house.same_as_live(drill)
    house.ioc("spaces", "drop", drill, "--yes")  # there may be ten


def test_a_replay_of_arrivals_counts_what_came_again_too(house: House, drill: str) -> None:
    told = house.ioc("replay", "start", *PERIOD, "--speed", "max", "--by", "known-at", space=drill)
    assert (told["state"], told["produced"], told["total"]) == ("done", EVENTS, EVENTS)
    house.same_as_live(drill, again=True)


def test_a_replay_is_steered_while_it_plays(house: House, drill: str) -> None:
    jitter = Jitter()
    house.ioc("replay", "start", *PERIOD, "--speed", "60", "--detach", space=drill)
    house.becomes(drill, "playing")
    eventually(lambda: house.status(drill)["mark"].get("pacing_ms"), 60)
    assert house.status(drill)["clock_rate"] == 60

    assert min(_seconds_to_stand(house, drill) for _ in range(3)) <= 1
    paused = house.status(drill)
    assert (paused["state"], paused["clock_rate"]) == ("paused", 0)
    before = house.status(drill)["clock"]
    eventually(lambda: house.status(drill)["beat_at"] > paused["beat_at"] + timedelta(seconds=0.5))
    assert house.status(drill)["clock"] == before

    house.ioc("replay", "speed", "30", drill)
    house.ioc("replay", "resume", drill)
    eventually(lambda: house.status(drill)["clock_rate"] == 30, 20)

    target = START + timedelta(hours=12)
    house.ioc("replay", "seek", target.isoformat(), drill)
    eventually(lambda: house.status(drill)["followed"] >= target, 60)
    there = house.status(drill)
    assert (there["state"], there["seek_to"], there["clock_rate"]) == ("playing", None, 30)
    assert target <= there["clock"] < target + timedelta(hours=3)
    held = events_until(house, drill)
    assert held["newest"] >= START + timedelta(hours=11)

    back = START + timedelta(hours=3)
    house.ioc("replay", "seek", back.isoformat(), drill)
    eventually(lambda: back <= house.status(drill)["followed"] < target and house.status(drill)["state"] == "playing", 60)
    again = events_until(house, drill)
    assert 0 < again["n"] < held["n"]
    assert again["newest"] < target
    eventually(lambda: house.status(drill)["followed"] > back + timedelta(hours=1), 150)
    pacing, late_ms = house.status(drill)["mark"]["pacing_ms"], jitter.stop()
    assert pacing["p50"] <= 50 + 4 * late_ms, (
        pacing,
        late_ms,
    )  # a record passes a few such waits; `make bench` has the ninety-ninth of a hundred

    house.ioc("replay", "stop", drill)
    house.becomes(drill, "stopped", 30)


def test_a_paused_replay_goes_where_it_is_sought_and_stands_there(house: House, drill: str) -> None:
    house.ioc("replay", "start", *PERIOD, "--speed", "60", "--detach", space=drill)
    house.ioc("replay", "pause", drill)  # before it has read anything
    house.becomes(drill, "paused", 60)
    target = START + timedelta(hours=6)
    for place in (target, target - timedelta(hours=2)):
        house.ioc("replay", "seek", place.isoformat(), drill)
        eventually(lambda place=place: (house.status(drill)["state"], house.status(drill)["clock"]) == ("paused", place), 90)
        newest = eventually(lambda: events_until(house, drill)["newest"], 60)
        assert place - timedelta(minutes=30) < newest <= place
    house.ioc("replay", "stop", drill)
    house.becomes(drill, "stopped", 30)
    house.ioc("spaces", "drop", drill, "--yes")  # there may be ten of them


class Jitter:
    """A process that gives way as a player does and only sleeps: how late this machine wakes it."""

    SLEEPS = (
        "import os, select, sys, time\nfrom sinks.idle import idle\nidle()\nlate = []\nwhile not select.select([sys.stdin], [], [], 0)[0]:\n"
        "    begun = time.monotonic(); time.sleep(0.02); late.append(time.monotonic() - begun - 0.02)\nprint(sorted(late)[len(late) * 99 // 100] * 1000)"
    )

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", self.SLEEPS], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> float:
        """The ninety-ninth of a hundred, milliseconds."""
        told, _ = self._process.communicate(timeout=60)
        return float(told)


def _seconds_to_stand(house: House, space: str) -> float:
    """How long a pause takes, by the database's clock; the replay stands then."""
    house.ask("update ioc.replay set wanted = 'play' where space = %s returning 1", space)
    eventually(lambda: house.status(space)["clock_rate"] > 0, 30)
    asked = house.ask("update ioc.replay set wanted = 'pause' where space = %s returning clock_timestamp() as at", space)[0]["at"]
    stood: datetime = house.becomes(space, "paused", 30)["clock_set_at"]
    return (stood - asked).total_seconds()


def events_until(house: House, space: str) -> dict[str, Any]:
    """How many events the space holds of a department, and its newest."""
    return house.ask(sql.SQL("select count(*) as n, max(event_time) as newest from {}").format(sql.Identifier(space, "einvoice_event")))[0]


def test_a_replay_whose_processes_are_killed_goes_on_where_it_was(house: House, drill: str) -> None:
    house.ioc("replay", "start", *PERIOD, "--speed", "1000", "--detach", space=drill)
    eventually(lambda: house.status(drill)["produced"] > 0, 60)
    house.signal(signal.SIGKILL, drill, "replay", "play")
    house.signal(signal.SIGKILL, drill, "work", "--until-alone")
    assert not house.status(drill)["ended"]
    first = house.status(drill)["produced"]
    house.ioc("replay", "resume", drill)
    eventually(lambda: house.status(drill)["produced"] > first, 60)

    # Everything is in Kafka, and nothing of it in the tables.
    house.signal(signal.SIGSTOP, drill, "work", "--until-alone")
    house.ioc("replay", "speed", "max", drill)
    eventually(lambda: house.status(drill)["produced"] >= house.status(drill)["total"], 60)
    house.signal(signal.SIGKILL, drill, "replay", "play")
    house.signal(signal.SIGKILL, drill, "work", "--until-alone")
    assert not house.status(drill)["ended"]
    house.ioc("replay", "resume", drill)
    row = house.becomes(drill, "done")
    assert row["followed"] >= row["until"]
    house.same_as_live(drill)


def test_a_replay_does_not_end_before_kafka_has_its_last_records(house: House, drill: str) -> None:
    hour = ("--from", (START + timedelta(hours=8)).isoformat(), "--to", (START + timedelta(hours=9)).isoformat())
    house.ioc("replay", "start", *hour, "--speed", "60", "--detach", space=drill)
    eventually(lambda: house.status(drill)["followed"] > START + timedelta(hours=8, minutes=10), 90)
    broker = kafka.pid_of(house.settings.state_dir.resolve())
    assert broker
    os.kill(broker, signal.SIGSTOP)
    try:
        house.ask("update ioc.replay set speed = null where space = %s returning 1", drill)
        eventually(lambda: house.status(drill)["clock_rate"] == 0, 20)
        begun = house.status(drill)["beat_at"]
        eventually(lambda: house.status(drill)["ended"] or house.status(drill)["beat_at"] > begun + timedelta(seconds=3), 30)
        assert not house.status(drill)["ended"]
    finally:
        os.kill(broker, signal.SIGCONT)
    row = house.becomes(drill, "done")
    held = [house.ask(sql.SQL("select count(*) as n from {}").format(sql.Identifier(drill, f"{name}_event")))[0]["n"] for name in NAMES]
    assert sum(held) == row["total"] == row["produced"]


def test_a_replay_that_holds_more_than_it_may_fails_and_says_so(house: House, drill: str) -> None:
    house.ioc("replay", "start", *PERIOD, "--speed", "1000", "--detach", space=drill)
    house.ask("update ioc.space set most_rows = 10 where name = %s returning 1", drill)
    row = house.becomes(drill, "failed")
    assert "more than the 10 it may" in row["wrong"]


def test_live_is_what_its_arrivals_make_and_a_changed_cell_is_found(house: House) -> None:
    whole = house.ioc("replay", "verify", *PERIOD)
    assert (whole["equal"], whole["whole"], whole["first_difference"]) == (True, True, None)
    assert whole["cells"] > 1000
    assert whole["firings"] > 20
    part = ("--from", (START + timedelta(hours=8)).isoformat(), "--to", (START + timedelta(hours=10)).isoformat())
    some = house.ioc("replay", "verify", *part)
    assert (some["equal"], some["whole"]) == (True, False)
    assert 0 < some["events"] < whole["events"]

    cell = house.ask(
        "update live.payment_1m set paid_vnd = paid_vnd + 1 where (minute, known, unit, kind) = (select minute, known, unit, kind from live.payment_1m "
        "where receipts > 0 and known >= %s and known < %s order by known limit 1) returning *",
        START + timedelta(hours=8),
        START + timedelta(hours=10),
    )[0]
    try:
        found = house.ioc("replay", "verify", *part, code=1)
    finally:
        house.ask("update live.payment_1m set paid_vnd = paid_vnd - 1 where (minute, known, unit, kind) = (%s, %s, %s, %s) returning 1",
                  *(cell[name] for name in ("minute", "known", "unit", "kind")))  # fmt: skip
    first = found["first_difference"]
    assert (found["equal"], first["table"], first["unit"], first["kind"]) == (False, "payment_1m", cell["unit"], cell["kind"])
    assert datetime.fromisoformat(first["minute"]) == cell["minute"].astimezone(UTC)
    assert first["live"]["paid_vnd"] == first["replay"]["paid_vnd"] + 1
    assert first["events"]
    assert all(event["unit"] == cell["unit"] for event in first["events"])


def test_another_checkout_is_held_against_this_one(house: House, tmp_path: Path) -> None:
    for folder in ("streams", "connectors", "sinks", "grafana", "deploy"):
        shutil.copytree(HERE / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    part = ("--from", (START + timedelta(hours=6)).isoformat(), "--to", (START + timedelta(hours=12)).isoformat())
    assert house.ioc("diff", "--code", str(tmp_path), *part)["equal"]

    decides = tmp_path / "streams" / "departments" / "payment.py"
    text = decides.read_text()
    assert 'int(status == "mismatched")' in text
    decides.write_text(text.replace('int(status == "mismatched")', '2 * int(status == "mismatched")'))
    changed = house.ioc("diff", "--code", str(tmp_path), *part, code=1)["changes"]
    assert {each["table"] for each in changed} == {"payment_1m"}
    assert all(each["replay"]["mismatched"] == 2 * each["live"]["mismatched"] > 0 for each in changed)


SCENARIO = """scenario: only-half
label: Một bệnh viện ngừng gửi
why: để thử
changes:
  - {departments: [payment], units: ["38001"], drop: true}
  - {departments: [payment], units: ["38002"], scale: 3}
"""


def test_a_replay_of_some_units_with_a_scenario_and_rules_of_its_own(house: House, drill: str, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "payment-any.yaml").write_text(RULES[0].replace("payment-many", "payment-any") + "tests: []\n")
    (tmp_path / "only-half.yaml").write_text(SCENARIO)
    told = house.ioc(
        "replay", "start", *PERIOD, "--speed", "max", "--departments", "payment", "--units", "38001,38002,38003",
        "--scenario", str(tmp_path / "only-half.yaml"), "--rules", str(tmp_path / "rules"), space=drill,
    )  # fmt: skip
    assert (told["state"], told["scenario"]) == ("done", True)
    query = sql.SQL(
        "select unit, sum(receipts) as n, sum(paid_vnd) as paid from {}.payment_1d where unit = any(%s) group by 1 having sum(receipts) <> 0"
    )
    units = ["38001", "38002", "38003"]
    ours, theirs = (
        {row["unit"]: (row["n"], row["paid"]) for row in house.ask(query.format(sql.Identifier(name)), units)} for name in ("live", drill)
    )
    assert theirs == {"38002": (ours["38002"][0], 3 * ours["38002"][1]), "38003": ours["38003"]}
    held = house.ask(sql.SQL("select distinct unit from {}").format(sql.Identifier(drill, "payment_event")))
    assert {row["unit"] for row in held} == {"38002", "38003"}
    assert house.ask(sql.SQL("select count(*) as n from {}").format(sql.Identifier(drill, "einvoice_event")))[0]["n"] == 0
    rules = house.ask(sql.SQL("select name from {}").format(sql.Identifier(drill, "rule")))
    assert [row["name"] for row in rules] == ["payment-any"]
    fired = house.ask(sql.SQL("select distinct unit, decided_at from {}").format(sql.Identifier(drill, "firing")))
    assert {row["unit"] for row in fired} <= {"38002", "38003"}
    assert all(row["decided_at"] <= house.status(drill)["until"] for row in fired)  # by the replay's own time


def test_replays_go_on_beside_each_other_when_the_database_comes_back(house: House, drill: str) -> None:
    other = f"{drill}b"
    try:
        for space in (drill, other):
            house.ioc("replay", "start", *PERIOD, "--speed", "1000", "--detach", space=space)
        eventually(lambda: all(house.status(space)["produced"] > 0 for space in (drill, other)), 120)
        server = timescale.pid_of(house.settings.state_dir.resolve())
        assert server
        os.kill(server, signal.SIGQUIT)
        eventually(lambda: not Path(f"/proc/{server}").exists(), 60)
        embedded.ensure(house.settings)
        for space in (drill, other):
            assert not house.status(space)["ended"]
            house.ioc("replay", "speed", "max", space)
        for space in (drill, other):
            house.becomes(space, "done")
            house.same_as_live(space)
    finally:
        house.end(other)


def test_what_arrives_while_live_is_verified_does_not_disturb_the_proof(house: House) -> None:
    part = ("--from", (START + timedelta(hours=8)).isoformat(), "--to", (START + timedelta(hours=10)).isoformat())
    command = [sys.executable, "-m", "deploy", "replay", "verify", *part, "--json"]
    live = Space(house.settings, house.parts, "live")
    number = 0
    with subprocess.Popen(command, cwd=HERE, env=house.environment("live"), stdout=subprocess.PIPE) as proving:
        while proving.poll() is None:
            number += 1
            at_us = int(START.timestamp()) * 10**6 + 9 * 3600 * 10**6
            late = paid(number, event_time_us=at_us, paid_at_us=at_us, known_at_us=int(datetime.now(UTC).timestamp() * 10**6))
            live.take("payment", late)
            live.follow("payment")
        answer = proving.stdout.read() if proving.stdout else b""
    live.store.close()
    told = json.loads(answer.splitlines()[-1])
    assert number > 3
    assert (told["equal"], told["first_difference"]) == (True, None)
