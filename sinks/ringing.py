"""Rules at work: rounds of the evaluator, and what time alone brings to alarms."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sinks import alarms
from sinks.evaluator import Evaluator
from sinks.round import Standing
from sinks.session import Connection, Session
from streams.event import Touched
from streams.rules.firing import Change
from streams.settings import Settings

LOOK_EVERY_SECONDS = 5.0


class Ringing(Session):
    """Of one space."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        super().__init__(dsn, settings.space, "ioc-alarms")
        self._settings = settings
        self._evaluator = Evaluator(dsn, settings.space, self._ring)
        self._looked_at = 0.0

    def round(self) -> Touched | None:
        """What to tell when firings changed, else None. Raises Retry while the database is away."""
        touched = self._evaluator.evaluate()
        if time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
            self._looked_at = time.monotonic()
            with self._reaching(), self._connected().transaction():
                alarms.round(self._connected(), self._space, self._settings, datetime.now(UTC))
        return touched

    def close(self) -> None:
        """Give the connections back."""
        self._evaluator.close()
        super().close()

    def _ring(self, connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
        alarms.ring(connection, self._space, self._settings, standing.rule, standing.version, changed, now)
