"""A replay's own time: how it goes on, stands and jumps. Pure: the machine's time comes in as an argument (seconds, monotonic)."""

from dataclasses import dataclass


@dataclass
class Pace:
    """The clock of a replay. speed: its seconds per second; None: as fast as it goes, then the clock is where playing is.

    at_us: the replay's time at the machine's second `since`, microseconds since 1970. paused: somebody said so. target_us: up to there (a seek forward)
    it is caught up without pacing. moving: that seek was asked for after the pause, and goes on although it is paused.
    """

    at_us: int
    speed: float | None
    since: float
    paused: bool = False
    target_us: int | None = None
    moving: bool = False

    @property
    def standing(self) -> bool:
        """Whether nothing is played."""
        return self.paused and not (self.moving and self.target_us is not None)

    @property
    def hurries(self) -> bool:
        """Whether records are played as fast as it goes."""
        return not self.standing and (self.speed is None or self.target_us is not None)

    @property
    def rate(self) -> float:
        """How fast the clock runs by itself: 0 where it stands, or follows what is played."""
        return 0.0 if self.paused or self.hurries or self.speed is None else self.speed

    def clock_us(self, now: float) -> int:
        """The replay's time."""
        return self.at_us + round((now - self.since) * self.rate * 1e6)

    def wait_seconds(self, at_us: int, now: float) -> float:
        """How long until what lies at `at_us` is due; not more than 0: it is. Only while the clock runs."""
        return (at_us - self.clock_us(now)) / 1e6 / self.rate

    def played(self, at_us: int, now: float) -> None:
        """While it hurries the clock is where playing is; a seek's target reached, it runs again."""
        if self.hurries:
            self._set(max(self.at_us, at_us), now)
            if self.target_us is not None and at_us >= self.target_us:
                self.target_us = None

    def steer(self, paused: bool, speed: float | None, now: float) -> None:
        """Pause or go on, at that speed."""
        self._set(self.clock_us(now), now)
        if paused and not self.paused:
            self.moving = False
        self.paused, self.speed = paused, speed

    def seek(self, target_us: int, from_us: int, now: float) -> None:
        """Go on from `from_us`, without pacing up to `target_us`; there a paused one stands."""
        self._set(from_us, now)
        self.moving = True
        self.target_us = target_us if target_us > from_us else None

    def _set(self, at_us: int, now: float) -> None:
        self.at_us, self.since = at_us, now
