"""Shares of two departments: exact where both are known, null where the denominator is not, whatever arrived first."""

from datetime import timedelta

import pytest
from psycopg import sql

from grafana import sql as boards
from sinks import figures as read
from sinks.migrations import board
from streams.department import department
from streams.departments.payment import Payment
from streams.departments.visit import Visit
from streams.event import DAY_US, VIETNAM, moment
from streams.lives import MINUTE_US
from tests.services.space import NOW, Space


def paid(number: int, unit: str | None, vnd: int, at_us: int = NOW) -> Payment:
    return Payment(
        id=f"{number:032x}", body="0" * 16, source="bank", event_time_us=at_us, known_at_us=at_us, kind="hdbank", unit=unit,
        transaction=f"{number:032x}", status="paid", paid_vnd=vnd, paid_at_us=at_us,
    )  # fmt: skip


def settled(number: int, unit: str | None, vnd: int, at_us: int = NOW) -> Visit:
    return Visit(
        id=f"{number:032x}", body="0" * 16, source="hospitals", event_time_us=at_us, known_at_us=at_us + 60_000_000, kind="01", unit=unit,
        visit=f"{number:032x}", settlement=f"{number + 500:032x}", record="totals", arrived_at_us=at_us, settled_at_us=at_us, patient_vnd=vnd,
    )  # fmt: skip


@pytest.fixture
def told(space: Space) -> Space:
    """Hospital 38001 reports both on two days; 38002 no visits, 38003 no payments, 38004 a visit without money; and one nobody knows."""
    before = NOW - 2 * DAY_US
    space.take(
        "payment", paid(1, "38001", 300), paid(2, "38001", 150), paid(3, "38002", 7000), paid(4, None, 9000), paid(5, "38001", 100, before)
    )
    space.take(
        "visit",
        settled(1, "38001", 1000),
        settled(2, "38003", 500),
        settled(3, "38004", 0),
        settled(4, None, 80),
        settled(5, "38001", 400, before),
    )
    space.follow("visit")
    return space


def test_a_share_is_of_those_units_and_days_whose_whole_is_known(told: Space) -> None:
    (total,) = told.figures("payment")
    assert total["cashless_percent"] == round(100 * 550 / 1900, 1)
    assert total["cashless_count_percent"] == 100.0
    by_unit = {row["unit"]: row["cashless_percent"] for row in told.figures("payment", "unit")}
    assert by_unit == {"38001": round(100 * 550 / 1400, 1), "38002": None, "38003": 0.0, None: None}
    by_day = [row["cashless_percent"] for row in told.figures("payment", "day")]
    assert by_day == [25.0, 30.0]
    assert {row["cashless_percent"] for row in told.figures("payment", "kind")} == {None}


def test_a_share_without_any_denominator_is_null_and_never_0(space: Space) -> None:
    space.take("payment", paid(1, "38001", 300))
    (total,) = space.figures("payment")
    assert (total["cashless_percent"], total["cashless_count_percent"]) == (None, None)


def test_a_share_as_of_a_minute_knows_what_was_known_then(told: Space) -> None:
    told.follow("payment")
    with told.connect() as connection:
        rows = read.figures(
            connection, told.name, "payment", "total", moment(NOW) - timedelta(hours=1), None, moment(NOW - NOW % MINUTE_US + MINUTE_US)
        )["rows"]
    assert [row["cashless_percent"] for row in rows] == [None], "the totals came a minute later"


def test_the_board_shows_the_share_of_each_day_and_of_one_hospital(told: Space) -> None:
    told.follow("payment")
    glass = department("payment").glass
    at = moment(NOW).astimezone(VIETNAM).isoformat()
    for where, expected in (("", [25.0, None, 30.0]), (boards.HERE, [25.0, None, 45.0])):
        text = (
            boards.day_by_day(glass, glass.shares[0], 3, where).replace(boards.TO, f"timestamptz '{at}'").replace(boards.CHOSEN, "'38001'")
        )
        with told.connect() as connection:
            connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(board(told.name))))
            assert [row[1] for row in connection.execute(text.encode())] == expected
