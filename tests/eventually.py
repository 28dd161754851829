"""Waiting in tests: look until it is so, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], within_seconds: float = 30.0, every_seconds: float = 0.05) -> T:
    """The first true answer of `condition`. Fails when there is none in time, with the last answer or the last assertion that failed."""
    deadline = time.monotonic() + within_seconds
    while True:
        failed: AssertionError | None = None
        answer: T | None = None
        try:
            answer = condition()
            if answer:
                return answer
        except AssertionError as error:
            failed = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within_seconds:g} s; last: {failed or answer!r}") from failed
        time.sleep(every_seconds)
