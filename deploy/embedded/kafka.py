"""The embedded broker: Apache Kafka, one KRaft node on 127.0.0.1, its data under the state folder."""

import base64
import contextlib
import hashlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded import jars, java, processes
from deploy.embedded.places import Say, last_lines, write_private
from streams.brokers import ADMIN, kafka_python_options
from streams.errors import Retry
from streams.settings import Kafka, Settings
from streams.topics import LIVE

FLAGS = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_NODE = "node"

# Two users are written here: the administrator that we are in live, and the node towards its own controller. Users of spaces are made by the cluster
# (deploy/embedded/logins.py). broker.session.timeout.ms bounds the start after a kill -9: until the old session is over the controller refuses the new broker.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENT
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.client.plain.sasl.jaas.config={plain} username="{admin}" password="{admin_password}" user_{admin}="{admin_password}";
listener.name.client.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={plain} username="{node}" password="{node_password}" user_{node}="{node_password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:{node}
log.dirs={folder}/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
log.retention.check.interval.ms=10000
"""

_LOGGING = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={folder}/broker.log
appender.file.filePattern={folder}/broker.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c: %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


def ensure(state_dir: Path, say: Say) -> str:
    """host:port of the running broker of that state folder, started when it does not run. The caller holds the state folder's lock.

    Raises Misconfigured when Java or the jars cannot be had, Retry (with the log's end) when it does not answer in time.
    """
    folder = _folder(state_dir)
    port = running(state_dir)
    if port is not None and _serves(state_dir, port, 5):
        return f"127.0.0.1:{port}"
    stop(state_dir)  # one that lives but does not answer
    machine, libraries = java.find(), jars.ensure(say)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = _choose_ports(folder, say)
    write_private(folder / "server.properties", _properties(folder, ports, state_dir))
    (folder / "log4j2.properties").write_text(_LOGGING.format(folder=folder))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    places = [f"-Djava.io.tmpdir={scratch}", f"-Dlog4j2.configurationFile={folder}/log4j2.properties"]
    command, classes = [machine.command, *FLAGS, *_quiet(machine), *places], ["-cp", f"{libraries}/*"]
    if not (folder / "data" / "meta.properties").is_file():
        _format([*command, *classes], folder)
    say("starting the broker")
    archive = _archive_flags(machine, libraries, folder)
    pid = processes.launch([*command, *archive, *classes, "kafka.Kafka", f"{folder}/server.properties"], folder, folder / "console.log")
    processes.remember(folder / "pid", pid)
    _wait(state_dir, ports["port"])
    return f"127.0.0.1:{ports['port']}"


def _properties(folder: Path, ports: Mapping[str, int], state_dir: Path) -> str:
    from deploy.embedded import logins  # and with it the client library: not for those who only look

    held = logins.make_passwords(state_dir, [ADMIN, _NODE])
    users = {"admin": ADMIN, "admin_password": held[ADMIN], "node": _NODE, "node_password": held[_NODE]}
    return _PROPERTIES.format(folder=folder, plain="org.apache.kafka.common.security.plain.PlainLoginModule required", **users, **ports)


def running(state_dir: Path) -> int | None:
    """The port of that state folder's broker while its process lives."""
    folder = _folder(state_dir)
    if processes.recall(folder / "pid") is None:
        return None
    return _remembered_ports(folder).get("port")


def stop(state_dir: Path) -> None:
    """End the broker of that state folder if it runs; its data stay."""
    folder = _folder(state_dir)
    pid = processes.recall(folder / "pid") or processes.with_last_argument(f"{folder}/server.properties")
    if pid is not None and processes.end(pid, STOP_SECONDS):
        _keep_archive(folder)
    (folder / "pid").unlink(missing_ok=True)


def wipe(state_dir: Path) -> None:
    """Stop it and delete its data."""
    stop(state_dir)
    shutil.rmtree(_folder(state_dir), ignore_errors=True)


def pid_of(state_dir: Path) -> int | None:
    """The process of that state folder's broker, if it lives."""
    return processes.recall(_folder(state_dir) / "pid")


def _folder(state_dir: Path) -> Path:
    return state_dir.resolve() / "kafka"


def _remembered_ports(folder: Path) -> dict[str, int]:
    try:
        held = json.loads((folder / "ports.json").read_text())
        return {"port": int(held["port"]), "controller": int(held["controller"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _choose_ports(folder: Path, say: Say) -> Mapping[str, int]:
    """The ports of the last time where they are free, so that clients find the broker again."""
    before = _remembered_ports(folder)
    port = processes.free_port(before.get("port"))
    if before and port != before["port"]:
        say(f"port {before['port']} is taken; the broker moves to {port}")
    ports = {"port": port, "controller": processes.free_port(before.get("controller"), frozenset({port}))}
    write_private(folder / "ports.json", json.dumps(ports))
    return ports


def _quiet(machine: java.Java) -> tuple[str, ...]:
    """Java 24 and newer warn of what the jars do with Unsafe and native code."""
    return () if machine.release < 24 else ("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED")


def _format(java_command: list[str], folder: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster.startswith("-"):  # the formatter would take it for an option
        cluster = "A" + cluster[1:]
    shutil.rmtree(folder / "data", ignore_errors=True)
    command = [*java_command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", f"{folder}/server.properties"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Retry(
            f"the broker's folder {folder} cannot be formatted: {(done.stdout + done.stderr)[-1500:]}", "mend what it says, then try again"
        )


def _archive(machine: java.Java, libraries: Path) -> Path:
    program = Path(machine.command).resolve()
    about = f"{program} {program.stat().st_mtime_ns} {FLAGS}"
    return libraries.parent / f"{libraries.name}-{hashlib.sha256(about.encode()).hexdigest()[:12]}.jsa"


def _archive_flags(machine: java.Java, libraries: Path, folder: Path) -> list[str]:
    """Read the class-data archive where there is one (the start takes half the time), else write it when this run ends."""
    (folder / "classes.new").unlink(missing_ok=True)
    if not machine.keeps_archive:
        return []
    archive = _archive(machine, libraries)
    if archive.is_file():
        return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"]
    (folder / "archive").write_text(str(archive))
    return [f"-XX:ArchiveClassesAtExit={folder}/classes.new", "-Xlog:disable"]


def _keep_archive(folder: Path) -> None:
    """Move what a run that ended well has written to where the next start looks."""
    written = folder / "classes.new"
    if not written.is_file():
        return
    with contextlib.suppress(OSError):
        wanted = Path((folder / "archive").read_text())
        draft = wanted.with_name(f".{wanted.name}.{uuid.uuid4().hex}")
        shutil.move(written, draft)
        draft.replace(wanted)
    written.unlink(missing_ok=True)


def _wait(state_dir: Path, port: int) -> None:
    folder = _folder(state_dir)
    processes.until(lambda: processes.answers(port) or processes.recall(folder / "pid") is None, START_SECONDS)
    if processes.recall(folder / "pid") is not None and _serves(state_dir, port, START_SECONDS):
        return
    what = "ended at once" if processes.recall(folder / "pid") is None else f"does not answer after {START_SECONDS:.0f} s"
    said = last_lines(folder / "broker.log") + "\n" + last_lines(folder / "console.log")
    raise Retry(f"the broker {what}:\n{said}", f"its logs are in {folder}")


def _serves(state_dir: Path, port: int, within_seconds: float) -> bool:
    """Whether it tells a client of a live node: from then on it takes records."""
    from kafka import KafkaAdminClient

    own = Settings(state_dir=state_dir, space=LIVE, kafka=Kafka())

    def asked() -> bool:
        if not processes.answers(port):
            return False
        try:
            admin = KafkaAdminClient(**kafka_python_options(own, f"127.0.0.1:{port}"), request_timeout_ms=5000)
        except Exception:  # kafka-python raises many kinds while a broker starts; all mean not yet
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except Exception:
            return False
        finally:
            admin.close()

    return processes.until(asked, within_seconds)
