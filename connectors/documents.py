"""Documents out of files: plain, gzip, zip, a record a line; bounded in count, size and ratio, nothing is ever unpacked to disk."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from connectors.connector import Refused

DOCUMENT_LIMIT_BYTES = 64 << 20
LINE_LIMIT_BYTES = 4 << 20
ENTRIES_LIMIT = 100_000
UNPACKED_LIMIT_BYTES = 4 << 30
RATIO_LIMIT = 200  # XML packs 10 to 30 times; bombs start near 1000
RATIO_FROM_BYTES = 4 << 20  # a ratio says nothing of what is small anyway
KEPT_BYTES = 256 << 10  # of a document that is refused

DOCUMENTS = (".xml", ".json", ".b64")
LINES = (".ndjson", ".jsonl")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


def is_document(name: str) -> bool:
    """Whether a file of that name is read when its folder is: .xml, .json, .b64 (base64), .ndjson, .jsonl, each also .gz, and .zip."""
    lower = name.lower()
    return not name.startswith(".") and (lower.endswith(".zip") or lower.removesuffix(".gz").endswith(DOCUMENTS + LINES))


def pieces(file: Path) -> Iterator[bytes | Refused]:
    """The documents in a file, and what was refused of it. What it is follows from its first bytes, not from its name. Raises OSError."""
    with file.open("rb") as opened:
        head = opened.read(KEPT_BYTES)
        opened.seek(0)
        size = file.stat().st_size
        if head[:2] == b"PK":
            yield from _undamaged(_unzipped(opened, size), head)
        elif head[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=opened) as inflated:
                bounded = io.BufferedReader(_Bounded(inflated, max(size * RATIO_LIMIT, RATIO_FROM_BYTES)))
                yield from _undamaged(_documents(bounded, file.name.lower().removesuffix(".gz")), head)
        else:
            yield from _documents(opened, file.name.lower())


class _Bounded(io.RawIOBase):
    """A stream that ends in an error after `limit` bytes."""

    def __init__(self, inner: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._inner = inner
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed wants its private buffer type
        chunk = self._inner.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise zlib.error("unpacks to too much")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _undamaged(found: Iterable[bytes | Refused], kept: bytes) -> Iterator[bytes | Refused]:
    try:
        yield from found
    except DAMAGE as error:
        yield Refused(kept, "archive_damaged", f"the archive does not unpack, or to far too much ({type(error).__name__})")


def _documents(opened: IO[bytes], name: str) -> Iterator[bytes | Refused]:
    if name.endswith(LINES):
        yield from _lines(opened)
        return
    raw = opened.read(DOCUMENT_LIMIT_BYTES + 1)
    if len(raw) > DOCUMENT_LIMIT_BYTES:
        yield Refused(raw[:KEPT_BYTES], "too_large", f"the document is larger than {DOCUMENT_LIMIT_BYTES} bytes")
    else:
        yield raw


def _lines(opened: IO[bytes]) -> Iterator[bytes | Refused]:
    while line := opened.readline(LINE_LIMIT_BYTES + 1):
        if len(line) > LINE_LIMIT_BYTES:
            yield Refused(line[:KEPT_BYTES], "too_large", f"the line is longer than {LINE_LIMIT_BYTES} bytes")
            while line and not line.endswith(b"\n"):
                line = opened.readline(LINE_LIMIT_BYTES)
        elif line.strip():
            yield line.strip()


def _unzipped(opened: IO[bytes], size: int) -> Iterator[bytes | Refused]:
    with zipfile.ZipFile(opened) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and is_document(Path(entry.filename).name)]
        total = sum(entry.file_size for entry in entries)
        if len(entries) > ENTRIES_LIMIT or total > UNPACKED_LIMIT_BYTES or (total > RATIO_FROM_BYTES and total > size * RATIO_LIMIT):
            opened.seek(0)
            yield Refused(
                opened.read(KEPT_BYTES),
                "archive_too_large",
                "the archive holds too many or too large documents, or unpacks suspiciously well",
            )
            return
        for entry in entries:
            yield from _undamaged(_entry(archive, entry), entry.filename.encode())


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes | Refused]:
    if entry.flag_bits & 1:
        yield Refused(entry.filename.encode(), "archive_encrypted", "an archive's entry is encrypted")
        return
    if entry.compress_type not in METHODS:
        yield Refused(entry.filename.encode(), "archive_method", "an archive's entry is packed by another method than deflate")
        return
    with archive.open(entry) as inner:
        opened = io.BufferedReader(_Bounded(inner, entry.file_size))
        packed = opened.peek(2)[:2] in (b"PK", b"\x1f\x8b")  # one record, unwrapped at the door (formats.layers)
        yield from _documents(opened, "" if packed else entry.filename.lower())
