"""The hospitals' banks: notices pushed until confirmed, the signed list that has everything, and files for an operator."""

import base64
import hmac
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from deploy.simulators import hospitals
from deploy.simulators.clock import digits, now_us, stamp
from deploy.simulators.notices import item, notice, sealed, sign
from deploy.simulators.payments import Status
from deploy.simulators.pushing import Push, Pushing
from deploy.simulators.schedule import Schedule
from deploy.simulators.serving import State
from deploy.simulators.statements import Folder
from deploy.simulators.truth import Truth

HISTORY_CHAINS_A_DAY = 780
PER_PAGE = 50


Asked = tuple[str, str, str]  # bank, from, to
Which = tuple[str, str]  # transaction, status


@dataclass(slots=True)
class _Row:
    """A transaction as the list shows it: its newest status. made, entered, changed: when it was made and when the bank first and
    last wrote it (digits, UTC)."""

    status: Status
    made: str
    entered: str
    changed: str
    served: bool = False

    def lies_in(self, begin: str, end: str) -> bool:
        """Whether a window of time has to show it: made, entered or changed within."""
        return any(begin <= at <= end for at in (self.made, self.entered, self.changed))


@dataclass
class _Window:
    """What one reading of the list found, newest first. shift: how many rows came on top meanwhile and push the others down."""

    asked: Asked
    rows: list[_Row]
    shift: int = 0


@dataclass
class Banks:
    """The banks as a `System`. A status is in the list from the moment it is shown; a notice that contradicts or repeats another
    is pushed only after that other was confirmed."""

    schedule: Schedule[Status]
    truth: Truth
    pushing: Pushing
    secret: bytes
    folder: Folder
    stopped: bool = False
    _rows: dict[str, _Row] = field(default_factory=dict)
    _order: dict[str, list[_Row]] = field(default_factory=lambda: {bank: [] for bank in hospitals.LISTED})
    _windows: dict[str, _Window] = field(default_factory=dict)
    _taken: list[tuple[int, Status]] = field(default_factory=list)
    _fates: dict[Which, list[Push] | None] = field(default_factory=dict)
    _issued: int = 0

    def take(self, now: int) -> bool:
        """As `System.take`."""
        due = self.schedule.advance(now)
        for at_us, status in due:
            if status.told is not None:
                self._issued += status.told["what"] == "fact"
                self.truth.add(status.told | {"offered": stamp(now)})
                status.told = None
            self._taken.append((at_us, status))
        return bool(due)

    def show(self) -> None:
        """As `System.show`."""
        for at_us, status in self._taken:
            if status.twist == "" and status.bank in hospitals.LISTED and status.origin is None:
                self._enter(status.transaction, status, digits(at_us))
            elif status.way == "list":
                self._enter(f"{status.transaction}-{status.status}-{status.twist}", status, digits(at_us))
            if status.twist == "" and status.bank == "hdbank":
                self.folder.book(status)
            elif status.way == "file":
                self.folder.export(status)
            if status.way == "push":
                self._push(status)
        self._taken = []
        self.folder.write(now_us(), self.stopped)

    def state(self) -> State:
        """As `System.state`."""
        unseen = sum(not row.served for row in self._rows.values())
        pending = self.folder.pending() + self.pushing.pending() + sum(len(waiting) for waiting in self._fates.values() if waiting)
        done = self.stopped and not self._taken and pending == 0 and unseen == 0
        return State(self._issued, self.pushing.confirmed, done, pending + unseen)

    def stop(self) -> None:
        """Issue nothing more, and bring the notices under way to an end fast."""
        self.stopped = True
        self.schedule.stop()
        self.pushing.hurry()

    def routes(self) -> Sequence[BaseRoute]:
        """The signed list of each bank (`/list` alone is HDBank's), and what each bank calls the hospitals."""
        lists = [Route(path, self._list, methods=["POST"]) for path in ("/list", "/list/{bank}")]
        return [*lists, Route("/units.json", self._units)]

    def _enter(self, name: str, status: Status, at: str) -> None:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = _Row(status, digits(status.made_us), at, at)
            insort(self._order[status.bank], row, key=lambda other: other.entered)
        else:
            row.status, row.changed, row.served = status, at, False

    def _push(self, status: Status) -> None:
        which = (status.transaction, status.status)
        push = Push(status.bank, notice(status, self.secret), hopeless=status.twist in ("signature", "number"))
        if status.twist == "":
            self._fates[which] = []
            push.ended = lambda taken: self._ended(status, taken)
        elif not push.hopeless:
            if which not in self._fates:  # the first was given up: nothing may come before it
                return
            waiting = self._fates[which]
            if waiting is not None:
                waiting.append(push)
                return
        self.pushing.add(push)

    def _ended(self, status: Status, taken: bool) -> None:
        """A first notice was confirmed: what repeats or contradicts it may follow. Or it was given up: only the list may still have it, or a file has it now."""
        which = (status.transaction, status.status)
        waiting = self._fates.pop(which) or []
        if not taken:
            if status.bank in hospitals.LISTED:
                said = {"bank": status.bank, "transactionId": status.transaction, "status": status.status}
                self.truth.add({"what": "given_up", "system": "banks"} | said)
            else:
                self.folder.export(status)
            return
        self._fates[which] = None
        for push in waiting:
            self.pushing.add(push)

    async def _units(self, request: Request) -> Response:
        return JSONResponse(hospitals.units())

    async def _list(self, request: Request) -> Response:
        bank = request.path_params.get("bank") or request.query_params.get("bank", "hdbank")
        if bank not in self._order:
            return JSONResponse({"error": "không có ngân hàng này"}, 404)
        try:
            asked = orjson.loads(await request.body())
            data = asked["data"]
            if not hmac.compare_digest(str(asked["sign"]), sign(data, self.secret)):
                return JSONResponse({"error": "sai chữ ký"}, 401)
            wanted = orjson.loads(base64.b64decode(data, validate=True))
            window, page = (bank, str(wanted["from"]), str(wanted["to"])), max(1, int(wanted.get("page", 1)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return JSONResponse({"error": "yêu cầu không hợp lệ"}, 400)
        found = self._window(window, page)
        found.shift += request.scope["shift"] if page > 1 else 0
        first = (page - 1) * PER_PAGE - found.shift
        shown = [(row, row.status) for row in found.rows[max(0, first) : max(0, first + PER_PAGE)]]
        request.scope["delivered"] = lambda: self._mark(shown)
        listed = {
            "page": page,
            "pages": max(1, ceil((len(found.rows) + found.shift) / PER_PAGE)),
            "items": [item(status) for _, status in shown],
        }
        return JSONResponse(sealed(listed, self.secret))

    def _window(self, asked: Asked, page: int) -> _Window:
        """What the first page found stays for the pages after it: new rows only push it down, as in a list read newest first."""
        bank, begin, end = asked
        held = self._windows.get(bank)
        if page == 1 or held is None or held.asked != asked:
            held = self._windows[bank] = _Window(asked, [row for row in reversed(self._order[bank]) if row.lies_in(begin, end)])
        return held

    def _mark(self, shown: list[tuple[_Row, Status]]) -> None:
        for row, status in shown:
            row.served = row.served or row.status is status
