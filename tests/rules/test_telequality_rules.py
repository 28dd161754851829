"""When a minute of an endpoint is bad, whatever the order in which its measurements come."""

import random

import pytest

from streams.department import department
from streams.departments.telequality import Telequality
from streams.lives import MINUTE_US, Registry, advance
from tests.stories import T0, hex32

CHOSEN = department("telequality")
START = T0 - T0 % MINUTE_US
GOOD, SLOW, LOSSY = (5000, 100), (3999, 100), (5000, 201)


def minute(*parts: tuple[int, int], every_seconds: int = 10) -> dict[str, int]:
    """What measurements of (kbps, loss in ten thousandths), in turn, make of their minute."""
    events = [
        Telequality(
            id=hex32(f"m{n}"), body="0" * 16, source="v", event_time_us=START + n * every_seconds * 1_000_000, known_at_us=START + n, kind="heartbeat",
            unit="38001", session=hex32("s"), endpoint=hex32("e"), kbps=kbps, loss_e4=loss, peer="01901",
        )
        for n, (kbps, loss) in enumerate(parts)
    ]  # fmt: skip
    random.Random(len(parts)).shuffle(events)
    ((place, values),) = advance(CHOSEN.life, events, Registry(), lambda table, keys: {}).cells.items()
    assert place[2:] == ("38001", "VR>01901")
    return dict(zip(CHOSEN.measures, values, strict=True))


@pytest.mark.parametrize(
    ("parts", "bad", "slow", "lossy"),
    [
        ([GOOD] * 6, 0, 0, 0),
        ([SLOW, SLOW, GOOD, GOOD, GOOD, GOOD], 0, 0, 0),
        ([SLOW, SLOW, SLOW, GOOD, GOOD, GOOD], 1, 1, 0),
        ([SLOW, SLOW, LOSSY, GOOD, GOOD, GOOD], 1, 0, 0),
        ([LOSSY, LOSSY, LOSSY, GOOD, GOOD, GOOD], 1, 0, 1),
        ([SLOW, GOOD], 1, 1, 0),
        ([(4000, 200)] * 6, 0, 0, 0),
    ],
)
def test_a_minute_is_bad_when_half_of_its_measured_parts_are_below_4_mbps_or_above_2_percent_loss(
    parts: list[tuple[int, int]], bad: int, slow: int, lossy: int
) -> None:
    assert minute(*parts) == {"measured_minutes": 1, "bad_minutes": bad, "slow_minutes": slow, "lossy_minutes": lossy}


def test_a_part_that_was_measured_twice_is_as_bad_as_its_worst() -> None:
    assert minute(SLOW, GOOD, every_seconds=1)["slow_minutes"] == 1
    assert minute(GOOD, GOOD, SLOW, every_seconds=5)["slow_minutes"] == 1, "one of two parts"
