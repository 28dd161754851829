"""FHIR R4 search: what was updated since, in pages (http://hl7.org/fhir/R4/search.html, http.html#paging)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from connectors.connector import Page, number, text
from connectors.http import Web, bearer, web
from connectors.recent import Recent
from streams.errors import Misconfigured, Retry
from streams.settings import Source

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class _Mode(msgspec.Struct):
    mode: str | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")
    search: _Mode | None = None


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Bundle(msgspec.Struct):
    resourceType: str
    type: str | None = None
    entry: list[_Entry] = []
    link: list[_Link] = []


class _Meta(msgspec.Struct):
    lastUpdated: str | None = None


class _Stamped(msgspec.Struct):
    meta: _Meta | None = None


@dataclass(frozen=True)
class Fhir:
    """The resources of one type that a server says were updated, oldest first.

    overlap_seconds: each reading starts this long before the newest seen, because servers commit late; what was read lately is not
    handed on again. Within a reading the next page is asked for by time, from the last one's newest: pages counted by position lose
    a record when an earlier one is updated meanwhile. A server that does not sort or filter is followed by its own link[next].
    """

    web: Web
    search: httpx.URL
    page_records: int = 200
    overlap_seconds: int = 10
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _recent: Recent = field(default_factory=Recent, repr=False)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        began = self.now()
        newest = _stamp(cursor) or BEGINNING
        bound = max(newest - timedelta(seconds=self.overlap_seconds), BEGINNING)
        asked, ordered, given = self._since("gt", bound), True, frozenset[bytes]()
        while True:
            bundle = self._bundle(asked)
            following = self._next(bundle)
            records = [bytes(entry.resource) for entry in bundle.entry if _is_match(entry)]
            stamps = [stamp for record in records if (stamp := _updated(record))]
            ordered = ordered and stamps == sorted(stamps) and (not stamps or stamps[0] >= bound)
            # a stamp from the future must not carry the cursor past what will be updated until then
            newest = max([newest, *(min(stamp, began) for stamp in stamps)])
            if ordered or following is None:  # unsorted, the newest of some pages says nothing of the pages to come
                cursor = _text(newest)
            fresh = [(digest, record) for digest, record in self._recent.new(records) if digest not in given]
            given = frozenset(digest for digest, _ in fresh) or given
            included = [bytes(entry.resource) for entry in bundle.entry if bytes(entry.resource) and not _is_match(entry)]
            yield Page(_together([record for _, record in fresh], included), cursor, following is not None, token=list(given))
            if following is None:
                return
            if ordered and stamps and stamps[-1] > bound:
                bound = _floor(stamps[-1])
                following = self._since("ge", bound)
            asked = following

    def acknowledged(self, page: Page) -> None:
        if isinstance(page.token, list):
            self._recent.remember(page.token)

    def close(self) -> None:
        self.web.close()

    def _since(self, prefix: str, bound: datetime) -> httpx.URL:
        return self.search.copy_merge_params({"_lastUpdated": prefix + _text(bound), "_sort": "_lastUpdated", "_count": self.page_records})

    def _bundle(self, asked: httpx.URL) -> _Bundle:
        answer = self.web.get(asked)
        try:
            bundle = msgspec.json.decode(answer.body, type=_Bundle)
        except msgspec.DecodeError as error:
            raise Retry("the source's answer is not a FHIR Bundle, or was cut") from error
        if bundle.resourceType != "Bundle":
            raise Retry("the source's answer is not a FHIR Bundle")
        return bundle

    def _next(self, bundle: _Bundle) -> httpx.URL | None:
        for link in bundle.link:
            if link.relation == "next":
                return self.web.same_origin(self.search.join(link.url))
        return None


def connect(source: Source, state_dir: Path) -> Fhir:
    """The connector of a `fhir` source; url is the server's base. Options: resource, include (what comes along:
    `Encounter:service-provider`), limit (resources a page), overlap_seconds.

    Raises Misconfigured.
    """
    base = web(source, {"accept": "application/fhir+json", **bearer(source)})
    resource = text(source, "resource", "Encounter")
    if not resource.isalpha():
        raise Misconfigured(f"source {source.name}: options.resource is no FHIR type", 'write e.g. resource = "Encounter"')
    path = base.url.path.rstrip("/")
    search = base.url if path.endswith("/" + resource) else base.url.copy_with(path=f"{path}/{resource}")
    include = text(source, "include", "")
    if include:
        search = search.copy_add_param("_include", include)
    return Fhir(base, search, number(source, "limit", 200), number(source, "overlap_seconds", 10))


def _together(records: list[bytes], included: list[bytes]) -> list[bytes]:
    """The records; with what they refer to, where the server sent it along."""
    if not records or not included:
        return records
    entries = b",".join(b'{"resource":%s}' % each for each in (*records, *included))
    return [b'{"resourceType":"Bundle","type":"collection","entry":[%s]}' % entries]


def _is_match(entry: _Entry) -> bool:
    return bool(bytes(entry.resource)) and (entry.search is None or entry.search.mode in (None, "match"))


def _updated(resource: bytes) -> datetime | None:
    try:
        stamped = msgspec.json.decode(resource, type=_Stamped)
    except msgspec.DecodeError:
        return None
    return _stamp(stamped.meta.lastUpdated) if stamped.meta else None


def _stamp(said: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(said or "")
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _floor(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _text(moment: datetime) -> str:
    return _floor(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")
