"""How long to wait after a failure, and saying once, not every time, that a source is away."""

import time

import structlog

from streams import metrics
from streams.errors import Retry

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 30.0

log = structlog.get_logger()


def backoff(attempt: int, luck: float, after_seconds: float | None = None) -> float:
    """Seconds to wait before attempt `attempt` + 1, with `luck` in 0..1 as jitter: it doubles from FIRST_SECONDS to LONGEST_SECONDS.

    Never shorter than the source itself asked for (Retry-After); jitter spreads those who were sent away together.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 16))
    return (after_seconds or 0.0) + longest * (0.5 + luck / 2)


class Trouble:
    """Whether a source can be read. One log line when it goes away, one when it is back."""

    def __init__(self, source: str) -> None:
        self.attempts = 0
        self._source = source
        self._since = 0.0
        metrics.SOURCE_AWAY.labels(source).set(0)

    def begins(self, retry: Retry) -> None:
        """It could not be read, once more."""
        self.attempts += 1
        if self.attempts == 1:
            self._since = time.monotonic()
            metrics.SOURCE_AWAY.labels(self._source).set(1)
            log.warning(f"source {self._source} waits: {retry.wrong}; trying on", mend=retry.mend or None)

    def over(self) -> None:
        """It was read."""
        if self.attempts:
            metrics.SOURCE_AWAY.labels(self._source).set(0)
            log.info(f"source {self._source} goes on", after_seconds=round(time.monotonic() - self._since, 1), attempts=self.attempts)
            self.attempts = 0
