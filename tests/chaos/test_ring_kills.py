"""Killed in the middle of deciding, ringing and being told: everybody still hears of each alarm, once."""

import json
import subprocess
from pathlib import Path

import pytest


@pytest.mark.timeout(900)
def test_whatever_is_killed_each_alarm_is_told_once(ring_kills: tuple["subprocess.Popen[bytes]", Path]) -> None:
    process, verdict = ring_kills
    process.wait(timeout=850)
    found = json.loads(verdict.read_text())
    assert found["wrong"] == {}
    assert found["stories"] == sum(found["kills"].values()) == 8
