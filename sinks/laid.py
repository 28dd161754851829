"""A scenario laid over what a replay plays: records in, records out, in their order."""

from collections.abc import Iterator

import msgspec

from sinks.history import Period, Record
from sinks.session import Connection
from streams.department import department
from streams.event import Asked, Event, Rejected, encode
from streams.scenarios.laying import Laid, Made, ordered
from streams.scenarios.scenario import Scenario


def laid(connection: Connection, scenario: Scenario, period: Period, records: Iterator[Record]) -> Iterator[Record]:
    """The records of a period as the scenario has them; those that would arrive after its end do not come. What began before the period and
    reaches into it is there if `records` begin `laying.reach_us` earlier. `connection` sees live's tables: where sellers are registered."""
    over = _Over(connection, scenario, period)
    for _, record in ordered((record.at_us, over.made(record)) for record in records):
        if period.since_us <= record.at_us < period.until_us:
            yield record


class _Over:
    """What becomes of single records. Of events that came again, the same as of the first."""

    def __init__(self, connection: Connection, scenario: Scenario, period: Period) -> None:
        owners = [department(name) for name in period.departments]
        asked_where = any(change.units for change in scenario.changes)
        rows = connection.execute("select seller, unit from seller").fetchall() if asked_where and any(o.members for o in owners) else []
        communes = {seller.hex: unit for seller, unit in rows}

        def unit_of(event: Event) -> str | None:
            return event.unit or communes.get(getattr(event, "seller", None) or "")

        self._laid = {owner.name: Laid(scenario, owner, period.follows, unit_of) for owner in owners}
        self._decode = {owner.name: msgspec.json.Decoder(owner.event).decode for owner in owners}
        self._whole = Laid(scenario, owners[0], period.follows)  # signs of life and rejects say themselves whose they are

    def made(self, record: Record) -> Iterator[tuple[int, Record]]:
        """What becomes of a record, with its place."""
        if record.topic == "asked":
            sign = self._whole.asked(msgspec.json.decode(record.value, type=Asked))
            yield record.at_us, record._replace(value=encode(sign))
        elif record.topic == "rejects":
            reject = self._whole.rejected(msgspec.json.decode(record.value, type=Rejected))
            if reject is not None:
                yield record.at_us, record
        else:
            for at_us, made in self._laid[record.topic].made(self._decode[record.topic](record.value)):
                yield at_us, self._record(record.topic, at_us, made)

    def _record(self, owner: str, at_us: int, made: Made) -> Record:
        if isinstance(made, Rejected):
            return Record(at_us, "rejects", made.source.encode(), encode(made))
        return Record(at_us, owner, department(owner).subject(made).encode(), encode(made))
