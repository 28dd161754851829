"""Laws of what rings: nothing twice, nothing swallowed, whatever the order in which firings change."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rules.alarms import Alarm, Member, Telling, quiet_until, tell

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
REGROUP = timedelta(minutes=5)
UNITS = ("38001", "38002", "38003")
BEGINS, ENDS = {"firing", "again"}, {"resolved", "withdrawn"}


def after(alarm: Alarm, telling: Telling, now: datetime) -> Alarm:
    """The alarm once people were told."""
    news = {member.id for member in telling.news}
    members = tuple(replace(m, told="withdrawn" if m.withdrawn else "fired") if m.id in news else m for m in alarm.members)
    return replace(alarm, members=members, told=telling.told, told_at=now if telling.word else alarm.told_at)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["fire", "miss", "clear", "again", "withdraw", "tick", "silence", "speak"]), st.integers(0, 5), st.integers(0, 7)
    ),
    max_size=40,
)


def changed(alarm: Alarm, what: str, number: int, minute: int) -> Alarm:
    """The alarm after a firing of it changed in a way that firings may; what begins once it is over belongs to another alarm."""
    members = list(alarm.members)
    if what in ("fire", "miss"):
        if members and (not alarm.lasts if what == "fire" else alarm.lasts or alarm.told):
            return alarm
        members.append(Member(len(members), UNITS[number % 3], minute, None if what == "fire" else minute + 1))
    elif members:
        place = number % len(members)
        was = members[place]
        if what == "clear" and was.lasts:
            members[place] = replace(was, until=minute)
        elif what == "again" and was.until is not None and not was.withdrawn:
            members[place] = replace(was, until=None)
        elif what == "withdraw":
            members[place] = replace(was, withdrawn=True)
    return replace(alarm, members=tuple(members))


@given(CHANGES)
def test_every_beginning_that_is_told_has_exactly_one_end_and_nothing_is_told_twice(changes: list[tuple[str, int, int]]) -> None:
    alarm, silenced, now, told = Alarm(NOW, ()), set[str](), NOW, list[str]()
    for minute, (what, number, wait) in enumerate([*changes, ("speak", 0, 0), ("tick", 0, 9)]):
        alarm = changed(alarm, what, number, minute)
        silenced = {UNITS[number % 3]} if what == "silence" else set() if what == "speak" else silenced
        now += timedelta(minutes=wait)
        if not alarm.members:
            continue
        telling = tell(alarm, silenced, now, REGROUP)
        if telling is not None:
            alarm = after(alarm, telling, now)
            told += [telling.word] if telling.word else []
        assert tell(alarm, silenced, now, REGROUP) is None, "asked again at once, there is nothing left to say"
    lasts = False
    for word in told:
        if word in BEGINS:
            assert not lasts, told
            lasts = True
        elif word in ENDS:
            lasts = False
        elif word in ("missed", "corrected"):
            assert not lasts, told
        else:
            assert lasts, told
    assert lasts == (alarm.told == "firing") == alarm.lasts, "at the end people know whether it lasts"
    if alarm.told in ("over", "withdrawn"):
        assert not [m for m in alarm.members if m.withdrawn and m.told == "fired"], "nobody is left with what never was"


def test_twenty_units_at_once_are_one_message() -> None:
    members = tuple(Member(n, f"380{n:02}", 10) for n in range(20))
    telling = tell(Alarm(NOW, members), set(), NOW, REGROUP)
    assert telling == Telling("firing", "firing", members)


def test_units_that_join_are_told_together_once_in_five_minutes() -> None:
    alarm = Alarm(NOW, (Member(1, "a", 10, told="fired"), Member(2, "b", 11), Member(3, "c", 12)), "firing", NOW)
    assert tell(alarm, set(), NOW + timedelta(minutes=4), REGROUP) is None
    telling = tell(alarm, set(), NOW + REGROUP, REGROUP)
    assert telling == Telling("more", "firing", alarm.members[1:])


def test_it_is_over_when_the_last_unit_is() -> None:
    one, two = Member(1, "a", 10, 12, told="fired"), Member(2, "b", 11, told="fired")
    assert tell(Alarm(NOW, (one, two), "firing", NOW), set(), NOW, REGROUP) is None
    telling = tell(Alarm(NOW, (one, replace(two, until=15)), "firing", NOW), set(), NOW, REGROUP)
    assert telling is not None
    assert (telling.word, telling.told) == ("resolved", "over")


def test_what_never_was_is_withdrawn() -> None:
    gone = Member(1, "a", 10, 10, withdrawn=True, told="fired")
    assert tell(Alarm(NOW, (gone,), "firing", NOW), set(), NOW, REGROUP) == Telling("withdrawn", "withdrawn", (gone,))


def test_a_silence_rings_nobody_and_what_was_told_before_it_is_still_ended() -> None:
    lasting = Member(1, "a", 10)
    assert tell(Alarm(NOW, (lasting,)), {"a"}, NOW, REGROUP) is None
    assert tell(Alarm(NOW, (replace(lasting, until=12),)), {"a"}, NOW, REGROUP) == Telling(None, "never")
    ended = replace(lasting, until=12, told="fired")
    telling = tell(Alarm(NOW, (ended,), "firing", NOW), {"a"}, NOW, REGROUP)
    assert telling is not None
    assert telling.word == "resolved"


def test_the_end_does_not_speak_of_units_that_were_silenced_all_along() -> None:
    told, silent = Member(1, "a", 10, 12, told="fired"), Member(2, "b", 10, 12)
    assert tell(Alarm(NOW, (told, silent), "firing", NOW), {"b"}, NOW, REGROUP) == Telling("resolved", "over", (told,))


def test_an_alarm_that_outlives_its_silence_rings_then() -> None:
    alarm = Alarm(NOW, (Member(1, "a", 10),))
    telling = tell(alarm, set(), NOW + timedelta(hours=1), REGROUP)
    assert telling is not None
    assert telling.word == "firing"


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("22:00-06:00", "2026-11-20T23:30+07:00", "2026-11-21T06:00+07:00"),
        ("22:00-06:00", "2026-11-21T05:59+07:00", "2026-11-21T06:00+07:00"),
        ("22:00-06:00", "2026-11-21T06:00+07:00", None),
        ("22:00-06:00", "2026-11-21T21:59+07:00", None),
        ("12:00-13:30", "2026-11-21T12:00+07:00", "2026-11-21T13:30+07:00"),
        (None, "2026-11-21T12:00+07:00", None),
    ],
)
def test_quiet_hours_are_vietnamese_and_may_pass_midnight(hours: str | None, now: str, until: str | None) -> None:
    assert quiet_until(hours, datetime.fromisoformat(now)) == (datetime.fromisoformat(until) if until else None)


def test_the_deliverer_which_lives_in_the_worker_brings_no_numpy_along() -> None:
    asked = "import sys, sinks.outbox; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
