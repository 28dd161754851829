"""A worker that wakes up with a batch which another has written meanwhile: the offset guard holds it back, and without it the ledger tells."""

import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.producing import producer
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics
from deploy.fleet import Fleet
from deploy.settled import Settled
from sinks.migrations import migrate
from streams.brokers import kafka_python_options
from streams.departments.payment import Payment
from streams.event import encode
from streams.settings import Settings
from streams.topics import topic
from tests.chaos.system import state_of
from tests.eventually import eventually

COUNT = 500
SESSION_SECONDS = 2.0
NOW = time.time_ns() // 1000


class Scene:
    """A space with its records in Kafka, and workers that can be started on it."""

    def __init__(self, settings: Settings, parts: Parts, folder: Path) -> None:
        self.settings = settings.model_copy(update={"space": f"g{uuid.uuid4().hex[:12]}"})
        create_topics(self.settings, parts.bootstrap)
        migrate(parts.dsn, self.settings)
        self.bootstrap = parts.bootstrap
        self.folder = folder
        told = {"IOC_STATE_DIR": str(settings.state_dir), "IOC_SPACE": self.settings.space}
        self.fleet = Fleet(folder, told | {"IOC_WORKER__SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS)})
        self.settled = Settled(self.settings, [])

    def send(self, first: int) -> None:
        """COUNT payments, numbered from `first`, acknowledged by Kafka."""
        sender = producer(kafka_python_options(self.settings, self.bootstrap))
        for number in range(first, first + COUNT):
            sender.send(topic("payment", self.settings.space), encode(paid(number)), b"%d" % number)
        sender.flush()
        sender.close()

    def received(self) -> int:
        with self.settled.connected() as rows:
            return sum(row[1] for row in rows)

    def ledger(self) -> dict[str, Any]:
        return self.settled.ledger()

    def frozen(self, when: str) -> None:
        """A worker that stands still with COUNT records in hand."""
        self.fleet.start("zombie", "tests.chaos.zombie", when)
        eventually(lambda: self._state() == "T", within_seconds=60)

    def wake(self) -> None:
        self.fleet.processes["zombie"].send_signal(signal.SIGCONT)

    def said(self, name: str) -> str:
        return (self.folder / "logs" / f"{name}.log").read_text()

    def _state(self) -> str:
        assert not self.fleet.fallen(), self.fleet.fallen()
        return state_of(self.fleet.processes["zombie"].pid)


def paid(number: int) -> Payment:
    return Payment(
        id=f"{number:032x}", body="0" * 16, source="bank", event_time_us=NOW, known_at_us=NOW, kind="hdbank", unit="38001",
        transaction=f"{number + 2**64:032x}", status="paid", paid_vnd=1000, paid_at_us=NOW,
    )  # fmt: skip


@pytest.fixture
def scene(settings: Settings, parts: Parts, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(settings, parts, tmp_path)
    made.send(0)
    yield made
    if "zombie" in made.fleet.processes:
        made.wake()
    made.fleet.end()


def test_a_worker_that_wakes_up_late_writes_nothing_a_second_time(scene: Scene) -> None:
    scene.frozen("before")
    scene.fleet.start("heir", "deploy", "work")
    eventually(lambda: scene.received() == COUNT, within_seconds=60)
    scene.wake()
    eventually(lambda: "another worker owns what was read here" in scene.said("zombie"), within_seconds=60)
    scene.send(COUNT)
    eventually(lambda: scene.received() >= 2 * COUNT, within_seconds=60)
    assert scene.settled.wait(60)
    assert scene.ledger()["wrong"] == []
    assert len(set(scene.settled.ids()["payment"])) == len(scene.settled.ids()["payment"]) == 2 * COUNT


def test_without_the_guard_the_comparison_tells_that_records_were_taken_twice(scene: Scene) -> None:
    scene.frozen("unguarded")
    scene.fleet.start("heir", "deploy", "work")
    eventually(lambda: scene.received() == COUNT, within_seconds=60)
    assert scene.ledger()["balanced"]
    scene.wake()
    eventually(lambda: scene.received() > COUNT, within_seconds=60)
    assert scene.settled.wait(60)
    assert not scene.ledger()["balanced"]
    assert scene.ledger()["wrong"] == [f"Kafka holds {COUNT} records, the ledger received {2 * COUNT}"]


def test_a_worker_frozen_inside_its_transaction_does_not_hold_the_others_up_for_ever(scene: Scene) -> None:
    scene.frozen("within")
    scene.fleet.start("heir", "deploy", "work")
    eventually(lambda: scene.received() == COUNT, within_seconds=60)
    scene.wake()
    scene.send(COUNT)
    eventually(lambda: scene.received() >= 2 * COUNT, within_seconds=60)
    assert scene.settled.wait(60)
    assert scene.ledger()["wrong"] == []
    assert not scene.fleet.fallen()
