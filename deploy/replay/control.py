"""The row of a replay in `ioc.replay`: what people ask of it, and what its player says of itself."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from sinks.history import Period
from sinks.spaces import FRESH_SECONDS
from streams.errors import Misconfigured, Retry
from streams.event import micros, moment


@dataclass(frozen=True)
class Row:
    """One replay, as `ioc.replay` holds it. alive: its player gave a sign of life lately, or has only been started."""

    space: str
    since: datetime
    until: datetime
    follows: Any
    departments: Sequence[str]
    units: Sequence[str] | None
    scenario: str | None
    wanted: str
    speed: float | None
    seek_to: datetime | None
    state: str
    clock: datetime
    clock_rate: float
    followed: datetime
    total: int
    produced: int
    rate: float
    mark: Mapping[str, Any]
    begun_at: datetime
    begun_by: str
    ended_at: datetime | None
    wrong: str | None
    alive: bool

    @property
    def period(self) -> Period:
        """What is played."""
        units = tuple(self.units) if self.units is not None else None
        return Period(micros(self.since), micros(self.until), self.follows, tuple(self.departments), units)

    @property
    def most_rate(self) -> float | None:
        """How many records a second it may play, since it gives way to a live at work; None: as many as can."""
        return self.mark.get("most_rate") if self.alive else None

    @property
    def share(self) -> float:
        """How much of the period is in the figures, 0 to 1."""
        return min(1.0, max(0.0, (self.followed - self.since) / (self.until - self.since)))

    def as_json(self) -> dict[str, Any]:
        """For scripts: times as ISO 8601, speed null for as fast as it goes."""
        names = ("space", "since", "until", "follows", "departments", "units", "wanted", "speed", "state", "clock", "followed", "total", "produced",
                 "rate", "begun_at", "begun_by", "ended_at", "wrong", "alive")  # fmt: skip
        found = {name: getattr(self, name) for name in names}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()} | {
            "share": round(self.share, 4),
            "most_rate": self.most_rate,
            "scenario": self.scenario is not None,
        }


_ROW = sql.SQL(
    "select space, since, until, follows, departments, units, scenario, wanted, speed, seek_to, state, coalesce(ioc.replayed(space), clock) as clock, clock_rate, "
    "followed, total, produced, rate, mark, begun_at, begun_by, ended_at, wrong, coalesce(beat_at, begun_at) > clock_timestamp() - make_interval(secs => {}) as alive "
    "from ioc.replay"
).format(sql.Literal(FRESH_SECONDS))


class Control:
    """Reads and writes replays over a connection of its own. dsn: of a role that may."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self) -> list[Row]:
        """All replays, the newest first. Raises Retry while the database is away."""
        return self._rows(" order by begun_at desc", {})

    def row(self, space: str) -> Row:
        """The replay of a space. Raises Misconfigured where there is none, Retry while the database is away."""
        found = self._rows(" where space = %(space)s", {"space": space})
        if found:
            return found[0]
        raise Misconfigured(f"there is no replay in the space {space}", "`ioc replay list` says what there is")

    def begin(self, space: str, period: Period, scenario: str | None, speed: float | None, who: str, total: int) -> None:
        """Note a replay that is to be played from the beginning."""
        values = {
            "space": space, "since": moment(period.since_us), "until": moment(period.until_us), "follows": period.follows,
            "departments": [*period.departments], "units": None if period.units is None else [*period.units], "scenario": scenario,
            "speed": speed, "who": who, "total": total,
        }  # fmt: skip
        self._do("delete from ioc.replay where space = %(space)s", values)
        self._do(
            "insert into ioc.replay (space, since, until, follows, departments, units, scenario, speed, clock, followed, total, begun_by) values "
            "(%(space)s, %(since)s, %(until)s, %(follows)s, %(departments)s, %(units)s, %(scenario)s, %(speed)s, %(since)s, %(since)s, %(total)s, %(who)s)",
            values,
        )

    def ask(self, space: str, **asked: Any) -> None:
        """Change `wanted`, `speed` or `seek_to` of a replay."""
        self.row(space)
        self.say(space, **asked)

    def say(self, space: str, **said: Any) -> None:
        """Change columns of a replay. Raises Retry while the database is away."""
        changes = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in said)
        held = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in said.items()}
        self._do(sql.SQL("update ioc.replay set {} where space = %(space)s").format(changes), held | {"space": space})

    def beat(self, space: str, clock_us: int, clock_rate: float, sought: datetime | None = None, **said: Any) -> None:
        """A sign of life, with the clock as it stands now. sought: the seek that is done; one asked for meanwhile stays asked."""
        changes = sql.SQL("").join(sql.SQL(", {} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in said)
        held = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in said.items()}
        self._do(
            sql.SQL(
                "update ioc.replay set clock = %(clock)s, clock_set_at = clock_timestamp(), clock_rate = %(clock_rate)s, beat_at = clock_timestamp(), "
                "seek_to = nullif(seek_to, %(sought)s){} "
                "where space = %(space)s"
            ).format(changes),
            held | {"clock": moment(clock_us), "clock_rate": clock_rate, "sought": sought, "space": space},
        )

    def lock(self, space: str) -> bool:
        """Whether this connection is the one player of that space, until it closes."""
        found = self._connected().execute("select ioc.try_play(%s)", [space]).fetchone()
        return bool(found and found[0])

    def _rows(self, end: str, values: Mapping[str, Any]) -> list[Row]:
        with reaching(), self._connected().cursor(row_factory=class_row(Row)) as cursor:
            return cursor.execute(_ROW + sql.SQL(end), values).fetchall()

    def _do(self, statement: Any, values: Mapping[str, Any]) -> None:
        with reaching():
            self._connected().execute(statement, values)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            with reaching():
                self._connection = psycopg.connect(self._dsn, connect_timeout=5, autocommit=True, application_name="ioc-replay")
        return self._connection


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Retry when the database is away."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Retry(f"the database is away: {said}", "run `ioc up`, or `ioc doctor` to see what is missing") from error
