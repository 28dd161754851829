"""The embedded broker: a real Kafka that starts again with its data, whatever ended it."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from deploy.embedded import jars, kafka, processes, topics
from deploy.embedded.places import silent
from deploy.embedded.topics import create_topics
from streams.brokers import kafka_python_options
from streams.department import NAMES
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from tests.eventually import eventually

TOPIC = "ioc.einvoice"


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("broker")
    yield folder
    kafka.wipe(folder)


def _produce(state_dir: Path, bootstrap: str, count: int) -> None:
    producer = KafkaProducer(**kafka_python_options(Settings(state_dir=state_dir), bootstrap), acks="all")
    for sent in [producer.send(TOPIC, b"%d" % n, partition=0) for n in range(count)]:
        sent.get(timeout=30)
    producer.close()


def _end(state_dir: Path, bootstrap: str) -> int:
    consumer = KafkaConsumer(**kafka_python_options(Settings(state_dir=state_dir), bootstrap))
    try:
        return int(consumer.end_offsets([TopicPartition(TOPIC, 0)])[TopicPartition(TOPIC, 0)])
    finally:
        consumer.close()


def test_it_takes_records_as_soon_as_it_is_there(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    create_topics(Settings(state_dir=state_dir), bootstrap)
    before = _end(state_dir, bootstrap)
    _produce(state_dir, bootstrap, 100)
    assert _end(state_dir, bootstrap) == before + 100


def test_the_one_that_runs_is_found_and_not_started_again(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    pid = kafka.pid_of(state_dir)
    said: list[str] = []
    assert kafka.ensure(state_dir, said.append) == bootstrap
    assert kafka.pid_of(state_dir) == pid
    assert said == []


def test_after_kill_9_it_is_back_at_the_same_port_with_its_data(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    create_topics(Settings(state_dir=state_dir), bootstrap)
    _produce(state_dir, bootstrap, 50)
    before, pid = _end(state_dir, bootstrap), kafka.pid_of(state_dir)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: kafka.pid_of(state_dir) is None)
    assert kafka.running(state_dir) is None
    assert kafka.ensure(state_dir, silent) == bootstrap
    assert _end(state_dir, bootstrap) == before


def test_it_moves_to_another_port_when_its_own_is_taken(state_dir: Path) -> None:
    before = kafka.ensure(state_dir, silent)
    kafka.stop(state_dir)
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", int(before.rpartition(":")[2])))
        intruder.listen()
        said: list[str] = []
        after = kafka.ensure(state_dir, said.append)
    assert after != before
    assert any("is taken" in line for line in said)
    assert _end(state_dir, after) >= 0


def test_one_whose_folder_was_deleted_is_ended_by_the_next_start(tmp_path: Path) -> None:
    kafka.ensure(tmp_path, silent)
    orphan = kafka.pid_of(tmp_path)
    assert orphan is not None
    (tmp_path / "kafka").rename(tmp_path / "gone")
    try:
        kafka.ensure(tmp_path, silent)
        eventually(lambda: not processes.lives(orphan))
    finally:
        kafka.wipe(tmp_path)


def test_stopping_leaves_no_process_and_no_port(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    kafka.stop(state_dir)
    assert kafka.pid_of(state_dir) is None
    assert not processes.answers(int(bootstrap.rpartition(":")[2]))
    kafka.stop(state_dir)


def test_it_keeps_no_file_open_outside_its_folder_and_says_little(state_dir: Path) -> None:
    kafka.ensure(state_dir, silent)
    files = []
    for info in Path(f"/proc/{kafka.pid_of(state_dir)}/fdinfo").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if int(info.read_text().split("flags:")[1].split()[0], 8) & (os.O_WRONLY | os.O_RDWR):
                files.append(info.parents[1] / "fd" / info.name)
    targets = [str(file.readlink()) for file in files if file.is_symlink()]
    outside = [t for t in targets if t.startswith("/") and not t.startswith(("/dev/", str(state_dir.resolve())))]
    assert outside == []
    assert (state_dir / "kafka" / "console.log").read_text() == ""


def test_a_broker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.ensure(tmp_path, silent)
    kafka.stop(tmp_path)
    properties = kafka._PROPERTIES + "num.io.threads=none\n"
    monkeypatch.setattr(kafka, "_PROPERTIES", properties)
    with pytest.raises(Retry, match=r"num\.io\.threads"):
        kafka.ensure(tmp_path, silent)
    assert kafka.pid_of(tmp_path) is None


def test_a_jar_that_is_not_the_one_of_the_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nonexistent")  # so that jgo fetches: it takes a second where mvn takes ten
    true = next(line for line in jars.LOCK.read_text().splitlines() if line.startswith("org.slf4j:"))
    lock = tmp_path / "jars.lock"
    lock.write_text(true.split()[0] + " sha256:" + "0" * 64 + "\n")
    with pytest.raises(Misconfigured, match=r"slf4j-api-.* is not the one"):
        jars.ensure(silent, lock)
    assert not jars.fetched(lock)
    lock.write_text(true + "\n")
    assert (jars.ensure(silent, lock) / "slf4j-api-1.7.36.jar").is_file()


def test_topics_are_made_once_and_kept_as_the_settings_say(state_dir: Path) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    bootstrap = kafka.ensure(state_dir, silent)
    wanted = Settings(state_dir=state_dir, space="drill-01")
    names = {f"ioc.drill-01.{name}" for name in (*NAMES, "rejects", "asked", "touched", "cursors")}
    assert set(create_topics(wanted, bootstrap)) == names
    assert create_topics(wanted, bootstrap) == []
    admin = KafkaAdminClient(**kafka_python_options(Settings(state_dir=state_dir), bootstrap))
    try:
        partitions = {t["name"]: len(t["partitions"]) for t in admin.describe_topics(sorted(names))}
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "ioc.drill-01.cursors")])
    finally:
        admin.close()
    assert partitions == {name: 1 if name.endswith(("asked", "cursors")) else 4 for name in names}
    assert "compact" in str(described)


def test_a_cluster_with_too_few_brokers_is_a_wrong_configuration(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    wanted = Settings.model_validate({"state_dir": state_dir, "space": "many", "kafka": {"replication": 3}})
    with pytest.raises(Misconfigured, match="3 copies"):
        create_topics(wanted, bootstrap)


def test_a_cluster_that_is_away_is_a_reason_to_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "REACH_MS", 500)
    with pytest.raises(Retry, match="no Kafka cluster answers"):
        create_topics(Settings(state_dir=tmp_path), f"127.0.0.1:{processes.free_port()}")


def test_nobody_without_a_login_gets_in_and_nobody_elses_file_holds_one(state_dir: Path) -> None:
    bootstrap = kafka.ensure(state_dir, silent)
    with pytest.raises(KafkaError):
        KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=3000, bootstrap_timeout_ms=3000)
    wrong = kafka_python_options(Settings(state_dir=state_dir), bootstrap) | {"sasl_plain_password": "guessed"}
    with pytest.raises(KafkaError):
        KafkaAdminClient(**wrong, bootstrap_timeout_ms=3000)
    for path in (state_dir / "secrets" / "kafka.json", state_dir / "kafka" / "server.properties"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_of_a_broker_without_logins_goes_on_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was before: one listener for everybody. Its records stay; a broker that still runs so is started anew."""
    bootstrap = open_to_all(tmp_path, monkeypatch)
    create = KafkaAdminClient(bootstrap_servers=bootstrap)
    create.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)], wait_for_metadata=True)
    create.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for number in range(20):
        producer.send(TOPIC, b"%d" % number).get(timeout=30)
    producer.close()
    try:
        assert kafka.ensure(tmp_path, silent) == bootstrap
        assert _end(tmp_path, bootstrap) == 20
        _produce(tmp_path, bootstrap, 5)
        assert create_topics(Settings(state_dir=tmp_path, space="drill-01"), bootstrap)
    finally:
        kafka.stop(tmp_path)


def open_to_all(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a broker as it was before logins were asked for."""
    asked = kafka._PROPERTIES
    old = [line for line in asked.splitlines() if not line.startswith(("listener.name.", "sasl.", "authorizer.", "super."))]
    text = "\n".join(old).replace("SASL_PLAINTEXT", "PLAINTEXT").replace("CLIENT", "PLAINTEXT")
    with monkeypatch.context() as before:
        before.setattr(kafka, "_PROPERTIES", text)
        before.setattr(kafka, "kafka_python_options", lambda _, bootstrap: {"bootstrap_servers": bootstrap})
        return kafka.ensure(state_dir, silent)
