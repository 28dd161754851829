"""Messages put into the outbox: by route, held over night, gathered in the morning, the daily digest."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from streams.event import VIETNAM
from streams.rules.message import Message, Tally, digest, gathered, key
from streams.settings import Route, Settings
from streams.topics import LIVE

Connection = psycopg.Connection[Any]
"""Its search_path begins with the schema of the space."""

DRILL = "drill"
"""The route that rings in spaces other than `live`; without it their messages are kept and muted."""

_PUT = """
insert into outbox (key, alarm, channel, word, message, made_at, due_at, state) values (%s, %s, %s, %s, %s, %s, %s, %s)
on conflict (key) do nothing"""


def put(connection: Connection, message: Message, channels: Iterable[str], due: datetime, state: str, now: datetime) -> None:
    """Put a message into the outbox, once for each channel, each with a key of its own; one that is there is not put twice."""
    for channel in channels:
        said = msgspec.structs.replace(message, key=key(message.key, channel))
        held = Jsonb(msgspec.to_builtins(said))
        connection.execute(_PUT, [said.key, message.alarm, channel, message.word, held, now, due, state])


def wake(connection: Connection, now: datetime) -> None:
    """What quiet hours held goes out: alone as it is, several of one channel as one message."""
    rows = connection.execute(
        "select id, channel, message from outbox where state = 'held' and part_of is null and due_at <= %s order by id for update skip locked",
        [now],
    ).fetchall()
    held: dict[str, list[tuple[int, Message]]] = {}
    for number, channel, message in rows:
        held.setdefault(channel, []).append((number, msgspec.convert(message, Message)))
    for channel, several in held.items():
        ids = [number for number, _ in several]
        if len(several) == 1:
            connection.execute("update outbox set state = 'waiting' where id = any(%s)", [ids])
            continue
        night = gathered([message for _, message in several], now)
        put(connection, night, [channel], now, "waiting", now)
        connection.execute(
            "update outbox set part_of = (select id from outbox where key = %s) where id = any(%s)", [key(night.key, channel), ids]
        )


def tell_yesterday(connection: Connection, space: str, settings: Settings, route: Route, now: datetime) -> None:
    """Yesterday's alarms of a route, once a day."""
    local = now.astimezone(VIETNAM)
    if route.digest_at is None or local.time() < time.fromisoformat(route.digest_at) or (space != LIVE and route.name != DRILL):
        return
    end = datetime.combine(local.date(), time(), VIETNAM)
    since = end - timedelta(days=1)
    message = digest(space, route.name, f"{since:%Y-%m-%d}", (), now)
    if connection.execute(
        "select 1 from outbox where key = any(%s)", [[key(message.key, channel) for channel in route.channels]]
    ).fetchone():
        return
    rows = connection.execute(
        "select a.title, f.unit, count(*), sum(extract(epoch from least(coalesce(f.until, %(end)s), %(end)s) - greatest(f.since, %(since)s)) / 60)::bigint "
        "from firing f join alarm a on a.id = f.alarm where f.withdrawn_at is null and f.since < %(end)s and (f.until is null or f.until > %(since)s) "
        "and (a.route = %(route)s or %(drill)s) group by 1, 2 order by 4 desc, 1, 2",
        {"since": since, "end": end, "route": route.name, "drill": space != LIVE},
    ).fetchall()
    names = named(connection, [row[1] for row in rows], now)
    tallies = [Tally(title, names.get(unit, unit), times, minutes) for title, unit, times, minutes in rows]
    put(connection, digest(space, route.name, f"{since:%Y-%m-%d}", tallies, now), route.channels, now, "waiting", now)


def route_of(settings: Settings, space: str, name: str) -> Route | None:
    """The route by which a rule's messages go in a space; None when there is none."""
    if space == LIVE or not any(route.name == DRILL for route in settings.routes):
        return settings.route(name)
    return settings.route(DRILL)


def audible(settings: Settings) -> Settings:
    """The settings with the channels that ring in their space and no others: elsewhere than in live, those of the route `drill`."""
    if settings.space == LIVE:
        return settings
    ringing = {name for route in settings.routes if route.name == DRILL for name in (*route.channels, *route.escalate_to)}
    return settings.model_copy(update={"channels": tuple(channel for channel in settings.channels if channel.name in ringing)})


def muted(settings: Settings, space: str) -> bool:
    """Whether a space's messages are kept and not sent."""
    return space != LIVE and not any(route.name == DRILL for route in settings.routes)


def named(connection: Connection, units: list[str], now: datetime) -> dict[str, str]:
    """What units are called today."""
    rows = connection.execute(
        "select distinct on (code) code, name from unit where code = any(%s) and valid_from <= %s order by code, valid_from desc",
        [units, now.astimezone(VIETNAM).date()],
    )
    return dict(rows.fetchall())
