"""One connection that comes back by itself: what both transactions, the ingest's and the figures', stand on."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import IdleInTransactionSessionTimeout

from sinks.idle import give_way
from sinks.migrations import schema
from streams.errors import Retry
from streams.topics import LIVE

Connection = psycopg.Connection[Any]
STILL_SECONDS = 10


class Session:
    """A connection of the ingest role to the schema of a space. name: what the server calls it. still_seconds: after standing still for so long inside a
    transaction it is cut off."""

    def __init__(self, dsn: str, space: str, name: str, still_seconds: int = STILL_SECONDS) -> None:
        self._dsn = dsn
        self._space = space
        # A worker that stands still inside a transaction must not hold up the one that takes over.
        self._options = (
            f"-c search_path={schema(space)},public -c application_name={name} -c idle_in_transaction_session_timeout={still_seconds}s"
        )
        if space != LIVE:  # what a replay loses with the server's last half second comes again, for its offsets are lost with it
            self._options += " -c synchronous_commit=off"
        self._connection: Connection | None = None
        self._temporary: set[str] = set()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._temporary.clear()
            self._connection = psycopg.connect(self._dsn, connect_timeout=5, autocommit=True, options=self._options)
            give_way(self._connection)
        return self._connection

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Retry, and a new connection next time, when the database is away."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, IdleInTransactionSessionTimeout) as error:
            self.close()
            raise Retry(
                f"the database is away: {str(error).splitlines()[0] if str(error) else type(error).__name__}", "start it again"
            ) from error
        except BaseException:
            self._temporary.clear()  # what was made in a transaction that was rolled back is not there
            raise


def copied(connection: Connection, table: str, data: bytes, names: Sequence[str] = ()) -> None:
    """COPY a block of binary rows into a table. names: of their columns, where a table that has grown may hold them in another order."""
    columns = sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, names))) if names else sql.SQL("")
    statement = sql.SQL("copy {}{} from stdin (format binary)").format(sql.Identifier(table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as into:
        into.write(data)


def owe(connection: Connection, departments: Sequence[str], minutes: Sequence[datetime]) -> None:
    """Note, pair by pair, minutes whose figures or signs of life change in this transaction, for the rules to look at; while there are rules."""
    connection.execute(
        "insert into owed_minute (department, minute) select distinct department, date_trunc('minute', minute) "
        "from unnest(%s::text[], %s::timestamptz[]) n(department, minute) where exists (select from rule where enabled)",
        [[*departments], [*minutes]],
    )
