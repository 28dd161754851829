"""A space of its own with everything a worker has, to put events in and read figures from."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql
from typer.testing import Result

from deploy.embedded.parts import Parts
from sinks import figures as read
from sinks import roles
from sinks.lives import Figures
from sinks.migrations import board, board_at, migrate, schema
from sinks.roles import ingest_dsn
from sinks.timescale import Timescale
from streams import pseudonym
from streams.department import NAMES, department
from streams.departments.payment import Payment
from streams.event import encode, moment
from streams.settings import Settings
from streams.store import Partition, Records

Ioc = Callable[..., Result]
"""`ioc`: what it answers to words."""
NOW = 1_795_000_000_000_000


class Space:
    """A space of its own with everything a worker has, or the one of that name."""

    def __init__(self, settings: Settings, parts: Parts, name: str | None = None) -> None:
        self.settings = settings.model_copy(update={"space": name or f"t{uuid.uuid4().hex[:12]}"})
        self.name = self.settings.space
        self.dsn = parts.dsn
        migrate(parts.dsn, self.settings)
        self.keys = pseudonym.load(settings.state_dir)
        self.store = self.worker()
        self.topics = {name: uuid.uuid4().hex for name in (*NAMES, "rejects", "asked")}
        self.next: dict[str, int] = dict.fromkeys(self.topics, 0)

    def worker(self) -> Timescale:
        return Timescale(ingest_dsn(self.settings), self.name, self.keys)

    def partition(self, name: str) -> Partition:
        return Partition(name, self.topics[name], 0)

    def records(self, name: str, values: list[bytes], after: int | None = None) -> Records:
        start = self.next[name] if after is None else after
        return Records(self.partition(name), start, start + len(values), values, [NOW // 1000] * len(values))

    def take(self, name: str, *events: Any) -> None:
        """Write events as the next records of their topic, in one batch."""
        self.store.offsets([self.partition(name)])
        records = self.records(name, [e if isinstance(e, bytes) else encode(e) for e in events])
        self.store.write(self.store.prepare([records]))
        self.next[name] = records.next

    def follow(self, name: str) -> None:
        figures = Figures(ingest_dsn(self.settings), self.name, name)
        while figures.catch_up():
            pass
        figures.close()

    def figures(self, name: str, by: Any = "total") -> list[dict[str, Any]]:
        self.follow(name)
        with self.connect() as connection:
            rows: list[dict[str, Any]] = read.figures(connection, self.name, name, by, None, None)["rows"]
        return rows

    def ledger(self) -> dict[str, Any]:
        with self.connect() as connection:
            return read.ledger(connection, self.name, None, None, "source")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]  # the tests' own text

    def register(self, members: Mapping[str, str], at_us: int) -> None:
        """Register sellers, as if that moment were now."""
        figures = Figures(ingest_dsn(self.settings), self.name, "einvoice")
        figures.reassign(members)
        figures.close()
        with self.connect() as connection:
            for table in ("seller", "seller_was"):
                query = sql.SQL("update {} set loaded_at = %(at)s where loaded_at > %(at)s").format(sql.Identifier(table))
                connection.execute(query, {"at": moment(at_us)})

    def derived(self, name: str) -> dict[str, list[tuple[Any, ...]]]:
        """All rows that follow from a department's events; those of nothing but zeros say nothing and are left out."""
        chosen = department(name)
        keys = {"1m": 4, "10m": 2, "1d": 3}
        keys |= {f"{chosen.histogram}_1m": 5} if chosen.histogram else {}
        keys |= {"member_1d": 3} if chosen.members else {}
        found = {}
        for table, width in (keys | dict.fromkeys(chosen.life.states, 0)).items():
            rows = self.rows(f"select * from {name}_{table}")
            found[f"{name}_{table}"] = sorted((row for row in rows if any(row[width:])), key=repr)
        return found

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(ingest_dsn(self.settings), autocommit=True, options=f"-c search_path={schema(self.name)},public")

    def drop(self) -> None:
        """Leave nothing of it in the database."""
        self.store.close()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for name in (schema(self.name), board(self.name), board_at(self.name)):
                connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
            connection.execute("delete from ioc.migration where space = %s", [self.name])
            roles.forget(connection, self.settings)


def stand(connection: psycopg.Connection[Any], bodies: Iterable[str], minutes_ago: int = 0) -> None:
    """Rules of payments as they are, whatever `ioc rules apply` would say of them; they decide since so many minutes ago."""
    with connection.transaction():
        for body in bodies:
            name = body.split("rule: ", 1)[1].split("\n", 1)[0]
            connection.execute(
                "insert into rule (name, version, body, department, since, changed_by) "
                "values (%s, 1, %s, 'payment', date_trunc('minute', now()) - make_interval(mins => %s), 'test')",
                [name, body, minutes_ago],
            )
            connection.execute("insert into rule_change (who, what, rule, version, body) values ('test', 'added', %s, 1, %s)", [name, body])


def paid(number: int, amount: int = 1000, **more: Any) -> Payment:
    held: dict[str, Any] = {
        "id": f"{number:032x}", "body": f"{amount:016x}", "source": "bank", "event_time_us": NOW, "known_at_us": NOW + 1_000_000, "kind": "hdbank",
        "unit": "38001", "transaction": f"{number + 2**64:032x}", "status": "paid", "paid_vnd": amount, "paid_at_us": NOW,
    }  # fmt: skip
    return Payment(**(held | more))
