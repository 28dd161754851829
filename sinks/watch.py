"""The watcher of readers: ends what they run for too long, since a viewer of Grafana can switch every timeout of its session off."""

import threading
from typing import Any, NamedTuple

import psycopg
import structlog

from sinks.roles import READER

log = structlog.get_logger()

LONGEST_SECONDS = 10.0
EVERY_SECONDS = 1.0

_LONG = """
select pid, application_name, extract(epoch from clock_timestamp() - since)::float8 as seconds, pg_terminate_backend(pid)
from (select pid, application_name, case when state = 'active' then query_start else state_change end as since from pg_stat_activity
  where usename = %s and (state = 'active' or state like 'idle in transaction%%')) as busy
where clock_timestamp() - since > make_interval(secs => %s)"""


class Ended(NamedTuple):
    """A session that was ended, and how long it had held on."""

    pid: int
    application: str
    seconds: float
    done: bool


def end_long(connection: psycopg.Connection[Any], longest_seconds: float = LONGEST_SECONDS) -> list[Ended]:
    """End the readers' sessions that run one statement, or hold one transaction, for longer; the session goes too, since its settings are spoilt."""
    return [Ended(*row) for row in connection.execute(_LONG, [READER, longest_seconds])]


class Watcher(threading.Thread):
    """Looks every second until `stop`; goes on by itself when the database was away. dsn: of a role that the reader was granted to."""

    def __init__(self, dsn: str, longest_seconds: float = LONGEST_SECONDS, every_seconds: float = EVERY_SECONDS) -> None:
        super().__init__(name="ioc-watch", daemon=True)
        self._dsn = dsn
        self._longest_seconds = longest_seconds
        self._every_seconds = every_seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread; returns when it is gone."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5, application_name="ioc-watch") as connection:
                    while not self._stopped.wait(self._every_seconds):
                        for ended in end_long(connection, self._longest_seconds):
                            log.warning(
                                "ended a reader's session that held on for too long",
                                application=ended.application,
                                seconds=round(ended.seconds, 1),
                            )
            except psycopg.Error:
                self._stopped.wait(self._every_seconds)
