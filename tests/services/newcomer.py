"""A copy of the program with a department that nobody else knows of: `python -m tests.services.newcomer DSN STATE NAME` says what became of it."""

import json
import sys
from pathlib import Path

from connectors import formats
from connectors.intake import intake
from deploy.embedded.parts import Parts
from grafana import build
from sinks import explain
from sinks.migrations import board
from sinks.parts import Cell
from streams import pseudonym
from streams.department import department
from streams.event import moment
from streams.lives import MINUTE_US
from streams.settings import Settings, Source
from streams.topics import topic
from tests.format_cases import CASES, KNOWN_AT_US
from tests.services.space import Space


def main(dsn: str, state: str, name: str) -> dict[str, object]:
    """The department's cases, from the door to figures, boards and an explanation."""
    settings = Settings(state_dir=Path(state))
    door = intake(Source(name="newcomer", department=name, connector="files"), pseudonym.load(settings.state_dir))
    cases = [case for case in CASES if case.department == name]
    messages = [m for case in cases for part in door.split(case.raw) for m in door.take(part, door.arrival(KNOWN_AT_US))]
    space = Space(settings, Parts("", "embedded", dsn, "embedded", Path(state)))
    try:
        space.take(name, *(m.value for m in messages if m.topic == topic(name)))
        space.take(name, *(m.value for m in messages if m.topic == topic(name)))
        space.take("rejects", *(m.value for m in messages if m.topic == topic("rejects")))
        figures = {by: space.figures(name, by) for by in ("total", "day", "unit", "kind")}
        glass = department(name).glass
        with space.connect() as connection, explain.snapshot(connection, board(space.name)):
            cell = Cell(moment(KNOWN_AT_US - 1440 * MINUTE_US), moment(KNOWN_AT_US))
            about = explain.about(connection, *explain.chosen(name, glass.headline[0]), cell)
        return {
            "formats": sorted(formats.FORMATS),
            "figures": figures,
            "balanced": space.ledger()["balanced"],
            "explained": {key: about[key] for key in ("value", "equal", "events")},
            "boards": [made.uid for made in build.boards()],
        }
    finally:
        space.drop()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:]), default=str))
