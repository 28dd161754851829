"""The schedule: chains of facts, begun along the day's curve and then at a set rate, in the order in which they are offered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")
Chain = Sequence[tuple[int, T]]
MOST_AT_ONCE = 2_000


@dataclass(frozen=True)
class Span:
    """start_us: when the live part begins. history: when the chains before it began, ascending. rate: facts a second from then on."""

    start_us: int
    history: Sequence[int]
    rate: float


class Schedule(Generic[T]):
    """`make(begin_us)` gives one chain: (offer_us, fact) pairs. What comes out depends on `make` and the span alone, not on the clock.

    The live rate holds for facts, not chains: a chain of n facts moves the beginning of the next by n / rate seconds.
    """

    def __init__(self, make: Callable[[int], Chain[T]], span: Span) -> None:
        self._make = make
        self._history = iter(span.history)
        self._rate = span.rate
        self._live_us = float(span.start_us)
        self._is_live = False
        self._next: int | None = self._begin()
        self._waiting: list[tuple[int, int, T]] = []
        self._made = 0
        self._stopped = False

    def advance(self, until_us: int, most: int = MOST_AT_ONCE) -> list[tuple[int, T]]:
        """The facts that fall due up to `until_us`, at most `most` of them: fewer than that means that all are out."""
        due: list[tuple[int, T]] = []
        while len(due) < most and not self._stopped:
            if self._next is not None and self._next <= until_us and (not self._waiting or self._next <= self._waiting[0][0]):
                self._start(self._next)
            elif self._waiting and self._waiting[0][0] <= until_us:
                offer_us, _, fact = heappop(self._waiting)
                due.append((offer_us, fact))
            else:
                break
        return due

    def stop(self) -> None:
        """Issue nothing more: what was still ahead never happens."""
        self._stopped = True
        self._waiting.clear()

    def _start(self, begin_us: int) -> None:
        chain = self._make(begin_us)
        for offer_us, fact in chain:
            heappush(self._waiting, (offer_us, self._made, fact))
            self._made += 1
        if self._is_live:
            self._live_us += len(chain) * 1e6 / self._rate
        self._next = self._begin()

    def _begin(self) -> int | None:
        past = next(self._history, None)
        self._is_live = past is None
        if past is not None:
            return past
        return int(self._live_us) if self._rate > 0 else None
