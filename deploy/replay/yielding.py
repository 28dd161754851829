"""While live is at work a replay leaves it half of the processors, and goes no faster than its commits bear.

Why, and what was tried: docs/decisions/0018-idle-replays.md.
"""

import contextlib
import os
import threading
from typing import Any, Self

import psycopg
from psycopg import sql

from deploy.replay.control import reaching
from sinks.idle import family, keep_to, servers
from sinks.migrations import schema
from sinks.roles import replay_dsn, writer
from streams.errors import Retry
from streams.settings import Settings
from streams.topics import LIVE

EVERY_SECONDS = 0.5
_LOOK = """
select coalesce((select committed_at > clock_timestamp() - interval '2 seconds' from {}.batch order by batch desc limit 1), false),
  array(select pid from pg_stat_activity where usename in (current_user, %s))"""


class Yielding:
    """While it is entered, this process, what it started and their sessions in the database (where that runs here) have all processors while live takes
    nothing in, else the half with the higher numbers, and there is a limit to what may be played. settings: of the space."""

    def __init__(self, settings: Settings, live: str = LIVE) -> None:
        self._dsn = replay_dsn(settings)
        self._writer = writer(settings.space)
        self._query = sql.SQL(_LOOK).format(sql.Identifier(schema(live)))
        self._connection: psycopg.Connection[Any] | None = None
        self._processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
        self._beside = half(self._processors) or self._processors
        self._most = settings.spaces.beside_live * max(1, len(self._beside))
        self._busy = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="replay-yielding", daemon=True)

    def __enter__(self) -> Self:
        """Looked at once already when it comes back, unless the database is away."""
        with contextlib.suppress(Retry):
            self()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """All processors again for this process."""
        self._ended.set()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
        keep_to([os.getpid()], self._processors)

    def __call__(self) -> None:
        """Look now. Raises Retry while the database is away."""
        self._busy = self._look()
        self._keep_to(self._beside if self._busy else self._processors)

    def most(self) -> float | None:
        """How many records a second may be played now; None: as many as can."""
        return self._most if self._busy else None

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            with contextlib.suppress(Retry):
                self()

    def _look(self) -> bool:
        with reaching():
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, connect_timeout=5, autocommit=True, application_name="ioc-replay")
            found = self._connection.execute(self._query, [self._writer]).fetchone()
        assert found is not None  # noqa: S101  # a select without from has one row
        busy, self._sessions = found
        return bool(busy)

    def _keep_to(self, processors: set[int]) -> None:
        assert self._connection is not None  # noqa: S101  # _look made it
        keep_to([*family(os.getpid()), *servers(self._connection, self._sessions)], processors)


def half(processors: set[int]) -> set[int]:
    """Those with the higher numbers, the smaller half."""
    return set(sorted(processors)[(len(processors) + 1) // 2 :])
