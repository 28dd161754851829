"""What sources sent, as connectors kept it sealed, into the archive; and out again for who holds the key."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from connectors import spool
from connectors.spool import Raw, Sealed
from sinks.archive import chain, packing
from sinks.archive import store as at
from sinks.archive.chain import Line
from sinks.archive.keeping import Keeping
from sinks.archive.store import Store
from sinks.session import Connection
from streams.errors import Misconfigured
from streams.sealing import NotOpened, PrivateKeys
from streams.topics import LIVE

CLOSED_AFTER = timedelta(minutes=5)
_OPEN, _TAKEN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)\.ndjson"), re.compile(r"(\d{4}-\d\d-\d\dT\d\d)\.ndjson\.taken")


def sources(state_dir: Path, space: str) -> list[str]:
    """The sources of which something lies here."""
    where = (state_dir if space == LIVE else state_dir / "spaces" / space) / "raw"
    return sorted(found.name for found in where.iterdir() if found.is_dir()) if where.is_dir() else []


def ship(connection: Connection, store: Store, state_dir: Path, space: str, source: str, now: datetime) -> int:
    """Take the closed hours of a source to the archive, then away from here; how many files. What came later for an hour goes in a further part.
    Raises Retry, Misconfigured; what was not done is done by the next run."""
    where = spool.folder(state_dir, space, source)
    _take(where, now)
    taken = sorted(path for path in where.iterdir() if _TAKEN.fullmatch(path.name))
    if not taken:
        return 0
    keeping = Keeping(connection, store, chain.raw_name(source, space))
    known = {line.content for line in keeping.lines}
    for path in taken:
        line, file = _filed(path, source, sum(line.hour == path.name[:13] for line in keeping.lines))
        if line.records and line.content not in known:
            keeping.add(line, file)
    keeping.save()
    for path in taken:
        path.unlink()
    return len(taken)


def _take(where: Path, now: datetime) -> None:
    """Put the files of closed hours aside: after that nobody writes into them. One that is still aside from before is finished first."""
    with spool.locked(where):
        for path in where.iterdir():
            hour = _OPEN.fullmatch(path.name)
            aside = path.with_name(path.name + ".taken")
            if hour and chain.start_of(hour[1]) + timedelta(hours=1) + CLOSED_AFTER <= now and not aside.exists():
                path.rename(aside)


def _filed(path: Path, source: str, part: int) -> tuple[Line, bytes]:
    """The chunks that are whole: one that was cut short was not acknowledged, and came again."""
    held = [*spool.chunks(path.read_bytes())]
    content, file = packing.packed([text for _, text in held])
    records = sum(chunk.records for chunk, _ in held)
    hour = path.name[:13]
    line = Line(
        hour=hour,
        path=chain.file_path(hour, part, packing.ENDING),
        records=records,
        bytes=len(content),
        content=chain.digest(content),
        file=chain.digest(file),
        sources={source: records},
        first_known_us=min((chunk.first_us for chunk, _ in held), default=0),
        last_known_us=max((chunk.last_us for chunk, _ in held), default=0),
    )
    return line, file


def records(store: Store, state_dir: Path, space: str, source: str, hour: datetime, keys: PrivateKeys) -> Iterator[Raw]:
    """What a source sent in an hour of arrival, from the archive and from what still lies here. Raises Misconfigured when the archive is damaged or
    the key is another one, Retry when the store is away."""
    name, wanted = chain.raw_name(source, space), chain.hour_of(hour)
    for line in at.whole(store, name):
        if line.hour == wanted:
            for text in packing.lines_of(store, name, line):
                yield from _unsealed(msgspec.json.decode(text, type=Sealed), keys)
    where = spool.folder(state_dir, space, source)
    for path in (where / f"{wanted}.ndjson.taken", where / f"{wanted}.ndjson"):
        if path.exists():
            for chunk, _ in spool.chunks(path.read_bytes()):
                yield from _unsealed(chunk, keys)


def _unsealed(chunk: Sealed, keys: PrivateKeys) -> list[Raw]:
    try:
        return spool.unsealed(chunk, keys)
    except NotOpened as error:
        wrong = "no key that is held here opens what is archived"
        raise Misconfigured(wrong, "use the private keys of the quarantine that it was sealed for (IOC_QUARANTINE_KEYS_FILE)") from error
