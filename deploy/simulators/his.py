"""The hospitals' information systems: each file of a visit is handed to the province until somebody has taken it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from starlette.routing import BaseRoute

from deploy.simulators.clock import stamp
from deploy.simulators.notices import Notice
from deploy.simulators.pushing import Push, Pushing
from deploy.simulators.schedule import Schedule
from deploy.simulators.serving import State
from deploy.simulators.truth import Truth
from deploy.simulators.visits import Record

HISTORY_CHAINS_A_DAY = 80


@dataclass
class Hospitals:
    """The hospitals as a `System`."""

    schedule: Schedule[Record]
    truth: Truth
    pushing: Pushing
    secret: str
    stopped: bool = False
    _taken: list[Record] = field(default_factory=list)
    _issued: int = 0

    def take(self, now: int) -> bool:
        """As `System.take`."""
        due = self.schedule.advance(now)
        for _, record in due:
            if record.told is not None:
                self._issued += record.told["what"] == "fact"
                self.truth.add(record.told | {"offered": stamp(now)})
                record.told = None
            self._taken.append(record)
        return bool(due)

    def show(self) -> None:
        """As `System.show`."""
        for record in self._taken:
            notice = Notice(
                "/hooks/hospitals",
                body=record.body,
                headers={"Authorization": f"Apikey {self.secret}".encode(), "Content-Type": b"text/xml"},
            )
            self.pushing.add(Push("hospitals", notice, hopeless=False, ended=partial(self._ended, record)))
        self._taken = []

    def state(self) -> State:
        """As `System.state`."""
        pending = self.pushing.pending()
        return State(self._issued, self.pushing.confirmed, self.stopped and not self._taken and pending == 0, pending)

    def stop(self) -> None:
        """Issue nothing more, and bring the files under way to an end fast."""
        self.stopped = True
        self.schedule.stop()
        self.pushing.hurry()

    def routes(self) -> Sequence[BaseRoute]:
        """Nobody asks them for anything."""
        return []

    def _ended(self, record: Record, taken: bool) -> None:
        """The truth says which files were given up."""
        if not taken and record.twist == "":
            self.truth.add({"what": "given_up", "system": "hospitals", "key": record.key})
