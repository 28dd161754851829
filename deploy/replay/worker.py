"""The worker of a space: `ioc work` as a child, started again when it dies, ended with the one who started it."""

import os
import subprocess
import sys
from pathlib import Path

from sinks.idle import idle
from streams.settings import Settings

FIGURES = 2
"""Processes of figures: what was played comes faster than one follows."""


class Worker:
    """settings: of the space. code: a checkout whose program is run instead of this one."""

    def __init__(self, settings: Settings, code: Path | None = None) -> None:
        self._settings = settings
        self._code = code
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start it where it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        log = folder(self._settings) / "worker.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "work", "--until-alone"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(self._settings, self._code),
                cwd=self._code,
                preexec_fn=idle,
                start_new_session=True,
            )

    def end(self) -> None:
        """Let it finish the batch in hand."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=15)  # closes its stdin: it is alone
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def folder(settings: Settings) -> Path:
    """Where a replay's processes write what they have to say."""
    found = settings.state_dir.resolve() / "replay" / settings.space
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    return found


def environment(settings: Settings, code: Path | None = None) -> dict[str, str]:
    """What a process of the space is started with."""
    more = {"IOC_SPACE": settings.space, "IOC_STATE_DIR": str(settings.state_dir.resolve()), "IOC_WORKER__FIGURES": str(FIGURES)}
    if config := os.environ.get("IOC_CONFIG"):
        more["IOC_CONFIG"] = str(Path(config).resolve())
    return os.environ | more | ({"PYTHONPATH": str(code.resolve())} if code else {})
