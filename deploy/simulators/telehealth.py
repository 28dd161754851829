"""The telehealth platform: a FHIR R4 search over the current versions of its Encounters, behind a bearer token."""

import base64
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from deploy.simulators.encounters import Version
from deploy.simulators.schedule import Schedule
from deploy.simulators.serving import State
from deploy.simulators.truth import Truth

HISTORY_CHAINS_A_DAY = 110
MOST_ENTRIES = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FHIR = "application/fhir+json"


@dataclass(order=True, slots=True)
class _Entry:
    """A version in the order of the search: by lastUpdated, then as it came."""

    updated_ms: int
    place: int
    version: Version = field(compare=False)
    served: bool = field(compare=False, default=False)


@dataclass
class Telehealth:
    """The platform as a `System`: entries by lastUpdated, of which the search shows those that no later whole version hides."""

    schedule: Schedule[Version]
    truth: Truth
    stopped: bool = False
    _log: list[_Entry] = field(default_factory=list)
    _taken: list[Version] = field(default_factory=list)
    _current: dict[str, int] = field(default_factory=dict)
    _issued: int = 0
    _placed: int = 0
    _delivered: int = 0
    _hidden: int = 0

    def take(self, now: int) -> bool:
        """As `System.take`."""
        due = self.schedule.advance(now)
        for _, version in due:
            if version.told is not None:
                self._issued += version.told["what"] == "fact"
                self.truth.add(version.told)
                version.told = None
            self._taken.append(version)
        return bool(due)

    def show(self) -> None:
        """As `System.show`."""
        for version in self._taken:
            self._placed += 1
            insort(self._log, _Entry(version.updated_us // 1_000, self._placed, version))
            if version.whole:
                self._current[version.id] = max(version.number, self._current.get(version.id, 0))
                self._hidden += version.number > 1
        self._taken = []
        if self._hidden > len(self._log) // 2:
            self._log = [entry for entry in self._log if self._is_shown(entry)]
            self._hidden = 0

    def state(self) -> State:
        """As `System.state`."""
        pending = sum(not entry.served for entry in self._log if self._is_shown(entry))
        return State(self._issued, self._delivered, self.stopped and not self._taken and pending == 0, pending)

    def stop(self) -> None:
        """Issue nothing more."""
        self.stopped = True
        self.schedule.stop()

    def routes(self) -> Sequence[BaseRoute]:
        """The search."""
        return [Route("/fhir/Encounter", self._search)]

    def _is_shown(self, entry: _Entry) -> bool:
        return entry.version.number >= self._current.get(entry.version.id, 0)

    async def _search(self, request: Request) -> Response:
        asked = request.query_params
        count = asked.get("_count", "50")
        try:
            first = self._first(asked.getlist("_lastUpdated"), asked.get("_page"))
        except ValueError:
            return Response('{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid"}]}', 400, media_type=FHIR)
        if asked.get("_sort", "_lastUpdated") != "_lastUpdated" or not count.isdigit():
            return Response(
                '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported"}]}', 400, media_type=FHIR
            )
        first = max(0, first - request.scope["shift"]) if "_page" in asked else first
        page, more = self._page(first, max(1, min(int(count), MOST_ENTRIES)))
        request.scope["delivered"] = lambda: self._mark(page)
        return Response(self._bundle(request, page, more), media_type=FHIR)

    def _first(self, bounds: Sequence[str], page: str | None) -> int:
        """The position of the first entry asked for. Raises ValueError when a bound or the page is none of ours."""
        if page is not None:
            updated, _, place = base64.urlsafe_b64decode(page).decode().partition(".")
            return bisect_right(self._log, (int(updated), int(place)), key=lambda entry: (entry.updated_ms, entry.place))
        first = 0
        for bound in bounds:
            ms = (datetime.fromisoformat(bound[2:].replace(" ", "+")) - EPOCH) // timedelta(milliseconds=1)
            if bound[:2] not in ("gt", "ge"):
                raise ValueError(bound)
            first = max(first, bisect_right(self._log, ms - (bound[:2] == "ge"), key=lambda entry: entry.updated_ms))
        return first

    def _page(self, first: int, count: int) -> tuple[list[_Entry], bool]:
        page: list[_Entry] = []
        for entry in islice(self._log, first, None):
            if self._is_shown(entry):
                if len(page) == count:
                    return page, True
                page.append(entry)
        return page, False

    def _bundle(self, request: Request, page: list[_Entry], more: bool) -> bytes:
        links = [f'{{"relation":"self","url":"{request.url}"}}']
        if more:
            token = base64.urlsafe_b64encode(f"{page[-1].updated_ms}.{page[-1].place}".encode()).decode()
            following = request.url.replace(query=urlencode({**dict(request.query_params), "_page": token}))
            links.append(f'{{"relation":"next","url":"{following}"}}')
        entries = b",".join(b'{"resource":' + entry.version.body + b',"search":{"mode":"match"}}' for entry in page)
        return b'{"resourceType":"Bundle","type":"searchset","link":[' + ",".join(links).encode() + b'],"entry":[' + entries + b"]}"

    def _mark(self, page: list[_Entry]) -> None:
        for entry in page:
            entry.served = True
        self._delivered += len(page)
