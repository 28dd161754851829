"""The rules of a space through the command line: the only way in, what it refuses, what it keeps, what ends."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import Result

from deploy import console
from streams.errors import Misconfigured
from tests.services.space import Ioc, Space, paid

MINUTE_US = 60_000_000
RULE = """\
rule: payment-many
title: Nhiều giao dịch
text: "{value} giao dịch ở {units}"
why: Thử.
department: payment
measure: {sum: receipts}
by: unit
window: 5m
when: {above: 2}
owner: Sở Y tế
runbook: Gọi phòng tài chính.
calls_per_week: 1
missing: ok
tests:
  - name: three are many
    rows:
      - {at: "09:00", unit: "38001", receipts: 3}
    expect:
      "38001": {"09:00": firing, "09:05": ok}
"""


def said(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def now() -> int:
    return int(datetime.now(UTC).timestamp()) // 60


def pay(space: Space, minute: int, count: int, unit: str = "38001", first: int = 1) -> None:
    """So many payments in a minute, known at once, and figures that follow."""
    at = minute * MINUTE_US + 1_000_000
    space.take("payment", *(paid(first + n, unit=unit, event_time_us=at, paid_at_us=at, known_at_us=at + 1_000_000) for n in range(count)))
    space.follow("payment")


def folder(tmp_path: Path, **files: str) -> Path:
    for path in tmp_path.glob("*.yaml"):
        path.unlink()
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_rules_come_in_change_and_go_with_who_and_why(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    first = said(ioc("rules", "apply", folder(tmp_path, a=RULE), "--who", "lan", "--why", "first", "--json"))
    assert [(c["what"], c["rule"], c["version"]) for c in first["changes"]] == [("added", "payment-many", 1)]
    assert said(ioc("rules", "apply", tmp_path, "--json"))["changes"] == []
    other = RULE.replace("payment-many", "payment-more")
    changed = RULE.replace("above: 2", "above: 2.5")
    second = said(ioc("rules", "apply", folder(tmp_path, a=changed, b=other), "--who", "minh", "--why", "quieter", "--json"))
    assert [(c["what"], c["rule"], c["version"]) for c in second["changes"]] == [
        ("changed", "payment-many", 2),
        ("added", "payment-more", 1),
    ]
    assert "-when: {above: 2}\n+when: {above: 2.5}" in second["changes"][0]["diff"]
    third = said(ioc("rules", "apply", folder(tmp_path, b=other), "--who", "lan", "--json"))
    assert [(c["what"], c["rule"]) for c in third["changes"]] == [("removed", "payment-many")]
    history = said(ioc("rules", "show", "payment-many", "--json"))["history"]
    assert [(h["what"], h["version"], h["who"], h["why"]) for h in history] == [
        ("removed", 2, "lan", ""), ("changed", 2, "minh", "quieter"), ("added", 1, "lan", "first"),
    ]  # fmt: skip
    again = said(ioc("rules", "apply", folder(tmp_path, a=RULE, b=other), "--json"))
    assert [(c["what"], c["version"]) for c in again["changes"]] == [("added", 3)]
    assert "payment-many" in ioc("rules", "show", "payment-many").stdout


def test_a_version_decides_from_the_minute_on_in_which_it_came(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    before = now()
    ioc("rules", "apply", folder(tmp_path, a=RULE))
    [(since,)] = space.rows("select extract(epoch from since)::bigint / 60 from rule")
    assert before <= since <= now()


def test_what_is_wrong_is_refused_and_nothing_changes(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    without = RULE[: RULE.index("tests:")]
    failing = RULE.replace('"09:05": ok', '"09:06": ok')
    for wrong in (without, failing, RULE.replace("receipts}", "receits}")):
        done = ioc("rules", "apply", folder(tmp_path, good=RULE.replace("payment-many", "payment-good"), wrong=wrong), "--json")
        assert isinstance(done.exception, console.No)
        assert said(done)["ok"] is False
        assert len(said(done)["failures"]) == 1
    assert space.rows("select name from rule") == []


def test_a_rule_that_calls_too_often_is_refused_unless_somebody_says_why(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    for number, ago in enumerate((180, 120, 60)):
        pay(space, now() - ago, 3, first=1 + 10 * number)
    done = ioc("rules", "apply", folder(tmp_path, a=RULE), "--json")
    assert isinstance(done.exception, console.No)
    assert [(c["calls_per_week"], c["budget"]) for c in said(done)["changes"]] == [(3.0, 1.0)]
    assert space.rows("select name from rule") == []
    assert said(ioc("rules", "apply", tmp_path, "--over-budget", "only until Friday", "--why", "trial", "--json"))["ok"]
    assert space.rows("select why from rule_change") == [("trial; over budget (payment-many): only until Friday",)]


def test_a_dry_run_changes_nothing(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    assert len(said(ioc("rules", "apply", folder(tmp_path, a=RULE), "--dry-run", "--json"))["changes"]) == 1
    assert space.rows("select 1 from rule union all select 1 from rule_change") == []


def test_what_a_disabled_or_removed_rule_had_open_ends(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    for leave in (("rules", "disable", "payment-many", "--why", "noise", "--json"), ("rules", "apply", tmp_path, "--json")):
        ioc("rules", "apply", folder(tmp_path, a=RULE, b=RULE.replace("payment-many", "payment-more")))
        ioc("rules", "enable", "payment-many")
        with space.connect() as connection:
            connection.execute("delete from firing")
            connection.execute(
                "insert into firing (rule, version, unit, inhibited, since) values ('payment-many', 1, '38001', false, now() - interval '1 hour')"
            )
            connection.execute("insert into standing values ('payment-many', '38001', 'firing', now(), 3) on conflict do nothing")
        assert [r["state"] for r in said(ioc("rules", "list", "--json"))["rules"]] == ["firing", "ok"]
        folder(tmp_path, b=RULE.replace("payment-many", "payment-more"))
        assert said(ioc(*leave))
        assert space.rows("select until = date_trunc('minute', until), withdrawn_at is null from firing") == [(True, True)]
        assert space.rows("select 1 from standing") == []
        folder(tmp_path, a=RULE, b=RULE.replace("payment-many", "payment-more"))


def test_a_rule_is_switched_off_and_on_once(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    ioc("rules", "apply", folder(tmp_path, a=RULE))
    assert said(ioc("rules", "enable", "payment-many", "--json"))["changed"] is False
    assert said(ioc("rules", "disable", "payment-many", "--who", "lan", "--why", "noise", "--json"))["changed"]
    assert [r["state"] for r in said(ioc("rules", "list", "--json"))["rules"]] == ["disabled"]
    assert said(ioc("rules", "enable", "payment-many", "--json"))["changed"]
    assert [row[0] for row in space.rows("select what from rule_change order by id")] == ["added", "disabled", "enabled"]
    missing = ioc("rules", "disable", "payment-meny")
    assert isinstance(missing.exception, Misconfigured)
    assert "did you mean 'payment-many'" in missing.exception.mend


def test_silences_and_acknowledgements_reach_the_tables(space: Space, ioc: Ioc, tmp_path: Path) -> None:
    ioc("rules", "apply", folder(tmp_path, a=RULE))
    done = said(
        ioc("rules", "silence", "payment-many", "--unit", "38001", "--until", "tomorrow", "--why", "moving house", "--who", "lan", "--json")
    )
    assert space.rows("select id, rule, unit, who, why from silence") == [(done["silence"], "payment-many", "38001", "lan", "moving house")]
    assert isinstance(ioc("rules", "silence", "--until", "yesterday", "--why", "late").exception, Misconfigured)
    with space.connect() as connection:
        made = connection.execute(
            "insert into alarm (rule, version, severity, route, title) values ('payment-many', 1, 'warning', 'default', 'T') returning id"
        ).fetchone()
    number = made[0] if made else 0
    assert said(ioc("rules", "ack", number, "--who", "lan", "--why", "on it", "--json"))["acknowledged"]
    assert isinstance(ioc("rules", "ack", number).exception, console.No)
    assert space.rows("select acknowledged_by, acknowledged_why from alarm") == [("lan", "on it")]


def test_incidents_are_labelled_listed_and_removed(space: Space, ioc: Ioc) -> None:
    words = ("--from", "2026-11-20T09:00", "--to", "2026-11-20T10:30", "--what", "QR codes printed wrong", "--who", "lan")
    number = said(ioc("incidents", "add", "payment", "--unit", "38001", *words, "--json"))["incident"]
    [found] = said(ioc("incidents", "list", "payment", "--json"))["incidents"]
    assert (found["id"], found["unit"], found["what"]) == (number, "38001", "QR codes printed wrong")
    assert said(ioc("incidents", "list", "einvoice", "--json"))["incidents"] == []
    assert said(ioc("incidents", "remove", number, "--json"))["removed"] == 1
    assert isinstance(ioc("incidents", "remove", number).exception, console.No)
    assert isinstance(ioc("incidents", "add", "payment", "--from", "today", "--to", "yesterday", "--what", "no").exception, Misconfigured)
