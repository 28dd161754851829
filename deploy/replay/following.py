"""How far what was played is in the figures of the space."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from deploy.replay.control import reaching
from sinks.migrations import schema

Place = tuple[str, int]

_STANDS = """
select (select coalesce(jsonb_object_agg(topic || '/' || partition, next_offset), '{{}}') from (
  select topic, partition, max(next_offset) as next_offset from {0}.stream_offset group by 1, 2) o),
  coalesce((select max(batch) from {0}.batch), 0), (select min(batch) from {0}.owed),
  coalesce((select sum(events) from {0}.owed join {0}.batch using (batch)), 0)"""


class Following:
    """Marks go in as records are acknowledged; `look` says up to which of them everything is committed, and followed by figures. dsn: of a role that
    sees the space. behind: events that are committed and not in the figures yet, as last seen."""

    def __init__(self, dsn: str, space: str, since_us: int) -> None:
        self._dsn = dsn
        self._query = sql.SQL(_STANDS).format(sql.Identifier(schema(space)))
        self._connection: psycopg.Connection[Any] | None = None
        self._ends: dict[Place, int] = {}
        self.forget(since_us)

    def forget(self, at_us: int) -> None:
        """Begin again there."""
        self._played: deque[tuple[int, int, Mapping[Place, int]]] = deque()
        self._committed: deque[tuple[int, int]] = deque()
        self.committed_records = self._records = self.behind = 0
        self.followed_us = at_us

    def mark(self, at_us: int, ends: Mapping[Place, int], records: int) -> None:
        """Everything before `at_us` is in Kafka, up to `ends`; so many records more than at the last mark."""
        self._ends |= ends
        self._records += records
        self._played.append((at_us, self._records, dict(self._ends)))

    @property
    def ahead(self) -> int:
        """How many records are in Kafka and not committed yet, as last seen."""
        return self._records - self.committed_records

    def look(self) -> None:
        """Ask the database. Raises Retry while it is away."""
        with reaching():
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, connect_timeout=5, autocommit=True, application_name="ioc-replay")
            found = self._connection.execute(self._query).fetchone()
        assert found is not None  # noqa: S101  # a select without from has one row
        stands, last, owed, self.behind = found
        while self._played and all(stands.get(f"{name}/{number}", 0) >= end for (name, number), end in self._played[0][2].items()):
            at_us, self.committed_records, _ = self._played.popleft()
            self._committed.append((at_us, last))
        while self._committed and (owed is None or owed > self._committed[0][1]):
            self.followed_us = self._committed.popleft()[0]

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
