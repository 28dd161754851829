"""The embedded database: a real TimescaleDB that starts again with its data, whatever ended it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy.embedded import processes, timescale
from deploy.embedded.places import silent
from streams.errors import Retry
from tests.eventually import eventually


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("database")
    yield folder
    timescale.wipe(folder)


def _ask(dsn: str, question: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        answer = connection.execute(question)
        return answer.fetchone()[0] if answer.description else None


def _port(dsn: str) -> int:
    return int(str(conninfo_to_dict(dsn)["port"]))


def test_it_is_timescaledb_and_set_as_we_need_it(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    assert _ask(dsn, "select extname from pg_extension where extname = 'timescaledb'") == "timescaledb"
    for name, value in {"timezone": "UTC", "synchronous_commit": "on", "jit": "off", "max_locks_per_transaction": "256"}.items():
        assert _ask(dsn, f"show {name}") == value


def test_it_listens_on_this_machine_only_and_wants_the_password(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    assert _ask(dsn, "show listen_addresses") == "127.0.0.1"
    assert _ask(dsn, "show unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn, password="guess")


def test_the_one_that_runs_is_found_and_not_started_again(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    pid = timescale.pid_of(state_dir)
    said: list[str] = []
    assert timescale.ensure(state_dir, said.append) == dsn
    assert timescale.pid_of(state_dir) == pid
    assert said == []


def test_after_kill_9_it_is_back_at_the_same_port_with_what_was_committed(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    _ask(dsn, "create table if not exists kept (n int)")
    for _ in range(3):
        _ask(dsn, "insert into kept select generate_series(1, 1000)")
        before, pid = _ask(dsn, "select count(*) from kept"), timescale.pid_of(state_dir)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: timescale.pid_of(state_dir) is None)
        assert timescale.ensure(state_dir, silent) == dsn
        assert _ask(dsn, "select count(*) from kept") == before


def test_every_process_of_it_killed_at_once_does_no_harm_either(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    _ask(dsn, "create table if not exists held as select 1 as n")
    first = timescale.pid_of(state_dir)
    children = [int(word) for word in Path(f"/proc/{first}/task/{first}/children").read_text().split()]
    assert first is not None
    for pid in [first, *children]:
        os.kill(pid, signal.SIGKILL)
    assert timescale.ensure(state_dir, silent) == dsn
    assert _ask(dsn, "select n from held") == 1


def test_it_moves_to_another_port_when_its_own_is_taken(state_dir: Path) -> None:
    before = timescale.ensure(state_dir, silent)
    timescale.stop(state_dir)
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", _port(before)))
        intruder.listen()
        said: list[str] = []
        after = timescale.ensure(state_dir, said.append)
    assert _port(after) != _port(before)
    assert any("is taken" in line for line in said)
    assert _ask(after, "select 1") == 1


def test_stopping_leaves_no_process_and_no_port(state_dir: Path) -> None:
    dsn = timescale.ensure(state_dir, silent)
    with psycopg.connect(dsn):
        timescale.stop(state_dir)
    assert timescale.pid_of(state_dir) is None
    assert timescale.running(state_dir) is None
    assert not processes.answers(_port(dsn))
    timescale.stop(state_dir)


def test_a_state_folder_that_was_deleted_gets_an_empty_database(tmp_path: Path) -> None:
    state = tmp_path / "state"
    try:
        _ask(timescale.ensure(state, silent), "create table former as select 1 as n")
        old = (state / "database").resolve()
        first = timescale.pid_of(state)
        (state / "database").rename(state / "thrown-away")
        if (state / "thrown-away").is_symlink():
            (state / "thrown-away").unlink()
            dsn = timescale.ensure(state, silent)
            assert not old.exists()
            assert first is not None
            eventually(lambda: not processes.lives(first))
        else:
            (state / "thrown-away").rename(state / "database")
            timescale.wipe(state)
            dsn = timescale.ensure(state, silent)
        assert _ask(dsn, "select to_regclass('former')") is None
    finally:
        timescale.wipe(state)


def test_a_database_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        timescale.ensure(tmp_path, silent)
        timescale.stop(tmp_path)
        monkeypatch.setattr(timescale, "_CONFIGURATION", timescale._CONFIGURATION + "work_mem = 'much'\n")
        with pytest.raises(Retry, match="work_mem"):
            timescale.ensure(tmp_path, silent)
        monkeypatch.undo()
        assert _ask(timescale.ensure(tmp_path, silent), "select 1") == 1
    finally:
        timescale.wipe(tmp_path)


def test_its_files_are_closed_to_others(state_dir: Path) -> None:
    timescale.ensure(state_dir, silent)
    home = (state_dir / "database").resolve()
    assert [f"{path.stat().st_mode & 0o077:o}" for path in (home, home / "data", home / "password")] == ["0", "0", "0"]
