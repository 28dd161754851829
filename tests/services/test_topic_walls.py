"""The walls of a space in Kafka, attacked with the login of a replay's worker: no topic and no group of live or another space opens."""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as AioError
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    NewPartitions,
    NewTopic,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, KafkaTimeoutError, RequestTimedOutError
from kafka.structs import OffsetAndMetadata

from deploy.embedded import logins
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics, delete_topics
from streams import department
from streams.brokers import aiokafka_options, kafka_python_options, login, passwords
from streams.settings import Settings
from tests.eventually import eventually

NAMES = (*department.NAMES, "rejects", "asked", "touched", "cursors")
LIVE = [f"ioc.{name}" for name in NAMES]


@pytest.fixture(scope="module")
def drill(settings: Settings, parts: Parts) -> Iterator[Settings]:
    """A space whose name begins another's, `..-1` and `..-10`, and live: each with a record in every topic and a group that has read it."""
    first = f"drill-{uuid.uuid4().hex[:6]}-1"
    mine, other = [settings.model_copy(update={"space": name}) for name in (first, f"{first}0")]
    for own in (settings, mine, other):
        create_topics(own, parts.bootstrap)
    admin = kafka_python_options(settings, parts.bootstrap)
    producer = KafkaProducer(**admin, acks="all")
    for name in (*LIVE, *(f"ioc.{other.space}.{name}" for name in NAMES)):
        producer.send(name, b"a secret", key=b"walls").get(timeout=30)
    producer.close()
    for group in groups(other):
        reader = KafkaConsumer(**admin, group_id=group)
        reader.commit({TopicPartition("ioc.einvoice", 0): OffsetAndMetadata(1, "", -1)})
        reader.close()
    yield mine
    for own in (mine, other):
        delete_topics(own, parts.bootstrap)


def groups(other: Settings) -> list[str]:
    return [f"ioc.{space}.{name}" for space in ("live", other.space) for name in ("ingest", "worker")]


def others(drill: Settings) -> list[str]:
    """Topics that are none of the space's."""
    return [*LIVE, *(f"ioc.{drill.space}0.{name}" for name in NAMES)]


@pytest.fixture
def mine(drill: Settings, bootstrap: str) -> dict[str, Any]:
    """What the space's worker logs in with."""
    return kafka_python_options(drill, bootstrap)


@pytest.fixture
def admin(mine: Mapping[str, Any]) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(**mine)
    yield client
    client.close()


NOTHING = re.compile(
    r"AuthorizationFailed|needs ALTER permission|'error_code': (29|30|31)\b|^\{'(topic|broker)': \{'[^']+': \{\}\}\}$|'log_dirs': \[\]"
)
"""Answers without an answer: errors, or what is asked for left empty."""


def refused(attack: Callable[[], Any]) -> bool:
    """Whether an attack got nothing; one that only took too long shows nothing."""
    try:
        return NOTHING.search(str(attack())) is not None
    except (KafkaTimeoutError, RequestTimedOutError):
        raise
    except (KafkaError, AioError):
        return True


def test_a_space_works_with_its_own_login(drill: Settings, mine: dict[str, Any], bootstrap: str) -> None:
    assert (login(drill).sasl_username, login(drill).sasl_mechanism) == (f"ioc.{drill.space}", "SCRAM-SHA-256")

    async def round_trip() -> list[bytes | None]:
        options, name = aiokafka_options(drill, bootstrap), f"ioc.{drill.space}.payment"
        producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
        consumer = AIOKafkaConsumer(
            name, **options, group_id=f"ioc.{drill.space}.ingest", auto_offset_reset="earliest", enable_auto_commit=False
        )
        await producer.start()
        await consumer.start()
        try:
            await producer.send_and_wait(name, b"mine")
            found = await asyncio.wait_for(consumer.getone(), 30)
            await consumer.commit()
            return [found.value]
        finally:
            await producer.stop()
            await consumer.stop()

    assert asyncio.run(round_trip()) == [b"mine"]


def test_it_is_told_of_no_topic_but_its_own(drill: Settings, admin: KafkaAdminClient, mine: dict[str, Any]) -> None:
    assert {*admin.list_topics()} == {f"ioc.{drill.space}.{name}" for name in NAMES}
    assert {each["group_id"] for each in admin.list_groups()} <= {f"ioc.{drill.space}.ingest"}
    consumer = KafkaConsumer(**mine)
    assert consumer.topics() == {f"ioc.{drill.space}.{name}" for name in NAMES}
    consumer.close()


def test_no_record_elsewhere_is_read(drill: Settings, mine: dict[str, Any]) -> None:
    def ends(name: str) -> Any:
        with contextlib.closing(KafkaConsumer(**mine)) as consumer:
            return consumer.end_offsets([TopicPartition(name, 0)])

    assert [name for name in others(drill) if not refused(lambda name=name: ends(name))] == []  # type: ignore[misc]
    with contextlib.closing(KafkaConsumer(**mine, enable_auto_commit=False)) as consumer:
        places = [TopicPartition(name, 0) for name in others(drill)]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        assert consumer.poll(timeout_ms=3000) == {}


def test_no_record_elsewhere_is_written(drill: Settings, mine: dict[str, Any], settings: Settings, bootstrap: str) -> None:
    with contextlib.closing(KafkaConsumer(**kafka_python_options(settings, bootstrap))) as seen:
        places = [TopicPartition(name, number) for name in others(drill) for number in sorted(seen.partitions_for_topic(name) or ())]
        before = seen.end_offsets(places)
        for idempotent in (True, False):
            with contextlib.closing(KafkaProducer(**mine, acks="all", enable_idempotence=idempotent, max_block_ms=3000)) as producer:
                wrote = [
                    name
                    for name in others(drill)
                    if not refused(lambda name=name: producer.send(name, b"x", key=b"x", partition=0).get(timeout=10))
                ]  # type: ignore[misc]
                assert wrote == []
        assert seen.end_offsets(places) == before


def test_no_topic_elsewhere_is_described_changed_made_or_removed(
    drill: Settings, admin: KafkaAdminClient, settings: Settings, bootstrap: str
) -> None:
    for name in others(drill):
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "1"})
        attacks: list[Callable[[], Any]] = [
            lambda name=name: admin.describe_topics([name]), lambda r=resource: admin.describe_configs([r]), lambda name=name: admin.delete_topics([name]),
            lambda r=resource: admin.alter_configs([r], raise_on_unknown=False), lambda name=name: admin.create_partitions({name: NewPartitions(9)}),
            lambda name=name: admin.delete_records({TopicPartition(name, 0): -1}),
        ]  # fmt: skip
        for number, attack in enumerate(attacks):
            assert refused(attack), (name, number)
    new = ["ioc.new", "ioc.live.einvoice", f"ioc.{drill.space}", f"ioc.{drill.space}0.new", f"ioc.{drill.space}.new"]
    assert [name for name in new if not refused(lambda name=name: admin.create_topics([NewTopic(name, 1, 1)]))] == []  # type: ignore[misc]
    assert refused(lambda: admin.delete_topics([f"ioc.{drill.space}.payment"]))  # its own are made and removed by others too
    with contextlib.closing(KafkaAdminClient(**kafka_python_options(settings, bootstrap))) as ours:
        assert {*others(drill)} <= {*ours.list_topics()}


def test_no_group_elsewhere_is_joined_moved_seen_or_removed(drill: Settings, admin: KafkaAdminClient, mine: dict[str, Any]) -> None:
    other = drill.model_copy(update={"space": f"{drill.space}0"})

    def join(group: str) -> Any:
        with contextlib.closing(KafkaConsumer(f"ioc.{drill.space}.payment", **mine, group_id=group)) as consumer:
            return consumer.poll(timeout_ms=5000)

    def move(group: str) -> Any:
        with contextlib.closing(KafkaConsumer(**mine, group_id=group)) as consumer:
            return consumer.commit({TopicPartition("ioc.einvoice", 0): OffsetAndMetadata(0, "", -1)})

    for group in (*groups(other), f"ioc.{drill.space}", "friend"):
        for attack in (
            join,
            move,
            lambda g: admin.describe_groups([g]),
            lambda g: admin.delete_groups([g]),
            lambda g: admin.list_group_offsets(g),
        ):
            assert refused(lambda attack=attack, group=group: attack(group)), group  # type: ignore[misc]


def test_the_cluster_itself_is_closed(drill: Settings, admin: KafkaAdminClient, settings: Settings) -> None:
    anything = ACLFilter(
        None, None, ACLOperation.ANY, ACLPermissionType.ANY, ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    )
    broker = ConfigResource(ConfigResourceType.BROKER, "1", configs={"log.cleaner.threads": "2"})
    attacks: list[Callable[[], Any]] = [
        lambda: admin.describe_acls(anything), lambda: admin.delete_acls([anything]), lambda: admin.create_acls(logins._acls("live")),
        lambda: admin.alter_user_scram_credentials([UserScramCredentialUpsertion("friend", "SCRAM-SHA-256", "x")]),
        lambda: admin.alter_configs([broker], raise_on_unknown=False), lambda: admin.describe_configs([broker]), lambda: admin.describe_log_dirs(),
    ]  # fmt: skip
    assert [number for number, attack in enumerate(attacks) if not refused(attack)] == []
    held = passwords(settings.state_dir)
    assert len({held[name] for name in ("ioc", "node", f"ioc.{drill.space}", f"ioc.{drill.space}0")}) == 4


@pytest.mark.parametrize("who", ["ioc", "node", "ANONYMOUS", "admin"])
def test_nobody_else_can_be_claimed_to_be(mine: dict[str, Any], who: str) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        with pytest.raises(KafkaError):
            KafkaAdminClient(**(mine | {"sasl_plain_username": who, "sasl_mechanism": mechanism}), bootstrap_timeout_ms=1500)


def test_the_controllers_door_is_closed_too(mine: dict[str, Any], settings: Settings) -> None:
    port = json.loads((settings.state_dir / "kafka" / "ports.json").read_text())["controller"]
    plain = {name: value for name, value in mine.items() if not name.startswith(("sasl", "security"))}
    for told in (plain, mine, mine | {"sasl_mechanism": "PLAIN"}):
        with pytest.raises(KafkaError):
            KafkaAdminClient(**(told | {"bootstrap_servers": f"127.0.0.1:{port}"}), bootstrap_timeout_ms=1500)


def test_a_dropped_space_has_no_login_any_more(settings: Settings, bootstrap: str) -> None:
    own = settings.model_copy(update={"space": f"drill-{uuid.uuid4().hex[:8]}"})
    create_topics(own, bootstrap)
    had = kafka_python_options(own, bootstrap)
    delete_topics(own, bootstrap)
    assert f"ioc.{own.space}" not in passwords(settings.state_dir)

    def refuses() -> bool:
        try:
            KafkaAdminClient(**had, bootstrap_timeout_ms=2000).close()
        except KafkaError:
            return True
        return False

    eventually(refuses, 20)
