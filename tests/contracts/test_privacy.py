"""docs/privacy.md says of every format what it carries, and of every field that leaves the door what it is, as the contracts have it."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from connectors.formats import FORMATS
from streams.department import departments
from streams.event import Event

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "privacy.md").read_text()
WORDS = {"pseudonym", "coarse", "time"}


def rows(title: str) -> list[list[str]]:
    """The rows of the table under that title."""
    under = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    held = [[cell.strip() for cell in line.strip("|").split("|")] for line in under.splitlines() if line.startswith("|")]
    return held[2:]


def leaves_as(annotation: Any) -> str:
    """What a field's type says of it: the names are those of streams.event."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, meta = typing.get_args(annotation)
        extra = meta.extra or {}
        if extra.get("column") in ("uuid", "hash") or meta.pattern == "^[0-9a-f]{32}$":
            return "pseudonym"
        return "time" if extra.get("column") == "timestamptz" else leaves_as(inner)
    if typing.get_origin(annotation) in (tuple, typing.Union, types.UnionType):
        found = {leaves_as(part) for part in typing.get_args(annotation) if part not in (type(None), Ellipsis)}
        return next(iter(found)) if len(found) == 1 else "coarse"
    return "coarse"


def fields(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str, str]]:
    """(contract, field, what it leaves as) of a contract and all that is nested in it."""
    known = typing.get_type_hints(Event, include_extras=True)
    for name, annotation in typing.get_type_hints(struct, include_extras=True).items():
        if struct is Event or name not in known:
            yield ("every event" if struct is Event else struct.__name__, name, leaves_as(annotation))
        for part in nested(annotation):
            yield from fields(part)


def nested(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in typing.get_args(annotation):
        yield from nested(part)


def test_every_field_that_leaves_the_door_is_listed_as_what_its_type_says() -> None:
    said = {(contract, field.strip("`")): word for contract, field, word, _ in rows("What leaves the door")}
    made = {(contract, field): word for each in (Event, *(d.event for d in departments())) for contract, field, word in fields(each)}
    assert {place: word for place, word in made.items() if said.get(place) != word} == {}
    assert said.keys() - made.keys() == set()


def test_every_format_is_listed_with_what_it_carries() -> None:
    listed = rows("What each format carries")
    assert {name.strip("`") for name, _, _ in listed} == {*FORMATS}
    assert all(re.search("pseudonym|coarse|time|nothing|as theirs", word) for _, _, word in listed)
