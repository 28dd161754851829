"""The rules that come with the program: each can be read, holds its own tests, and no part of it can change unseen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.commands.rules import boards
from streams.department import NAMES
from streams.rules import linting, tested
from streams.rules.measure import Absence, Change, Freshness
from streams.rules.reading import READY, read
from streams.rules.rule import Calendar, Rule, When

FILES = sorted(READY.glob("*.yaml"))


def ready(path: Path) -> Rule:
    found = read(path.read_text())
    assert isinstance(found, Rule), found
    return found


def changed(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The rule with one of its numbers moved."""

    def but(**parts: Any) -> Rule:
        return rule.model_copy(update=parts)

    limit = rule.when.above if rule.when.above is not None else rule.when.below
    side = "above" if rule.when.above is not None else "below"
    assert limit is not None
    for share in (0.75, 1.3):
        yield (
            f"threshold x {share}",
            but(when=When.model_construct(**{"above": None, "below": None, "clear": rule.when.clear, side: limit * share})),
        )
    if rule.when.clear is not None:
        yield "no clear-threshold", but(when=When.model_construct(**{"above": None, "below": None, "clear": None, side: limit}))
    yield "for a minute longer", but(for_=rule.for_ + 1)
    if rule.for_:
        yield "for a minute less", but(for_=rule.for_ - 1)
    yield "kept a minute longer", but(keep_firing_for=rule.keep_firing_for + 1)
    if rule.keep_firing_for:
        yield "kept a minute less", but(keep_firing_for=rule.keep_firing_for - 1)
    if not isinstance(rule.measure, Absence | Freshness):
        yield "half the window", but(window=rule.window // 2)
        yield "twice the window", but(window=rule.window * 2)
    if rule.calendar != Calendar():
        yield "always awake", but(calendar=Calendar())
    if isinstance(rule.measure, Change):
        yield "other weeks", but(measure=rule.measure.model_copy(update={"weeks": 5}))


def test_the_house_has_rules_for_its_departments_and_what_they_are_inhibited_by() -> None:
    rules = [ready(path) for path in FILES]
    assert len(rules) >= 18
    assert {"einvoice", "telehealth", "telequality", "payment"} <= {rule.department for rule in rules} <= {*NAMES}
    assert [path.stem for path in FILES] == [rule.rule for rule in rules]
    for rule in rules:
        silent = f"{rule.department}-source-silent"
        assert rule.rule == silent or silent in rule.inhibited_by


def test_they_go_together_with_each_other_and_the_boards() -> None:
    said, wrong = linting.load(FILES)
    assert [*wrong, *linting.lint(said, boards()), *linting.test(said)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_number_of_a_ready_rule_changes_without_a_test_that_says_so(path: Path) -> None:
    rule = ready(path)
    assert [what for what, other in changed(rule) if not tested.run(other)] == []
