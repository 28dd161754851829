"""The deliverer on the real database and real HTTP: kills, faults, order, what is given up, signs of life."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from sinks.channels.channel import connect
from sinks.outbox import Deliverer, alive, beat, deliver
from sinks.roles import ingest_dsn, writer
from streams.errors import Misconfigured
from streams.settings import Channel
from tests.eventually import eventually
from tests.services.ringing import Ringing, ringing
from tests.services.space import Space
from tests.source_server import Question, Reply, SourceServer, serving

KILLS = 4

DELIVERER = """
import sys, signal
from sinks.channels.channel import connect
from sinks.outbox import Deliverer
from streams.settings import Settings
settings = Settings.model_validate_json(sys.stdin.readline())
Deliverer(sys.argv[1], settings.space, settings).start()
signal.pause()
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceServer]:
    monkeypatch.setenv("HOOK_KEY", "a key of the test")
    with serving(lambda asked: Reply(b"")) as found:
        yield found


def hook(server: SourceServer, name: str = "hook", **more: Any) -> Channel:
    held = {"name": name, "kind": "webhook", "url": f"{server.url}/{name}", "credential": "env:HOOK_KEY", "timeout_seconds": 5}
    return Channel.model_validate(held | more)


def keys(server: SourceServer, name: str = "hook") -> list[str]:
    return [asked.headers["idempotency-key"] for asked in server.asked if asked.path == f"/{name}"]


def bodies(server: SourceServer) -> list[tuple[int, str]]:
    held = [json.loads(asked.body) for asked in server.asked]
    return [(said["alarm"], said["word"]) for said in held]


def states(bell: Ringing) -> list[str]:
    return [row[0] for row in bell.rows("select state from outbox order by id")]


@contextmanager
def delivering(bell: Ringing, many: int = 1) -> Iterator[None]:
    made = [Deliverer(ingest_dsn(bell.settings), bell.space.name, bell.settings) for _ in range(many)]
    for each in made:
        each.start()
    try:
        yield
    finally:
        for each in made:
            each.stop()


@contextmanager
def apart(bell: Ringing) -> Iterator[None]:
    """A deliverer in a process of its own, until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", DELIVERER, ingest_dsn(bell.settings)], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(bell.settings.model_dump_json(exclude_defaults=True) + "\n")
    process.stdin.close()
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_messages_arrive_once_and_are_marked(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    bell.changed("fired", "38001")
    with delivering(bell):
        eventually(lambda: states(bell) == ["sent"], 30)
        bell.changed("cleared", "38001")
        eventually(lambda: states(bell) == ["sent", "sent"], 30)
    assert [word for _, word in bodies(server)] == ["firing", "resolved"]
    assert bell.rows("select min(tries), max(tries), count(sent_at), count(wrong) from outbox") == [(1, 1, 2, 0)]


def test_a_deliverer_killed_between_sending_and_noting_sends_again_with_the_same_key(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server, timeout_seconds=60)])
    bell.settings = bell.settings.model_copy(update={"space": space.name})
    bell.changed("fired", "38001")
    answered = threading.Event()
    server.faults.append(Reply(b"", after=answered))
    with apart(bell):
        eventually(lambda: len(server.asked) == 1, 60)
    answered.set()
    assert states(bell) == ["waiting"]
    with delivering(bell):
        eventually(lambda: states(bell) == ["sent"], 30)
    assert len(keys(server)) == 2
    assert len(set(keys(server))) == 1


def test_however_often_it_is_killed_every_message_arrives_in_order_and_repeats_bear_the_same_key(
    space: Space, server: SourceServer
) -> None:
    bell = ringing(space, channels=[hook(server)])
    bell.settings = bell.settings.model_copy(update={"space": space.name})
    for kill in range(KILLS):
        for unit in ("38001", "38002", "38003"):
            bell.after(1).changed("fired", unit)
            bell.after(1).changed("cleared", unit)
        taken = len(server.asked)
        with apart(bell):
            eventually(lambda wanted=taken + 1 + kill % 4: len(server.asked) >= wanted, 60)
    with delivering(bell):
        eventually(lambda: set(states(bell)) == {"sent"}, 60)
    first = [*dict.fromkeys(keys(server))]
    made = bell.rows("select key, alarm from outbox order by id")
    assert sorted(first) == sorted(key for key, _ in made)
    for alarm in {alarm for _, alarm in made}:
        of_it = [key for key, other in made if other == alarm]
        assert [key for key in first if key in of_it] == of_it


def test_a_later_message_of_an_alarm_waits_for_the_earlier_one_and_others_do_not(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    bell.changed("fired", "38001")
    bell.after(5).changed("cleared", "38001")
    bell.after(5).changed("fired", "38002")
    server.faults.append(Reply(b"", 503))
    with delivering(bell):
        eventually(lambda: states(bell) == ["sent"] * 3, 60)
    first, second = sorted({alarm for alarm, _ in bodies(server)})
    assert [each for each in bodies(server) if each[0] == first] == [(first, "firing"), (first, "firing"), (first, "resolved")]
    assert [each for each in bodies(server) if each[0] == second] == [(second, "firing")]


def test_several_deliverers_send_everything_once_and_in_order(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    for _ in range(15):
        bell.after(1).changed("fired", "38001")
        bell.after(1).changed("cleared", "38001")
    with delivering(bell, many=4):
        eventually(lambda: states(bell) == ["sent"] * 30, 60)
    assert len(keys(server)) == len(set(keys(server))) == 30
    for alarm in {alarm for alarm, _ in bodies(server)}:
        assert [word for each, word in bodies(server) if each == alarm] == ["firing", "resolved"]


def test_through_every_fault_each_message_is_taken_and_repeats_bear_the_same_key(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server, timeout_seconds=1)])
    released = threading.Event()
    faults = [
        Reply(b"", 500),
        Reply(b"", 429, {"Retry-After": "1"}),
        Reply(b" " * 1000, keep_bytes=3),
        Reply(b"", after=released),
        Reply(b"", 408),
    ]
    server.faults.extend(faults)
    for unit in ("38001", "38002"):
        bell.changed("fired", unit)
        bell.after(10).changed("cleared", unit)
    with delivering(bell):
        eventually(lambda: states(bell) == ["sent"] * 4, 90)
    released.set()
    assert len(server.asked) == 9
    assert set(keys(server)) == {row[0] for row in bell.rows("select key from outbox")}


def test_a_refusal_is_kept_with_its_cause_and_what_follows_goes_on(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    bell.changed("fired", "38001")
    bell.changed("cleared", "38001")
    server.faults.append(Reply(b"a key of the test", 400))
    with delivering(bell):
        eventually(lambda: states(bell) == ["failed", "sent"], 30)
    assert bell.rows("select wrong from outbox order by id") == [("channel hook answered 400",), (None,)]


def test_retry_after_is_kept_and_the_waits_grow(space: Space, server: SourceServer) -> None:
    chosen = hook(server)
    bell = ringing(space, channels=[chosen])
    bell.changed("fired", "38001")
    server.faults.extend([Reply(b"", 503, {"Retry-After": "120"}), Reply(b"", 500), Reply(b"", 500)])
    waits = []
    with closing(bell.connect()) as connection, closing(connect(chosen)) as channel:
        for _ in range(3):
            assert deliver(connection, chosen, channel) == "later"
            row = connection.execute("select extract(epoch from due_at - clock_timestamp())::float8, wrong from outbox").fetchone()
            assert row is not None
            waits.append(row[0])
            assert deliver(connection, chosen, channel) is None
            connection.execute("update outbox set due_at = clock_timestamp()")
        assert deliver(connection, chosen, channel) == "sent"
    assert waits[0] > 110
    assert 0 < waits[1] < waits[0]


def test_what_keeps_failing_is_given_up_after_its_hours(space: Space, server: SourceServer) -> None:
    chosen = hook(server, give_up_hours=1)
    bell = ringing(space, channels=[chosen])
    bell.changed("fired", "38001")
    server.faults.extend([Reply(b"", 500), Reply(b"", 500)])
    with closing(bell.connect()) as connection, closing(connect(chosen)) as channel:
        assert deliver(connection, chosen, channel) == "later"
        connection.execute("update outbox set due_at = clock_timestamp(), tried_at = tried_at - interval '61 minutes'")
        assert deliver(connection, chosen, channel) == "failed"
    assert bell.rows("select state, wrong from outbox") == [("failed", "channel hook answered 500; given up after 2 tries")]


def test_a_channel_that_hangs_does_not_hold_up_another(space: Space, server: SourceServer) -> None:
    released = threading.Event()

    def answer(asked: Question) -> Reply:
        return Reply(b"", after=released) if asked.path == "/slow" else Reply(b"")

    server.answer = answer
    bell = ringing(space, {"channels": ["slow", "hook"]}, channels=[hook(server, "slow", timeout_seconds=30), hook(server)])
    bell.changed("fired", "38001")
    with delivering(bell):
        eventually(lambda: bell.rows("select state from outbox where channel = 'hook'") == [("sent",)], 20)
        assert bell.rows("select state from outbox where channel = 'slow'") == [("waiting",)]
        released.set()
        eventually(lambda: states(bell) == ["sent", "sent"], 30)


def test_a_night_goes_out_as_one_message_and_its_parts_with_it(space: Space, server: SourceServer) -> None:
    bell = ringing(space, {"quiet_hours": "22:00-06:00"}, channels=[hook(server)])
    bell.now = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
    bell.changed("fired", "38001")
    bell.after(60).changed("cleared", "38001")
    bell.after(10 * 60).round()
    with delivering(bell):
        eventually(lambda: states(bell) == ["sent"] * 3, 30)
    (said,) = [json.loads(asked.body) for asked in server.asked]
    assert [part["word"] for part in said["parts"]] == ["firing", "resolved"]


def test_a_message_that_was_in_hand_before_the_night_goes_before_it(space: Space, server: SourceServer) -> None:
    chosen = hook(server)
    bell = ringing(space, {"quiet_hours": "22:00-06:00"}, channels=[chosen])
    bell.now = datetime(2026, 11, 20, 14, 59, tzinfo=UTC)
    bell.changed("fired", "38001")
    bell.after(10).changed("cleared", "38001")
    bell.after(1).changed("fired", "38002")
    bell.after(10 * 60).round()
    server.faults.append(Reply(b"", 503))
    with closing(bell.connect()) as connection, closing(connect(chosen)) as channel:
        assert deliver(connection, chosen, channel) == "later"
        assert deliver(connection, chosen, channel) is None, "the night waits for what was said before it"
        connection.execute("update outbox set due_at = clock_timestamp() where state = 'waiting'")
        assert deliver(connection, chosen, channel) == "sent"
        assert deliver(connection, chosen, channel) == "sent"
    assert [json.loads(asked.body)["word"] for asked in server.asked] == ["firing", "firing", "morning"]


def test_messages_of_a_channel_that_is_gone_fail_visibly(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    bell.changed("fired", "38001")
    bell.settings = bell.settings.model_copy(update={"channels": (), "routes": ()})
    with delivering(bell):
        eventually(lambda: bell.rows("select state, wrong from outbox") == [("failed", "there is no channel of that name any more")], 30)


def test_muted_messages_are_never_sent(space: Space, server: SourceServer) -> None:
    chosen = hook(server)
    bell = ringing(space, channels=[chosen])
    bell.changed("fired", "38001")
    bell.rows("update outbox set state = 'muted' returning id")
    with closing(bell.connect()) as connection, closing(connect(chosen)) as channel:
        assert deliver(connection, chosen, channel) is None


def test_the_deliverer_beats_and_the_heartbeat_only_while_rules_are_evaluated(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    url = f"{server.url}/heartbeat"
    bell.settings = bell.settings.model_copy(update={"alerts": bell.settings.alerts.model_copy(update={"heartbeat_url": url})})
    live = Deliverer(ingest_dsn(bell.settings), "live", bell.settings)
    with closing(bell.connect()) as connection:
        live._heartbeat(connection)
        assert server.asked == []
        beat(connection, "evaluator")
        live._heartbeat(connection)
        assert [asked.path for asked in server.asked] == ["/heartbeat"]
        connection.execute("update beat set at = clock_timestamp() - interval '61 seconds'")
        live._heartbeat(connection)
        assert len(server.asked) == 1
    with delivering(bell), closing(bell.connect()) as connection:
        eventually(lambda: alive(connection, "deliverer"), 30)


def test_it_goes_on_when_its_connections_were_cut(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    with delivering(bell), closing(bell.connect()) as connection:
        eventually(lambda: alive(connection, "deliverer"), 30)
        with psycopg.connect(space.dsn) as admin:
            cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ioc-deliver' and usename = %s"
            assert admin.execute(cut, [writer(space.name)]).fetchall()
        bell.changed("fired", "38001")
        eventually(lambda: states(bell) == ["sent"], 30)


def test_a_channel_without_its_secret_stops_it_at_the_start(space: Space, server: SourceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bell = ringing(space, channels=[hook(server)])
    monkeypatch.delenv("HOOK_KEY")
    with pytest.raises(Misconfigured, match="HOOK_KEY"):
        Deliverer(ingest_dsn(bell.settings), bell.space.name, bell.settings).start()


def test_it_stops_within_what_a_message_takes(space: Space, server: SourceServer) -> None:
    bell = ringing(space, channels=[hook(server)])
    began = time.monotonic()
    with delivering(bell):
        pass
    assert time.monotonic() - began < 30
