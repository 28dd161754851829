"""The fuse of a source: too many rejects among its last records stop it, rather than bury everything in quarantine."""

from collections import deque
from dataclasses import dataclass, field

WINDOW_RECORDS = 500
REJECTS_ALLOWED = WINDOW_RECORDS * 20 // 100


@dataclass
class Fuse:
    """Counts the rejects among the last WINDOW_RECORDS records of one source. Blown, it stays so until it is replaced.

    allowed: how many rejects it bears; WINDOW_RECORDS bears any number, for files that somebody hands over and waits for.
    """

    blown: bool = False
    allowed: int = REJECTS_ALLOWED
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW_RECORDS), repr=False)
    _rejects: int = 0

    def saw(self, cause: str | None) -> None:
        """One more record: understood (None), or rejected for `cause`. What anyone may have sent must not be shown to it."""
        if len(self._last) == WINDOW_RECORDS:
            self._rejects -= self._last[0]
        self._last.append(cause is not None)
        self._rejects += cause is not None
        if self._rejects > self.allowed:
            self.blown = True
