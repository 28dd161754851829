"""Repairs as data: what is wrong with records of one kind in quarantine, and the steps that put it right, on the bytes as they came."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

import orjson
from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.formats import FORMATS
from connectors.formats import json as json_of
from connectors.formats import xml as xml_of
from streams.errors import Reject

Path = Annotated[str, Field(pattern=r"^/?[^\s/]{1,80}(/[^\s/]{1,80}){0,15}$")]
"""Names of elements or keys, the last ones of the way to a value (`TToan/TgTTTBSo`), or all of it behind a slash. Lists on the way are gone through."""
PARSED_AGAIN_BYTES = 2 * 1024 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Part):
    """Which records: all that is said must hold."""

    cause: str | None = None
    department: str | None = None
    source: str | None = None
    fingerprint: str | None = Field(None, pattern=r"^[0-9a-f]{8}$")

    @model_validator(mode="after")
    def _says_something(self) -> "Match":
        if not (self.cause or self.fingerprint):
            raise ValueError("say a cause or a fingerprint, as `ioc quarantine list` shows them")
        return self


class Set(_Part):
    """The value there becomes `to`; where its parent is and it is not, it is added. absent_only: what is there stays."""

    at: Path
    to: str = Field(max_length=1000)
    absent_only: bool = False


class Map(_Part):
    """A value that is one of the keys of `values` becomes what stands there; others stay."""

    at: Path
    values: dict[str, str] = Field(min_length=1, max_length=1000)


class Strip(_Part):
    """`characters` are taken out of the value there, wherever in it; or, with `outside`, what stands before the first and after the last of two characters
    in the record as a whole."""

    at: Path | None = None
    characters: str | None = Field(None, min_length=1, max_length=100)
    outside: tuple[Annotated[str, Field(min_length=1, max_length=1)], Annotated[str, Field(min_length=1, max_length=1)]] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Strip":
        if (self.at is None) != (self.characters is None) or (self.at is None) == (self.outside is None):
            raise ValueError('say at and characters, or outside alone (outside: ["<", ">"])')
        return self


class ReadAs(_Part):
    """The record is something else than it was taken for. encoding: of its text. format: of its source. version: PBan of a T-VAN message. inside: a field
    that holds the record in base64."""

    encoding: Literal["utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1258", "windows-1252", "latin-1"] | None = None
    format: str | None = None
    version: str | None = Field(None, pattern=r"^\d\.\d\.\d$")
    inside: Path | None = None

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and value not in FORMATS:
            raise ValueError(f"there is no format {value} (there are {', '.join(sorted(FORMATS))})")
        return value

    @model_validator(mode="after")
    def _says_one_thing(self) -> "ReadAs":
        if sum(said is not None for said in (self.encoding, self.format, self.version, self.inside)) != 1:
            raise ValueError("say one of encoding, format, version, inside")
        return self


class Step(_Part):
    """One of set, map, strip, read_as."""

    set: Set | None = None
    map: Map | None = None
    strip: Strip | None = None
    read_as: ReadAs | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError("a step is one of set, map, strip, read_as")
        return self


class Repair(_Part):
    """A rule that heals records. repair: its name. why: who said so, or where it is written."""

    repair: str = Field(pattern=r"^[a-z][a-z0-9-]{2,59}$")
    why: str = Field(min_length=3, max_length=500)
    match: Match
    steps: tuple[Step, ...] = Field(min_length=1, max_length=50)

    @property
    def format(self) -> str | None:
        """The format that the record is to be read as, if another one."""
        return next((step.read_as.format for step in self.steps if step.read_as and step.read_as.format), None)

    def applied(self, record: bytes) -> bytes:
        """The record with all steps done. Raises Reject `not_repaired` where a step cannot be done."""
        for step in self.steps:
            record = _done(step, record)
        return record


def _done(step: Step, record: bytes) -> bytes:
    if step.read_as:
        return _read_as(step.read_as, record)
    if step.strip and step.strip.outside:
        first, last = (mark.encode() for mark in step.strip.outside)
        start, end = record.find(first), record.rfind(last)
        if start < 0 or end < start:
            raise Reject("not_repaired", "the record does not hold the characters that it is to be cut to")
        return record[start : end + len(last)]
    if step.set:
        chosen = step.set
        return _changed(record, chosen.at, lambda value: value if chosen.absent_only else chosen.to, chosen.to)
    if step.map:
        values = step.map.values
        return _changed(record, step.map.at, lambda value: values.get(value.strip(), value))
    if step.strip and step.strip.at:
        gone = str.maketrans("", "", step.strip.characters or "")
        return _changed(record, step.strip.at, lambda value: value.translate(gone))
    raise AssertionError  # a step is one of the four


def _read_as(chosen: ReadAs, record: bytes) -> bytes:
    if chosen.encoding:
        try:
            return xml_of.undeclared(record.decode(chosen.encoding)).encode()
        except UnicodeError:
            raise Reject("not_repaired", f"the record is not {chosen.encoding}") from None
    if chosen.version:
        version = chosen.version
        return _changed(record, "TDiep/TTChung/PBan", lambda _: version, version)
    if chosen.inside:
        held: list[str] = []
        _changed(record, chosen.inside, lambda value: held.append(value) or value)  # type: ignore[func-returns-value]  # append has none
        try:
            return base64.b64decode(held[0].strip().replace(" ", "+"), validate=True)
        except (IndexError, binascii.Error, ValueError):
            raise Reject("not_repaired", "there is no base64 in that field") from None
    return record


Change = Callable[[str], str]


def _changed(record: bytes, at: str, change: Change, absent: str | None = None) -> bytes:
    """The record, whatever it is written in, with each value at the end of that path changed; with `absent` put where it lacks."""
    if len(record) > PARSED_AGAIN_BYTES:
        raise Reject("not_repaired", f"the record has more than {PARSED_AGAIN_BYTES} bytes")
    path, whole = at.removeprefix("/").split("/"), at.startswith("/")
    start = record.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return _in_xml(record, path, whole, change, absent)
    if start in (b"{", b"["):
        return _in_json(record, path, whole, change, absent)
    return _in_query(record, path, change, absent)


def _in_xml(record: bytes, path: Sequence[str], whole: bool, change: Change, absent: str | None) -> bytes:
    root = xml_of.element(record)
    for element in list(root.iter(etree.Element)):
        if _ends(element, path, whole):
            element.text = change(element.text or "")
        elif absent is not None and _ends(element, path[:-1], whole) and not any(_local(kid) == path[-1] for kid in element):
            space = etree.QName(element).namespace
            etree.SubElement(element, f"{{{space}}}{path[-1]}" if space else path[-1]).text = absent
    return etree.tostring(root, encoding="utf-8")


def _ends(element: etree._Element | None, path: Sequence[str], whole: bool) -> bool:
    """Whether the way to an element ends with these names, or is that."""
    for name in reversed(path):
        if element is None or _local(element) != name:
            return False
        element = element.getparent()
    return bool(path) and not (whole and element is not None)


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _in_json(record: bytes, path: Sequence[str], whole: bool, change: Change, absent: str | None) -> bytes:
    held = json_of.read_exact(record)
    for holder in _holders(held, path[:-1], whole):
        value = holder.get(path[-1])
        if value is None:
            if absent is not None:
                holder[path[-1]] = absent
        elif not isinstance(value, dict | list | bool):
            changed = change(str(value))
            if changed != str(value):
                holder[path[-1]] = changed
    return orjson.dumps(held, default=_number)


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(json.dumps(str(value))[1:-1].encode())  # digit by digit, as it came
    raise TypeError


def _holders(held: Any, path: Sequence[str], whole: bool) -> Iterator[dict[str, Any]]:
    """The objects at the end of that path, from anywhere in the document or from its root."""
    stack: list[tuple[Any, tuple[str, ...]]] = [(held, ())]
    while stack:
        here, way = stack.pop()
        if isinstance(here, list):
            stack += [(each, way) for each in here]
        elif isinstance(here, dict):
            if way == tuple(path) if whole else len(way) >= len(path) and way[len(way) - len(path) :] == tuple(path):
                yield here
            stack += [(each, (*way, name)) for name, each in here.items()]


def _in_query(record: bytes, path: Sequence[str], change: Change, absent: str | None) -> bytes:
    try:
        pairs = parse_qsl(record.decode("ascii").strip(), keep_blank_values=True, errors="strict", strict_parsing=True, max_num_fields=200)
    except ValueError:
        raise Reject("not_repaired", "the record is neither XML, JSON nor a query string") from None
    if len(path) > 1:
        raise Reject("not_repaired", "a query string has names, no paths")
    if absent is not None and not any(name == path[0] for name, _ in pairs):
        pairs.append((path[0], absent))
    return urlencode([(name, change(value) if name == path[0] else value) for name, value in pairs]).encode()
