"""What events would change, found out by having them written and counted in a transaction that is rolled back."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from psycopg import sql

from sinks import alias
from sinks import figures as read
from sinks.lives import Figures, lock
from sinks.session import Connection
from sinks.timescale import Timescale
from streams.pseudonym import Keys, renamed
from streams.store import Partition, Records

_WAIT = "10s"
_WITHIN_SECONDS = 600
AT_ONCE = 1000

Cell = tuple[str | None, str]
"""(day, None for all days; figure)."""


class Rehearsal(Timescale):
    """Writes as the ingest does, and keeps nothing. The live figures of a department stand still meanwhile, and follow afterwards."""

    def __init__(self, dsn: str, space: str, keys: Keys) -> None:
        super().__init__(dsn, space, keys)
        self._options += f" -c lock_timeout={_WAIT} -c idle_in_transaction_session_timeout={_WITHIN_SECONDS}s"

    def changes(self, name: str, values: Iterable[bytes]) -> list[dict[str, Any]]:
        """The figures of a department that would be others with these encoded events: day (None: in total), figure, before, after.

        Raises Retry while the database is away or its figures are held by somebody else.
        """
        with self._reaching():
            connection = self._connected()
            with connection.transaction(force_rollback=True):
                connection.execute("select await_lock(%s)", [lock(self._space, name)])
                counting = _Counting(connection, self._space, name)
                counting.all()
                before, rest = counting.cells(), iter(values)
                while some := [*islice(rest, AT_ONCE)]:
                    self._take(connection, name, some)
                counting.all()
                after = counting.cells()
            self._temporary.clear()
        places = sorted(before.keys() | after.keys(), key=lambda cell: (cell[0] is not None, cell[0] or "", cell[1]))
        return [
            {"department": name, "day": day, "figure": figure, "before": before.get((day, figure)), "after": after.get((day, figure))}
            for day, figure in places
            if before.get((day, figure)) != after.get((day, figure))
        ]

    def _take(self, connection: Connection, name: str, values: Sequence[bytes]) -> None:
        known = alias.older(connection, values)
        called = [renamed(value, known) for value in values]
        batch = self._preparer.prepare([Records(Partition(name, "", 0), 0, 0, called, [0] * len(called))])
        for part in batch.parts.values():
            self._write_part(connection, part, batch.counts())
            connection.execute(sql.SQL("truncate {}").format(sql.Identifier(f"new_{name}")))  # else that happens at a commit


class _Counting(Figures):
    """The figures of a department over a connection that is in a transaction already."""

    def __init__(self, connection: Connection, space: str, name: str) -> None:
        super().__init__("", space, name)
        self._connection = connection

    def all(self) -> None:
        """Count all that is owed."""
        while self.catch_up():
            pass

    def cells(self) -> Mapping[Cell, Any]:
        """Every figure, in total and by day."""
        found: dict[Cell, Any] = {}
        groups: tuple[read.By, ...] = ("total", "day")
        for by in groups:
            for row in read.figures(self._connected(), self._space, self._department.name, by, None, None)["rows"]:
                found |= {(row.get("day"), figure): value for figure, value in row.items() if figure != "day"}
        return found
