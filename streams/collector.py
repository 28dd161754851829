"""Python's collector of cycles, told to rest: events are short-lived and hold none."""

import gc


def rest() -> None:
    """With its defaults the collector walks every living event again and again, for a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
