"""Broker and database together: found, started once, kept over crashes, external ones left alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import kafka, parts, timescale
from deploy.embedded.parts import Parts
from streams import pseudonym
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from tests.eventually import eventually

IOC = Path(sys.executable).with_name("ioc")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of parts that only these tests use: they stop and kill them."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("parts"))
    yield settings
    parts.wipe(settings)


def _ioc(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "IOC_STATE_DIR": str(settings.state_dir)}
    return subprocess.run([str(IOC), *words], env=environment, capture_output=True, text=True, timeout=120)


def test_what_runs_is_found_by_others(own: Settings) -> None:
    running = parts.ensure(own)
    assert parts.find(own) == running
    assert parts.ensure(own) == running
    assert (running.broker_kind, running.database_kind) == ("embedded", "embedded")
    assert "password" not in repr(running)
    assert running.dsn not in repr(running)


def test_the_note_of_what_runs_is_private(own: Settings) -> None:
    parts.ensure(own)
    assert (own.state_dir / "parts.json").stat().st_mode & 0o077 == 0


def test_the_first_start_makes_the_keys_and_no_later_one_changes_them(own: Settings) -> None:
    parts.ensure(own)
    keys = pseudonym.load(own.state_dir)
    parts.ensure(own)
    assert pseudonym.load(own.state_dir).domains == keys.domains


def test_two_starts_at_once_make_one_broker_and_one_database(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    try:
        with ThreadPoolExecutor(3) as pool:
            found = {(p.bootstrap, p.dsn) for p in pool.map(parts.ensure, [settings] * 3)}
        assert len(found) == 1
    finally:
        parts.wipe(settings)


def test_a_part_that_was_killed_is_missed_and_then_brought_back(own: Settings) -> None:
    before = parts.ensure(own)
    killed = [kafka.pid_of(own.state_dir), timescale.pid_of(own.state_dir)]
    for pid in killed:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: kafka.pid_of(own.state_dir) is None and timescale.pid_of(own.state_dir) is None)
    with pytest.raises(Retry, match="does not run"):
        parts.find(own)
    assert parts.ensure(own) == before


def test_stop_ends_both_and_says_that_nothing_runs(own: Settings) -> None:
    parts.ensure(own)
    parts.stop(own)
    assert kafka.pid_of(own.state_dir) is None
    assert timescale.pid_of(own.state_dir) is None
    with pytest.raises(Retry, match="nothing runs"):
        parts.find(own)
    parts.stop(own)


def test_external_parts_are_used_and_left_alone(parts_of_session: Parts, tmp_path: Path) -> None:
    running = parts_of_session
    outside = Settings.model_validate(
        {"state_dir": tmp_path, "kafka": {"bootstrap": running.bootstrap}, "database": {"dsn": running.dsn}},
    )
    found = parts.ensure(outside)
    assert (found.bootstrap, found.dsn, found.broker_kind, found.database_kind) == (running.bootstrap, running.dsn, "external", "external")
    assert parts.find(outside).broker_kind == "external"
    assert not (tmp_path / "kafka").exists()
    assert not (tmp_path / "database").exists()
    parts.stop(outside)
    with psycopg.connect(running.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.fixture
def parts_of_session(request: pytest.FixtureRequest) -> Parts:
    found = request.getfixturevalue("parts")
    assert isinstance(found, Parts)
    return found


def test_a_ca_file_that_is_not_there_is_a_wrong_configuration(tmp_path: Path) -> None:
    from streams.brokers import aiokafka_options, kafka_python_options

    wrong = Settings.model_validate({"kafka": {"security_protocol": "SSL", "ssl_cafile": tmp_path / "none.pem"}})
    for options in (aiokafka_options, kafka_python_options):
        with pytest.raises(Misconfigured, match=r"none\.pem"):
            options(wrong, "broker:9093")


def test_sasl_settings_reach_both_clients_and_a_missing_one_is_named() -> None:
    from streams.brokers import aiokafka_options, kafka_python_options

    said = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "ioc"}
    whole = Settings.model_validate({"kafka": said | {"sasl_password": "secret"}})
    for options in (aiokafka_options, kafka_python_options):
        told = options(whole, "a:1,b:2")
        assert told["bootstrap_servers"] == ["a:1", "b:2"]
        assert (told["sasl_mechanism"], told["sasl_plain_username"], told["sasl_plain_password"]) == ("SCRAM-SHA-256", "ioc", "secret")
        with pytest.raises(Misconfigured, match="password"):
            options(Settings.model_validate({"kafka": said | {"bootstrap": "a:1"}}), "a:1")


def test_up_and_down_can_be_said_again_and_again(own: Settings) -> None:
    first, second = (json.loads(_ioc(own, "up", "--json").stdout) for _ in range(2))
    assert first == second
    assert set(first) == {"broker", "broker_kind", "database_dsn", "database_kind", "state_dir"}
    for _ in range(2):
        assert _ioc(own, "down").returncode == 0
    assert kafka.pid_of(own.state_dir) is None


def test_the_doctor_is_content_after_up_and_says_what_to_do_before(own: Settings) -> None:
    parts.stop(own)
    before = _ioc(own, "doctor", "--json")
    assert before.returncode == 1
    checks = {check["name"]: check for check in json.loads(before.stdout)["checks"]}
    assert checks["broker"] == {"name": "broker", "ok": False, "detail": "does not run", "mend": "ioc up"}
    assert _ioc(own, "up").returncode == 0
    after = json.loads(_ioc(own, "doctor", "--json").stdout)
    assert {c["name"] for c in after["checks"] if not c["ok"]} <= {"wall packages"}
    assert all(set(check) == {"name", "ok", "detail", "mend"} for check in after["checks"])
