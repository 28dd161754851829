"""What tests of services share: a space of their own in the session's database."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from deploy.embedded.parts import Parts
from sinks.migrations import schema
from streams.settings import Settings
from tests.services.space import Space


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.store.close()
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        for name in (schema(made.name), f"board_{schema(made.name)}"):
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
        connection.execute("delete from ioc.migration where space = %s", [made.name])
