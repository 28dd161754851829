"""Spaces whole: tables and topics made together, dropped together."""

import getpass
from typing import Literal

import psycopg

from deploy.embedded import parts
from deploy.embedded.parts import Parts
from deploy.embedded.topics import create_topics, delete_topics
from sinks import spaces
from streams.settings import Settings


def make(settings: Settings, name: str, label: str = "", rules: Literal["none", "live"] = "none") -> Settings:
    """A new space, ready for a worker; its settings. Raises Misconfigured as `sinks.spaces.make`, Retry when a part is away."""
    found = parts.find(settings)
    own = spaces.make(found.dsn, settings, name, getpass.getuser(), label, rules)
    create_topics(own, found.bootstrap)
    return own


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
