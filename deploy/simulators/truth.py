"""The truth file: every fact a department issued, in its own words, on the disk before anyone is offered it."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson


class Truth:
    """Append-only JSON lines. `add` collects, `keep` writes and fsyncs: only then may what was added be offered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._file = -1

    def open(self) -> None:
        """Create the file or append to it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, line: Mapping[str, object]) -> None:
        """One line; it is on the disk after the next `keep`."""
        self._lines.append(orjson.dumps(line))

    def keep(self) -> None:
        """Write what was added and wait until the disk has it."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        left = memoryview(b"\n".join(lines) + b"\n")
        while left:
            left = left[os.write(self._file, left) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Keep what was added and let the file go."""
        if self._file >= 0:
            self.keep()
            os.close(self._file)
            self._file = -1
