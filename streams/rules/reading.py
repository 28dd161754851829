"""A rule from its YAML: every error with line, column and, where a word is nearly right, the right one."""

import difflib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from streams.rules import measure
from streams.rules.measure import MEASURES
from streams.rules.rule import Rule

M = TypeVar("M", bound=BaseModel)
MOST_BYTES = 64_000
READY = Path(__file__).parent / "ready"
"""The rules that come with the house."""


class Wrong(NamedTuple):
    """What is wrong in a file, and where; lines and columns count from 1."""

    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.what}"


class _Loader(yaml.CSafeLoader):
    """YAML 1.2's core schema: `on`, `no` and `22:30` are words, not switches and sums of sixties."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] in ("null", "float", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), [*"tf"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?\d+$"), [*"-+0123456789"])


def read(text: str) -> Rule | list[Wrong]:
    """The rule that the text of a file says, or what is wrong with it."""
    return read_as(text, Rule, "rule")


def read_as(text: str, model: type[M], what: str) -> M | list[Wrong]:
    """What the text of a file says, as strictly as rules are read, or what is wrong with it. what: how it is called, and the key it begins with."""
    if len(text.encode()) > MOST_BYTES:
        return [Wrong(1, 1, f"a {what} is at most {MOST_BYTES} bytes long")]
    try:
        alias = next((event for event in yaml.parse(text, _Loader) if isinstance(event, yaml.AliasEvent)), None)
        if alias and alias.start_mark:  # they can grow without bound
            return [Wrong(alias.start_mark.line + 1, alias.start_mark.column + 1, f"write it out: a {what} has no aliases")]
        root = yaml.compose(text, _Loader)
        if not isinstance(root, yaml.MappingNode):
            return [Wrong(1, 1, f"a {what} is a mapping that begins with `{what}: its-name`")]
        twice = [*_twice(root)]
        held = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return [Wrong(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, error.problem or "this is not YAML")]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return [Wrong(1, 1, f"this is not YAML: {str(error).splitlines()[0]}")]
    if twice:
        return twice
    try:
        return model.model_validate(held)
    except ValidationError as error:
        return [_wrong(root, model, dict(each)) for each in error.errors()]


def place(text: str, *path: str | int) -> tuple[int, int]:
    """Line and column, from 1, of a part of a text that `read` took; of what holds it when it is not said."""
    root = yaml.compose(text, _Loader)
    if root is None:
        return 1, 1
    mark = _found(root, path, key=False)[0].start_mark
    return mark.line + 1, mark.column + 1


def schema() -> str:
    """The JSON schema of a rule, for editors."""
    return json.dumps(Rule.model_json_schema(), ensure_ascii=False, indent=1) + "\n"


def _twice(node: yaml.Node) -> Any:
    """Keys said twice: YAML keeps the last of them unsaid."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield Wrong(key.start_mark.line + 1, key.start_mark.column + 1, f"{key.value!r} is said twice")
            seen.add(key.value)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


def _wrong(root: yaml.Node, model: type[BaseModel], error: dict[str, Any]) -> Wrong:
    said = error["msg"].removeprefix("Value error, ")
    about = re.match(r"(\w+): ", said) if not error["loc"] else None  # what is wrong with a rule as a whole names the part
    node, path = _found(root, (about[1],) if about else error["loc"], key=error["type"] == "extra_forbidden")
    said = said[about.end() :] if about else said
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        said = f"there is no {name!r} here{_nearly(name, _known(model, error['loc']))}"
    elif error["type"] == "missing":
        said = f"{name!r} is missing"
    elif error["type"] == "literal_error":
        said = f"{said[0].lower()}{said[1:]}"
    where = ".".join(path)
    return Wrong(node.start_mark.line + 1, node.start_mark.column + 1, f"{where}: {said}" if where and error["type"] != "missing" else said)


def _found(root: yaml.Node, loc: tuple[int | str, ...], key: bool) -> tuple[yaml.Node, list[str]]:
    """The node that an error is about (its key for one that should not be there), and its path; the name of a union's member is no node."""
    node, path = root, list[str]()
    for number, step in enumerate(loc):
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if pair is None:
                continue
            node = pair[0] if key and number == len(loc) - 1 else pair[1]
        else:
            continue
        path.append(str(step))
    return node, path


def _known(whole: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The words that could stand where an unknown one does."""
    model: Any = whole
    for step in loc[:-1]:
        if step in MEASURES and step != loc[0]:
            model = getattr(measure, str(step).capitalize())
        elif isinstance(step, str) and hasattr(model, "model_fields"):
            field = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
            model = _model(field.annotation) if field else model
    fields = getattr(model, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]


def _model(annotation: Any) -> Any:
    """The model inside an annotation: of `tuple[Case, ...]` it is Case."""
    inner = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
    return annotation if hasattr(annotation, "model_fields") else (inner[0] if inner else None)


def _nearly(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}" if known else ""
