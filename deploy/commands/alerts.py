"""`ioc alerts`: try a route, see what is on its way to people, send again what failed."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from psycopg import sql
from psycopg.rows import dict_row

from deploy import console
from deploy.commands.figures import connect
from deploy.console import Json
from sinks.channels import channel as channels
from sinks.migrations import schema
from streams import settings
from streams.errors import IocError, Misconfigured
from streams.event import VIETNAM
from streams.rules.message import Message, Unit, key
from streams.settings import Channel, Settings

State = Literal["waiting", "held", "sent", "muted", "failed"]

_ROWS = """
select id, alarm, made_at, due_at, sent_at, channel, word, message ->> 'title' as title, state, tries, wrong from outbox
where (%(state)s::text is null or state = %(state)s) and (%(channel)s::text is null or channel = %(channel)s) order by id desc limit %(limit)s"""
_AGAIN = """
update outbox set state = 'waiting', due_at = clock_timestamp(), tried_at = null
where state = 'failed' and part_of is null and (%(channel)s::text is null or channel = %(channel)s) and (%(ids)s::bigint[] is null or id = any(%(ids)s))
  and made_at > clock_timestamp() - make_interval(days => %(days)s)"""

Name = Annotated[str | None, typer.Option("--channel", help="Only of this channel.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(help="What rings: try a route, see messages on their way, send failed ones again.", no_args_is_help=True)
    group.command("test")(try_route)
    group.command("outbox")(outbox)
    group.command("retry")(retry)
    app.add_typer(group, name="alerts")


def try_route(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="The name of a [[routes]] table.")], as_json: Json = False
) -> None:
    """Send a test message through every channel of a route, those it escalates to as well, and say what each answered. Exit 1 when one refused.

    Nothing is written anywhere: no alarm, no outbox. Example: ioc alerts test default
    """
    chosen = settings.load()
    found = next((each for each in chosen.routes if each.name == route), None)
    if found is None:
        known = ", ".join(each.name for each in chosen.routes) or "none yet"
        raise Misconfigured(f"there is no route named {route} (known: {known})", "add a [[routes]] table to ioc.toml (docs/ringing.md)")
    names = [*dict.fromkeys((*found.channels, *found.escalate_to))]
    answers = [_answer(chosen, each) for each in chosen.channels if each.name in names]
    ok = all(answer["ok"] for answer in answers)
    columns = ["channel", "kind", "ok", "answer"]
    shown = [[answer["channel"], answer["kind"], "✓" if answer["ok"] else "✗", answer["answer"]] for answer in answers]
    console.result({"ok": ok, "route": route, "channels": answers}, as_json, lambda: console.table(columns, shown))
    if not ok:
        raise typer.Exit(1)


def outbox(
    state: Annotated[State | None, typer.Option(help="Only messages in this state.")] = None,
    channel: Name = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Messages on their way: waiting (due or to be tried again), held (until quiet hours end), sent, muted (of a drill), failed (and why)."""
    chosen = settings.load()
    with _connect(chosen) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ROWS, {"state": state, "channel": channel, "limit": limit}).fetchall()
        counts = {row["state"]: row["n"] for row in cursor.execute("select state, count(*) as n from outbox group by 1 order by 1")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing yet"
    columns = ["id", "made at", "channel", "title", "state", "tries", "wrong"]
    shown = [
        [
            row["id"],
            f"{row['made_at'].astimezone(VIETNAM):%d/%m %H:%M:%S}",
            row["channel"],
            row["title"],
            row["state"],
            row["tries"],
            row["wrong"],
        ]
        for row in rows
    ]
    console.result({"counts": counts, "rows": rows}, as_json, lambda: console.table(columns, shown, title=told))


def retry(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]...", help="Messages, as `ioc alerts outbox` numbers them; all without.")
    ] = None,
    channel: Name = None,
    days: Annotated[int, typer.Option(min=1, help="Only messages made within so many days.")] = 1,
    as_json: Json = False,
) -> None:
    """Send messages again that had failed, with the same keys: after a token was mended, or a gateway was away for longer than we try."""
    chosen = settings.load()
    with _connect(chosen) as connection:
        done = connection.execute(_AGAIN, {"channel": channel, "ids": ids or None, "days": days})
    console.result({"retried": done.rowcount}, as_json, lambda: console.say(f"{done.rowcount} messages go out again"))


def _connect(chosen: Settings) -> Any:
    connection = connect(chosen)
    connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
    return connection


def _answer(chosen: Settings, channel: Channel) -> dict[str, Any]:
    """What a channel made of a test message."""
    told = {"channel": channel.name, "kind": channel.kind}
    try:
        with closing(channels.connect(channel)) as way:
            way.send(_message(chosen.space))
    except IocError as error:
        return told | {"ok": False, "answer": f"{error.wrong}{f'; {error.mend}' if error.mend else ''}"}
    return told | {"ok": True, "answer": "taken"}


def _message(space: str) -> Message:
    now = datetime.now(UTC)
    at = now.isoformat()
    return Message(
        key=key(space, "test", at), word="test", space=space, made_at=at, title="Thử: tin nhắn kiểm tra kênh báo",
        text="Đây là tin thử của Sông Mã. Không có sự cố nào; không cần làm gì.", rule="ioc-test", severity="info", owner="ioc",
        units=(Unit(code="", name="thử", since=at, until=at),),
    )  # fmt: skip
