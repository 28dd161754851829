"""What rules are decided from, as the database gives it: minutes, groups, signs of life, whole and in parts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sinks import frames
from streams.departments.einvoice import DEPARTMENT as EINVOICE
from streams.rules.decide import FIRING, Decided, decide
from streams.rules.frame import Frame
from streams.rules.rule import Rule
from tests.services.space import NOW, Space, paid

MINUTE = NOW // 60_000_000
MINUTE_US = 60_000_000


def rule(**more: Any) -> Rule:
    said = {
        "rule": "it-holds", "title": "Thử", "text": "Thử", "why": "Thử", "owner": "Sở Y tế", "runbook": "Gọi", "department": "payment",
        "measure": {"sum": "receipts"}, "by": "unit", "window": "5m", "when": {"above": 2},
    }  # fmt: skip
    return Rule.model_validate(said | more)


def payments(space: Space, *told: tuple[int, str]) -> None:
    """One paid at so many minutes after NOW, known a second later, by a hospital."""
    start = getattr(space, "paid", 0)
    events = []
    for number, (minutes, unit) in enumerate(told, start + 1):
        at = NOW + minutes * MINUTE_US
        events.append(paid(number, unit=unit, event_time_us=at, paid_at_us=at, known_at_us=at + 1_000_000))
    space.paid = start + len(told)  # type: ignore[attr-defined]
    space.take("payment", *events)
    space.follow("payment")


def test_minutes_come_as_columns_by_group(space: Space) -> None:
    payments(space, (0, "38001"), (0, "38001"), (3, "38002"), (4, "38001"))
    with space.connect() as connection:
        by_unit = frames.load(connection, space.name, rule(), MINUTE, MINUTE + 6)
        whole = frames.load(connection, space.name, rule(by="whole", measure={"rate": "paid_vnd"}), MINUTE, MINUTE + 6)
        only = frames.load(connection, space.name, rule(only={"unit": ["38002"]}), MINUTE, MINUTE + 6)
        ledger = frames.load(connection, space.name, rule(measure={"completeness": "source"}, by="source"), MINUTE, MINUTE + 6)
    assert by_unit.groups == ("38001", "38002")
    assert by_unit.columns["receipts"].tolist() == [[2, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert whole.columns["paid_vnd"].tolist() == [[2000, 0, 0, 1000, 1000, 0]]
    assert (only.groups, only.columns["receipts"].tolist()) == (("38002",), [[0, 0, 0, 1, 0, 0]])
    assert (ledger.groups, ledger.columns["received"].tolist()) == (("bank",), [[2, 0, 0, 1, 1, 0]])


def test_every_measure_of_every_department_can_be_read(space: Space) -> None:
    payments(space, (0, "38001"))
    spread = {"percentile": str(EINVOICE.histogram)}
    with space.connect() as connection:
        for more in (
            {"department": "einvoice", "measure": spread}, {"measure": {"freshness": "source"}, "by": "whole"}, {"measure": {"freshness": "source"}, "by": "source"},
            {"measure": {"offline": "receipts"}, "by": "whole"}, {"measure": {"ratio": "mismatched", "to": "receipts"}, "by": "kind"},
            {"department": "telehealth", "measure": {"absence": "sessions"}}, {"measure": {"change": "receipts", "weeks": 2}},
            {"measure": {"ratio": "late", "to": "received"}, "by": "whole"},
        ):  # fmt: skip
            found = rule(**more)
            decided = decide(found, frames.load(connection, space.name, found, MINUTE - found.memory, MINUTE + 5), MINUTE)
            assert decided.states.shape == (len(decided.groups), 5), more


@pytest.mark.parametrize("measure", [{"sum": "receipts"}, {"absence": "receipts"}])
def test_a_hospital_that_fell_silent_is_still_there_for_two_weeks(space: Space, measure: dict[str, str]) -> None:
    payments(space, (-3 * 1440, "38002"), (-20 * 1440, "38003"), (0, "38001"))
    silent = rule(measure=measure, when={"below": 1} if "sum" in measure else {"above": 60})
    with space.connect() as connection:
        frame = frames.load(connection, space.name, silent, MINUTE - silent.memory, MINUTE + 1)
    decided = decide(silent, replace(frame, signs={}), MINUTE)
    firing = {group for group, states in zip(decided.groups, decided.states, strict=True) if states[0] == FIRING}
    assert firing == {"38002"}


def test_parts_and_the_whole_read_the_same(space: Space) -> None:
    payments(
        space, *((m, unit) for m in (-2 * 1440, -30, -9, -8, -8, -8, 0, 1, 1, 1, 6) for unit in ("38001", "38002")), (-15 * 1440, "38004")
    )
    for each in (rule(), rule(measure={"absence": "receipts"}, when={"above": 5}), rule(when={"below": 1})):
        with space.connect() as connection:
            whole = decide(each, heard(connection, space.name, each, MINUTE - 60 - each.memory, MINUTE + 8), MINUTE - 60)
            before: dict[str, bool] = {}
            found: set[tuple[str, int]] = set()
            for first, last in ((-60, -31), (-31, -8), (-8, 1), (1, 8)):
                frame = heard(connection, space.name, each, MINUTE + first - each.memory, MINUTE + last)
                part = decide(each, frame, MINUTE + first, np.array([before.get(group, False) for group in frame.groups], dtype=bool))
                before = dict(zip(part.groups, part.lit[:, -1].tolist(), strict=True))
                found |= firing(part)
        assert found == firing(whole), each.measure
        assert found


def heard(connection: Any, *what: Any) -> Frame:
    """A frame as it is read, but of sources that are always heard."""
    return replace(frames.load(connection, *what), signs={})


def firing(decided: Decided) -> set[tuple[str, int]]:
    """(group, minute) in which the rule fires."""
    return {(decided.groups[group], decided.start + int(at)) for group, at in zip(*np.nonzero(decided.states == FIRING), strict=True)}
