"""`ioc rules`: alert rules as data. This file: what can be told from the files alone."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from deploy import console
from deploy.commands import rules_apply, rules_backtest, rules_template, rules_verify
from deploy.console import Json
from streams.department import department
from streams.errors import Misconfigured
from streams.rules import linting, reading
from streams.rules.linting import Finding, Said

rules = typer.Typer(help="Alert rules as data: written, tested, backtested, brought in.", no_args_is_help=True)

Paths = Annotated[
    list[Path] | None, typer.Argument(metavar="PATH...", help="Files or folders (default: the rules that come with the program).")
]
BOARDS = Path(__file__).parents[2] / "grafana" / "boards"


def register(app: typer.Typer) -> None:
    """Add `ioc rules ...`."""
    rules_apply.register(rules)
    rules_backtest.register(rules)
    rules_verify.register(rules)
    app.add_typer(rules, name="rules")


def boards() -> set[str]:
    """The boards a rule may point to."""
    return {path.stem for path in BOARDS.glob("*.json")}


def looked_at(paths: list[Path] | None) -> tuple[list[Said], list[Finding]]:
    """The rules of files and folders, and what is wrong with them but for their tests. Rules beside a file may be named by it."""
    given = linting.files(paths or [reading.READY])
    said, wrong = linting.load(given)
    beside = {other for path in given for other in path.parent.glob("*.yaml")} - {*given}
    others, _ = linting.load(sorted(beside))
    return said, [*wrong, *linting.lint(said, boards(), {each.rule.rule for each in others if each.rule})]


def as_json(finding: Finding) -> dict[str, object]:
    """A finding, for scripts."""
    line, column, what = finding.wrong
    return {"file": str(finding.path), "line": line, "column": column, "what": what, "test": finding.test}


def _answer(said: list[Said], found: list[Finding], tests: int, as_json_: bool) -> None:
    def shown() -> None:
        for each in found:
            console.answer.print(str(each), markup=False, soft_wrap=True)
        console.say(f"{len(said)} rules, {tests} tests, {len(found)} failures")

    answer = {"ok": not found, "rules": len(said), "tests": tests, "failures": [as_json(each) for each in found]}
    console.result(answer, as_json_, shown)
    if found:
        raise console.No(f"{len(found)} things are wrong with the rules", "mend what is named above; docs/rules.md explains every word")


@rules.command("lint")
def lint(paths: Paths = None, as_json: Json = False) -> None:
    """Whether rules can be read and go together; each error as file:line:column. Exit 1 when there is one."""
    said, wrong = looked_at(paths)
    _answer(said, wrong, 0, as_json)


@rules.command("test")
def examine(paths: Paths = None, as_json: Json = False) -> None:
    """Run the tests inside the rules, after the lint. Exit 1 when one does not hold."""
    said, wrong = looked_at(paths)
    _answer(said, [*wrong, *linting.test(said)], sum(len(each.rule.tests) for each in said if each.rule), as_json)


@rules.command("schema")
def schema() -> None:
    """The JSON schema of a rule, for editors."""
    typer.echo(reading.schema(), nl=False)


@rules.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="DEPARTMENT", help="A department, e.g. payment.")],
    measure: Annotated[str, typer.Argument(metavar="MEASURE", help="A measure of the department or of the ledger, or freshness.")],
) -> None:
    """Print a rule to begin with, its test included: ioc rules new payment mismatched > rules/payment-mismatched.yaml"""
    typer.echo(rules_template.rule(department(name), measure), nl=False)


@rules.command("ready")
def ready(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder, made when absent.")], as_json: Json = False) -> None:
    """Copy the rules that come with the program into a folder of yours; files that are there already are left alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = [path for path in linting.files([reading.READY]) if not (directory / path.name).exists()]
        for path in written:
            shutil.copyfile(path, directory / path.name)
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be written ({error.strerror})", "give a folder of yours") from error
    names = [path.name for path in written]
    console.result({"written": names}, as_json, lambda: console.say(f"{len(names)} rules written into {directory}"))
