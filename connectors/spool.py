"""What a source sent, kept as it came: sealed chunks in a file per hour, which `ioc archive run` takes to the archive."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import msgspec
import zstandard

from streams.errors import Retry
from streams.pseudonym import Keys
from streams.sealing import PrivateKeys
from streams.topics import LIVE

FLUSH_BYTES = 4 << 20
HOUR_US = 3_600_000_000

Raw = tuple[int, bytes]
"""(known_at_us, the record as it came)."""


class Sealed(msgspec.Struct, frozen=True):
    """One chunk, a line of its file. sealed: the records (msgpack, compressed), encrypted; sha256: of `sealed`, so that a line cut short shows."""

    records: int
    first_us: int
    last_us: int
    sha256: str
    sealed: str


def folder(state_dir: Path, space: str, source: str) -> Path:
    """Where the chunks of a source lie until they are archived."""
    return (state_dir if space == LIVE else state_dir / "spaces" / space) / "raw" / source


def unsealed(chunk: Sealed, keys: PrivateKeys) -> list[Raw]:
    """The records of a chunk. Raises `streams.sealing.NotOpened` when it was changed or the key is not held here."""
    packed = zstandard.ZstdDecompressor().decompress(keys.open(chunk.sealed))
    return msgspec.msgpack.decode(packed, type=list[Raw])


@contextmanager
def locked(where: Path) -> Iterator[None]:
    """Nobody else writes into this folder, or takes a file away."""
    with (where / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Spool:
    """Keeps records of one source; nothing is safe before `flush`. Threads and processes may share a folder."""

    def __init__(self, where: Path, keys: Keys) -> None:
        self._where, self._keys = where, keys
        self._held: list[Raw] = []
        self._bytes = 0
        self._holding, self._writing = threading.Lock(), threading.Lock()

    def keep(self, record: bytes, known_at_us: int) -> None:
        """Take a record to be written with the next chunk. Raises Retry when much is held and cannot be written."""
        with self._holding:
            self._held.append((known_at_us, record))
            self._bytes += len(record)
            full = self._bytes > FLUSH_BYTES
        if full:
            self.flush()

    def forget(self) -> None:
        """What is not written yet will come again."""
        with self._holding:
            self._held, self._bytes = [], 0

    def flush(self) -> None:
        """When it returns, all that was kept is on the disk. Raises Retry when it cannot be written; then it is still held."""
        with self._writing:
            with self._holding:
                taken, self._held, self._bytes = self._held, [], 0
            try:
                for hour, records in groupby(taken, key=lambda raw: raw[0] // HOUR_US):
                    self._write(hour, [*records])
            except OSError as error:
                with self._holding:
                    self._held[:0] = taken
                wrong = f"what the source sent cannot be kept in {self._where} ({error.strerror})"
                raise Retry(wrong, "make room on the disk, or set archive.raw = false") from error

    def _write(self, hour: int, records: list[Raw]) -> None:
        packed = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(records))
        sealed = self._keys.seal(packed)
        chunk = Sealed(len(records), records[0][0], records[-1][0], sha256(sealed.encode()).hexdigest(), sealed)
        name = datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y-%m-%dT%H") + ".ndjson"
        self._where.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self._where), (self._where / name).open("ab") as file:
            # a process that died in the middle of a line leaves it without an end
            ended = file.tell() == 0 or _last(self._where / name) == b"\n"
            file.write((b"" if ended else b"\n") + msgspec.json.encode(chunk) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _last(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def chunks(content: bytes) -> Iterator[tuple[Sealed, bytes]]:
    """The chunks of a file that are whole, with their lines."""
    for line in content.split(b"\n"):
        try:
            chunk = msgspec.json.decode(line, type=Sealed)
        except msgspec.DecodeError:
            continue
        if sha256(chunk.sealed.encode()).hexdigest() == chunk.sha256:
            yield chunk, line
