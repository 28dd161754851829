"""Spaces whole: tables and topics made together, dropped together."""

import getpass
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Literal

import psycopg

from deploy.embedded import parts
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics, delete_topics
from sinks import spaces
from sinks.idle import give_way
from sinks.migrations import migrate
from streams.errors import Misconfigured
from streams.settings import Settings


def make(
    settings: Settings, name: str, label: str = "", rules: Literal["none", "live"] = "none", code: Path | None = None,
    fleeting: bool = False,
) -> Settings:  # fmt: skip
    """A new space, ready for a worker; its settings. code: a checkout whose tables it gets. fleeting: it lives no longer than the database's server.
    Raises Misconfigured as `sinks.spaces.make`, Retry when a part is away."""
    found = parts.find(settings)
    migrating = partial(_migrate_by, code) if code else partial(migrate, chunked=not fleeting)
    own = spaces.make(found.dsn, settings, name, getpass.getuser(), label, rules, migrating)
    if fleeting:
        with psycopg.connect(found.dsn) as connection:
            give_way(connection)
            spaces.fleeting(connection, name)
    create_topics(own, found.bootstrap)
    return own


def _migrate_by(code: Path, dsn: str, own: Settings) -> None:
    script = "import sys; from sinks.migrations import migrate; from streams.settings import load; migrate(sys.stdin.read(), load())"
    environment = os.environ | {"PYTHONPATH": str(code), "IOC_SPACE": own.space, "IOC_STATE_DIR": str(own.state_dir.resolve())}
    done = subprocess.run([sys.executable, "-c", script], input=dsn, env=environment, cwd=code, capture_output=True, text=True, check=False)
    if done.returncode:
        wrong = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Misconfigured(f"the program in {code} cannot make its tables: {wrong}", "give a checkout that knows this database")


def drop(settings: Settings, found: Parts, name: str) -> None:
    """Remove a space: tables, views, role, topics, groups. Raises Misconfigured when it must stay, Retry when a part is away."""
    spaces.drop(found.dsn, settings, name)
    delete_topics(spaces.within(settings, name), found.bootstrap)


def clean(settings: Settings) -> list[str]:
    """Drop the spaces that are past their age; their names."""
    found = parts.find(settings)
    with psycopg.connect(found.dsn) as connection:
        old = spaces.old(connection)
    for name in old:
        drop(settings, found, name)
    return old
