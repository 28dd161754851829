"""The rules of a space: read, changed only here, every change kept with who and why."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import dict_row

from sinks.evaluator import lock
from streams.errors import Misconfigured
from streams.rules import linting
from streams.rules.reading import READY, read
from streams.rules.rule import Rule

Connection = psycopg.Connection[Any]
"""Its search_path begins with the schema of the space."""

What = Literal["added", "changed", "removed"]


@dataclass(frozen=True)
class Written:
    """A rule and the text it was read from."""

    rule: Rule
    body: str


class Step(NamedTuple):
    """One rule's change. version: the one it will have (the last one it had, when it is removed). diff: of the text, as `diff -u`."""

    what: What
    name: str
    version: int
    was: str
    body: str

    @property
    def diff(self) -> str:
        """The change of its text."""
        names = (f"{self.name} v{self.version - 1}", f"{self.name} v{self.version}")
        lines = difflib.unified_diff(self.was.splitlines(), self.body.splitlines(), *names, lineterm="")
        return "\n".join(lines)


def stand_ready(connection: Connection, space: str, who: str) -> None:
    """Let the rules that come with the program stand, and no others, in the caller's transaction."""
    said, wrong = linting.load(linting.files([READY]))
    assert not wrong  # noqa: S101  # the suite holds them
    wanted = [Written(each.rule, each.text) for each in said if each.rule]
    apply(connection, space, steps(connection, wanted), {each.rule.rule: each.rule for each in wanted}, who, "the ready rules")


def standing(connection: Connection) -> dict[str, Written]:
    """The rules that stand, by name; those that this code cannot read are left out."""
    found = {name: (read(body), body) for name, body in connection.execute("select name, body from rule order by name")}
    return {name: Written(rule, body) for name, (rule, body) in found.items() if isinstance(rule, Rule)}


def steps(connection: Connection, wanted: Sequence[Written]) -> list[Step]:
    """What makes the rules that stand into those that are wanted, and no others."""
    held = {name: (version, body) for name, version, body in connection.execute("select name, version, body from rule")}
    past: Mapping[str, int] = dict(connection.execute("select rule, max(version) from rule_change group by 1").fetchall())
    out = []
    for each in sorted(wanted, key=lambda written: written.rule.rule):
        name = each.rule.rule
        version, was = held.pop(name, (past.get(name, 0), ""))
        if was != each.body:
            out.append(Step("changed" if was else "added", name, version + 1, was, each.body))
    return out + [Step("removed", name, version, body, "") for name, (version, body) in sorted(held.items())]


def apply(connection: Connection, space: str, found: Sequence[Step], rules: Mapping[str, Rule], who: str, why: str) -> None:
    """Bring the steps in, in the caller's transaction. A version decides from the minute on in which it came; what a removed rule
    had open ends, and the next round of the ringing says so."""
    _lock(connection, space)
    for step in found:
        if step.what == "removed":
            connection.execute("delete from rule where name = %s", [step.name])
            _close(connection, step.name)
        else:
            connection.execute(
                "insert into rule (name, version, body, department, since, changed_by) values (%s, %s, %s, %s, date_trunc('minute', clock()), %s) "
                "on conflict (name) do update set version = excluded.version, body = excluded.body, department = excluded.department, "
                "since = excluded.since, changed_at = clock_timestamp(), changed_by = excluded.changed_by",
                [step.name, step.version, step.body, rules[step.name].department, who],
            )
        _note(connection, who, step.what, step.name, step.version, step.body or step.was, why)


def switch(connection: Connection, space: str, name: str, on: bool, who: str, why: str) -> bool:
    """Enable or disable a rule; what a disabled one had open ends. False when it was so already. Raises Misconfigured when there is none."""
    _lock(connection, space)
    row = connection.execute("select enabled, version, body from rule where name = %s for update", [name]).fetchone()
    if row is None:
        raise _none(connection, name)
    if row[0] == on:
        return False
    connection.execute(
        "update rule set enabled = %s, changed_at = clock_timestamp(), changed_by = %s, "
        "since = case when %s then date_trunc('minute', clock()) else since end where name = %s",
        [on, who, on, name],
    )
    if not on:
        _close(connection, name)
    _note(connection, who, "enabled" if on else "disabled", name, row[1], row[2], why)
    return True


def overview(connection: Connection) -> list[dict[str, Any]]:
    """Every rule: its state now, and how often it fired in the last seven days."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("""
select r.name as rule, r.version, r.department, r.enabled, r.body, coalesce(s.firing, 0) as firing, coalesce(s.pending, 0) as pending,
  coalesce(s.unknown, 0) as unknown, coalesce(f.firings, 0) as firings, coalesce(f.minutes, 0) as minutes, a.id as alarm, a.acknowledged_by
from rule r
left join (select rule, count(*) filter (where state = 'firing') as firing, count(*) filter (where state = 'pending') as pending,
  count(*) filter (where state = 'unknown') as unknown from standing group by 1) s on s.rule = r.name
left join (select rule, count(*) as firings, sum(extract(epoch from coalesce(until, clock()) - since) / 60)::bigint as minutes
  from firing where withdrawn_at is null and not inhibited and since > clock() - interval '7 days' group by 1) f on f.rule = r.name
left join alarm a on a.rule = r.name and a.closed_at is null order by r.name""").fetchall()


def history(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Every change of a rule, the newest first, with its text. Raises Misconfigured when there never was such a rule."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select at, who, what, version, why, body from rule_change where rule = %s order by id desc", [name]
        ).fetchall()
    if not rows:
        raise _none(connection, name)
    return rows


def firings(connection: Connection, name: str, most: int = 50) -> list[dict[str, Any]]:
    """A rule's firings, the newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select nullif(unit, '') as group, since as from, until as to, peak, version, inhibited, alarm from firing "
            "where rule = %s and withdrawn_at is null order by since desc, unit limit %s",
            [name, most],
        ).fetchall()


def _close(connection: Connection, name: str) -> None:
    connection.execute("delete from standing where rule = %s", [name])
    connection.execute("delete from judged where rule = %s", [name])
    connection.execute(
        "update firing set until = greatest(since, date_trunc('minute', clock())), "
        "withdrawn_at = case when since >= date_trunc('minute', clock()) then clock_timestamp() end where rule = %s and until is null",
        [name],
    )


def _note(connection: Connection, who: str, what: str, name: str, version: int, body: str, why: str) -> None:
    connection.execute(
        "insert into rule_change (who, what, rule, version, body, why) values (%s, %s, %s, %s, %s, %s)",
        [who, what, name, version, body, why],
    )


def _lock(connection: Connection, space: str) -> None:
    """One change of the rules at a time, and none while they are decided."""
    connection.execute("select await_lock(%s)", [lock(space)])


def _none(connection: Connection, name: str) -> Misconfigured:
    names = [row[0] for row in connection.execute("select name from rule")]
    close = difflib.get_close_matches(name, names, 1)
    return Misconfigured(f"there is no rule {name!r}", f"did you mean {close[0]!r}?" if close else "`ioc rules list` names those there are")
