"""Names under a newer key: what each is called in the tables, which keep the name that a subject was first given."""

from collections.abc import Iterable, Mapping

from sinks.session import Connection
from streams.pseudonym import names


def keep(connection: Connection, known: Mapping[str, str]) -> None:
    """Note newer name -> older name; where that is the newer name of another itself, the oldest. One that is known stays as it is."""
    if known:
        connection.execute(
            "insert into alias (newer, older) select n.newer, coalesce(a.older, n.older) from unnest(%s::bytea[], %s::bytea[]) n(newer, older) "
            "left join alias a on a.newer = n.older order by 1 on conflict do nothing",
            [[*map(bytes.fromhex, known)], [*map(bytes.fromhex, known.values())]],
        )


def older(connection: Connection, values: Iterable[bytes]) -> Mapping[str, str]:
    """The older names of those in encoded records that have one."""
    if connection.execute("select from alias limit 1").fetchone() is None:
        return {}
    return of(connection, {name for value in values for name in names(value)})


def of(connection: Connection, wanted: Iterable[str]) -> Mapping[str, str]:
    """The older names of those that have one."""
    query = "select newer, older from alias where newer = any(%s::bytea[])"
    found = connection.execute(query, [[*map(bytes.fromhex, wanted)]], binary=True)
    return {newer.hex(): name.hex() for newer, name in found}
