"""Rules as Grafana alert rules: the files are what the rules give, no trap of Grafana's in them, and what Grafana cannot be told is said."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana import alerting, provisioned
from streams.rules import reading
from streams.rules.rule import Rule

WORDS = "title: Thử xem\ntext: thử xem\nwhy: để thử\nowner: Trực ban\nrunbook: gọi\n"


def rule(name: str, said: str, words: str = WORDS) -> Rule:
    found = reading.read(f"rule: {name}\n{words}{said}")
    assert isinstance(found, Rule), found
    return found


FAILING = rule(
    "payment-failing",
    "department: payment\nmeasure: {ratio: failed, to: receipts, at_least: 20}\nwindow: 30m\nby: unit\nwhen: {above: 25, clear: 15}\n"
    "for: 3m\nkeep_firing_for: 5m\nseverity: critical\nboard: ioc-payment\ninhibited_by: [payment-source-silent]\n",
)
FEW = rule("few-sessions", "department: telehealth\nmeasure: {sum: sessions}\nwindow: 2h\nwhen: {below: 3}\nmissing: firing\n")
SLOW = rule("slow-codes", "department: einvoice\nmeasure: {percentile: code_seconds}\nwindow: 1h\nwhen: {above: 60}\n")


def held(rules: list[Rule], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(alerting.emitted(rules, before))
    return found


def compiled(found: dict[str, Any]) -> dict[str, Any]:
    return {each["uid"]: each for group in found["groups"] for each in group["rules"]}


def test_the_committed_file_is_what_the_ready_rules_give() -> None:
    assert not alerting.differs(alerting.read()), "run `ioc boards build`"


def test_a_rule_keeps_its_threshold_times_and_place_to_look() -> None:
    found = compiled(held([FAILING]))["ioc-r-payment-failing"]
    assert (found["for"], found["keepFiringFor"], found["noDataState"], found["execErrState"]) == ("3m", "5m", "KeepLast", "KeepLast")
    assert (found["annotations"]["__dashboardUid__"], found["annotations"]["__panelId__"]) == ("ioc-payment", "1")
    condition = found["data"][1]["model"]["conditions"][0]
    assert condition["evaluator"] == {"type": "gt", "params": [25.0]}
    assert condition["unloadEvaluator"]["type"] == "lt"
    assert 15 < condition["unloadEvaluator"]["params"][0] < 15.0000001, "Grafana recovers below, we at or below"
    assert compiled(held([FEW]))["ioc-r-few-sessions"]["noDataState"] == "Alerting"


def test_a_dead_evaluator_always_rings() -> None:
    switch = compiled(held([]))["ioc-evaluator-dead"]
    assert (switch["noDataState"], switch["execErrState"]) == ("Alerting", "Alerting")
    assert "beat" in switch["data"][0]["model"]["rawSql"]


def test_what_grafana_cannot_be_told_is_said_in_the_file() -> None:
    dollars = rule("with-dollars", "department: payment\nmeasure: {sum: receipts}\nwhen: {above: 1}\n", WORDS.replace("Thử xem", "Tốn $5"))
    text = alerting.emitted([SLOW, dollars, FAILING])
    assert "# Not compiled: slow-codes: percentile" in text
    assert "# Not compiled: with-dollars" in text
    assert "# payment-failing rings here even while payment-source-silent fires." in text
    assert set(compiled(yaml.safe_load(text))) == {"ioc-evaluator-dead", "ioc-r-payment-failing"}


def test_a_rule_that_went_is_taken_out_of_grafana_too_and_may_come_back() -> None:
    before = alerting.emitted([FAILING, FEW])
    after = alerting.emitted([FAILING], before)
    assert yaml.safe_load(after)["deleteRules"] == [{"orgId": 1, "uid": "ioc-r-few-sessions"}]
    assert alerting.emitted([FAILING], after) == after, "it stays named: another Grafana may still have it"
    assert yaml.safe_load(alerting.emitted([FAILING, FEW], after))["deleteRules"] == []


def test_long_names_get_a_uid_that_grafana_takes_and_that_is_their_own() -> None:
    said = "department: payment\nmeasure: {sum: receipts}\nwhen: {above: 1}\n"
    names = {alerting.uid(rule("a" * 50 + letter, said)) for letter in "xyz"}
    assert len(names) == 3
    assert max(map(len, names)) <= 40


def linted(tmp_path: Path, change: Any = None) -> set[str]:
    """The linter's findings of a folder with the compiled file, one of its rules changed."""
    for kind in ("datasources", "dashboards", "alerting"):
        (tmp_path / kind).mkdir()
        for path in (provisioned.FOLDER / kind).glob("*.yaml"):
            if path.name != "rules.yaml":
                (tmp_path / kind / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    found = held([FAILING, FEW])
    if change:
        change(compiled(found)["ioc-r-payment-failing"])
    (tmp_path / "alerting" / "rules.yaml").write_text(yaml.safe_dump(found, allow_unicode=True), encoding="utf-8")
    return {each.rule for each in provisioned.check(tmp_path)}


def test_compiled_rules_avoid_every_known_trap(tmp_path: Path) -> None:
    assert linted(tmp_path) == set()


def _model(each: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = each["data"][1]["model"]["conditions"][0]
    return found


TRAPS = {
    "threshold of an unknown kind": ("threshold", lambda each: _model(each)["evaluator"].update(type="above")),
    "threshold that is no number": ("threshold", lambda each: _model(each)["evaluator"].update(params=["25"])),
    "recovery on the same side": ("threshold", lambda each: _model(each)["unloadEvaluator"].update(type="gt")),
    "recovery beyond the threshold": ("threshold", lambda each: _model(each)["unloadEvaluator"].update(params=[30])),
    "no condition at all": ("threshold", lambda each: each["data"][1]["model"].update(conditions=[])),
    "panel as a number": ("panel", lambda each: each["annotations"].update(__panelId__=1)),
    "panel without a board": ("panel", lambda each: each["annotations"].pop("__dashboardUid__")),
    "board that is not there": ("panel", lambda each: each["annotations"].update(__dashboardUid__="ioc-nowhere")),
    "dollar in a title": ("dollars", lambda each: each.update(title="Tốn $5")),
    "keep of a bad duration": ("duration", lambda each: each.update(keepFiringFor="five")),
    "state of another name": ("state", lambda each: each.update(noDataState="Keep")),
    "twice": ("twice", lambda each: each.update(uid="ioc-r-few-sessions")),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_seeded_trap_is_caught(tmp_path: Path, trap: str) -> None:
    caught, change = TRAPS[trap]
    assert caught in linted(tmp_path, change)
