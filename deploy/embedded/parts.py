"""Broker and database of this machine: start or find them, say where they are, end what was started."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.embedded import kafka, timescale
from deploy.embedded.places import Say, locked, silent, write_private
from streams import keyring
from streams.errors import Retry
from streams.settings import Settings

START_SECONDS = 600.0
Kind = Literal["embedded", "external"]


@dataclass(frozen=True)
class Parts:
    """bootstrap: host:port of the broker. dsn: of a login that may create roles and schemas, with its password."""

    bootstrap: str
    broker_kind: Kind
    dsn: str = field(repr=False)
    database_kind: Kind
    state_dir: Path

    def as_json(self) -> dict[str, str]:
        """The keys that `ioc up --json` promises."""
        return {
            "broker": self.bootstrap,
            "broker_kind": self.broker_kind,
            "database_dsn": self.dsn,
            "database_kind": self.database_kind,
            "state_dir": str(self.state_dir),
        }


def ensure(settings: Settings, say: Say = silent) -> Parts:
    """Broker and database, started where they do not run, found where they do; `settings` name external ones.

    Safe to call at any time, by several processes at once, and after any crash: data and, where they are free, ports stay the same.
    Makes the keys on the first start, and brings older ones up to date. Raises Misconfigured when this machine cannot run a part, Retry when one does not start.
    """
    state = settings.state_dir.resolve()
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(state / "lock", START_SECONDS, say):
        keyring.make(state)
        with ThreadPoolExecutor(2) as pool:
            broker = pool.submit(lambda: settings.kafka.bootstrap or kafka.ensure(state, say))
            database = pool.submit(lambda: settings.database.dsn or timescale.ensure(state, say))
        parts = _parts(settings, broker.result(), database.result())
        write_private(state / "parts.json", json.dumps(parts.as_json()))
    return parts


def find(settings: Settings) -> Parts:
    """What `ensure` last said, without starting anything. Raises Retry when an embedded part does not run."""
    state = settings.state_dir.resolve()
    if settings.kafka.bootstrap and settings.database.dsn:
        return _parts(settings, settings.kafka.bootstrap, settings.database.dsn)
    try:
        held = json.loads((state / "parts.json").read_text())
        bootstrap, dsn = str(held["broker"]), str(held["database_dsn"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Retry(f"nothing runs in {state}", "run `ioc up`") from error
    if not settings.kafka.bootstrap and kafka.running(state) is None:
        raise Retry("the embedded broker does not run", "run `ioc up`, which starts it with its data")
    if not settings.database.dsn and timescale.pid_of(state) is None:
        raise Retry("the embedded database does not run", "run `ioc up`, which starts it with its data")
    return _parts(settings, settings.kafka.bootstrap or bootstrap, settings.database.dsn or dsn)


def stop(settings: Settings) -> None:
    """End the parts that were started in the state folder; external ones are nobody's to end. Their data stay."""
    state = settings.state_dir.resolve()
    if not state.is_dir():
        return
    with locked(state / "lock", START_SECONDS):
        (state / "parts.json").unlink(missing_ok=True)
        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(kafka.stop, state), pool.submit(timescale.stop, state)]
        for end in ends:
            end.result()


def wipe(settings: Settings) -> None:
    """`stop`, then delete what broker and database hold. The keys stay."""
    stop(settings)
    state = settings.state_dir.resolve()
    if state.is_dir():
        with locked(state / "lock", START_SECONDS):
            kafka.wipe(state)
            timescale.wipe(state)


def _parts(settings: Settings, bootstrap: str, dsn: str) -> Parts:
    return Parts(
        bootstrap=bootstrap,
        broker_kind="external" if settings.kafka.bootstrap else "embedded",
        dsn=dsn,
        database_kind="external" if settings.database.dsn else "embedded",
        state_dir=settings.state_dir.resolve(),
    )
