"""The topics of a space, made on any cluster."""

from collections.abc import Mapping

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError

from deploy.embedded import logins
from streams.brokers import admin_options
from streams.department import NAMES
from streams.errors import Misconfigured, Retry
from streams.settings import Settings
from streams.topics import LIVE, MESSAGE_MOST_BYTES, topic

REACH_MS = 10_000
HOUR_MS = 3_600_000
TOUCHED_PARTITIONS = 4
TOUCHED_HOURS = 6  # wake-ups, never the only copy of anything


def create_topics(settings: Settings, bootstrap: str) -> list[str]:
    """Make the topics of `settings.space` that are not there yet: each department's, rejects, asked, touched, cursors; the names made. A space
    gets its login too.

    Topics that exist stay as they are. Raises Misconfigured when the cluster has too few brokers, Retry when it cannot be reached.
    """
    admin = _admin(settings, bootstrap)
    try:
        there = set(admin.list_topics())
        due = [new for name, new in _wanted(settings).items() if name not in there]
        made = [new.name for new in due if _create(admin, new)]
        if settings.space != LIVE:
            logins.let_in(admin, settings, bootstrap, topic("touched", settings.space))
        return made
    except InvalidReplicationFactorError as error:
        wrong = f"the cluster at {bootstrap} cannot keep {settings.kafka.replication} copies"
        raise Misconfigured(wrong, "set IOC_KAFKA__REPLICATION to at most the number of its brokers") from error
    except KafkaError as error:
        raise Retry(f"the topics cannot be made at {bootstrap}: {error}", "try again; check what this login may do") from error
    finally:
        admin.close()


def delete_topics(settings: Settings, bootstrap: str) -> None:
    """Remove the topics, consumer groups and login of `settings.space`. Raises Retry when the cluster cannot be reached or a group is still at work."""
    admin = _admin(settings, bootstrap)
    mine = topic("", settings.space)
    try:
        groups = [each["group_id"] for each in admin.list_groups() if each["group_id"].startswith(f"ioc.{settings.space}.")]
        if groups:
            admin.delete_groups(groups)
        there = [name for name in admin.list_topics() if name.startswith(mine) and "." not in name.removeprefix(mine)]
        if there:
            admin.delete_topics(there)
        logins.shut_out(admin, settings)
    except KafkaError as error:
        raise Retry(f"the topics of {settings.space} cannot be removed: {error}", "end its worker, then try again") from error
    finally:
        admin.close()


def _admin(settings: Settings, bootstrap: str) -> KafkaAdminClient:
    try:
        return KafkaAdminClient(**admin_options(settings, bootstrap), bootstrap_timeout_ms=REACH_MS)
    except (KafkaError, OSError) as error:
        raise Retry(f"no Kafka cluster answers at {bootstrap}", "run `ioc up`, or check IOC_KAFKA__BOOTSTRAP") from error


def _create(admin: KafkaAdminClient, new: NewTopic) -> bool:
    try:
        admin.create_topics([new], wait_for_metadata=True)
    except TopicAlreadyExistsError:  # another process made it meanwhile
        return False
    return True


def _wanted(settings: Settings) -> Mapping[str, NewTopic]:
    kept = {"cleanup.policy": "delete", "retention.ms": str(settings.kafka.retention_hours * HOUR_MS), "retention.bytes": "-1"}
    compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": str(HOUR_MS)}
    wanted = [(name, settings.kafka.partitions, kept) for name in NAMES]
    wanted += [
        ("rejects", settings.kafka.partitions, kept),
        ("touched", TOUCHED_PARTITIONS, kept | {"retention.ms": str(TOUCHED_HOURS * HOUR_MS), "segment.ms": str(HOUR_MS)}),
        ("asked", 1, kept | {"retention.ms": str(TOUCHED_HOURS * HOUR_MS), "segment.ms": str(HOUR_MS)}),
        ("cursors", 1, compacted),
    ]
    return {topic(name, settings.space): _new(settings, topic(name, settings.space), count, more) for name, count, more in wanted}


def _new(settings: Settings, name: str, partitions: int, more: Mapping[str, str]) -> NewTopic:
    replication = settings.kafka.replication
    common = {
        # retention counts from the arrival: no clock of a producer may delete a record early
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, replication - 1)),
        "max.message.bytes": str(MESSAGE_MOST_BYTES),
    }
    return NewTopic(name, num_partitions=partitions, replication_factor=replication, topic_configs={**common, **more})
