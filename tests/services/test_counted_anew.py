"""An update that changes how figures are kept counts all of them anew, from their events."""

import psycopg
import pytest

from deploy.commands import parts as command
from sinks.migrations import migrate
from streams.department import NAMES, department
from tests.services.space import Space
from tests.world import arrivals


@pytest.fixture
def filled(space: Space) -> Space:
    """With figures of all departments, each written once."""
    waiting = arrivals(400, seed=5)
    for name in NAMES:
        space.take(name, *(event for topic, event in waiting if topic == name))
        space.follow(name)
    return space


def derived(space: Space) -> list[object]:
    return [space.derived(name) for name in NAMES]


def test_an_update_counts_figures_anew_before_anybody_sees_them(filled: Space) -> None:
    right, lags = derived(filled), filled.rows("select batch, followed_at from batch order by 1")
    for name in NAMES:
        with filled.connect() as connection:
            connection.execute(f"update {name}_1m set known = known + interval '1 year'")  # our own name
            connection.execute(f"update {name}_{next(iter(department(name).life.states))} set state = 'old'")
    said: list[str] = []
    _forget_steps(filled)
    emptied = migrate(filled.dsn, filled.settings)
    assert [step for step in emptied if "histories" in step] == [f"department_{name}_histories" for name in NAMES]
    assert filled.rows("select count(*) from einvoice_1m") == [(0,)]
    for name in NAMES:
        command.count_anew(filled.settings, name, said.append)
    assert derived(filled) == right
    assert filled.rows("select count(*) from owed") == [(0,)]
    assert filled.rows("select batch, followed_at from batch order by 1") == lags
    assert len(said) == len(NAMES)


def _forget_steps(space: Space) -> None:
    with psycopg.connect(space.dsn, autocommit=True) as connection:
        connection.execute("delete from ioc.migration where space = %s and name like '%%histories'", [space.name])
