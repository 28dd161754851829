"""Files: a folder, a zip or a single file of a department's documents, each content read once."""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from connectors.connector import Page, Refused
from connectors.documents import is_document, pieces
from streams.errors import Misconfigured, Retry
from streams.settings import Source

PAGE_RECORDS = 200
PAGE_BYTES = 8 << 20
SETTLED_SECONDS = 2.0  # a file changed since may still be being written

log = structlog.get_logger()


@dataclass(frozen=True)
class Files:
    """The documents below `path`. memory: folder for the list of contents read before; the cursor names the list, so that a new Kafka
    (no cursor) reads everything again. settled_seconds: files changed since are left for the next reading."""

    name: str
    path: Path
    memory: Path
    settled_seconds: float = SETTLED_SECONDS
    _read: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        if not self.path.exists():
            raise Retry(f"{self.path} is not there", "give the path of a file, folder or zip")
        if cursor is None or not cursor.isalnum():
            cursor = secrets.token_hex(8)
        read = self._remembered(cursor)
        unreadable = 0
        for file in _files(self.path):
            try:
                if time.time() - file.stat().st_mtime < self.settled_seconds:
                    continue
                digest = _digest(file)
                if digest not in read:
                    yield from self._file_pages(file, digest, cursor)
            except FileNotFoundError:
                continue  # moved away while we were listing
            except OSError:
                unreadable += 1
        if unreadable:
            raise Retry(f"{unreadable} files in {self.path} cannot be read", "give this user the right to read them")

    def acknowledged(self, page: Page) -> None:
        if isinstance(page.token, str) and page.cursor:
            self._remembered(page.cursor).add(page.token)
            with self._list(page.cursor).open("a") as listed:
                listed.write(page.token + "\n")

    def close(self) -> None:
        self._read.clear()

    def _file_pages(self, file: Path, digest: str, cursor: str) -> Iterator[Page]:
        records: list[bytes] = []
        refused: list[Refused] = []
        size = 0
        for piece in pieces(file):
            if len(records) + len(refused) >= PAGE_RECORDS or size >= PAGE_BYTES:
                yield Page(records, cursor, True, refused)
                records, refused, size = [], [], 0
            if isinstance(piece, Refused):
                refused.append(piece)
                size += len(piece.raw)
            else:
                records.append(piece)
                size += len(piece)
        yield Page(records, cursor, True, refused, digest)  # the last page of a file: acknowledged, its content is read

    def _remembered(self, cursor: str) -> set[str]:
        if cursor not in self._read:
            listed = self._list(cursor)
            listed.parent.mkdir(parents=True, exist_ok=True)
            self._read[cursor] = set(listed.read_text().split()) if listed.exists() else set()
        return self._read[cursor]

    def _list(self, cursor: str) -> Path:
        return self.memory / f"{self.name}-{cursor}.read"


def connect(source: Source, state_dir: Path) -> Files:
    """The connector of a `files` source; its path is a folder, zip or file. Option: settled_seconds. Raises Misconfigured."""
    if source.path is None:
        raise Misconfigured(f"source {source.name}: files need a path", 'write path = "/folder"')
    settled = source.options.get("settled_seconds", SETTLED_SECONDS)
    if isinstance(settled, (str, bool)) or settled < 0:
        raise Misconfigured(f"source {source.name}: options.settled_seconds must be a number, 0 or more", "write e.g. settled_seconds = 2")
    return Files(source.name, source.path, state_dir / "files", float(settled))


def _files(path: Path) -> Iterator[Path]:
    """Regular files in order of name. Links are not followed: a folder that others write to must not point us elsewhere."""
    if path.is_file():
        yield path
        return
    other = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not is_document(name):
                other += 1
            elif stat.S_ISREG(file.lstat().st_mode):
                yield file
    if other:
        log.debug("files of other types are left out", path=str(path), files=other)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
