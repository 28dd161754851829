"""`ioc rules backtest`: the same firings as minute by minute, what they amount to, and a page that decides as Python does."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import Result
from playwright.sync_api import Browser

from deploy import page
from sinks import backtest
from streams.event import VIETNAM
from streams.rules.decide import decide
from streams.rules.firing import spans
from streams.rules.reading import read
from streams.rules.rule import Rule, When
from tests.services.space import Ioc, Space, paid
from tests.services.test_rulebook import MINUTE_US, RULE, now

HOURS = 6


@pytest.fixture
def first(space: Space) -> int:
    """Some hours of payments at two hospitals, from this minute on: some minutes many, some none; twenty without a sign of life."""
    begin, random, events = now() - HOURS * 60, Random(7), []
    for minute in range(HOURS * 60):
        for unit, most in (("38001", 3), ("38002", 2)):
            count = random.randint(0, most) if minute // 40 % 2 else 0
            if 200 <= minute < 220:
                continue
            at = (begin + minute) * MINUTE_US + 1_000_000
            for _ in range(count):
                number = len(events) + 1
                events.append(paid(number, unit=unit, event_time_us=at, paid_at_us=at, known_at_us=at + 1_000_000))
    space.take("payment", *events)
    space.follow("payment")
    with space.connect() as connection:  # the bank speaks every minute, but for those twenty
        connection.execute(
            "insert into heard_1m select 'payment', 'bank', m, m, m, m from (select to_timestamp((%s::bigint + i) * 60) as m from generate_series(0, %s) i "
            "where i < 200 or i >= 220) s on conflict do nothing",
            [begin, HOURS * 60],
        )
    return begin


def said(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rule(text: str) -> Rule:
    found = read(text)
    assert isinstance(found, Rule)
    return found


def moment(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, VIETNAM).isoformat(timespec="minutes")


def test_a_backtest_tells_what_a_rule_would_have_done(space: Space, ioc: Ioc, first: int, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(RULE)
    (tmp_path / "fewer.yaml").write_text(RULE.replace("above: 2", "above: 9"))
    with space.connect() as connection:
        found = backtest.run(connection, space.name, rule(RULE), first, first + HOURS * 60, {})
    assert len(found.spans) > 4
    ioc("incidents", "add", "payment", "--from", moment(found.spans[0].since), "--to", moment(found.spans[0].since + 5), "--what", "test")
    ioc("incidents", "add", "payment", "--from", moment(first), "--to", moment(first + 30), "--what", "nothing")
    words = ("--from", moment(first), "--to", moment(first + HOURS * 60), "--against", tmp_path / "fewer.yaml")
    done = said(ioc("rules", "backtest", path, *words, "--json"))
    assert done["rule"] == "payment-many"
    assert done["seconds"] > 0
    assert [(f["group"], f["from"], f["to"], f["peak"]) for f in done["firings"]] == [
        (s.group, moment(s.since), None if s.until is None else moment(s.until), s.peak) for s in found.spans
    ]
    assert done["calls"] <= len(done["firings"])
    assert done["removed"] == []
    assert sum(done["by_day"].values()) == sum(each["firings"] for each in done["by_group"].values()) == len(found.spans)
    assert done["incidents"] == 2
    assert done["recall"] == 0.5
    shown = ioc("rules", "backtest", path, *words).stdout
    assert f"{len(found.spans)} firings" in shown
    assert "a week, OVER" in shown


def test_a_backtest_equals_deciding_minute_by_minute(space: Space, first: int) -> None:
    many = rule(
        RULE.replace("missing: ok", "missing: hold").replace("when: {above: 2}", "when: {above: 4, clear: 1}\nfor: 2m\nkeep_firing_for: 3m")
    )
    with space.connect() as connection:
        whole = backtest.run(connection, space.name, many, first, first + HOURS * 60, {})
        minutes = [
            backtest.run(connection, space.name, many, first + part, first + part + 60, {}).frame for part in range(0, HOURS * 60, 60)
        ]
    before, found = None, []
    for frame in minutes:
        begin = frame.start + many.memory
        for minute in range(begin, begin + 60):
            decided = decide(many, replace(frame, clock=(minute + 1) * 60.0), minute, before)
            before = decided.lit[:, 0]
            found.append(decided.states[:, 0].tolist())
    assert found == whole.decided.states.T.tolist()


def test_a_rule_that_inhibits_holds_back_in_a_backtest(space: Space, first: int) -> None:
    always = rule(
        RULE.replace("payment-many", "payment-always")
        .replace("by: unit\n", "")
        .replace("above: 2", "above: -1")
        .replace("missing: ok", "missing: firing")
    )
    held = rule(RULE.replace("tests:", "inhibited_by: [payment-always]\ntests:"))
    with space.connect() as connection:
        found = backtest.run(connection, space.name, held, first, first + HOURS * 60, {"payment-always": always})
    assert found.spans
    assert all(span.inhibited for span in found.spans)


@pytest.mark.parametrize(
    ("change", "threshold"),
    [
        ({}, 2.0),
        ({}, 4.0),
        ({"missing": "hold", "for_": 2, "keep_firing_for": 3}, 3.0),
        ({"missing": "firing"}, 1.0),
        ({"below": True}, 2.0),
    ],
)
def test_the_page_decides_as_python_does(
    change: dict[str, Any], threshold: float, space: Space, first: int, browser: Browser, tmp_path: Path
) -> None:
    change = dict(change)
    when = When(below=5, clear=6) if change.pop("below", False) else When(above=5, clear=4)
    many = rule(RULE).model_copy(update={"when": when, **change})
    with space.connect() as connection:
        found = backtest.run(connection, space.name, many, first, first + HOURS * 60, {})
    path = tmp_path / "page.html"
    path.write_text(page.page(found))
    tab = browser.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    tab.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    for level in (5.0, threshold):
        tab.fill("#threshold", str(level))
        clear = level + (1 if when.below is not None else -1)
        side = {"below": level} if when.below is not None else {"above": level}
        moved = many.model_copy(update={"when": When(**side, clear=clear)})
        wanted = sorted(
            (s.group, s.since, "" if s.until is None else s.until, "" if s.peak is None else s.peak)
            for s in spans(moved, decide(moved, found.frame, first))
            if not s.inhibited
        )
        rows = tab.eval_on_selector_all("#firings tr", "rows => rows.map(r => ({...r.dataset}))")
        shown = sorted(
            (r["group"], int(r["since"]), int(r["until"]) if r["until"] else "", float(r["peak"]) if r["peak"] else "") for r in rows
        )
        assert shown == wanted
        assert wanted
    tab.close()
    assert wrong == []


def test_a_file_that_cannot_be_read_and_a_time_that_is_none_are_refused(ioc: Ioc, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE.replace("receipts}", "receits}"))
    assert "did you mean" in str(ioc("rules", "backtest", tmp_path / "a.yaml").exception)
    assert "there is no rule" in str(ioc("rules", "backtest", "payment-nothing").exception)
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert "nothing to look at" in str(ioc("rules", "backtest", "payment-mismatched", "--from", later).exception)


def test_a_long_time_read_in_two_halves_is_decided_as_when_read_at_once(space: Space, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "LONG", 60)
    with space.connect() as connection, space.connect() as beside:
        last = first + HOURS * 60
        at_once = backtest.run(connection, space.name, rule(RULE), first, last, {})
        halves = backtest.run(connection, space.name, rule(RULE), first, last, {}, beside)
    assert halves.spans == at_once.spans
    assert halves.spans
