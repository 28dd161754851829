"""Forgetting the demo before: its topics and tables, and nothing that anything else made."""

import psycopg
from kafka import KafkaAdminClient
from psycopg import sql

from deploy.embedded.parts import Parts
from sinks.migrations import board, board_at, schema
from streams.brokers import admin_options
from streams.errors import Misconfigured
from streams.settings import Settings
from streams.topics import topic


def forget_demo(settings: Settings, parts: Parts) -> None:
    """Empty the space for a new demo. Raises Misconfigured when it holds data that no demo made."""
    marker = settings.state_dir / "demo" / "made-this-space"
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        live = sql.Identifier(schema(settings.space))
        there = connection.execute("select to_regclass(%s)", [f"{schema(settings.space)}.batch"]).fetchone()
        if there and there[0]:
            held = connection.execute(sql.SQL("select 1 from {}.batch limit 1").format(live)).fetchone()
            if held and not marker.exists():
                raise Misconfigured(
                    "the database holds events that no demo made", "give the demo a folder of its own: IOC_STATE_DIR=.run-demo"
                )
            for name in (board_at(settings.space), board(settings.space), schema(settings.space)):
                connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name)))
            connection.execute("delete from ioc.migration where space = %s", [settings.space])
    admin = KafkaAdminClient(**admin_options(settings, parts.bootstrap))
    try:
        mine = [
            t
            for t in admin.list_topics()
            if t.startswith(topic("", settings.space)) and t.count(".") == topic("", settings.space).count(".")
        ]
        if mine and marker.exists():
            admin.delete_topics(mine)
    finally:
        admin.close()
    marker.touch()
