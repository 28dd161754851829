"""Safe and tolerant reading of XML: no entities, no DTD, no network; local names, stripped values."""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from lxml import etree

from streams.errors import Reject

MAX_BYTES = 2 * 1024 * 1024  # Decision 1450: a message is at most 2 MB
MAX_DEPTH = 64  # a signed invoice in an envelope is 18 deep
MAX_DIGITS = 21  # Decision 1450: numbers have at most 21 digits
MAX_DONG = 10**15  # and 6 of the 21 are decimals, so no sum of money reaches 16 digits before the point

_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True, encoding="utf-8"
)
_DOCTYPE = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*?\?>")
_DECLARED = re.compile(rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']""", re.ASCII)
_FIRST_TAG = re.compile(rb"<([^\s<>/!?]+)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_COMMA = re.compile(r"([+-]?\d+),(\d{1,2}|\d{4,})", re.ASCII)  # three digits behind it could be thousands
_WHOLE = Decimal(1)
_BAD_BYTES = (81, 6003)  # libxml2: XML_ERR_INVALID_ENCODING, XML_I18N_CONV_FAILED
_TWO_BYTES = re.compile(rb"[\xc3-\xc6\xe1][\x80-\xbf]")  # how most Vietnamese letters begin in UTF-8


class Node:
    """One element: local name, stripped text ("" when absent or empty), children."""

    __slots__ = ("kids", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.kids: list[Node] | tuple[()] = ()

    def child(self, *path: str) -> "Node | None":
        """The first child of that name, and so on down the path."""
        here = self
        for name in path:
            for kid in here.kids:
                if kid.name == name:
                    here = kid
                    break
            else:
                return None
        return here

    def get(self, *path: str) -> str:
        """The text at the end of a path, "" when there is none."""
        found = self.child(*path)
        return found.text if found else ""

    def all(self, name: str) -> "list[Node]":
        """The children of that name."""
        return [kid for kid in self.kids if kid.name == name]

    def walk(self) -> "Iterator[Node]":
        """This element and all below it, in document order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.kids))

    def canonical(self) -> bytes:
        """All names and texts in document order: equal for a document saved again with other white space or prefixes."""
        parts: list[str] = []
        stack = [self]
        while stack:
            node = stack.pop()
            parts += (node.name, node.text)
            if node.kids:
                stack += node.kids[::-1]
        return "\x1f".join(parts).encode()  # XML has no such character, so parts cannot run into each other


class Document(NamedTuple):
    """A document as lxml has it. misdeclared: it is in another encoding than it says, or in none of Unicode."""

    element: etree._Element
    misdeclared: bool


def read(raw: bytes, most_bytes: int = MAX_BYTES) -> Node:
    """The document's root. Raises Reject: the causes of `document`, and `xml_deep`."""
    return node(element(raw, most_bytes))


def element(raw: bytes, most_bytes: int = MAX_BYTES) -> etree._Element:
    """The document's root as lxml has it, for formats that need attributes. Raises Reject: the causes of `document`."""
    return document(raw, most_bytes).element


def document(raw: bytes, most_bytes: int = MAX_BYTES) -> Document:
    """The document. Raises Reject: `empty`, `too_large`, `encoding`, `xml_dtd`, `xml_cut`, `xml_broken`.

    UTF-8 and UTF-16 are read, whatever the declaration says (programs write `utf-16` over UTF-8 bytes). Bytes that are neither are read as the
    code page of Vietnamese Windows, unless some of them are UTF-8: that is UTF-8 with damage in it.
    """
    if len(raw) > most_bytes:
        raise Reject("too_large", f"the document has {len(raw)} bytes, more than the {most_bytes} that one may have")
    text, misdeclared = _utf8(raw)
    text = text.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        raise Reject("empty", "the document is empty")
    if b"<!DOCTYPE" in text and _DOCTYPE.match(text):
        raise Reject("xml_dtd", "the document declares a DOCTYPE, which no message has and which could pull in other files")
    try:
        return Document(etree.fromstring(text, _PARSER), misdeclared)
    except etree.XMLSyntaxError as error:
        again = _single_byte(text) if getattr(error, "code", 0) in _BAD_BYTES else None  # lxml-stubs does not know `code`
        if again is None:
            raise _broken(text, error) from None
    try:
        return Document(etree.fromstring(again, _PARSER), True)
    except etree.XMLSyntaxError as error:
        raise _broken(again, error) from None


def undeclared(text: str) -> str:
    """The text without a declaration, which may tell of an encoding that it no longer has."""
    return _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1)


def node(element: etree._Element) -> Node:
    """An element that `document` read, and all below it. Raises Reject `xml_deep`."""
    found: list[Node] = []
    kids, left = found, 1  # where the next element belongs, and how many are still to come there
    above: list[tuple[list[Node], int]] = []
    for here in element.iter(etree.Element):  # in document order; the number of its children tells where each belongs
        tag, text, below = here.tag, here.text, len(here)
        made = Node(tag if tag[0] != "{" else tag[tag.rindex("}") + 1 :], text.strip() if text else "")
        kids.append(made)
        left -= 1
        if below:
            above.append((kids, left))
            if len(above) >= MAX_DEPTH:
                raise Reject("xml_deep", f"elements are nested more than {MAX_DEPTH} deep")
            kids, left = [], below
            made.kids = kids
        while not left and above:
            kids, left = above.pop()
    return found[0]


def _utf8(raw: bytes) -> tuple[bytes, bool]:
    """(the document as UTF-8, whether it says that it is something else). UTF-16 is known by its byte order mark or by the zero byte beside the
    first `<`."""
    head = raw[:2]
    if head in (b"\xff\xfe", b"\xfe\xff") or head in (b"<\0", b"\0<"):
        codec = "utf-16" if head[0] > 0x7F else ("utf-16-le" if head == b"<\0" else "utf-16-be")
        try:
            text = raw.decode(codec).encode()
        except UnicodeError:
            raise Reject("encoding", "the document begins as UTF-16 and does not go on so") from None
        return _DECLARATION.sub("", text.decode(), count=1).encode(), _declared(text) not in (
            "",
            "utf16",
            "ucs2",
            "iso10646ucs2",
            "unicode",
        )
    declared = _declared(raw)
    if declared in ("", "utf8"):
        return raw, False
    return raw, declared.startswith(("utf16", "ucs")) or not raw.isascii()


def _declared(raw: bytes) -> str:
    """The encoding in the XML declaration, small letters and digits only: `utf8`, `windows1258`; `` when there is none."""
    found = _DECLARED.match(raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:300]) if b"encoding" in raw[:300] else None
    return "".join(filter(str.isalnum, found[1].decode().lower())).removesuffix("le").removesuffix("be") if found else ""


def _single_byte(text: bytes) -> bytes | None:
    """The document out of the code page of Vietnamese Windows; None when it is UTF-8 with damage in it, for damage could be anywhere. Which page
    of one byte a letter it really is does not matter: no such letter stands in what is kept."""
    if _TWO_BYTES.search(text):
        return None
    return _DECLARATION.sub("", text.decode("cp1258", "replace"), count=1).encode()


def _broken(text: bytes, error: etree.XMLSyntaxError) -> Reject:
    line = error.lineno or 1
    if getattr(error, "code", 0) in _BAD_BYTES:  # lxml-stubs does not know it
        return Reject("encoding", f"line {line} holds bytes that are not UTF-8")
    first = _FIRST_TAG.search(text)
    if first is None:
        return Reject("not_xml", "the document holds no XML element")
    if not re.search(rb"</" + re.escape(first[1]) + rb"\s*>\s*(?:<!--.*?-->\s*)*\Z", text[-4096:], re.DOTALL):
        return Reject("xml_cut", f"the document ends in line {line} before its root element is closed")
    return Reject("xml_broken", f"the document is no well-formed XML; the first fault is in line {line}")


def number(node: Node | None, *path: str) -> Decimal | None:
    """The number at the end of a path, None when absent; with a decimal comma, as programs write it that ask Windows, where it can be nothing else.
    Raises Reject `number`, naming the tag."""
    found = node.child(*path) if node else None
    if found is None or not found.text:
        return None
    text = found.text
    if "," in text and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if len(text) > MAX_DIGITS + 12 or not _NUMBER.fullmatch(text):
        raise Reject("number", f"{found.name} is not a number of digits with `.` before the decimals")
    if sum(map(str.isdigit, text.lstrip("+-0"))) > MAX_DIGITS:
        raise Reject("number", f"{found.name} has more than {MAX_DIGITS} digits")
    return Decimal(text)


def dong(amount: Decimal | None, tag: str) -> int:
    """An amount in whole đồng, half rounded away from zero; 0 for None. Raises Reject `number` when it cannot be money."""
    if amount is None:
        return 0
    if abs(amount) >= MAX_DONG:
        raise Reject("number", f"{tag} comes to 10^15 đồng or more, more than the format holds")
    return int(amount.quantize(_WHOLE, ROUND_HALF_UP))
