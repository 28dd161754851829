"""A rule, its firings as the evaluator writes them, and the outbox that follows, in a space of a test."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import yaml

from sinks import alarms
from streams.rules.firing import Change, Span, Word
from streams.rules.reading import read
from streams.rules.rule import Rule
from streams.settings import Alerts, Channel, Route, Settings
from tests.services.space import Space

START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
"""10:00 in Việt Nam."""

RULE = {
    "rule": "payment-low", "title": "Viện phí thấp", "text": "{units}: {value}", "why": "a test of ringing", "department": "payment",
    "measure": {"sum": "paid_vnd"}, "window": "15m", "by": "unit", "when": {"below": 1000}, "owner": "Phòng trực", "runbook": "Gọi bệnh viện.",
}  # fmt: skip

MAIL = Channel(name="mail", kind="mail", host="127.0.0.1", sender="ioc@example.vn", recipients=("truc@example.vn",), security="none")
HOOK = Channel(name="hook", kind="webhook", url="http://127.0.0.1:9/none")
BOSS = Channel(name="boss", kind="webhook", url="http://127.0.0.1:9/boss")


def minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


@dataclass
class Ringing:
    """now: what the evaluator's clock says."""

    space: Space
    settings: Settings
    rule: Rule
    now: datetime = START
    open: dict[str, int] = field(default_factory=dict)

    def connect(self) -> psycopg.Connection[Any]:
        return self.space.connect()

    def after(self, minutes: float) -> "Ringing":
        self.now += timedelta(minutes=minutes)
        return self

    def changed(self, word: Word, *units: str) -> None:
        """One evaluation in which so became of the firings of units."""
        self.all([(word, unit) for unit in units])

    def all(self, words: Sequence[tuple[Word, str]]) -> None:
        with closing(self.connect()) as connection, connection.transaction():
            changes = [self._written(connection, word, unit) for word, unit in words]
            alarms.ring(connection, "live", self.settings, self.rule, 1, changes, self.now)

    def _written(self, connection: psycopg.Connection[Any], word: Word, unit: str) -> Change:
        at = self.now.replace(second=0)
        if word in ("fired", "missed"):
            until = at - timedelta(minutes=30) if word == "missed" else None
            since = at - timedelta(minutes=40) if word == "missed" else at
            row = connection.execute(
                "insert into firing (rule, version, unit, inhibited, since, until, peak) values (%s, 1, %s, false, %s, %s, 900) returning id",
                [self.rule.rule, unit, since, until],
            ).fetchone()
            self.open[unit] = cast(tuple[int], row)[0]
        number = self.open[unit]
        if word == "cleared":
            connection.execute("update firing set until = %s where id = %s", [at, number])
        elif word == "again":
            connection.execute("update firing set until = null where id = %s", [number])
        elif word == "withdrawn":
            connection.execute("update firing set withdrawn_at = %s where id = %s", [self.now, number])
        return Change(word, number, Span(unit, False, minute(at), minute(at) if word in ("cleared", "missed") else None, 900.0))

    def round(self) -> None:
        with closing(self.connect()) as connection, connection.transaction():
            alarms.round(connection, "live", self.settings, self.now)

    def words(self, channel: str = "hook") -> list[str]:
        return [row[0] for row in self.rows("select word from outbox where channel = %s order by id", channel)]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            return connection.execute(query, values).fetchall()


def ringing(space: Space, route: dict[str, Any] | None = None, channels: Iterable[Channel] = (HOOK, MAIL, BOSS), **more: Any) -> Ringing:
    """A rule that is applied in the space, and a route that it rings by."""
    body = yaml.safe_dump(RULE | more, allow_unicode=True)
    rule = read(body)
    assert isinstance(rule, Rule), rule
    with closing(space.connect()) as connection:
        connection.execute(
            "insert into rule (name, version, body, department, since, changed_by) values (%s, 1, %s, %s, now(), 'a test')",
            [rule.rule, body, rule.department],
        )
    routes = (Route.model_validate({"name": "default", "channels": ["hook"]} | (route or {})),)
    alerts = Alerts(wall_url="https://wall.example.vn")
    return Ringing(space, space.settings.model_copy(update={"channels": tuple(channels), "routes": routes, "alerts": alerts}), rule)
