"""The house itself: imports run downhill, every module says what lives in it, nothing grows out of bounds, every command explains itself."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy import cli

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("streams", "connectors", "sinks", "grafana", "deploy")  # each may import those before it
MODULE_LINES, FUNCTION_LINES = 330, 60

# What is longer, and why it stays whole.
LONG_MODULES = {"streams/departments/einvoice.py": "one department, one file: the contract, its lives and its figures"}
LONG_FUNCTIONS = {("streams/app.py", "build"): "a Faust app and its agents are closures over one another"}

# In pieces, so that this file names none of them.
REGISTRIES = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"), ("maven", "org"),
        ("maven", "apache", "org"), ("deb", "debian", "org"), ("snapshot", "debian", "org"), ("archive", "ubuntu", "com"), ("crates", "io"),
        ("golang", "org"), ("rubygems", "org"), ("anaconda", "org"), ("docker", "io"), ("ghcr", "io"), ("quay", "io"),
    )
]  # fmt: skip


def committed() -> list[Path]:
    """Every file that is in the repository, or would be with the next commit."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [path for path in (ROOT / name for name in names if name) if path.is_file()]


MODULES = {str(path.relative_to(ROOT)): path.read_text() for path in committed() if path.suffix == ".py"}
OURS = {name: text for name, text in MODULES.items() if name.split("/")[0] in LAYERS}


def imports(text: str) -> Iterator[str]:
    """Whatever a module imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_downhill() -> None:
    uphill = [
        f"{name} imports {found}"
        for name, text in OURS.items()
        for found in imports(text)
        if found.split(".")[0] in LAYERS and LAYERS.index(found.split(".")[0]) > LAYERS.index(name.split("/")[0])
    ]
    assert uphill == []


def test_no_module_of_the_house_imports_a_test() -> None:
    assert [name for name, text in OURS.items() for found in imports(text) if found.split(".")[0] == "tests"] == []


def test_the_simulators_share_nothing_with_what_they_test() -> None:
    shared = [
        f"{name} imports {found}"
        for name, text in OURS.items()
        if name.startswith("deploy/simulators/")
        for found in imports(text)
        if found.split(".")[0] in LAYERS and not found.startswith("deploy.simulators")
        if found not in ("deploy",)
    ]
    assert shared == []


def test_every_module_says_in_one_line_what_lives_in_it() -> None:
    silent = []
    for name, text in MODULES.items():
        said = ast.get_docstring(ast.parse(text)) or ""
        first, _, rest = said.partition("\n")
        if not first or first[-1] not in ".:" or (rest and rest[0] != "\n"):
            silent.append(name)
    assert silent == []


def test_no_module_and_no_function_outgrows_its_screen() -> None:
    long = {}
    for name, text in OURS.items():
        lines = len(text.splitlines())
        if lines > MODULE_LINES and name not in LONG_MODULES:
            long[name] = lines
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES and (name, node.name) not in LONG_FUNCTIONS:
                    long[f"{name}: {node.name}"] = lines
    assert long == {}


def test_the_exceptions_are_still_needed() -> None:
    assert all(len(OURS[name].splitlines()) > MODULE_LINES for name in LONG_MODULES)
    for module, function in LONG_FUNCTIONS:
        nodes = [n for n in ast.walk(ast.parse(OURS[module])) if isinstance(n, ast.FunctionDef) and n.name == function]
        assert [n for n in nodes if (n.end_lineno or 0) - n.lineno + 1 > FUNCTION_LINES], (module, function)


def test_faust_is_met_in_two_files_only() -> None:
    met = {
        (name, found.split(".")[0]) for name, text in OURS.items() for found in imports(text) if found.split(".")[0] in ("faust", "mode")
    }
    assert met == {("streams/app.py", "faust"), ("streams/ingest.py", "mode")}


def test_no_file_names_a_package_registry() -> None:
    named = [f"{path.relative_to(ROOT)}: {host}" for path in committed() for host in REGISTRIES if host.encode() in path.read_bytes()]
    assert named == []


def commands(group: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """`()` for ioc itself, and the words of every command below it."""
    yield words
    for name, command in sorted(getattr(group, "commands", {}).items()):
        yield from commands(command, (*words, name))


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    """All of `ioc`."""
    made = typer.Typer()
    for module in cli.COMMANDS:
        importlib.import_module(f"deploy.commands.{module}").register(made)
    return made


def test_ioc_finds_every_command_where_it_looks_for_it(app: typer.Typer) -> None:
    assert {words[0] for words in commands(typer.main.get_command(app)) if words} == {
        name for names in cli.COMMANDS.values() for name in names
    }


def test_every_command_explains_itself(app: typer.Typer) -> None:
    found = list(commands(typer.main.get_command(app)))
    assert len(found) > 15
    for words in found:
        said = CliRunner().invoke(app, [*words, "--help"])
        assert said.exit_code == 0, words
        assert "Usage" in said.stdout, words
        assert not words or len(said.stdout.split("Options")[0].split()) > 6, words


def test_ioc_is_a_program_that_explains_itself() -> None:
    said = subprocess.run([sys.executable, "-m", "deploy", "--help"], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert said.returncode == 0
    assert "demo" in said.stdout


def test_a_word_that_ioc_does_not_know_is_wrong_usage() -> None:
    said = subprocess.run([sys.executable, "-m", "deploy", "no-such-command"], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 2
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("built", ["with optimisations", "without"])
def test_make_takes_a_python_that_was_built_with_optimisations(tmp_path: Path, built: str) -> None:
    for name, answer in (("python3", built == "with optimisations"), ("python3.13", True)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\ncase "$2" in *optimizations*) exit {0 if answer else 1} ;; esac\n')
        program.chmod(0o755)
    found = subprocess.run(
        [ROOT / "deploy" / "find-python"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    ).stdout
    assert (found.strip() == str(tmp_path / "python3")) == (built == "with optimisations")
