"""Rules compiled for Grafana, run as the reader on a real database: the same value as the evaluator's, for every group, minute by minute."""

import time
from typing import Any

import numpy as np
import psycopg
import pytest

from deploy.embedded.parts import Parts
from grafana import alarmsql, alerting
from grafana.wall import alarms
from sinks import frames, migrations, roles
from streams.rules import reading
from streams.rules.calendar import awake
from streams.rules.frame import there
from streams.rules.measure import Freshness
from streams.rules.rule import Rule
from streams.rules.values import groups, values
from streams.settings import Settings
from tests import duty
from tests.duty import Desk

WORDS = "title: Thử xem\ntext: thử xem\nwhy: để thử\nowner: Trực ban\nrunbook: gọi\n"
SAID = {
    "sum": "department: payment\nmeasure: {sum: paid_vnd}\nwindow: 6h\nby: unit\nwhen: {above: 1}\n",
    "count": "department: payment\nmeasure: {count: receipts}\nwindow: 1h\nby: unit\nwhen: {below: 1}\n",
    "rate": "department: einvoice\nmeasure: {rate: invoices, per: 1h}\nwindow: 20m\nwhen: {above: 1}\n",
    "ratio": "department: einvoice\nmeasure: {ratio: rejected, to: invoices, at_least: 5}\nwindow: 12h\nby: unit\nwhen: {above: 1}\n",
    "some-units": "department: payment\nmeasure: {sum: receipts}\nwindow: 12h\nby: unit\nonly: {unit: ['38001', '38012']}\nwhen: {above: 1}\n",
    "kinds": "department: telehealth\nmeasure: {sum: sessions}\nwindow: 12h\nby: kind\nwhen: {above: 1}\n",
    "absence": "department: payment\nmeasure: {absence: receipts}\nby: unit\nwhen: {above: 60}\n",
    "offline": "department: telehealth\nmeasure: {offline: sessions}\nwindow: 3h\nwhen: {above: 2}\n",
    "completeness": "department: payment\nmeasure: {completeness: source}\nwindow: 2h\nby: source\nwhen: {below: 99}\n",
    "late": "department: payment\nmeasure: {sum: late}\nwindow: 2h\nwhen: {above: 1}\n",
    "freshness": "department: payment\nmeasure: {freshness: source}\nby: source\nwhen: {above: 60}\n",
}


@pytest.fixture(scope="module")
def chosen(settings: Settings, parts: Parts) -> Settings:
    own = duty.prepared(settings, parts)
    desk = Desk(parts.dsn)
    desk.empty()
    desk.signs()
    desk.run("update heard set known_at = now() + interval '10 minutes', watermark = now(), committed_at = now()")
    desk.run("truncate ledger_1m")
    desk.run(
        "insert into ledger_1m select department, source, minute, 20, 15, 5, 2, 1, 1 from heard, "
        "generate_series(date_trunc('minute', now()) - interval '1 day', now() + interval '1 hour', interval '1 minute') as minute"
    )
    return own


def rule(said: str) -> Rule:
    found = reading.read(f"rule: under-test\n{WORDS}{said}")
    assert isinstance(found, Rule), found
    return found


def asked(chosen: Settings, sql: str) -> list[tuple[Any, ...]]:
    """The statement's rows, as Grafana's datasource would get them."""
    options = f"-c search_path={migrations.board(chosen.space)},public"
    with psycopg.connect(roles.reader_dsn(chosen), options=options) as connection:
        return connection.execute(sql.encode()).fetchall()


def ours(chosen: Settings, made: Rule, until: int) -> dict[str, float]:
    with psycopg.connect(roles.reader_dsn(chosen)) as connection:
        frame = frames.load(connection, chosen.space, made, until - made.memory, until)
    found = values(made, frame)[:, -1]
    named = dict(zip(groups(made, frame), map(float, found), strict=True))
    if not made.heeds_silence:
        return named
    spoken_of = there(frame, made.reach)[:, -1]
    return {group: value for (group, value), known in zip(named.items(), spoken_of, strict=True) if known}


@pytest.mark.parametrize("name", SAID)
def test_a_compiled_rule_measures_what_the_evaluator_measures(chosen: Settings, name: str) -> None:
    made = rule(SAID[name])
    while True:
        minute = int(time.time() // 60)
        rows = asked(chosen, alarmsql.value(made))
        expected = ours(chosen, made, minute)
        if int(time.time() // 60) == minute:
            break
    found = {row[0] if len(row) > 1 else "": row[-1] for row in rows}
    assert set(found) == set(expected)
    for group, value in expected.items():
        quiet = made.when.clear or (made.when.above if made.when.above is not None else made.when.below)
        if isinstance(made.measure, Freshness):
            assert found[group] < 60, "the source spoke in every minute"
        else:
            assert found[group] == pytest.approx(quiet if np.isnan(value) else value, rel=1e-9), group
    assert len(expected) > 0


def test_while_a_source_is_silent_a_rule_that_holds_gives_no_row_and_others_say_so(chosen: Settings, parts: Parts) -> None:
    said = "department: telehealth\nmeasure: {sum: sessions}\nwindow: 12h\nwhen: {above: 1000000}\n"
    desk = Desk(parts.dsn)
    desk.run("update heard set known_at = known_at - interval '1 day' where department = 'telehealth'")
    try:
        assert asked(chosen, alarmsql.value(rule(said))) == []
        assert asked(chosen, alarmsql.value(rule(said + "missing: ok\n"))) == [(1_000_000.0,)]
        assert asked(chosen, alarmsql.value(rule(said + "missing: firing\n"))) == [(1_000_001.0,)]
    finally:
        desk.run("update heard set known_at = known_at + interval '1 day' where department = 'telehealth'")


@pytest.mark.parametrize("name", [made.rule for made in alerting.read() if alerting.left(made) is None])
def test_every_ready_rule_works_as_the_reader(chosen: Settings, name: str) -> None:
    made = next(each for each in alerting.read() if each.rule == name)
    for row in asked(chosen, alarmsql.value(made)):
        assert isinstance(row[-1], float)
        assert sum(isinstance(each, int | float) for each in row) == 1, "one number, else Grafana wants a reduction"


def test_a_rule_sleeps_there_when_it_sleeps_here(chosen: Settings) -> None:
    for hours in ("00:00-12:00", "12:00-24:00", "20:00-05:00", "05:00-20:00"):
        for days in ("[mon, tue, wed, thu, fri]", "[sat, sun]", "[mon, tue, wed, thu, fri, sat, sun]"):
            calendar = f"calendar: {{hours: '{hours}', days: {days}, holidays: false}}\n"
            made = rule("department: telehealth\nmeasure: {sum: sessions}\nwindow: 1d\nwhen: {below: -5}\n" + calendar)
            while True:
                minute = int(time.time() // 60)
                value = asked(chosen, alarmsql.value(made))[0][0]
                if int(time.time() // 60) == minute:
                    break
            assert (value != -5.0) == bool(awake(made.calendar, minute - 1, 1)[0]), (hours, days)


def test_the_switch_rings_when_the_evaluator_is_silent_or_never_spoke(chosen: Settings, parts: Parts) -> None:
    group = alerting.switch()["data"][0]["model"]["rawSql"]
    desk = Desk(parts.dsn)
    desk.run("delete from beat")
    assert asked(chosen, group) == [], "no row: noDataState Alerting"
    desk.beats(seconds_ago=500)
    assert asked(chosen, group)[0][0] == pytest.approx(500, abs=60)
    assert alarms.EVALUATOR == "evaluator"
