"""What the wall really pushed to its screens, recorded as hashes, is what it shows of that minute a week of arrivals later."""

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from grafana.wall.app import Wall
from grafana.wall.library import BOARDS, load
from sinks import communes, units
from sinks.migrations import board, board_at
from sinks.roles import reader_dsn
from streams.department import NAMES
from streams.event import moment, vietnam_day
from tests.bench.events import DAY_SECONDS, DAY_START_US
from tests.eventually import eventually
from tests.services.space import Space
from tests.wall_door import Door
from tests.world import arrivals

DAY_US, MINUTE_US = DAY_SECONDS * 10**6, 60_000_000
A_DAY = 300
"""Events."""
OPERATIONS = "ioc-operations"
"""It shows the work itself by the machine's seconds, not what was known."""


def moved(event: Any, days: int) -> Any:
    """The same event, so many days later."""
    by = days * DAY_US
    made: dict[str, Any] = {
        name: getattr(event, name) + by for name in event.__struct_fields__ if name.endswith("_us") and getattr(event, name)
    }
    if hasattr(event, "facts"):
        told = event.facts.invoices
        made["facts"] = replace(event.facts, invoices=tuple(replace(moved(each, days), day=each.day + days) for each in told))
    return replace(event, **made)


def days(first: int, last: int) -> list[tuple[str, Any]]:
    """What arrives from so many days before today on until so many days after, each day another one; by arrival."""
    today = vietnam_day(int(datetime.now(UTC).timestamp() * 10**6)) - vietnam_day(DAY_START_US)
    found = [(name, moved(event, today + day)) for day in range(first, last) for name, event in arrivals(A_DAY, seed=day + 99)]
    return sorted(found, key=lambda pair: int(pair[1].known_at_us))


def corrections(seen: list[tuple[str, Any]], after_us: int) -> list[tuple[str, Any]]:
    """In the week after: repeats and second bodies of what was seen, and as many new events of the times gone by."""
    chance, found = random.Random(7), list[tuple[str, Any]]()
    for name, event in chance.sample(seen, 150):
        known = after_us + chance.randrange(7 * DAY_US)
        found.append((name, replace(event, known_at_us=known)))
        if name in NAMES:
            found.append((name, replace(event, body=f"{chance.getrandbits(64):016x}", known_at_us=known + 1)))
            found.append((name, replace(event, id=f"{chance.getrandbits(128):032x}", known_at_us=known + 2)))
    return sorted(found, key=lambda pair: int(pair[1].known_at_us))


def last_of_each_source(some: list[tuple[str, Any]], before_us: int) -> list[tuple[str, Any]]:
    """News a second before that moment: whether a source is silent is told by the second, and must not turn while the test runs."""
    last = {event.source: (name, event) for name, event in some if name in NAMES}
    return [
        (name, replace(event, id=f"{number:032x}", known_at_us=before_us - 10**6)) for number, (name, event) in enumerate(last.values())
    ]


def arrive(space: Space, some: list[tuple[str, Any]]) -> None:
    for start in range(0, len(some), 500):
        for name in (*NAMES, "rejects"):
            if chosen := [event for topic, event in some[start : start + 500] if topic == name]:
                space.take(name, *chosen)
        for name in NAMES:
            space.follow(name)


class Screen:
    """A browser without a face: it keeps of each panel what was pushed last, until it is closed."""

    def __init__(self, url: str, uid: str) -> None:
        self.panels: dict[str, Any] = {}
        self.now = 0
        self.waves = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(f"{url}/api/live?board={uid}",), daemon=True)
        self._thread.start()

    def _look(self, address: str) -> None:
        with httpx.stream("GET", address, timeout=60) as stream:
            for line in stream.iter_lines():
                if self._closed.is_set():
                    return
                if line.startswith("data: {"):
                    told = json.loads(line.removeprefix("data: "))
                    self.panels |= told["panels"]
                    self.now, self.waves = told["state"]["now"], told["state"]["wave"]

    def hashes(self) -> dict[str, str]:
        return {number: digest(panel) for number, panel in self.panels.items()}

    def close(self) -> None:
        self._closed.set()
        self._thread.join(20)


def digest(panel: Any) -> str:
    return hashlib.sha256(json.dumps(panel, sort_keys=True).encode()).hexdigest()


@pytest.fixture
def wall(space: Space, tmp_path: Any) -> Iterator[Door]:
    with space.connect() as connection:
        units.load(connection, space.name, *communes.given())
    made = Door(Wall(reader_dsn(space.settings), board(space.name), board_at(space.name), key=tmp_path / "wall.key"))
    made.start()
    yield made
    made.stop()


def test_what_screens_were_pushed_is_what_the_wall_shows_of_that_minute_a_week_later(space: Space, wall: Door) -> None:
    now_us = int(datetime.now(UTC).timestamp() * 10**6)
    minute_us = now_us - now_us % MINUTE_US
    told = days(-2, 8)
    before = [pair for pair in told if pair[1].known_at_us < minute_us]
    before += last_of_each_source(before, minute_us)
    after = [pair for pair in told if pair[1].known_at_us >= minute_us + 10 * MINUTE_US]  # nothing arrives while screens are watched
    arrive(space, before[:-100])
    screens = {uid: Screen(wall.url, uid) for uid in load(BOARDS) if uid != OPERATIONS}
    eventually(lambda: all(screen.waves for screen in screens.values()), 60)
    opened = {uid: screen.hashes() for uid, screen in screens.items()}
    arrive(space, before[-100:])
    latest = max(screen.waves for screen in screens.values())
    eventually(lambda: all(screen.waves >= latest + 2 for screen in screens.values()), 60)
    for screen in screens.values():
        screen.close()
    recorded = {uid: screen.hashes() for uid, screen in screens.items()}
    assert all(len(panels) == len(load(BOARDS)[uid].panels) for uid, panels in recorded.items())
    assert recorded != opened  # what came meanwhile was pushed

    arrive(space, [*after, *corrections(before, minute_us + DAY_US)])
    for uid, screen in screens.items():
        panels = wall.get(f"/api/past?board={uid}&at={moment(screen.now * 1000):%Y-%m-%dT%H:%M}Z").json()["panels"]
        differing = [(screen.panels[number], panel) for number, panel in panels.items() if digest(panel) != recorded[uid][number]]
        assert differing == [], uid
    now = Screen(wall.url, "ioc-overview")
    eventually(lambda: now.waves, 60)
    now.close()
    assert now.hashes() != recorded["ioc-overview"]  # the week changed what is known of that day
