"""How our clients reach a Kafka cluster: `settings.kafka` said in each client library's own words."""

import ssl

from streams.errors import Misconfigured
from streams.settings import Kafka


def kafka_python_options(kafka: Kafka, bootstrap: str) -> dict[str, object]:
    """Keyword arguments for every kafka-python client. Raises Misconfigured when a needed name or file is missing."""
    options = _common(kafka, bootstrap)
    if kafka.ssl_cafile is not None:
        _readable(kafka)
        options["ssl_cafile"] = str(kafka.ssl_cafile)
    return options


def aiokafka_options(kafka: Kafka, bootstrap: str) -> dict[str, object]:
    """Keyword arguments for every aiokafka client. Raises Misconfigured when a needed name or file is missing."""
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
