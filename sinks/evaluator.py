"""The live evaluator: owed minutes in, firings and what rings out, in one transaction a round."""

import zlib
from collections.abc import Callable
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import TypeVar

import structlog

from sinks import frames
from sinks.kept import Kept
from sinks.round import MINUTE_US, Broken, Last, Owed, Ring, Round, Standing
from sinks.session import Connection, Session
from streams.event import Touched, moment
from streams.rules import reading
from streams.rules.frame import Frame
from streams.rules.measure import DAY
from streams.rules.rule import Rule

log = structlog.get_logger("rules")

T = TypeVar("T")

STILL_SECONDS = 60
"""A round of many rules computes for seconds between two statements."""
NEAR, LATE_EVERY_SECONDS, OLDEST = 120, 15, 35 * DAY
"""Minutes that changed within the last NEAR are decided again in the next round, older ones every LATE_EVERY_SECONDS, those older than OLDEST
not at all (`ioc rules verify` tells); those ahead of the clock when it gets there, for it may have been set back."""


class Evaluator(Session):
    """Decides the rules of a space, over a connection of the ingest role. However many there are, one at a time is at work.

    clock: the second up to which it is known what was heard; None is the space's own clock.
    """

    def __init__(self, dsn: str, space: str, ring: Ring, clock: Callable[[], float] | None = None) -> None:
        super().__init__(dsn, space, "ioc-rules", STILL_SECONDS)
        self._ring = ring
        self._clock = clock
        self._round = -1
        self._kept = Kept(self._load, slack=NEAR)
        self._rules: tuple[Standing, ...] = ()
        self._rules_as_of = self._read_as_of = -1
        self._decided = 0
        self._late_at = 0.0
        self._states: dict[tuple[str, str], tuple[str, float | None]] = {}
        self._last: dict[str, Last] = {}
        self._broken: set[str] = set()

    def evaluate(self) -> Touched | None:
        """One round; what to tell when firings changed, None when they did not or another worker is at it. Raises Retry while the database is away."""
        with self._reaching():
            connection = self._connected()
            self._read_ahead(connection)
            try:
                with connection.transaction():
                    found = connection.execute("select try_lock(%s)", [lock(self._space)]).fetchone()
                    changed = bool(found and found[0]) and self._evaluate(connection)
            except Broken as broken:
                self._round = -1
                self._broken.add(str(broken))
                log.exception("a rule cannot be decided and is left out until rules change or the worker starts again", rule=str(broken))
                return None
            except BaseException:
                self._round = -1  # what is kept was not committed
                raise
        return Touched(space=self._space, department="", stage="alarms") if changed else None

    def _read_ahead(self, connection: Connection) -> None:
        """Rules that changed are understood before the transaction begins: a thousand of them take seconds."""
        found = connection.execute("select coalesce(max(id), 0) from rule_change").fetchone()
        if found and found[0] != self._read_as_of:
            standing(connection)
            self._read_as_of = found[0]

    def settled(self, look: Callable[[Connection], T]) -> T:
        """What `look` finds in one snapshot once all that is owed is decided; then everything is as it was: nothing stays written, nobody is told."""
        with self._reaching():
            connection = self._connected()
            connection.execute("select keep_lock(%s)", [lock(self._space)])
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute("set transaction isolation level repeatable read")
                    self._round, self._late_at = -1, 0.0
                    self._evaluate(connection)
                    return look(connection)
            finally:
                self._round = -1
                connection.execute("select free_lock(%s)", [lock(self._space)])

    def _evaluate(self, connection: Connection) -> bool:
        self._take_over(connection)
        owed = self._owed(connection)
        quiet = not owed.near and not owed.late and owed.now == self._decided
        if not self._rules or quiet:
            return False
        self._kept.begin(owed.late)
        changed = Round(connection, self._kept, self._load, self._ring, owed, self._states, self._last).run(
            [each for each in self._rules if each.rule.rule not in self._broken]
        )
        self._decided = owed.now
        return changed

    def _take_over(self, connection: Connection) -> None:
        """Another worker may have been at it since: what is kept then does not know of all changes. New rules are read."""
        found = connection.execute(
            "insert into beat (name, at, round) values ('evaluator', clock_timestamp(), 1) on conflict (name) do update "
            "set at = clock_timestamp(), round = beat.round + 1 returning round, coalesce((select max(id) from rule_change), 0)"
        ).fetchone()
        assert found is not None  # noqa: S101  # an upsert returns its row
        if found[0] != self._round + 1:
            self._kept.clear()
            self._states.clear()
            self._last.clear()
            self._states.update(
                {
                    (rule, unit): (state, value)
                    for rule, unit, state, value in connection.execute("select rule, unit, state, value from standing")
                }
            )
            self._decided = 0
        self._round = found[0]
        if found[1] != self._rules_as_of:
            self._rules, self._rules_as_of = standing(connection), found[1]
            self._broken.clear()
            self._decided = 0

    def _owed(self, connection: Connection) -> Owed:
        row = connection.execute("select extract(epoch from clock())::float8").fetchone()
        assert row is not None  # noqa: S101  # a select without from has one row
        clock = self._clock() if self._clock else float(row[0])
        now = int(clock // 60)
        limit = now - NEAR
        take = "delete from owed_minute where minute between %s and %s returning department, extract(epoch from minute)::bigint / 60"
        near: dict[str, int] = {}
        for department, minute in connection.execute(take, [moment(limit * MINUTE_US), moment(now * MINUTE_US)]):
            near[department] = min(near.get(department, minute), minute)
        late: dict[str, list[int]] = {}
        if not 0 <= clock - self._late_at < LATE_EVERY_SECONDS:
            self._late_at = clock
            before = ["-infinity", moment((limit - 1) * MINUTE_US)]
            found = {(name, at) for name, at in connection.execute(take, before) if at >= limit - OLDEST}
            for department, minute in sorted(found):
                late.setdefault(department, []).append(minute)
        return Owed(clock, near, late)

    def _load(self, rule: Rule, since: int, until: int) -> Frame:
        return frames.load(self._connected(), self._space, rule, since, until)


def lock(space: str) -> int:
    """The key of the advisory lock that is held while a space's rules are decided, or changed."""
    return 7243 * 2**32 + zlib.crc32(space.encode())


_read = lru_cache(4096)(reading.read)


def standing(connection: Connection) -> tuple[Standing, ...]:
    """The rules that are switched on, each after those that inhibit it; one that this code cannot read any more is said and left out."""
    found = {}
    for name, version, body, since in connection.execute(
        "select name, version, body, extract(epoch from since)::bigint / 60 from rule where enabled order by name"
    ):
        rule = _read(body)
        if isinstance(rule, Rule):
            found[name] = Standing(rule, version, since)
        else:
            log.error("a rule cannot be read and is not decided", rule=name, wrong=str(rule[0]))
    order = TopologicalSorter({name: [i for i in each.rule.inhibited_by if i in found] for name, each in found.items()})
    return tuple(found[name] for name in order.static_order())
