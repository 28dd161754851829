"""A source is cut: its department's rules are held, and one message says why, once."""

from collections.abc import Sequence
from datetime import datetime

from sinks import alarms, rulebook
from sinks.evaluator import Evaluator
from sinks.roles import ingest_dsn
from sinks.round import MINUTE_US, Standing
from sinks.session import Connection
from streams.rules.firing import Change
from streams.settings import Channel, Route
from tests.services.space import Space, paid

BANKS = ("hdbank", "vnpay", "payos")
HOSPITALS = [f"38{number:03}" for number in range(1, 13)]
CHANNEL = Channel(name="duty", kind="webhook", url="http://127.0.0.1:9/none")


class Morning:
    """Minutes of a department with three banks, told to an evaluator whose clock the test turns; what rings stays in the outbox."""

    def __init__(self, space: Space, start: int) -> None:
        self.space, self.minute, self.number = space, start, 0
        settings = space.settings.model_copy(update={"channels": (CHANNEL,), "routes": (Route(name="default", channels=("duty",)),)})

        def ring(connection: Connection, standing: Standing, changed: Sequence[Change], now: datetime) -> None:
            alarms.ring(connection, "live", settings, standing.rule, standing.version, changed, now)

        self.evaluator = Evaluator(ingest_dsn(space.settings), space.name, ring, lambda: self.minute * 60.0 + 30)

    def stand(self) -> None:
        """The ready rules, from an hour before on."""
        with self.space.connect() as connection, connection.transaction():
            rulebook.stand_ready(connection, self.space.name, "a test")
            connection.execute("update rule set since = to_timestamp(%s)", [self.minute * 60])

    def goes(self, minutes: int, without: str = "") -> None:
        """Every hospital is paid every minute, through one bank or another; the banks that are cut bring nothing."""
        for _ in range(minutes):
            us = self.minute * MINUTE_US + 20_000_000
            events = []
            for place, hospital in enumerate(HOSPITALS):
                self.number += 1
                bank = BANKS[(place + self.minute) % 3]
                if bank != without:
                    events.append(
                        paid(self.number, unit=hospital, source=bank, paid_at_us=us, event_time_us=us, known_at_us=us + 1_000_000)
                    )
            self.space.take("payment", *events)
            self.space.follow("payment")
            self.evaluator.evaluate()
            self.minute += 1
        self.evaluator.evaluate()

    def heard(self) -> list[tuple[str, str]]:
        return [(rule, word) for rule, word in self.space.rows("select message->>'rule', word from outbox order by id")]


def test_a_source_that_is_cut_rings_once_and_holds_the_rules_it_feeds(space: Space) -> None:
    morning = Morning(space, int(datetime.fromisoformat("2026-11-18T09:00+07:00").timestamp()) // 60)
    try:
        morning.stand()
        morning.goes(30)
        assert morning.heard() == []
        morning.goes(45, without="vnpay")
        assert morning.heard() == [("payment-source-silent", "firing")]
        morning.goes(12)
        assert morning.heard() == [("payment-source-silent", "firing"), ("payment-source-silent", "resolved")]
    finally:
        morning.evaluator.close()
