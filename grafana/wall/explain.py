"""What a figure of the wall is made of, over HTTP: viewers name a board, a panel, a figure and a cell, never SQL."""

import asyncio
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from grafana.macros import period
from grafana.wall.clock import Clock
from grafana.wall.library import Board
from sinks import explain
from sinks.parts import Cell, Connection
from streams.department import Department, department
from streams.errors import Misconfigured, Retry
from streams.event import VIETNAM
from streams.figures import Figure

AT_ONCE = 2  # explaining must not take what the waves need
SECONDS = 5
PAGE = 100
ASKED = ("space", "board", "panel", "figure", "unit", "kind", "day", "hour", "minute", "from", "to", "after", "format")

T = TypeVar("T")


@dataclass(frozen=True)
class _Asked:
    owner: Department
    figure: Figure
    cell: Cell


class Explainer:
    """Answers `/api/explain` by the reader role: JSON pages, or all events as CSV (`format=csv`)."""

    def __init__(self, dsn: str, schema: str, boards: dict[str, Board], clock: Clock) -> None:
        self._schema, self._boards, self._clock = schema, boards, clock
        options = f"-c default_transaction_read_only=on -c statement_timeout={SECONDS * 1000}"
        held = make_conninfo(dsn, options=options, connect_timeout="3", application_name="ioc-explain")
        self._pool = ConnectionPool(held, min_size=0, max_size=AT_ONCE, timeout=SECONDS, open=False, kwargs={"autocommit": True})

    def open(self) -> None:
        """Start the pool; it connects when somebody asks."""
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close(timeout=2.0)

    async def answer(self, request: Request) -> Response:
        """Words, value, counts and a page of events (`after`: the `next` of the page before). Raises Misconfigured, Retry."""
        asked = self._asked(request)
        if request.query_params.get("format", "json") == "csv":
            headers = {
                "content-disposition": f'attachment; filename="{asked.owner.name}-{asked.figure.name}.csv"',
                "cache-control": "no-store",
            }
            return StreamingResponse(self._csv(asked), media_type="text/csv; charset=utf-8", headers=headers)
        after = explain.position(request.query_params["after"]) if "after" in request.query_params else None

        def read(connection: Connection) -> dict[str, Any]:
            found = {} if after else explain.about(connection, asked.owner, asked.figure, asked.cell)
            rows, following = explain.page(connection, asked.owner, asked.figure, asked.cell, after, PAGE)
            return found | {"rows": rows, "next": explain.written(following)}

        answer = await asyncio.to_thread(self._read, read)
        return Response(orjson.dumps(answer), media_type="application/json", headers={"cache-control": "no-store"})

    def _read(self, read: Callable[[Connection], T]) -> T:
        try:
            with self._pool.connection() as connection, explain.snapshot(connection, self._schema):
                return read(connection)
        except PoolTimeout as error:
            raise Retry("others are having figures explained, or the database is away", "try again", SECONDS) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Retry("the database is away or the question takes too long", "ask for an hour instead of a day") from error

    def _csv(self, asked: _Asked) -> Iterator[bytes]:
        with self._pool.connection() as connection, explain.snapshot(connection, self._schema):
            text = io.StringIO()
            writer = csv.DictWriter(text, explain.COLUMNS)
            writer.writeheader()
            for some in explain.pages(connection, asked.owner, asked.figure, asked.cell, 10 * PAGE):
                writer.writerows(some)
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()

    def _asked(self, request: Request) -> _Asked:
        given = request.query_params
        if unknown := sorted(set(given) - set(ASKED)):
            raise Misconfigured(f"unknown parameters: {', '.join(unknown)[:80]}", f"send {', '.join(ASKED)} only")
        board = self._boards.get(given.get("board", ""))
        panel = next((p for p in board.public["panels"] if str(p["id"]) == given.get("panel")), None) if board else None
        told = (panel or {}).get("options", {}).get("ioc", {})
        if board is None or "department" not in told:
            raise Misconfigured("there is no figure in such a panel", "ask /api/boards for the boards and their panels")
        owner, figure = explain.chosen(told["department"], _named(told, given.get("figure", "")))
        since, until = explain.span(given.get("day"), given.get("hour"), given.get("minute")) or _period(
            board, given, told, self._clock.now()
        )
        return _Asked(owner, figure, Cell(since, until, given.get("unit"), given.get("kind")))


def _named(told: dict[str, Any], asked: str) -> str:
    """The panel's own figure; one that shows several is asked by its name or by its label on the glass."""
    if "figure" in told:
        return str(told["figure"])
    labels = {figure.label: figure.name for figure in department(told["department"]).glass.figures}
    return labels.get(asked, asked)


def _period(board: Board, given: QueryParams, told: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """The whole minutes that the panel's figure covers: the range asked for, else the board's; or the month so far."""
    over = period(given.get("from", board.start), given.get("to", board.end), now)
    start, end = over.start.astimezone(VIETNAM), over.end.astimezone(VIETNAM) + timedelta(milliseconds=1)
    if told.get("form") == "month":
        start = (end - timedelta(minutes=1)).replace(day=1, hour=0, minute=0)
    return start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
