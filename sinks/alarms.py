"""Alarms: firings taken together, the messages that follow put into the outbox, all in the caller's transaction."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.rows import dict_row

from sinks import posting
from streams.rules.alarms import Alarm, Member, Telling, quiet_until, tell
from streams.rules.message import About, compose
from streams.rules.reading import read
from streams.rules.rule import Rule
from streams.settings import Settings

if TYPE_CHECKING:  # it brings numpy, and the deliverer lives in the worker, which has no use for that much memory
    from streams.rules.firing import Change

Connection = psycopg.Connection[Any]
"""Its search_path begins with the schema of the space."""

_MEMBERS = """
select f.id, f.unit, extract(epoch from f.since)::bigint / 60 as since, extract(epoch from f.until)::bigint / 60 as until, f.peak, s.value,
  f.withdrawn_at is not null as withdrawn, f.told
from firing f left join standing s on s.rule = f.rule and s.unit = f.unit where f.alarm = %s order by f.since, f.unit, f.id"""
_SILENCED = """
select u.unit from unnest(%(units)s::text[]) as u(unit) where exists (select from rule where name = %(rule)s and not enabled) or exists (
  select from silence s where (s.unit is null or s.unit = u.unit) and (s.rule is null or s.rule = %(rule)s) and s.since <= %(now)s and s.until > %(now)s)"""
# Those of which there may be something to tell: not all that are open, since who evaluates waits for those that are looked at.
_DUE = """
select id from alarm a where told is null or (closed_at is null and (
  told <> 'firing' or not exists (select from rule where name = a.rule)
  or not exists (select from firing f where f.alarm = a.id and f.until is null and f.withdrawn_at is null)
  or exists (select from firing f where f.alarm = a.id and f.until is null and f.withdrawn_at is null and f.told is null)
  or (acknowledged_at is null and escalated_at is null and opened_at <= %s)))
union select alarm from firing where withdrawn_at is not null and told = 'fired' order by 1"""
_STANDING = "select id from alarm where rule = %s and closed_at is null for update"
_LATE = "select id from alarm where rule = %s and closed_at is not null and told is null order by id desc limit 1 for update"
_BODY = """
select body from (select body, 1 as place, 0 as id from rule where name = %(rule)s and version = %(version)s
  union all select body, 2, id from rule_change where rule = %(rule)s and version = %(version)s
  union all select body, 3, 0 from rule where name = %(rule)s) b order by place, id desc limit 1"""


@dataclass(frozen=True)
class _Kept:
    """An alarm's row, locked, and its firings."""

    id: int
    rule: str
    version: int
    severity: str
    route: str
    said: int
    escalated: bool
    alarm: Alarm


def ring(
    connection: Connection, space: str, settings: Settings, rule: Rule, version: int, changes: Sequence["Change"], now: datetime
) -> None:
    """Take what became of a rule's firings in one evaluation to people: alarms are opened and closed, messages put into the outbox.

    Part of the evaluator's transaction, after `firing` and `standing` were written: every change bears the id of its row. All that one
    evaluation changed of an alarm is one message. Spans that are inhibited ring nobody. (Seven parameters: the space may be another than
    the settings'.)
    """
    heard = [change for change in changes if not change.span.inhibited and change.word != "moved"]
    if not heard:
        return
    held = frozenset(change.span.group for change in changes if change.span.inhibited and change.span.until is None)
    touched = set(_attach(connection, settings, rule, version, heard, now))
    for number in sorted(touched):
        _tell(connection, space, settings, _kept(connection, number), now, rule, held)


def round(connection: Connection, space: str, settings: Settings, now: datetime) -> None:
    """What time alone brings: units that joined, silences that ended, escalations, the morning after quiet hours, the daily digest; alarms of
    rules that are gone end.

    One transaction of the caller's; repeated, or run by two at once, it does nothing twice.
    """
    connection.execute("set local lock_timeout = '20ms'")  # who evaluates holds firings and then waits for alarms: never wait for it here
    waits = [route.escalate_after_minutes for route in settings.routes if route.escalate_after_minutes is not None]
    unanswered = now - timedelta(minutes=min(waits)) if waits else None
    numbers = [row[0] for row in connection.execute(_DUE, [unanswered])]
    works = [partial(_look_again, connection, space, settings, number, now) for number in numbers]
    works += [
        partial(posting.wake, connection, now),
        *(partial(posting.tell_yesterday, connection, space, settings, route, now) for route in settings.routes),
    ]
    for work in works:
        with contextlib.suppress(LockNotAvailable), connection.transaction():  # somebody is at it: next round
            work()


def acknowledge(connection: Connection, alarm: int, who: str, why: str = "") -> bool:
    """Somebody has it in hand, at the space's own time: it escalates no more. False when there is none that lasts, or somebody has already."""
    done = connection.execute(
        "update alarm set acknowledged_at = clock(), acknowledged_by = %s, acknowledged_why = %s "
        "where id = %s and acknowledged_at is null and closed_at is null",
        [who, why, alarm],
    )
    return done.rowcount == 1


def silence(connection: Connection, rule: str | None, unit: str | None, until: datetime, who: str, why: str) -> int:
    """Nothing of a rule, a unit, or one of both (None: any) begins to ring until then; the number of the silence."""
    row = connection.execute(
        "insert into silence (rule, unit, until, who, why) values (%s, %s, %s, %s, %s) returning id", [rule, unit, until, who, why]
    ).fetchone()
    return int(row[0])  # type: ignore[index]  # returning gives a row


def end_silence(connection: Connection, number: int) -> bool:
    """End a silence now; what still lasts rings with the next round. False when it is not there or has ended."""
    done = connection.execute(
        "update silence set until = greatest(clock_timestamp(), since + interval '1 microsecond') where id = %s and until > clock_timestamp()",
        [number],
    )
    return done.rowcount == 1


def _look_again(connection: Connection, space: str, settings: Settings, number: int, now: datetime) -> None:
    kept = _kept(connection, number)
    rule = _rule(connection, kept)
    if rule is None:
        return
    if not connection.execute("select 1 from rule where name = %s", [kept.rule]).fetchone():
        ended = "update firing set until = greatest(since, date_trunc('minute', %s)) where alarm = %s and until is null and withdrawn_at is null"
        connection.execute(ended, [now, number])  # nobody decides any more whether it lasts
        kept = _kept(connection, number)
    _tell(connection, space, settings, kept, now, rule, frozenset())
    _escalate(connection, space, settings, _kept(connection, number), now, rule)


def _attach(
    connection: Connection, settings: Settings, rule: Rule, version: int, changes: Sequence["Change"], now: datetime
) -> Iterable[int]:
    """Give every firing that has none its alarm; the alarms that were touched."""
    if any(change.id is None for change in changes):
        raise ValueError("a firing that is not written down cannot ring")
    rows = connection.execute("select id, alarm from firing where id = any(%s) and alarm is not null", [[change.id for change in changes]])
    alarm: dict[int | None, int] = dict(rows.fetchall())
    yield from alarm.values()
    for change in changes:
        if change.word == "again" and change.id in alarm:
            yield _again(connection, change.id, alarm[change.id], rule.rule)
    route = settings.route(rule.route)
    opened = [rule.rule, version, rule.severity, route.name if route else rule.route, rule.title, now]
    for words, query, closed in ((("fired", "again"), _STANDING, None), (("missed",), _LATE, now)):
        new = [change.id for change in changes if change.word in words and change.id not in alarm]
        if new:
            yield _into(connection, query, [*opened, closed], new)


def _into(connection: Connection, query: LiteralString, opened: list[object], firings: Sequence[int | None]) -> int:
    """Put new firings into the rule's alarm that the query finds, else into a new one: `opened`."""
    found = connection.execute(query, opened[:1]).fetchone()
    if found is None:
        found = connection.execute(
            "insert into alarm (rule, version, severity, route, title, opened_at, closed_at) values (%s, %s, %s, %s, %s, %s, %s) returning id",
            opened,
        ).fetchone()
    assert found is not None  # noqa: S101  # an insert returns its row
    connection.execute("update firing set alarm = %s where id = any(%s)", [found[0], firings])
    return int(found[0])


def _again(connection: Connection, firing: int | None, number: int, rule: str) -> int:
    """A firing that was said to be over lasts: its alarm opens again, or it joins the one that is open by now."""
    other = connection.execute("select id from alarm where rule = %s and closed_at is null and id <> %s", [rule, number]).fetchone()
    if other is None:
        connection.execute("update alarm set closed_at = null where id = %s", [number])
        return number
    connection.execute("update firing set alarm = %s, told = null where id = %s", [other[0], firing])
    return int(other[0])


def _kept(connection: Connection, number: int) -> _Kept:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("select * from alarm where id = %s for update", [number]).fetchone()
        assert row is not None  # noqa: S101  # alarms are never deleted
        members = tuple(Member(**each) for each in cursor.execute(_MEMBERS, [number]))
    alarm = Alarm(row["opened_at"], members, row["told"], row["told_at"])
    return _Kept(number, row["rule"], row["version"], row["severity"], row["route"], row["said"], row["escalated_at"] is not None, alarm)


def _rule(connection: Connection, kept: _Kept) -> Rule | None:
    """The rule as it was when its alarm opened, or as it is."""
    row = connection.execute(_BODY, {"rule": kept.rule, "version": kept.version}).fetchone()
    found = _read(row[0]) if row else None
    return found if isinstance(found, Rule) else None


_read = lru_cache(512)(read)


def _tell(connection: Connection, space: str, settings: Settings, kept: _Kept, now: datetime, rule: Rule, held: frozenset[str]) -> None:
    """Tell what there is to tell of an alarm, and close it when nothing of it lasts."""
    alarm = kept.alarm
    if not alarm.lasts:
        connection.execute("update alarm set closed_at = %s where id = %s and closed_at is null", [now, kept.id])
    silenced = _silenced(connection, kept, now)
    telling = tell(alarm, silenced, now, timedelta(minutes=settings.alerts.regroup_minutes))
    if telling is None:
        return
    connection.execute("update alarm set told = %s where id = %s", [telling.told, kept.id])
    if telling.word is None:
        return
    news = [member.id for member in telling.news]
    connection.execute(
        "update firing set told = case when withdrawn_at is null then 'fired' else 'withdrawn' end where id = any(%s)", [news]
    )
    known = [member for member in alarm.members if member.told == "fired" or member.id in news]
    _send(connection, space, settings, kept, rule, telling, known, now, held)
    if telling.word == "again":
        connection.execute("update alarm set escalated_at = null where id = %s", [kept.id])


def _send(
    connection: Connection, space: str, settings: Settings, kept: _Kept, rule: Rule, telling: Telling, known: Sequence[Member],
    now: datetime, held: frozenset[str] = frozenset(),
) -> None:  # fmt: skip
    """Put a telling into the outbox, once for each channel of the alarm's route."""
    off = connection.execute("select 1 from rule where name = %s and enabled", [kept.rule]).fetchone() is None
    names = _names(connection, known, now)
    about = About(space, kept.id, kept.alarm.opened_at, kept.said, rule, names, settings.alerts.wall_url, held, off)
    message = compose(about, telling, known, now)
    route = posting.route_of(settings, space, kept.route)
    until = None if route is None or kept.severity == "critical" else quiet_until(route.quiet_hours, now)
    connection.execute("update alarm set told_at = %s, said = said + 1 where id = %s", [until or now, kept.id])
    if route is None:
        return
    channels = route.escalate_to if message.word == "escalated" else route.channels
    if kept.escalated and message.word != "escalated":
        channels = (*dict.fromkeys((*channels, *route.escalate_to)),)
    state = "muted" if posting.muted(settings, space) else "held" if until else "waiting"
    posting.put(connection, message, channels, until or now, state, now)


def _escalate(connection: Connection, space: str, settings: Settings, kept: _Kept, now: datetime, rule: Rule) -> None:
    """Tell others when nobody has acknowledged what people could know of for long enough, unless it is quiet or silenced."""
    route = posting.route_of(settings, space, kept.route)
    alarm = kept.alarm
    if route is None or route.escalate_after_minutes is None or kept.escalated or alarm.told != "firing":
        return
    lasting = tuple(member for member in alarm.members if member.lasts and member.told == "fired")
    silenced = _silenced(connection, kept, now)
    if not [member for member in lasting if member.unit not in silenced]:
        return
    if kept.severity != "critical" and quiet_until(route.quiet_hours, now):
        return
    begun = connection.execute("select max(due_at) from outbox where alarm = %s and word in ('firing', 'again')", [kept.id]).fetchone()
    waited = begun is not None and begun[0] is not None and begun[0] + timedelta(minutes=route.escalate_after_minutes) <= now
    done = waited and connection.execute(
        "update alarm set escalated_at = %s where id = %s and acknowledged_at is null and escalated_at is null", [now, kept.id]
    )
    if done and done.rowcount:
        _send(connection, space, settings, kept, rule, Telling("escalated", "firing", lasting), lasting, now)


def _silenced(connection: Connection, kept: _Kept, now: datetime) -> set[str]:
    """The units that nobody wants to hear of now; all of them while the rule is switched off."""
    given = {"units": [*{member.unit for member in kept.alarm.members}], "rule": kept.rule, "now": now}
    return {row[0] for row in connection.execute(_SILENCED, given)}


def _names(connection: Connection, members: Sequence[Member], now: datetime) -> Mapping[str, str]:
    return posting.named(connection, [member.unit for member in members], now)
