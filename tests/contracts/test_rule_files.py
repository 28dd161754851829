"""`ioc rules lint|test|schema|new|ready`: what is wrong with a file is said with its place and the right word."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from deploy.commands import rules, rules_template
from streams.department import department, departments
from streams.errors import Misconfigured
from streams.rules import linting, reading, tested
from streams.rules.measure import LEDGER, MEASURES
from streams.rules.rule import Rule

GOOD = """\
rule: payment-mismatch
title: Nhiều giao dịch lệch
text: "{value} giao dịch lệch ở {units}"
why: Lệch nhiều là lỗi phần mềm.
department: payment
measure: {sum: mismatched}
by: unit
when: {above: 5, clear: 2}
for: 3m
owner: Sở Y tế
runbook: Gọi phòng tài chính.
board: ioc-payment
tests:
  - name: fires after three minutes
    rows:
      - {at: "09:00", until: "09:20", unit: "38001", mismatched: 6}
    expect:
      "38001": {"09:00": pending, "09:03": firing, "09:20": ok}
"""


def ioc(*words: str) -> Result:
    app = typer.Typer()
    rules.register(app)
    found: Result = CliRunner().invoke(app, ["rules", *words])
    return found


def wrong(folder: Path, **files: str) -> list[str]:
    """What lint says of files: `a.yaml:line:column: ..`."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    said, found = rules.looked_at([folder])
    return [str(each).removeprefix(f"{folder}/") for each in [*found, *linting.test(said)]]


def test_a_good_rule_has_nothing_wrong(tmp_path: Path) -> None:
    assert wrong(tmp_path, a=GOOD) == []


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("sum: mismatched", "sum: mismatchd", "a.yaml:6:10: measure: payment has no measure 'mismatchd'; did you mean 'mismatched'?"),
        ("for: 3m", "fro: 3m", "a.yaml:9:1: fro: there is no 'fro' here; did you mean 'for'?"),
        ("for: 3m", "for: 3 minutes", "a.yaml:9:6: for: write a duration of whole minutes: 15m, 2h, 1h30m, 7d, 0m"),
        ("clear: 2", "clear: 9", "a.yaml:8:7: when: clear must lie on the quiet side of the threshold"),
        ("{units}", "{unit}", "a.yaml:3:7: text: there is no {unit} to fill in; did you mean 'units'?"),
        ("ioc-payment", "ioc-paymnt", "a.yaml:12:8: board: there is no board 'ioc-paymnt'; did you mean 'ioc-payment'?"),
        ("tests:", "inhibited_by: [payment-mismatches]\ntests:", "a.yaml:13:16: inhibited_by: there is no rule 'payment-mismatches'; did you mean 'payment-mismatch'?"),
        ("above: 5", "above: 5, above: 6", "a.yaml:8:18: 'above' is said twice"),
        ("for: 3m", "for: 4m", "a.yaml:14:5: 'fires after three minutes': at 09:03 of '38001' it should be firing and is pending"),
        ("mismatched: 6", "mismached: 6", "a.yaml:14:5: 'fires after three minutes': the rule payment-mismatch measures no 'mismached', but mismatched"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(was: str, becomes: str, said: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, a=GOOD.replace(was, becomes)) == [said]


def test_a_rule_without_tests_is_wrong(tmp_path: Path) -> None:
    assert "a rule without tests" in wrong(tmp_path, a=GOOD[: GOOD.index("tests:")])[0]


def test_two_rules_of_one_name_are_wrong(tmp_path: Path) -> None:
    assert wrong(tmp_path, a=GOOD, b=GOOD) == [f"b.yaml:1:7: {tmp_path}/a.yaml is the rule 'payment-mismatch' already"]


def test_rules_that_inhibit_each_other_in_a_circle_are_wrong(tmp_path: Path) -> None:
    one = GOOD.replace("tests:", "inhibited_by: [payment-other]\ntests:")
    other = GOOD.replace("payment-mismatch", "payment-other").replace("tests:", "inhibited_by: [payment-mismatch]\ntests:")
    found = wrong(tmp_path, a=one, b=other)
    assert len(found) == 1
    assert "goes round in a circle" in found[0]


def test_a_rule_may_name_the_rule_beside_it(tmp_path: Path) -> None:
    wrong(tmp_path, a=GOOD)
    (tmp_path / "b.yaml").write_text(
        GOOD.replace("payment-mismatch", "payment-other").replace("tests:", "inhibited_by: [payment-mismatch]\ntests:")
    )
    assert rules.looked_at([tmp_path / "b.yaml"])[1] == []


def test_bytes_that_are_no_text_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    assert rules.looked_at([tmp_path])[1][0].wrong.what.startswith("it cannot be read as UTF-8")
    with pytest.raises(Misconfigured):
        rules.looked_at([tmp_path / "b.yaml"])


def test_the_answer_is_one_object_for_scripts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("for: 3m", "for: 4m"))
    done = ioc("test", str(tmp_path), "--json")
    assert done.exit_code == 1
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (said["ok"], said["rules"], said["tests"]) == (False, 1, 1)
    assert said["failures"][0]["line"] == 14
    assert ioc("test", "--json").exit_code == 0


def test_the_published_schema_is_what_is_read() -> None:
    published = Path(__file__).parents[2] / "docs" / "rule.schema.json"
    assert published.read_text() == reading.schema() == ioc("schema").stdout


@pytest.mark.parametrize(
    "measure", [(d.name, m) for d in departments() for m in (*d.measures, *LEDGER, *filter(None, [d.histogram]), "freshness")]
)
def test_a_new_rule_can_be_read_and_holds_its_test(measure: tuple[str, str]) -> None:
    text = ioc("new", *measure).stdout
    rule = reading.read(text)
    assert isinstance(rule, Rule), rule
    assert tested.run(rule) == []


def test_a_new_rule_about_nothing_is_refused() -> None:
    with pytest.raises(Misconfigured, match="did you mean 'mismatched'"):
        rules_template.rule(department("payment"), "mismatchd")


def test_the_ready_rules_are_copied_once(tmp_path: Path) -> None:
    assert ioc("ready", str(tmp_path)).exit_code == 0
    kept = tmp_path / "payment-mismatched.yaml"
    kept.write_text(GOOD)
    assert json.loads(ioc("ready", str(tmp_path), "--json").stdout)["written"] == []
    assert kept.read_text() == GOOD


DOCS = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_guide_explains_every_word_and_every_measure() -> None:
    guide = DOCS.read_text()
    words = [field.alias or name for name, field in Rule.model_fields.items()]
    assert [word for word in words if f"`{word}`" not in guide] == []
    assert [measure for measure in MEASURES if f"`{{{measure}: " not in guide] == []


def test_the_tests_in_the_guide_hold() -> None:
    block = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    ready = (reading.READY / "payment-mismatched.yaml").read_text()
    rule = reading.read(ready[: ready.index("tests:")] + block)
    assert isinstance(rule, Rule), rule
    assert tested.run(rule) == []
