"""A space with rules, alarms and firings as the evaluator leaves them, and a wall over it with rules of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from deploy.embedded.parts import Parts
from grafana.wall.app import Wall
from sinks import migrations, roles
from streams import settings as house_settings
from streams.settings import Settings
from tests import lively
from tests.wall_door import Door

SPACE = "duty-test"
RULE = """rule: {name}
title: Thanh toán lỗi nhiều
text: "{{units}}: {{value}} giao dịch lỗi"
why: Bệnh viện không thu được tiền
department: payment
measure: {{ratio: failed, to: receipts}}
window: 15m
by: unit
when: {{above: 10, clear: 5}}
for: 5m
owner: Phòng CNTT
runbook: Gọi ngân hàng
tests:
  - name: im lặng
    expect: {{"": {{"00:00": ok}}}}
"""


class Desk:
    """What the evaluator would write."""

    def __init__(self, dsn: str, space: str = SPACE) -> None:
        self._dsn, self._schema = dsn, migrations.schema(space)

    def run(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(f"set search_path = {self._schema}, public")  # type: ignore[arg-type]  # a name of this file
            cursor = connection.execute(text, values)  # type: ignore[arg-type]  # statements of the tests
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        self.run("truncate rule, rule_change, firing, standing, alarm, silence, outbox, beat, judged")

    def beats(self, seconds_ago: float = 0) -> None:
        self.run(
            "insert into beat values ('evaluator', now() - make_interval(secs => %s)) on conflict (name) do update set at = excluded.at",
            seconds_ago,
        )

    def rule(self, name: str = "payment-failing", body: str | None = None) -> str:
        self.run(
            "insert into rule (name, version, body, department, since, changed_at, changed_by) "
            "values (%s, 1, %s, 'payment', now() - interval '30 days', now() - interval '30 days', 'test')",
            name,
            body or RULE.format(name=name),
        )
        return name

    def signs(self) -> None:
        """Every source spoke in every minute of nine days."""
        self.run("truncate heard_1m")
        self.run(
            "insert into heard_1m select department, source, minute, minute + interval '30 seconds', minute, minute from heard, "
            "generate_series(date_trunc('minute', now()) - interval '9 days', now() + interval '1 hour', interval '1 minute') as minute"
        )

    def alarm(
        self, rule: str, title: str, *units: str, severity: str = "critical", minutes_ago: int = 20, peak: float | None = 12.5
    ) -> int:
        """An open alarm, firing for these units ('' is the whole department)."""
        row = self.run(
            "insert into alarm (rule, version, severity, route, title, opened_at) values (%s, 1, %s, 'default', %s, now() - make_interval(mins => %s)) "
            "returning id",
            rule,
            severity,
            title,
            minutes_ago,
        )
        for unit in units:
            self.run(
                "insert into firing (rule, version, unit, inhibited, since, peak, decided_at, alarm) values "
                "(%s, 1, %s, false, date_trunc('minute', now()) - make_interval(mins => %s), %s, now() - make_interval(mins => %s), %s)",
                rule,
                unit,
                minutes_ago,
                peak,
                minutes_ago,
                row[0][0],
            )
        return int(row[0][0])

    def close(self, alarm: int) -> None:
        self.run("update firing set until = date_trunc('minute', now()) where alarm = %s", alarm)
        self.run("update alarm set closed_at = now() where id = %s", alarm)


def prepared(settings: Settings, parts: Parts) -> Settings:
    """A lively space for alarms."""
    chosen = settings.model_copy(update={"space": SPACE})
    lively.fill(parts.dsn, chosen)
    return chosen


@contextmanager
def door(chosen: Settings, folder: Path, **rules: Any) -> Iterator[Door]:
    """A running wall over it; its key lies in `folder`."""
    made = Door(
        Wall(
            reader_dsn=roles.reader_dsn(chosen),
            schema=migrations.board(chosen.space),
            schema_at=migrations.board_at(chosen.space),
            access=house_settings.Wall(**rules),
            key=folder / "secrets" / "wall.key",
            duty_dsn=roles.duty_dsn(chosen),
            space=chosen.space,
        )
    )
    made.start()
    try:
        yield made
    finally:
        made.stop()
