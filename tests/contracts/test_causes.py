"""Every cause has its code in the table, its sentence in Vietnamese, and its row in the documentation."""

import ast
import re
from pathlib import Path

from streams.causes import CAUSES, said

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("connectors", "sinks", "streams")
CHANNELS = "sinks/channels/"  # what a channel cannot deliver is a reject as well, and never in quarantine


def causes(path: Path) -> set[str]:
    """The codes that a module rejects with: the first argument of Reject, the second of Refused, the cause of a Rejected."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = {"Reject": node.args[:1], "Refused": node.args[1:2]}.get(node.func.id, [])
            given += [word.value for word in node.keywords if word.arg == "cause" and node.func.id in ("Reject", "Refused", "Rejected")]
            found |= {each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return found


def used() -> dict[str, str]:
    """Code -> a module that uses it."""
    modules = [path for door in DOORS for path in (ROOT / door).rglob("*.py")]
    names = {str(path.relative_to(ROOT)): path for path in modules}
    return {cause: name for name, path in names.items() if not name.startswith(CHANNELS) for cause in causes(path)}


def test_no_reject_uses_a_code_that_is_not_in_the_table() -> None:
    assert {cause: where for cause, where in used().items() if cause not in CAUSES} == {}


def test_no_code_of_the_table_is_without_a_reject() -> None:
    passed_on = {"parser_error", "scenario"}  # made where the code is a variable, or by a drill
    passed_on |= {"archive_nested"}  # no longer rejected, and still in quarantines
    assert CAUSES.keys() - used().keys() <= passed_on


def test_codes_are_words_and_sentences_are_sentences_of_vietnamese() -> None:
    for code, sentence in CAUSES.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", code)
        assert sentence[0].isupper(), code
        assert sentence.endswith("."), code
        assert re.search(r"[àáảãạăắằẳẵặâấầẩẫậđèéẻẽẹêếềểễệìíỉĩịòóỏõọôốồổỗộơớờởỡợùúủũụưứừửữựỳýỷỹỵ]", sentence.lower()), code


def test_a_code_of_a_newer_version_is_said_as_it_is() -> None:
    assert said("xml_cut") != "xml_cut"
    assert said("not_known_yet") == "not_known_yet"


def test_the_documentation_lists_every_code_with_its_sentence() -> None:
    text = (ROOT / "docs" / "quarantine.md").read_text()
    assert [f"| `{code}` | {sentence} |" for code, sentence in CAUSES.items() if f"| `{code}` | {sentence} |" not in text] == []
