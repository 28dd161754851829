"""Whether the archive is what was written: every bit of every file and chain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sinks.archive import packing
from sinks.archive import store as at
from sinks.archive.chain import Broken, Line
from sinks.archive.keeping import remembered
from sinks.archive.store import Store
from sinks.session import Connection
from streams.topics import LIVE


@dataclass
class Verified:
    """What was found. events: in files that are right; wrong: what is not, in the order of the chains; unlisted: files no chain names, as an
    interrupted run leaves them."""

    files: int = 0
    events: int = 0
    records: int = 0
    unlisted: int = 0
    wrong: list[dict[str, Any]] = field(default_factory=list)


def names(store: Store, space: str, connection: Connection | None) -> list[str]:
    """All chains of a space: those that lie in the store, those that have files there, and those the database knows of."""
    roots = [f"{kind}/" if space == LIVE else f"spaces/{space}/{kind}/" for kind in ("events", "raw")]
    found = {root + path.removeprefix(root).split("/")[0] for root in roots for path in at.paths(store, root)}
    known = [] if connection is None else connection.execute("select chain from archived").fetchall()
    return sorted(found | {name for (name,) in known if name.startswith(tuple(roots))})


def verify(
    store: Store,
    name: str,
    found: Verified,
    connection: Connection | None,
    since: str,
    until: str,
    shown: Callable[[int], None] = lambda files: None,
) -> None:
    """Add what is found about one chain: the chain as a whole, and its files of the hours [since, until). connection: None where the
    database cannot be asked. Raises Retry, Misconfigured."""
    lines, broken = at.load(store, name)
    listed = {path.removeprefix(f"{name}/") for path in at.paths(store, name)} - {"chain.ndjson"}
    if broken is None and connection is not None and (wrong := remembered(connection, name, lines)):
        found.wrong.append(_wrong(name, _hour_after(lines, listed), wrong))
    named = {line.path for line in lines}
    for line in lines:
        if since <= line.hour < until:
            file = at.get(store, f"{name}/{line.path}")
            what = packing.fault(line, file)
            if what is not None:
                found.wrong.append(_wrong(name, line.hour, what, line))
            else:
                found.files += 1
                found.records += line.records if is_raw(name) else 0
                found.events += 0 if is_raw(name) else line.records
            shown(1)
    if broken is not None:
        found.wrong.append(_wrong(name, _hour_of_broken(broken, listed - named), broken.what))
    else:
        found.unlisted += len(listed - named)


def is_raw(name: str) -> bool:
    """Whether a chain holds what a source sent, not events."""
    return name.split("/")[-2] == "raw"


def _wrong(name: str, hour: str | None, what: str, line: Line | None = None) -> dict[str, Any]:
    owner = "source" if is_raw(name) else "department"
    sources = {} if line is None or is_raw(name) else {"sources": [*line.sources]}
    return {owner: name.split("/")[-1], **sources, "hour": hour, "what": what, "file": f"{name}/{line.path if line else 'chain.ndjson'}"}


def _hour_of_broken(broken: Broken, lost: set[str]) -> str | None:
    """The hour a line spoke of that cannot be believed: of the files that no line before it names, the one whose path stands in it; a bit of
    that path may be the one that was changed, then the earliest."""
    text = broken.text.decode("utf-8", "replace")
    return next((_hour(path) for path in sorted(lost, key=lambda p: (p not in text, p))), None)


def _hour_after(lines: list[Line], listed: set[str]) -> str | None:
    """Where a chain that was cut short goes on, else where it ends."""
    lost = sorted(listed - {line.path for line in lines})
    return _hour(lost[0]) if lost else lines[-1].hour if lines else None


def _hour(path: str) -> str:
    year, month, day, rest = path.split("/")
    return f"{year}-{month}-{day}T{rest[:2]}"
