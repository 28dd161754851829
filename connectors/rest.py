"""REST pages behind a cursor: `{"items": [{"content": ..}], "next": .., "more": ..}`, with ETag and bearer token."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from connectors.connector import Page, Refused, number, text
from connectors.http import Answer, Web, bearer, pick, web
from streams.errors import Misconfigured, Reject, Retry
from streams.settings import Source

ENCODINGS = ("base64", "text", "json")


@dataclass(frozen=True)
class Rest:
    """Pages of a REST source. items, content, next, more: dotted paths in the answer, `content` inside an item ("" for the item itself).
    encoding of content: base64 of the record, text that is the record, or json: the member's own bytes."""

    web: Web
    after: str = "after"
    limit: str = "limit"
    page_records: int = 100
    items: str = "items"
    content: str = "content"
    encoding: str = "base64"
    next: str = "next"
    more: str = "more"
    _etags: dict[str | None, str] = field(default_factory=dict, repr=False)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        while True:
            answer = self._ask(cursor)
            if answer.status == 304:
                return
            page = self._page(answer, cursor)
            yield page
            if not page.more:
                return
            cursor = page.cursor

    def acknowledged(self, page: Page) -> None:
        """The validator of an answer may be shown only when its records are safe: a 304 gives nothing again."""
        self._etags.clear()
        if isinstance(page.token, tuple):
            asked, etag = page.token
            self._etags[asked] = etag

    def close(self) -> None:
        self.web.close()

    def _ask(self, cursor: str | None) -> Answer:
        url = self.web.url.copy_set_param(self.limit, self.page_records)
        if cursor is not None:
            url = url.copy_set_param(self.after, cursor)
        etag = self._etags.get(cursor)
        return self.web.get(url, {"if-none-match": etag} if etag else None)

    def _page(self, answer: Answer, cursor: str | None) -> Page:
        items = pick(answer.body, self.items)
        try:
            held = [] if items is None else msgspec.json.decode(items, type=list[msgspec.Raw])
            following = _decoded(pick(answer.body, self.next), str | int | None)
            more = bool(_decoded(pick(answer.body, self.more), bool | None))
        except msgspec.DecodeError as error:
            raise Retry(
                f"the source's answer has no list at {self.items}, token at {self.next} or truth value at {self.more}",
                "check its options in ioc.toml",
            ) from error
        records: list[bytes] = []
        refused: list[Refused] = []
        for item in held:
            try:
                records.append(self._content(item))
            except Reject as reject:
                refused.append(Refused(bytes(item), reject.cause, reject.wrong))
        after = cursor if following is None else str(following)
        etag = answer.headers.get("etag")
        # a source that says `more` but gives the same token again would be asked the same question for ever
        return Page(records, after, more and after != cursor, refused, (cursor, etag) if etag else None)

    def _content(self, item: msgspec.Raw) -> bytes:
        try:
            found = pick(item, self.content) if self.content else item
            if found is not None and self.encoding == "json":
                return bytes(found)
            said = None if found is None else msgspec.json.decode(found, type=str)
        except (msgspec.DecodeError, Retry) as error:
            raise Reject("item_malformed", f"an item's {self.content} is not text") from error
        if said is None:
            raise Reject("item_malformed", f"an item has no {self.content}")
        if self.encoding == "text":
            return said.encode()
        try:
            return base64.b64decode(said, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Reject("base64", f"an item's {self.content} is not base64") from error


def connect(source: Source, state_dir: Path) -> Rest:
    """The connector of a `rest` source. Options: limit (records a page), items, content, encoding, next, more, after, limit_parameter.

    Raises Misconfigured.
    """
    encoding = text(source, "encoding", "base64")
    if encoding not in ENCODINGS:
        raise Misconfigured(f"source {source.name}: options.encoding is none of {', '.join(ENCODINGS)}", "choose one of them")
    return Rest(
        web(source, bearer(source)),
        after=text(source, "after", "after"),
        limit=text(source, "limit_parameter", "limit"),
        page_records=number(source, "limit", 100),
        items=text(source, "items", "items"),
        content=text(source, "content", "content"),
        encoding=encoding,
        next=text(source, "next", "next"),
        more=text(source, "more", "more"),
    )


def _decoded(raw: msgspec.Raw | None, kind: object) -> object:
    return None if raw is None else msgspec.json.decode(raw, type=kind)
