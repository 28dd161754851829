"""What `ioc doctor` looks at: one function per check, each says what is there and the command that mends it."""

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import LiteralString

from deploy import bootstrap
from deploy.embedded import chromium, debian, jars, java, kafka, processes, timescale, timescale_programs
from deploy.embedded.places import cache_dir
from streams import pseudonym, sealing
from streams.brokers import admin_options
from streams.department import department
from streams.errors import IocError, Retry
from streams.settings import Settings

NEEDED_DISK_GB = 2.0


@dataclass(frozen=True)
class Check:
    """mend is empty where nothing is to be done."""

    name: str
    ok: bool
    detail: str
    mend: str = ""

    def as_json(self) -> dict[str, str | bool]:
        """The keys that doors.md promises."""
        return asdict(self)


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which parts need each other. Starts nothing, fetches nothing."""
    looks: list[Callable[[Settings], Check]] = [_python, _packages, _java, _jars, _fetcher, _server, _zoneinfo, _disk, _ports, _keys]
    looks += [_sources, _broker, _database, _migrations, _browser, _wall, _channels]
    return [_look(look, settings) for look in looks]


def _look(look: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        found = look(settings)
        return replace(found, mend="") if found.ok else found
    except IocError as error:
        return Check(look.__name__.lstrip("_"), False, error.wrong, error.mend)


def _python(_: Settings) -> Check:
    told = f"{sys.version.split()[0]} in {sys.prefix}"
    return Check("python", sys.version_info >= bootstrap.OLDEST_PYTHON, told, "use Python 3.11 or newer: make setup PYTHON=python3.11")


def _packages(_: Settings) -> Check:
    if not bootstrap.LOCK.is_file():
        return Check("packages", True, "installed without the lock of a checkout")
    pinned = dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+) \\$", bootstrap.LOCK.read_text()))
    there = {re.sub(r"[-_.]+", "-", d.name.lower()): d.version.removeprefix("v") for d in importlib.metadata.distributions()}
    needed = {name: version for name, version in pinned.items() if name in there or name not in bootstrap.STAND_INS}
    wrong = sorted(name for name, version in needed.items() if there.get(name) != version)
    return Check("packages", not wrong, f"{len(needed)} as pinned" if not wrong else f"absent or other: {', '.join(wrong)}", "make setup")


def _java(_: Settings) -> Check:
    found = java.find()
    return Check("java", True, f"{found.release}, {found.command}")


def _jars(settings: Settings) -> Check:
    if settings.kafka.bootstrap:
        return Check("broker jars", True, "not needed, the broker is external")
    there = jars.fetched()
    return Check(
        "broker jars", there or jars.way() is not None, f"{'in' if there else 'not yet in'} {jars.folder()}", "make setup, then ioc up"
    )


def _fetcher(_: Settings) -> Check:
    way = jars.way()
    return Check("maven or jgo", jars.fetched() or way is not None, way or "neither", "make setup")


def _server(settings: Settings) -> Check:
    if settings.database.dsn:
        return Check("database server", True, "not needed, the database is external")
    here, lacking = timescale_programs.here(), debian.missing()
    if here is not None:
        return Check("database server", True, str(here))
    detail = "not fetched yet" if not lacking else f"not fetched yet, and there is no {' and no '.join(lacking)}"
    return Check("database server", not lacking, detail, "set IOC_DATABASE__DSN to a server with TimescaleDB")


def _zoneinfo(_: Settings) -> Check:
    there = Path("/usr/share/zoneinfo").is_dir()
    return Check("time zones", there, "/usr/share/zoneinfo" if there else "no /usr/share/zoneinfo", "apt-get install tzdata")


def _disk(settings: Settings) -> Check:
    free = {str(place): shutil.disk_usage(_existing(place)).free / 2**30 for place in (settings.state_dir.resolve(), cache_dir())}
    told = ", ".join(f"{gb:.0f} GB free for {place}" for place, gb in free.items())
    return Check(
        "disk", min(free.values()) >= NEEDED_DISK_GB, told, f"free at least {NEEDED_DISK_GB:.0f} GB, or set IOC_STATE_DIR elsewhere"
    )


def _ports(settings: Settings) -> Check:
    if settings.web.port == 0 or processes.free_port(settings.web.port) == settings.web.port:
        return Check("ports", True, f"{settings.web.port or 'any'} is free for the wall")
    return Check("ports", True, f"{settings.web.port} is in use (by `ioc serve`, or set IOC_WEB__PORT to another)")


def _keys(settings: Settings) -> Check:
    path = pseudonym.path_of(settings.state_dir)
    if not path.exists() and not os.environ.get("IOC_KEYS_FILE") and not os.environ.get("IOC_KEYS"):
        return Check("keys", True, "none yet, the first `ioc up` makes them")
    pseudonym.load(settings.state_dir)
    return Check(
        "keys", True, f"{path}; those that open the quarantine {'too' if sealing.path_of(settings.state_dir).exists() else 'are elsewhere'}"
    )


def _sources(settings: Settings) -> Check:
    from connectors import formats, webhook
    from connectors.connector import checked, connect

    for source in settings.sources:
        department(checked(source).department)
        formats.load(formats.of(source))
        if source.connector == "webhook":
            webhook.checked(source)
        else:
            connect(source, settings.state_dir).close()
    told = ", ".join(source.name for source in settings.sources)
    return Check("sources", True, f"{len(settings.sources)}: {told}" if told else "none are configured yet")


def _broker(settings: Settings) -> Check:
    from kafka import KafkaAdminClient

    from deploy.embedded import logins

    address = settings.kafka.bootstrap
    if address is None:
        port = kafka.running(settings.state_dir.resolve())
        if port is None:
            return Check("broker", False, "does not run", "ioc up")
        address = f"127.0.0.1:{port}"
    try:
        admin = KafkaAdminClient(**admin_options(settings, address), bootstrap_timeout_ms=5000)
        nodes, open_to = admin.describe_cluster()["brokers"], logins.walled(admin, settings)
        admin.close()
    except IocError:
        raise
    except Exception as error:  # whatever the client raises, the answer is that it cannot be reached
        return Check("broker", False, f"{address} does not answer ({type(error).__name__})", "ioc up, or check IOC_KAFKA__BOOTSTRAP")
    told = f"{address}, {len(nodes)} node{'s' if len(nodes) != 1 else ''}"
    if open_to:  # no fault of a cluster without replays
        return Check(
            "broker",
            True,
            f"{told}; topics of spaces are no walls: {open_to}",
            "let it ask for SASL SCRAM logins and have an authorizer (docs/spaces.md)",
        )
    return Check("broker", True, told)


def _database(settings: Settings) -> Check:
    dsn = _reachable_dsn(settings)
    if dsn is None:
        return Check("database", False, "does not run", "ioc up")
    asked = "select current_setting('server_version'), extversion, current_setting('timescaledb.license', true) from pg_extension"
    told = _asked(dsn, asked + " where extname = 'timescaledb'")
    if not told:
        return Check("database", True, "plain PostgreSQL without TimescaleDB: the same figures, slower deletion of old data")
    return Check("database", True, f"PostgreSQL {str(told[0]).split()[0]}, TimescaleDB {told[1]}, licence {told[2]}")


def _migrations(settings: Settings) -> Check:
    dsn = _reachable_dsn(settings)
    if dsn is None:
        return Check("migrations", False, "unknown while the database does not run", "ioc up")
    if _asked(dsn, "select to_regclass('ioc.migration')") == (None,):
        return Check("migrations", False, "none has run", "ioc up")
    ran = _asked(dsn, "select count(*), max(applied_at) from ioc.migration where space = %s", settings.space)
    return Check("migrations", ran[0] != 0, f"{ran[0]} in space {settings.space}, the last at {ran[1]}", "ioc up")


def _browser(_: Settings) -> Check:
    return Check("chromium", True, chromium.find() or "none; only the browser tests want one, and make test brings it")


def _wall(_: Settings) -> Check:
    if not (bootstrap.WALL / "package-lock.json").is_file():
        return Check("wall packages", True, "not needed, the wall comes built")
    there = (bootstrap.WALL / "node_modules" / ".made.json").is_file()
    return Check("wall packages", there, "in grafana/wall/node_modules" if there else "not fetched", "make setup")


def _channels(settings: Settings) -> Check:
    from sinks.channels.channel import connect

    if not settings.channels:
        return Check("channels", True, "none: alarms are kept and shown, nobody is told")
    for chosen in settings.channels:
        connect(chosen).close()
    told = ", ".join(f"{chosen.name} ({chosen.kind})" for chosen in settings.channels)
    return Check(
        "channels", settings.route("default") is not None, told, "name one of the [[routes]] default: rules without a route ring nobody"
    )


def _reachable_dsn(settings: Settings) -> str | None:
    return settings.database.dsn or timescale.running(settings.state_dir.resolve())


def _asked(dsn: str, question: LiteralString, *values: object) -> tuple[object, ...]:
    """The first row, empty when there is none. Raises Retry when the database cannot be reached."""
    import psycopg

    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            return connection.execute(question, values).fetchone() or ()
    except psycopg.Error as error:
        raise Retry(f"the database cannot be reached: {str(error).splitlines()[0]}", "ioc up, or check IOC_DATABASE__DSN") from error


def _existing(place: Path) -> Path:
    while not place.exists():
        place = place.parent
    return place
