"""Every fault we can bring about, by name: each hurts a running system, mends it, and says when the mending began."""

import signal
import time
from collections.abc import Callable, Mapping
from random import Random

from deploy.fleet import PULLED
from tests.chaos.system import System

Fault = Callable[[System, Random], float]
"""Raises nothing but TimeoutError. The answer is the moment (time.monotonic) at which the mending began."""

AWAY_SECONDS = 20.0
SESSION_SECONDS = 6.0  # settings.worker.session_timeout_seconds: after that a silent worker's partitions are given to others


def worker(system: System, random: Random) -> float:
    """kill -9 of the worker."""
    return _process(system, random, "worker")


def connector(system: System, random: Random) -> float:
    """kill -9 of any connector."""
    return _process(system, random, f"pull-{random.choice(PULLED)}")


def web(system: System, random: Random) -> float:
    """kill -9 of the web server, which takes the banks' notices."""
    began = _process(system, random, "wall")
    system.await_wall()
    return began


def broker(system: System, random: Random) -> float:
    """kill -9 of Kafka."""
    return _part(system, random, "broker", 0.0)


def database(system: System, random: Random) -> float:
    """kill -9 of the database."""
    return _part(system, random, "database", 0.0)


def broker_away(system: System, random: Random) -> float:
    """No Kafka for a while, in which events arrive."""
    return _part(system, random, "broker", AWAY_SECONDS)


def database_away(system: System, random: Random) -> float:
    """No database for a while, in which events arrive."""
    return _part(system, random, "database", AWAY_SECONDS)


def one_of_two_workers(system: System, random: Random) -> float:
    """Two workers share the partitions, one of them is killed, the other takes over."""
    system.fleet.start("worker-2", "deploy", "work")
    system.await_workers(2)
    killed, other = random.sample(("worker", "worker-2"), 2)
    system.in_mid_load(random)
    began = time.monotonic()
    system.fleet.kill(killed)
    system.await_workers(1)
    system.fleet.again(killed)
    system.await_workers(2)
    system.fleet.kill(other)
    return _with_one_worker(system, began)


def frozen_worker(system: System, random: Random) -> float:
    """A worker stands still for longer than its session, another takes over, then the first wakes up and goes on where it was."""
    system.fleet.start("worker-2", "deploy", "work")
    system.await_workers(2)
    frozen = system.fleet.processes["worker"]
    system.in_mid_load(random)
    frozen.send_signal(signal.SIGSTOP)
    try:
        system.await_workers(1)
        time.sleep(random.uniform(0, SESSION_SECONDS / 2))
        began = time.monotonic()
    finally:
        frozen.send_signal(signal.SIGCONT)
    system.await_workers(2)
    return _with_one_worker(system, began)


FAULTS: Mapping[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (worker, connector, web, broker, database, one_of_two_workers, frozen_worker, broker_away, database_away)
}


def _process(system: System, random: Random, name: str) -> float:
    system.in_mid_load(random)
    system.fleet.kill(name)
    began = time.monotonic()
    system.fleet.again(name)
    return began


def _part(system: System, random: Random, part: str, away_seconds: float) -> float:
    system.in_mid_load(random)
    system.kill(part)
    time.sleep(away_seconds)
    began = time.monotonic()
    system.mend()
    return began


def _with_one_worker(system: System, began: float) -> float:
    """Only `worker` runs, as before."""
    if system.fleet.processes["worker"].poll() is not None:
        system.fleet.again("worker")
    if system.fleet.processes["worker-2"].poll() is None:
        system.fleet.kill("worker-2")
    system.fleet.processes.pop("worker-2")
    system.await_workers(1)
    return began
