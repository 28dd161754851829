"""`ioc scenarios`: changes that can be laid over a replay."""

from pathlib import Path
from typing import Annotated

import typer

from deploy import console
from deploy.console import Json
from streams.errors import Misconfigured
from streams.scenarios import scenario

scenarios = typer.Typer(help="Changes laid over a replay, so that a drill differs from history.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `ioc scenarios ...`."""
    app.add_typer(scenarios, name="scenarios")


@scenarios.command("list")
def list_(as_json: Json = False) -> None:
    """The scenarios that come with the program; `ioc replay start --scenario NAME` lays one over a replay, a file of yours as well."""
    found = [(name, scenario.load(path.read_text(encoding="utf-8")), path) for name, path in scenario.ready().items()]
    rows = [{"scenario": name, "label": each.label, "changes": len(each.changes), "file": str(path)} for name, each, path in found]
    console.result(
        {"scenarios": rows}, as_json, lambda: console.table(("scenario", "label", "why"), [(n, s.label, s.why) for n, s, _ in found])
    )


@scenarios.command("lint")
def lint(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenarios of yours (*.yaml).")],
    as_json: Json = False,
) -> None:
    """What is wrong with a scenario, with line and column. Exit 1 when anything is."""
    failures = []
    for path in paths:
        try:
            found = scenario.read(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path} cannot be read ({type(error).__name__})", "give a YAML file in UTF-8") from error
        if not isinstance(found, scenario.Scenario):
            failures += [{"file": str(path), "line": each.line, "column": each.column, "what": each.what} for each in found]

    def shown() -> None:
        for each in failures:
            console.answer.print(f"{each['file']}:{each['line']}:{each['column']}: {each['what']}", markup=False, soft_wrap=True)
        console.say(f"{len(paths)} scenarios, {len(failures)} failures")

    console.result({"ok": not failures, "failures": failures}, as_json, shown)
    if failures:
        raise console.No("a scenario is wrong", "mend what is named; docs/scenarios.md")
