"""Reading figures: a pool of connections as the reader role, rows as columns that JavaScript understands."""

import contextlib
import time
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from streams import metrics
from streams.errors import Misconfigured, Retry

Columns = dict[str, list[Any]]

_NUMBERS = {20, 21, 23, 700, 701, 1700}
_TIMES = {1082, 1114, 1184}


class Reader:
    """Runs SQL read-only, at most `at_once` statements at a time, each at most `seconds` long. past: the schema of `board_at`'s views."""

    def __init__(self, dsn: str, schema: str = "board", at_once: int = 4, seconds: float = 5.0, past: str = "board_at") -> None:
        # The past's own now() goes before pg_catalog's, so that the same SQL means the moment it is asked for.
        self._past = f"set local search_path = {past}, pg_catalog, public"
        options = f"-c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)} -c search_path={schema} -c timezone=UTC"
        self._pool = AsyncConnectionPool(
            make_conninfo(dsn, options=options, connect_timeout="3", application_name="ioc-wall"),
            min_size=1,
            max_size=at_once,
            timeout=3.0,
            open=False,
            kwargs={"autocommit": True},
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        """Start the pool; it connects by itself, now or when the database comes."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)

    async def read(self, sql: str, at: datetime | None = None, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """{"fields": [{"name", "type"}], "columns": [[..], ..]}; times in milliseconds since 1970, numbers as numbers, null where unknown.

        at: a whole minute; the answer is what this SQL would have said then, by what was known (None: now). values: what %(name)s stands for.

        Raises Retry when the database is away or too slow, Misconfigured when the SQL is wrong or not allowed.
        """
        begun = time.perf_counter()
        try:
            async with self._pool.connection() as connection, contextlib.nullcontext() if at is None else connection.transaction():
                if at is not None:
                    await connection.execute(f"{self._past}; set local ioc.at = '{at.isoformat()}'".encode())
                cursor = await connection.execute(sql.encode(), values)
                rows = await cursor.fetchall()
                described = cursor.description or []
        except PoolTimeout as error:
            metrics.WALL_QUERY_FAILURES.inc()
            raise Retry("the database cannot be reached", "start it, or wait until it is back") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            metrics.WALL_QUERY_FAILURES.inc()
            raise Retry("the database is away or the question takes too long", "wait, or look at the panel's query") from error
        except psycopg.Error as error:
            metrics.WALL_QUERY_FAILURES.inc()
            raise Misconfigured(f"a panel's query does not work: {error.diag.message_primary}", "run `ioc boards test`") from error
        metrics.WALL_QUERY_SECONDS.observe(time.perf_counter() - begun)
        fields = [{"name": column.name, "type": _type(column.type_code)} for column in described]
        return {"fields": fields, "columns": [[_plain(row[i]) for row in rows] for i in range(len(fields))]}


def _type(oid: int) -> str:
    return "number" if oid in _NUMBERS else "time" if oid in _TIMES else "string"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, date):
        return value.isoformat()
    return value
