"""Files of the archive: lines of JSON, compressed; the same lines give the same content, always."""

import io
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import IO

import zstandard

from sinks.archive import store as at
from sinks.archive.chain import Line
from sinks.archive.store import Store
from streams.errors import Misconfigured

ENDING = "ndjson.zst"
WINDOW_LOG = 18  # 256 KB: a replay has a file open for each hour whose late events it still waits for
_PACKED = zstandard.ZstdCompressionParameters.from_level(9, window_log=WINDOW_LOG)


def packed(lines: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The content (the lines, each with its end), and the file it becomes."""
    content = b"".join(line + b"\n" for line in lines)
    return content, zstandard.ZstdCompressor(compression_params=_PACKED).compress(content)


def unpacked(file: bytes) -> bytes:
    """The content of a file. Raises ValueError when it is none."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(file) as reader:
            return reader.read()
    except zstandard.ZstdError as error:
        raise ValueError("the file cannot be unpacked") from error


def fault(line: Line, file: bytes | None) -> str | None:
    """What is wrong with the file of a line; None when it is what was written."""
    if file is None:
        return "the file is missing"
    if sha256(file).hexdigest() != line.file:
        return "the file was changed"
    try:
        content = unpacked(file)
    except ValueError as error:
        return str(error)
    return None if sha256(content).hexdigest() == line.content else "the content is not what the chain says"


def lines_of(store: Store, name: str, line: Line) -> Iterator[bytes]:
    """The records of a file, one by one and in its order, however large it is. Raises Misconfigured when it is not what was written."""
    with _fetched(store, f"{name}/{line.path}", line) as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        for record in io.BufferedReader(reader, 64 * 1024):
            yield record.rstrip(b"\n")


def _fetched(store: Store, path: str, line: Line) -> IO[bytes]:
    """The file beside us: it may stay open for as long as a replay takes, longer than a store keeps a connection."""
    found, hashed = tempfile.TemporaryFile(), sha256()  # noqa: SIM115  # the reader closes it
    try:
        for piece in at.chunks(store, path):
            hashed.update(piece)
            found.write(piece)
    except FileNotFoundError as error:
        found.close()
        raise Misconfigured(f"the archive lacks {path}", "`ioc archive verify` names what is missing; restore it from its copy") from error
    if hashed.hexdigest() != line.file:
        found.close()
        raise Misconfigured(f"{path} is not what was archived", "`ioc archive verify` names what was changed; restore it from its copy")
    found.seek(0)
    return found
