"""Records read ahead in a thread of their own, so that whoever plays them never waits for the database longer than it must."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from itertools import islice

from sinks.history import Record

CHUNK, AHEAD = 4000, 4

Source = Callable[[], Iterator[Record]]
"""Opens what is to be read; it is called, and read, in the thread."""


class Reading:
    """Chunks of records in their order. A failure of the source comes out of `next`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunks: queue.Queue[list[Record] | BaseException | None] = queue.Queue(AHEAD)
        self._ended = threading.Event()
        threading.Thread(target=self._read, name="replay-reading", daemon=True).start()

    async def next(self) -> list[Record] | None:
        """The next chunk; None at the end. Raises what the source raised."""
        try:
            found = self._chunks.get_nowait()
        except queue.Empty:
            found = await asyncio.to_thread(self._chunks.get)
        if isinstance(found, BaseException):
            raise found
        return found

    def end(self) -> None:
        """Nobody wants the rest."""
        self._ended.set()
        while not self._chunks.empty():
            self._chunks.get_nowait()

    def _read(self) -> None:
        try:
            records = self._source()
            while chunk := [*islice(records, CHUNK)]:
                if not self._put(chunk):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, found: list[Record] | BaseException | None) -> bool:
        while not self._ended.is_set():
            try:
                self._chunks.put(found, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False
