"""A new department is one module and one case folder: the example of docs/departments.md, put into a copy of the program and nowhere named."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.parts import Parts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "departments.md").read_text()
CALL = {"call": "7", "status": "called", "at": "2026-11-22T07:30:00+07:00", "place": "38001", "urgent": True, "caller": "Nguyễn Văn Ví Dụ"}


def block(language: str) -> str:
    """The page's one block of code in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def made(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the copy says of its ambulance department."""
    copy = tmp_path_factory.mktemp("newcomer")
    for folder in ("streams", "connectors", "sinks", "grafana", "deploy", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "corpus"))
    (copy / "streams" / "departments" / "ambulance.py").write_text(block("python"))
    cases = {"called": json.loads(block("json")), "refused": {"reject": {"cause": "missing", "names": "place"}}}
    for name, said in cases.items():
        folder = copy / "tests" / "cases" / "ambulance" / name
        folder.mkdir(parents=True)
        (folder / "case.json").write_text(json.dumps(said))
        record = CALL if "reject" not in said else {key: value for key, value in CALL.items() if key != "place"}
        (folder / "record.json").write_text(json.dumps(record))
    words = [sys.executable, "-m", "tests.services.newcomer", parts.dsn, str(parts.state_dir), "ambulance"]
    said = subprocess.run(words, cwd=copy, env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-3000:]
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_it_is_a_format_of_its_own_name(made: dict[str, Any]) -> None:
    assert "ambulance" in made["formats"]


def test_its_records_make_figures_once_and_the_ledger_balances(made: dict[str, Any]) -> None:
    (total,) = made["figures"]["total"]
    assert (total["calls"], total["reached"], total["stations"]) == (1, 0, 1)
    assert [row["day"] for row in made["figures"]["day"]] == ["2026-11-22"]
    assert [row["unit"] for row in made["figures"]["unit"]] == ["38001"]
    assert [row["kind"] for row in made["figures"]["kind"]] == ["urgent"]
    assert made["balanced"]


def test_its_figures_are_explained_by_their_events(made: dict[str, Any]) -> None:
    assert made["explained"] == {"value": 1, "equal": True, "events": 1}


def test_it_has_a_board(made: dict[str, Any]) -> None:
    assert "ioc-ambulance" in made["boards"]
