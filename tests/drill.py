"""A space with a replay in it, as its player leaves it: rows in ioc.space and ioc.replay, figures up to its clock; tests play the player's part."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from sinks import migrations, spaces
from streams.event import VIETNAM
from streams.settings import Settings
from tests import lively

SCENARIO = "label: cổng thuế chậm nửa giờ\nchanges: []\n"


class Drill:
    """A replay of yesterday, 06:00 to 18:00 in Viet Nam, that stands at 15:00. settings: of the session."""

    def __init__(self, dsn: str, settings: Settings, name: str = "drill-01", scenario: str | None = SCENARIO) -> None:
        self.dsn, self.name, self.schema = dsn, name, migrations.schema(name)
        self.settings = settings.model_copy(update={"space": name})
        day = (datetime.now(VIETNAM) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
        self.since, self.until = day.replace(hour=6).astimezone(UTC), day.replace(hour=18).astimezone(UTC)
        self.clock = day.replace(hour=15).astimezone(UTC)
        migrations.migrate(dsn, settings)
        if self.run("select 1 from ioc.space where name = %s", name):
            self.drop()
        spaces.make(dsn, settings, name, "test", "diễn tập quý IV")
        own = sql.SQL("create function now() returns timestamptz language sql stable as 'select {}.now()'")
        self.run(own.format(sql.Identifier(migrations.board(name))))
        self.run(
            """insert into ioc.replay (space, since, until, follows, departments, scenario, speed, state, clock, followed, total, produced, begun_by, beat_at)
            values (%s, %s, %s, 'event_time', '{einvoice,telehealth,payment}', %s, 60, 'paused', %s, %s, 40000, 31000, 'test', now())""",
            name, self.since, self.until, scenario, self.clock, self.clock,
        )  # fmt: skip
        lively.fill(dsn, self.settings)

    def density(self, live: str) -> None:
        """What arrived in its period is in live's ledger, and nothing else: `arrived` records."""
        ledger = sql.Identifier(migrations.schema(live), "ledger_1m")
        self.run(sql.SQL("truncate {}").format(ledger))
        text = """insert into {} select 'einvoice', 'tax-feed', minute, n, n, 0, 0, 0, 0 from (
          select minute, (20 + 80 * power(sin(extract(epoch from minute - %s) / 9000), 2))::bigint as n
          from generate_series(%s::timestamptz, %s::timestamptz - interval '1 minute', interval '1 minute') as minute) as m returning received"""
        self.arrived = sum(int(n) for (n,) in self.run(sql.SQL(text).format(ledger), self.since, self.since, self.until))

    def run(self, text: Any, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(self.schema)))
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    def plays(self, **told: Any) -> None:
        """The player writes how the replay stands; it lives."""
        told = {"beat_at": datetime.now(UTC) + timedelta(hours=1), **told}
        if "clock" in told:
            told = {"clock_set_at": datetime.now(UTC), "followed": told["clock"], **told}
        pairs = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in told)
        self.run(sql.SQL("update ioc.replay set {} where space = %s").format(pairs), *told.values(), self.name)

    def asked(self) -> dict[str, Any]:
        """What people ask of it."""
        [(wanted, speed, seek_to)] = self.run("select wanted, speed, seek_to from ioc.replay where space = %s", self.name)
        return {"wanted": wanted, "speed": speed, "seek_to": seek_to}

    def drop(self) -> None:
        """Nothing of it stays."""
        self.run("update ioc.replay set state = 'stopped' where space = %s", self.name)
        spaces.drop(self.dsn, self.settings, self.name)
