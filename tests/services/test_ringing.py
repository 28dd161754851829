"""Alarms and their messages on the real database: grouped, told once, quiet at night, escalated when nobody answers."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from sinks import alarms, rulebook
from sinks.migrations import schema
from sinks.roles import reader_dsn
from streams.rules.firing import Change, Span
from tests.services.ringing import ringing
from tests.services.space import Space

UNITS = tuple(f"380{n:02}" for n in range(20))
NIGHT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)  # 01:00 on the 21st in Việt Nam


def test_twenty_hospitals_that_fail_at_once_are_one_message_and_one_end(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", *UNITS)
    assert bell.words() == ["firing"]
    bell.after(10).changed("cleared", *UNITS[:19])
    assert bell.words() == ["firing"]
    bell.after(1).changed("cleared", UNITS[19])
    assert bell.words() == ["firing", "resolved"]
    assert bell.rows("select count(*), count(closed_at), min(told), min(said) from alarm") == [(1, 1, "over", 2)]
    assert len({key for (key,) in bell.rows("select key from outbox")}) == 2


def test_units_that_join_are_told_together_after_the_regroup_time(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    for unit in UNITS[2:10]:
        bell.after(0.5).changed("fired", unit)
    bell.round()
    assert bell.words() == ["firing"]
    bell.after(2).round()
    bell.round()
    assert bell.words() == ["firing", "more"]
    (message,) = bell.rows("select message from outbox where word = 'more'")[0]
    assert "(8 đơn vị)" in message["title"]
    assert len(message["units"]) == 9


def test_what_was_rolled_back_was_never_rung(space: Space) -> None:
    bell = ringing(space)
    with closing(bell.connect()) as connection, connection.transaction():
        change = bell._written(connection, "fired", "38001")
        alarms.ring(connection, "live", bell.settings, bell.rule, 1, [change], bell.now)
        raise psycopg.Rollback
    assert bell.words() == []
    assert bell.rows("select count(*) from alarm") == [(0,)]


def test_a_firing_that_never_was_is_withdrawn_and_one_that_goes_on_rings_again(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    bell.after(5).changed("cleared", "38001")
    bell.after(1).changed("again", "38001")
    assert bell.words() == ["firing", "resolved", "again"]
    assert bell.rows("select count(*) from alarm where closed_at is null") == [(1,)]
    bell.after(1).changed("withdrawn", "38001")
    assert bell.words() == ["firing", "resolved", "again", "withdrawn"]
    assert bell.rows("select count(*) from alarm where closed_at is null") == [(0,)]


def test_a_part_that_never_was_is_corrected_after_the_end(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001", "38002")
    bell.after(5).changed("cleared", "38001", "38002")
    bell.after(6).changed("withdrawn", "38002")
    assert bell.words() == ["firing", "resolved", "corrected"]
    bell.after(60).round()
    assert bell.words() == ["firing", "resolved", "corrected"]


def test_a_firing_that_lasts_after_all_joins_the_alarm_that_is_open_by_now(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    bell.after(5).changed("cleared", "38001")
    bell.after(1).changed("fired", "38002")
    bell.after(1).changed("again", "38001")
    bell.after(9).round()
    assert bell.words() == ["firing", "resolved", "firing", "more"]
    bell.after(1).changed("cleared", "38001", "38002")
    assert bell.words()[-1] == "resolved"
    assert bell.rows("select count(*) from alarm where closed_at is null") == [(0,)]


def test_what_was_found_late_is_told_together_and_once(space: Space) -> None:
    bell = ringing(space)
    for unit in UNITS[:5]:
        bell.after(0.2).changed("missed", unit)
    assert bell.words() == []
    bell.after(5).round()
    bell.after(5).round()
    assert bell.words() == ["missed"]
    assert bell.rows("select count(*) from alarm") == [(1,)]


def test_what_was_found_late_is_no_part_of_an_alarm_that_was_told_as_over(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    bell.after(5).changed("cleared", "38001")
    bell.after(1).changed("missed", "38002")
    bell.after(6).round()
    assert bell.words() == ["firing", "resolved", "missed"]
    assert bell.rows("select count(*) from alarm") == [(2,)]


def test_inhibited_spans_ring_nobody(space: Space) -> None:
    bell = ringing(space)
    with closing(bell.connect()) as connection, connection.transaction():
        alarms.ring(connection, "live", bell.settings, bell.rule, 1, [Change("moved", 1, Span("a", True, 10, None, None))], bell.now)
    assert bell.rows("select count(*) from alarm") == [(0,)]


def test_a_silence_keeps_the_alarm_and_sends_nothing_until_it_ends(space: Space) -> None:
    bell = ringing(space)
    bell.now = datetime.now(UTC)
    with closing(bell.connect()) as connection:
        number = alarms.silence(connection, "payment-low", "38001", bell.now + timedelta(hours=1), "trực ban", "bảo trì")
        bell.after(0.1).changed("fired", "38001")
        bell.after(1).round()
        assert bell.words() == []
        assert bell.rows("select count(*) from alarm where closed_at is null") == [(1,)]
        bell.after(1).changed("fired", "38002")
        assert bell.words() == ["firing"]
        assert alarms.end_silence(connection, number)
        assert not alarms.end_silence(connection, number)
    bell.after(6).round()
    assert bell.words() == ["firing", "more"]


def test_nobody_acknowledges_and_it_escalates_once(space: Space) -> None:
    bell = ringing(space, {"escalate_after_minutes": 15, "escalate_to": ["boss"]})
    bell.changed("fired", "38001")
    bell.after(14).round()
    assert bell.words("boss") == []
    bell.after(2).round()
    bell.after(20).round()
    assert bell.words("boss") == ["escalated"]
    bell.changed("cleared", "38001")
    assert bell.words("boss") == ["escalated", "resolved"], "who was called is told that it is over"
    assert bell.words() == ["firing", "resolved"]


def test_what_is_acknowledged_does_not_escalate(space: Space) -> None:
    bell = ringing(space, {"escalate_after_minutes": 15, "escalate_to": ["boss"]})
    bell.changed("fired", "38001")
    with closing(bell.connect()) as connection:
        ((number,),) = bell.rows("select id from alarm")
        assert alarms.acknowledge(connection, number, "Lan", "đang gọi")
        assert not alarms.acknowledge(connection, number, "Minh")
    bell.after(60).round()
    assert bell.words("boss") == []
    assert bell.rows("select acknowledged_by from alarm") == [("Lan",)]


def test_at_night_only_what_is_critical_rings_and_the_rest_waits_in_one_message(space: Space) -> None:
    bell = ringing(space, {"quiet_hours": "22:00-06:00"})
    bell.now = NIGHT
    bell.changed("fired", "38001")
    bell.after(60).changed("cleared", "38001")
    bell.round()
    assert bell.rows("select word, state, part_of is null, due_at from outbox order by id") == [
        (word, "held", True, datetime(2026, 11, 20, 23, 0, tzinfo=UTC)) for word in ("firing", "resolved")
    ]
    bell.now = datetime(2026, 11, 20, 23, 0, 5, tzinfo=UTC)
    bell.round()
    bell.after(1).round()
    assert bell.rows("select word, state, part_of is null from outbox order by id") == [
        ("firing", "held", False), ("resolved", "held", False), ("morning", "waiting", True),
    ]  # fmt: skip


def test_what_is_critical_rings_at_night(space: Space) -> None:
    bell = ringing(space, {"quiet_hours": "22:00-06:00"}, severity="critical")
    bell.now = NIGHT
    bell.changed("fired", "38001")
    assert bell.rows("select word, state from outbox") == [("firing", "waiting")]


def test_one_message_of_the_night_goes_out_as_it_is(space: Space) -> None:
    bell = ringing(space, {"quiet_hours": "22:00-06:00", "escalate_after_minutes": 15, "escalate_to": ["boss"]})
    bell.now = NIGHT
    bell.changed("fired", "38001")
    bell.after(60).round()
    assert bell.words("boss") == [], "nobody could know of it yet"
    bell.now = datetime(2026, 11, 20, 23, 0, 5, tzinfo=UTC)
    bell.round()
    assert bell.rows("select word, state from outbox") == [("firing", "waiting")]
    bell.after(15).round()
    assert bell.words("boss") == ["escalated"]


def test_the_digest_comes_once_a_day_and_tells_of_yesterday(space: Space) -> None:
    bell = ringing(space, {"digest_at": "07:30"})
    bell.changed("fired", "38001")
    bell.after(30).changed("cleared", "38001")
    bell.now = datetime(2026, 11, 21, 0, 29, tzinfo=UTC)
    bell.round()
    assert "digest" not in bell.words()
    bell.after(2).round()
    bell.after(2).round()
    assert bell.words().count("digest") == 1
    (message,) = bell.rows("select message from outbox where word = 'digest'")[0]
    assert message["title"] == "Ngày 20/11/2026: 1 lần báo"
    assert "1 lần, 30 phút" in message["text"]


def test_a_rule_that_is_switched_off_rings_nobody_and_one_that_is_gone_ends_its_alarm(space: Space) -> None:
    bell = ringing(space, {"escalate_after_minutes": 15, "escalate_to": ["boss"]})
    bell.changed("fired", "38001")
    bell.rows("update rule set enabled = false returning name")
    bell.after(60).round()
    assert bell.words("boss") == []
    bell.rows(
        "insert into rule_change (who, what, rule, version, body) select 'a test', 'removed', name, version, body from rule returning id"
    )
    bell.rows("delete from rule returning name")
    bell.round()
    bell.after(1).round()
    assert bell.words() == ["firing", "resolved"]
    assert bell.rows("select count(*) from alarm where closed_at is null") == [(0,)]


def test_what_was_ended_by_hand_is_told_by_the_next_round_with_its_reason(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    with closing(bell.connect()) as connection, connection.transaction():
        rulebook.switch(connection, space.name, "payment-low", False, "Lan", "sai ngưỡng")
    bell.round()
    assert bell.words() == ["firing", "resolved"]
    assert "đã được tắt hoặc gỡ" in bell.rows("select message ->> 'text' from outbox where word = 'resolved'")[0][0]


def test_without_channels_alarms_are_kept_and_nothing_is_sent(space: Space) -> None:
    bell = ringing(space)
    bell.settings = bell.settings.model_copy(update={"channels": (), "routes": ()})
    bell.changed("fired", "38001")
    bell.after(1).changed("cleared", "38001")
    assert bell.rows("select route, told, closed_at is not null from alarm") == [("default", "over", True)]
    assert bell.rows("select count(*) from outbox") == [(0,)]


def test_a_drill_is_muted_unless_it_has_a_route(space: Space) -> None:
    bell = ringing(space)
    with closing(bell.connect()) as connection, connection.transaction():
        change = bell._written(connection, "fired", "38001")
        alarms.ring(connection, "drill-01", bell.settings, bell.rule, 1, [change], bell.now)
    assert bell.rows("select channel, state from outbox") == [("hook", "muted")]
    (message,) = bell.rows("select message from outbox")[0]
    assert message["title"].startswith("[DIỄN TẬP drill-01] ")


def test_rounds_at_once_say_nothing_twice_and_wait_for_nobody(space: Space) -> None:
    bell = ringing(space, {"digest_at": "00:00", "escalate_after_minutes": 1, "escalate_to": ["boss"]})
    bell.changed("fired", "38001")
    bell.changed("fired", "38002")
    bell.after(30)
    with closing(bell.connect()) as evaluator, evaluator.transaction():
        evaluator.execute("update firing set peak = 1")  # as the evaluator does, before it rings
        bell.round()
        evaluator.execute("select from alarm for update")
    rounds = [threading.Thread(target=bell.round) for _ in range(6)]
    for each in rounds:
        each.start()
    for each in rounds:
        each.join()
    bell.round()
    assert sorted(bell.words()) == ["digest", "firing", "more"]
    assert bell.words("boss") == ["escalated"]


def test_a_change_without_a_row_cannot_ring(space: Space) -> None:
    bell = ringing(space)
    with closing(bell.connect()) as connection, pytest.raises(ValueError, match="not written down"):
        alarms.ring(connection, "live", bell.settings, bell.rule, 1, [Change("fired", None, Span("a", False, 10, None, None))], bell.now)


def test_the_reader_sees_the_views_and_not_the_messages(space: Space) -> None:
    bell = ringing(space)
    bell.changed("fired", "38001")
    with closing(psycopg.connect(reader_dsn(space.settings))) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("select message from {}").format(sql.Identifier(schema(space.name), "outbox")))
