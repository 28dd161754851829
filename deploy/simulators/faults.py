"""Faults by rate: how often a fact is repeated, late, corrupt or contradicted, and how often an answer goes wrong on the wire."""

from dataclasses import dataclass
from random import Random

MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Faults:
    """Shares of 1, at `--faults 1`. `scaled` multiplies them all; 0 turns every fault off."""

    again: float = 0.05
    late: float = 0.10
    shuffled: float = 0.03
    corrupt: float = 0.01
    conflict: float = 0.001
    too_many: float = 0.01
    broken: float = 0.01
    slow: float = 0.01
    cut: float = 0.01
    shifted: float = 0.05

    def scaled(self, by: float) -> "Faults":
        """The same faults, `by` times as often, never more often than every second time."""
        return Faults(**{name: min(0.5, share * by) for name, share in vars(self).items()})


@dataclass(frozen=True)
class Wire:
    """What goes wrong with one answer: nothing (`""`), `too_many`, `broken`, `slow` or `cut`; and how far its page is shifted back."""

    what: str
    shift: int


def lag_us(random: Random) -> int:
    """How late a late fact is: minutes to three days, mostly under an hour."""
    return int(MINUTE_US * min(3 * 24 * 60, 3 + random.lognormvariate(3.0, 1.8)))


class WirePlan:
    """What goes wrong with the first, second, third.. answer: the same for the same seed."""

    def __init__(self, faults: Faults, seed: str) -> None:
        self._faults = faults
        self._random = Random(seed)

    def next(self) -> Wire:
        """The fate of the next answer."""
        draw = self._random.random()
        shift = self._random.randint(1, 5) if self._random.random() < self._faults.shifted else 0
        for what in ("too_many", "broken", "slow", "cut"):
            share: float = getattr(self._faults, what)
            if draw < share:
                return Wire(what, shift)
            draw -= share
        return Wire("", shift)
