"""A chain being written: files first, each read back, then the line that names it, then what the database remembers of it."""

from psycopg import sql

from sinks.archive import chain
from sinks.archive import store as at
from sinks.archive.chain import Line
from sinks.archive.store import Store
from sinks.session import Connection
from streams.errors import Retry

SAVE_EVERY = 24


class Keeping:
    """One chain while files are added to it. Raises Misconfigured where what lies there is not what was written last."""

    def __init__(self, connection: Connection, store: Store, name: str) -> None:
        self.name, self.store = name, store
        self.lines, broken = at.load(store, name)
        self._connection = connection
        self._unsaved = 0
        wrong = broken.what if broken else remembered(connection, name, self.lines)
        if wrong:
            raise at.damaged(name, wrong)

    def add(self, line: Line, file: bytes) -> None:
        """Write a file and its line. Raises Retry when the store does not give back what it was given."""
        path = f"{self.name}/{line.path}"
        at.put(self.store, path, file)
        if at.get(self.store, path) != file:
            raise Retry(f"the archive did not keep {path} as it was written", "run it again; is its disk whole, or full?")
        self.lines.append(chain.linked(self.lines[-1].chain if self.lines else "", line))
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """The chain itself. Until then a file is not part of the archive, and is written again by the next run."""
        if not self._unsaved:
            return
        path, content = chain.chain_path(self.name), chain.encoded(self.lines)
        at.put(self.store, path, content)
        if at.get(self.store, path) != content:
            raise Retry(f"the archive did not keep {path} as it was written", "run it again; is its disk whole, or full?")
        at.settle(self.store)
        self._connection.execute(
            "insert into archived (chain, lines, head) values (%s, %s, %s) "
            "on conflict (chain) do update set lines = excluded.lines, head = excluded.head, written_at = clock_timestamp()",
            [self.name, len(self.lines), self.lines[-1].chain],
        )
        self._unsaved = 0


def remembered(connection: Connection, name: str, lines: list[Line]) -> str | None:
    """What is wrong with a chain, held against what the database remembers of it: one that was cut short, or written anew as a whole."""
    row = connection.execute(sql.SQL("select lines, head from archived where chain = %s"), [name]).fetchone()
    if row is None:
        return None
    if len(lines) < row[0]:
        return f"the chain has {len(lines)} lines, the database knows of {row[0]}"
    return None if lines[row[0] - 1].chain == row[1] else "the chain is another one than the database knows"
