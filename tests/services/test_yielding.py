"""What works for a replay, on which processors: its processes, their threads and its sessions in a real database server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest

from deploy.replay import yielding
from deploy.replay.yielding import Yielding, half
from sinks.roles import ingest_dsn, replay_dsn
from tests.eventually import eventually
from tests.services.space import Space

ALL = os.sched_getaffinity(0)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.communicate()


def committed(space: Space, ago: str) -> None:
    with space.connect() as connection:
        connection.execute(
            "insert into batch (department, events, first_time, last_time, committed_at) "
            "values ('payment', 1, now(), now(), clock_timestamp() - %s::interval)",
            [ago],
        )


@pytest.mark.skipif(len(ALL) < 2, reason="one processor cannot be shared out")
def test_a_replay_keeps_to_half_of_the_processors_while_live_is_at_work(
    space: Space, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yielding, "EVERY_SECONDS", 3600.0)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    own, of_replay = (
        psycopg.connect(ingest_dsn(space.settings), autocommit=True),
        psycopg.connect(replay_dsn(space.settings), autocommit=True),
    )
    other = psycopg.connect(space.dsn, autocommit=True)
    those = [os.getpid(), thread.native_id or 0, child.pid, own.info.backend_pid, of_replay.info.backend_pid]
    try:
        with Yielding(space.settings, live=space.name) as gives_way:
            assert [os.sched_getaffinity(pid) for pid in those] == [ALL] * 5  # live never took anything in
            assert gives_way.most() is None
            committed(space, "0 seconds")
            gives_way()
            assert [os.sched_getaffinity(pid) for pid in those] == [half(ALL)] * 5
            assert gives_way.most() == space.settings.spaces.beside_live * len(half(ALL))
            assert os.sched_getaffinity(other.info.backend_pid) == ALL  # nobody else's
            committed(space, "3 seconds")
            gives_way()
            assert [os.sched_getaffinity(pid) for pid in those] == [ALL] * 5
            assert gives_way.most() is None
            committed(space, "0 seconds")
            gives_way()
        given_back = [os.sched_getaffinity(pid) for pid in those[:2]]
        monkeypatch.setattr(yielding, "EVERY_SECONDS", 0.05)
        with Yielding(space.settings, live=space.name):
            at_once = os.sched_getaffinity(0)
            committed(space, "3 seconds")
            eventually(lambda: os.sched_getaffinity(0) == ALL)  # looked at again and again
    finally:
        ended.set()
        for connection in (own, of_replay, other):
            connection.close()
    assert given_back == [ALL] * 2
    assert at_once == half(ALL)


def test_the_smaller_half_is_kept_to() -> None:
    assert half({0, 1}) == {1}
    assert half({0, 1, 2}) == {2}
    assert half({3, 5, 8, 9}) == {8, 9}
