"""Who may do what on a Kafka cluster: the embedded broker's administrator, and a user per space that reaches nothing else."""

import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError, SecurityDisabledError

from deploy.embedded.places import locked, write_private
from deploy.embedded.processes import until
from streams.brokers import kafka_python_options, login, passwords, secrets_of, user
from streams.errors import Misconfigured, Retry
from streams.settings import Settings

HELD_SECONDS = 30.0
SEEN_SECONDS = 20.0
"""What was made is known to the broker that clients talk to after some milliseconds."""
_ALLOWED = (
    (ResourceType.TOPIC, (ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DESCRIBE)),
    (ResourceType.GROUP, (ACLOperation.READ, ACLOperation.DESCRIBE)),
)


def make_passwords(state_dir: Path, names: Iterable[str]) -> Mapping[str, str]:
    """The passwords of these users, made where there are none yet."""
    path = secrets_of(state_dir)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_suffix(".lock"), HELD_SECONDS):
        held = {name: secrets.token_urlsafe(24) for name in names} | dict(passwords(state_dir))
        write_private(path, json.dumps(held))
    return held


def mechanism(settings: Settings) -> str | None:
    """How users of spaces log in; None where the cluster's logins are not ours to make."""
    if settings.kafka.bootstrap is None:
        return "SCRAM-SHA-256"
    told = settings.kafka.sasl_mechanism or ""
    return told if settings.kafka.security_protocol.startswith("SASL") and told.startswith("SCRAM-") else None


def let_in(admin: KafkaAdminClient, settings: Settings, bootstrap: str, topic: str) -> None:
    """Make the user of `settings.space`, who may read and write the space's topics and use its groups; back when the cluster knows. topic: one of them.

    Without SCRAM on the cluster there is none: then whoever we are in live we are there too (`ioc doctor` says so). Raises Misconfigured when the
    cluster refuses, Retry when it does not get to know.
    """
    how, name = mechanism(settings), user(settings.space)
    if how is None:
        return
    password = make_passwords(settings.state_dir, [name])[name]
    refused = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, how, password)])[name]
    try:
        failed = admin.create_acls(_acls(settings.space))["failed"]
    except SecurityDisabledError:
        failed = []  # no authorizer
    if refused or failed:
        wrong = f"the cluster does not let us make the login of the space {settings.space}: {refused or failed[0].__name__}"
        raise Misconfigured(
            wrong, "let our login alter users and ACLs (cluster: Alter), or make it and set IOC_KAFKA__SASL_USERNAME for its worker"
        )
    if not until(lambda: _reaches(settings, bootstrap, topic), SEEN_SECONDS):
        raise Retry(f"the cluster does not know the login of the space {settings.space} yet", "try again")


def shut_out(admin: KafkaAdminClient, settings: Settings) -> None:
    """Remove the user of `settings.space`, and what he may do."""
    how, name = mechanism(settings), user(settings.space)
    if how is None or name not in passwords(settings.state_dir):
        return
    admin.alter_user_scram_credentials([UserScramCredentialDeletion(name, how)])
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    admin.delete_acls([ACLFilter(f"User:{name}", "*", ACLOperation.ANY, ACLPermissionType.ANY, anything)])
    path = secrets_of(settings.state_dir)
    with locked(path.with_suffix(".lock"), HELD_SECONDS):
        write_private(path, json.dumps({each: password for each, password in passwords(settings.state_dir).items() if each != name}))


def walled(admin: KafkaAdminClient, settings: Settings) -> str | None:
    """Why topics are no walls on this cluster, None when they are."""
    if mechanism(settings) is None:
        return f"logins of spaces need SASL with SCRAM, and here it is {login(settings).security_protocol}"
    one = ResourcePatternFilter(ResourceType.TOPIC, "*", ACLResourcePatternType.LITERAL)
    try:
        admin.describe_acls(ACLFilter("User:*", "*", ACLOperation.ANY, ACLPermissionType.ANY, one))
    except SecurityDisabledError:
        return "the cluster has no authorizer"
    except KafkaError as error:
        return f"our login may not see ACLs ({type(error).__name__})"
    return None


def _acls(space: str) -> list[ACL]:
    """The dot ends the name: `ioc.drill-1.` is no beginning of `ioc.drill-10.einvoice`, and of no topic of live."""
    return [
        ACL(
            f"User:{user(space)}",
            "*",
            operation,
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, f"ioc.{space}.", ACLResourcePatternType.PREFIXED),
        )
        for kind, operations in _ALLOWED
        for operation in operations
    ]


def _reaches(settings: Settings, bootstrap: str, topic: str) -> bool:
    try:
        admin = KafkaAdminClient(**kafka_python_options(settings, bootstrap))
    except KafkaError:
        return False
    try:
        return not admin.describe_topics([topic])[0].get("error_code")
    except KafkaError:
        return False
    finally:
        admin.close()
