"""Whatever is killed in mid-load: nothing is lost, nothing doubled, and every figure is what the departments sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from deploy.embedded import parts
from streams.department import NAMES
from streams.settings import Settings, Web
from tests.chaos.faults import FAULTS
from tests.chaos.system import Outcome, System

SEED = 20261122
RATE = 300.0
TIMES = {
    "worker": 2,
    "connector": 3,
    "web": 3,
    "broker": 2,
    "database": 2,
}  # more kills of these are in the faults of two workers and of parts away

pytestmark = pytest.mark.timeout(1200)  # the first test waits for the whole story


@dataclass(frozen=True)
class Story:
    """One running system that lived through every fault, most of them several times, and its verdict at the end."""

    outcomes: Mapping[str, Outcome]
    verdict: Mapping[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    random = Random(SEED)
    settings = Settings(state_dir=tmp_path_factory.mktemp("chaos"), web=Web(port=0))
    system = System(settings, RATE, SEED)
    outcomes = {}
    try:
        system.up()
        for what, fault in FAULTS.items():
            for _ in range(TIMES.get(what, 1)):
                since = fault(system, random)
            outcomes[what] = system.outcome(what, since)
        yield Story(outcomes, system.verdict())
    finally:
        system.down()
        parts.wipe(settings)


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_loses_nothing_doubles_nothing_and_fells_nothing_else(what: str, story: Story) -> None:
    assert story.outcomes[what].ok, story.outcomes[what]


def test_every_figure_is_what_the_departments_sent(story: Story) -> None:
    assert story.verdict["figures_equal_truth"], story.verdict


def test_the_ledger_balances_and_has_every_record_of_kafka_once(story: Story) -> None:
    assert story.verdict["balanced"], story.verdict


@pytest.mark.parametrize("department", NAMES)
def test_a_department_has_lost_and_doubled_nothing(department: str, story: Story) -> None:
    counted = story.verdict["departments"][department]
    assert (counted["lost"], counted["doubled"]) == (0, 0)
    assert counted["sent"] > 0
