"""Python's collector of cycles, told to rest: events are short-lived and hold none."""

import contextlib
import gc
from collections.abc import Iterator


def rest() -> None:
    """With its defaults the collector walks every living event again and again, for a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@contextlib.contextmanager
def asleep() -> Iterator[None]:
    """While a batch is worked on: nothing of it can be collected before its end, and walking it takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
