"""Answers without their question, as `ioc orphans` lists them."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from deploy.commands import orphans
from streams.departments.einvoice import Einvoice, Facts, Verdict
from streams.errors import Misconfigured
from tests.services.space import NOW, Space
from tests.stories import hex32


def message(name: str, kind: str, question: str | None = None, **facts: Any) -> Einvoice:
    return Einvoice(
        id=hex32(name), body="0" * 16, source="tax", event_time_us=NOW, known_at_us=NOW + 1, kind=kind, seller=hex32("seller"),
        question=hex32(question) if question else None, facts=Facts(**facts),
    )  # fmt: skip


@pytest.fixture
def asked(space: Space, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("IOC_STATE_DIR", str(space.settings.state_dir))
    monkeypatch.setenv("IOC_SPACE", space.name)
    app = typer.Typer()
    orphans.register(app)

    def ask(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--json"])

    return ask


def test_rule_02_an_answer_whose_question_never_comes_is_listed_after_a_limit_until_it_comes(space: Space, asked: Any) -> None:
    space.take(
        "einvoice",
        message("v1", "204", "q1", verdict=Verdict(package="accepted")),
        message("a1", "999", "q1", acknowledged_at_us=NOW),
        message("r2", "202", "q2"),
        message("q3", "200"),
        message("v3", "204", "q3", verdict=Verdict(package="accepted")),
    )
    found = asked("einvoice", "--older", "0")
    told = json.loads(found.stdout)
    assert (found.exit_code, told["orphans"]) == (1, 2)
    assert [(group["kind"], group["answers"]) for group in told["groups"]] == [("204", 1), ("999", 1)]
    assert {row["id"].replace("-", "") for row in told["rows"]} == {hex32("v1"), hex32("a1")}
    assert json.loads(asked("einvoice", "--older", "100000").stdout)["orphans"] == 0
    space.take("einvoice", message("q1", "203"))
    found = asked("einvoice", "--older", "0")
    assert (found.exit_code, json.loads(found.stdout)["rows"]) == (0, [])


def test_a_department_whose_records_answer_no_others_has_no_orphans(asked: Any) -> None:
    found = asked("payment")
    assert isinstance(found.exception, Misconfigured)
