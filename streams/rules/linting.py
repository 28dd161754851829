"""What is wrong with rule files, taken together: each by itself, its tests, and how they go with each other and with the boards."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from streams.errors import Misconfigured
from streams.rules import tested
from streams.rules.message import PLACEHOLDERS, placeholders
from streams.rules.reading import Wrong, place, read
from streams.rules.rule import Rule


class Said(NamedTuple):
    """One rule file: where it is, its text, the rule it says (None when it says none)."""

    path: Path
    text: str
    rule: Rule | None


class Finding(NamedTuple):
    """What is wrong in which file, and where; test: the rule's own test that fails, if that is it."""

    path: Path
    wrong: Wrong
    test: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.wrong}"


def files(paths: Sequence[Path]) -> list[Path]:
    """The rule files that files and folders stand for, each once, in order. Raises Misconfigured when there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise Misconfigured(f"there is no {path}", "give files or folders of rules (*.yaml)")
        for each in [*sorted(path.rglob("*.yaml")), *sorted(path.rglob("*.yml"))] if path.is_dir() else [path]:
            found[each] = None
    if not found:
        raise Misconfigured(f"there is no rule in {', '.join(map(str, paths))}", "a rule is a file *.yaml; `ioc rules new` prints one")
    return [*found]


def load(paths: Sequence[Path]) -> tuple[list[Said], list[Finding]]:
    """The rules of files, and what is wrong with each file alone."""
    said, wrong = list[Said](), list[Finding]()
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            wrong.append(Finding(path, Wrong(1, 1, f"it cannot be read as UTF-8 text ({type(error).__name__})")))
            continue
        found = read(text)
        said.append(Said(path, text, found if isinstance(found, Rule) else None))
        if not isinstance(found, Rule):
            wrong += [Finding(path, each) for each in found]
    return said, wrong


def lint(said: Sequence[Said], boards: Collection[str], others: Collection[str] = ()) -> list[Finding]:
    """How rules go together. boards: those there are; others: rules that stand elsewhere and may be named."""
    rules = {each.rule.rule: each.rule for each in said if each.rule}
    found = list[Finding]()
    seen: dict[str, Path] = {}
    for each in said:
        if each.rule is None:
            continue
        if each.rule.rule in seen:
            found.append(_at(each, f"{seen[each.rule.rule]} is the rule {each.rule.rule!r} already", "rule"))
        seen.setdefault(each.rule.rule, each.path)
        found += _alone(each, each.rule, boards, {*rules, *others})
    cycle = _cycle(rules)
    found += [
        _at(each, f"inhibited_by: {' -> '.join(cycle)} goes round in a circle", "inhibited_by")
        for each in said
        if cycle and each.rule and each.rule.rule == cycle[0]
    ]
    return found


def test(said: Sequence[Said]) -> list[Finding]:
    """The rules' own tests that do not hold."""
    found = []
    for each in said:
        for failure in tested.run(each.rule) if each.rule else ():
            number = next(i for i, case in enumerate(each.rule.tests if each.rule else ()) if case.name == failure.test)
            found.append(Finding(each.path, Wrong(*place(each.text, "tests", number), str(failure)), failure.test))
    return found


def _alone(said: Said, rule: Rule, boards: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    for key, text in (("title", rule.title), ("text", rule.text)):
        for name in placeholders(text):
            if name not in PLACEHOLDERS:
                yield _at(said, f"{key}: there is no {{{name}}} to fill in{nearly(name, PLACEHOLDERS)}", key)
    if rule.board is not None and rule.board not in boards:
        yield _at(said, f"board: there is no board {rule.board!r}{nearly(rule.board, boards)}", "board")
    for number, name in enumerate(rule.inhibited_by):
        if name not in known:
            yield _at(said, f"inhibited_by: there is no rule {name!r}{nearly(name, known)}", "inhibited_by", number)
    if not rule.tests:
        yield _at(said, "a rule without tests is not let in: add `tests:`, rows in and states out")


def _cycle(rules: Mapping[str, Rule]) -> Sequence[str]:
    try:
        TopologicalSorter({name: rule.inhibited_by for name, rule in rules.items()}).prepare()
    except CycleError as error:
        round_: list[str] = error.args[1]
        return round_
    return ()


def _at(said: Said, what: str, *path: str | int) -> Finding:
    return Finding(said.path, Wrong(*place(said.text, *path), what))


def nearly(name: str, known: Collection[str]) -> str:
    """`; did you mean 'that'?` where a known name is close, else those there are."""
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}" if known else ""
