"""What takes minutes of waiting runs beside the other tests of this folder."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = 8


@pytest.fixture(scope="session", autouse=True)
def ring_kills(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple["subprocess.Popen[bytes]", Path] | None]:
    """The kills of what rings, begun with the first test that is run here, and the file that their verdict goes to; None when nobody asks for it."""
    if not any("ring_kills" in getattr(item, "fixturenames", ()) and item.path.stem == "test_ring_kills" for item in request.session.items):
        yield None
        return
    verdict = tmp_path_factory.mktemp("ring-kills") / "verdict.json"
    command = [sys.executable, "-m", "tests.chaos.alarms", "--kills", str(KILLS), "--seed", "4"]
    with verdict.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL) as process:
        yield process, verdict
        process.send_signal(signal.SIGINT)  # it ends what it started
