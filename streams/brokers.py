"""How our clients reach a Kafka cluster: who we are there, said in each client library's own words."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

from streams.errors import Misconfigured
from streams.settings import Kafka, Settings
from streams.topics import LIVE

ADMIN = "ioc"
"""Who we are on the embedded broker in live; may do everything there."""


def user(space: str) -> str:
    """Who we are in a space: elsewhere than in live, one who reaches the space's own topics and groups only."""
    return ADMIN if space == LIVE else f"{ADMIN}.{space}"


def login(settings: Settings) -> Kafka:
    """`settings.kafka` with the login of `settings.space`: the embedded broker's, from the secrets folder; on a cluster elsewhere a space's own
    where one was made (`deploy.embedded.logins`), else the one that is configured."""
    kafka, name = settings.kafka, user(settings.space)
    password = passwords(settings.state_dir).get(name)
    if password is None or (kafka.bootstrap and settings.space == LIVE):
        return kafka
    told = {"sasl_username": name, "sasl_password": password}
    if kafka.bootstrap is None:
        told |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN" if name == ADMIN else "SCRAM-SHA-256"}
    return kafka.model_copy(update=told)


def admin_options(settings: Settings, bootstrap: str) -> dict[str, object]:
    """As `kafka_python_options`, as who we are in live: topics are made and removed, and the cluster is looked at, as nobody else."""
    return kafka_python_options(settings.model_copy(update={"space": LIVE}), bootstrap)


def passwords(state_dir: Path) -> Mapping[str, str]:
    """The passwords of Kafka users that we made ourselves."""
    path = secrets_of(state_dir)
    held: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return held


def secrets_of(state_dir: Path) -> Path:
    """Where they are kept."""
    return state_dir / "secrets" / "kafka.json"


def kafka_python_options(settings: Settings, bootstrap: str) -> dict[str, object]:
    """Keyword arguments for every kafka-python client. Raises Misconfigured when a needed name or file is missing."""
    kafka = login(settings)
    options = _common(kafka, bootstrap)
    if kafka.ssl_cafile is not None:
        _readable(kafka)
        options["ssl_cafile"] = str(kafka.ssl_cafile)
    return options


def aiokafka_options(settings: Settings, bootstrap: str) -> dict[str, object]:
    """Keyword arguments for every aiokafka client. Raises Misconfigured when a needed name or file is missing."""
    kafka = login(settings)
    options = _common(kafka, bootstrap)
    context = ssl_context(kafka)
    if context is not None:
        options["ssl_context"] = context
    return options


def ssl_context(kafka: Kafka) -> ssl.SSLContext | None:
    """The TLS context of these settings, None where the security protocol has no TLS. Raises Misconfigured on a bad CA file."""
    if "SSL" not in kafka.security_protocol:
        return None
    _readable(kafka)
    try:
        return ssl.create_default_context(cafile=None if kafka.ssl_cafile is None else str(kafka.ssl_cafile))
    except ssl.SSLError as error:
        raise Misconfigured(f"kafka.ssl_cafile {kafka.ssl_cafile} holds no certificate", "give a PEM file") from error


def _common(kafka: Kafka, bootstrap: str) -> dict[str, object]:
    options: dict[str, object] = {"bootstrap_servers": bootstrap.split(","), "security_protocol": kafka.security_protocol}
    if kafka.security_protocol.startswith("SASL"):
        if not (kafka.sasl_mechanism and kafka.sasl_username and kafka.sasl_password):
            raise Misconfigured(
                f"kafka.security_protocol is {kafka.security_protocol}, but mechanism, username or password is missing",
                "set IOC_KAFKA__SASL_MECHANISM, IOC_KAFKA__SASL_USERNAME and IOC_KAFKA__SASL_PASSWORD",
            )
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    return options


def _readable(kafka: Kafka) -> None:
    if kafka.ssl_cafile is not None and not kafka.ssl_cafile.is_file():
        raise Misconfigured(f"kafka.ssl_cafile {kafka.ssl_cafile} is not there", "give the PEM file of the cluster's authority")
