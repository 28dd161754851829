"""Killed in the middle of deciding, ringing and being told: everybody still hears of each alarm, once."""

from pathlib import Path

import pytest

from tests.chaos import alarms


@pytest.mark.timeout(900)
def test_whatever_is_killed_each_alarm_is_told_once(tmp_path: Path) -> None:
    found = alarms.play(tmp_path, kills=8, seed=4)
    assert found.wrong == {}
    assert found.stories == 8
    assert sum(found.kills.values()) == 8
