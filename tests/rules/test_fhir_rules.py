"""The rules of the field that telehealth's resources are held to."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from connectors.formats import load
from streams.department import department
from streams.departments.telehealth import Telehealth
from streams.event import day_start_us, vietnam_day
from streams.lives import Registry, advance
from tests.format_cases import CASES

ARRIVAL = CASES[0].arrival


def encounter(identity: str, kind: str = "VR", status: str = "finished", version: int = 1, **more: Any) -> dict[str, Any]:
    """An R4 Encounter at the hospital 38001."""
    return {
        "resourceType": "Encounter", "id": identity, "meta": {"versionId": str(version), "lastUpdated": f"2026-11-20T12:0{version}:00+07:00"},
        "status": status, "class": {"code": kind}, "period": {"start": "2026-11-20T09:00:00+07:00", "end": "2026-11-20T09:30:00+07:00"},
        "serviceProvider": {"reference": "Organization/38001"}, **more,
    }  # fmt: skip


def request(version: int = 1, **more: Any) -> dict[str, Any]:
    """38001 asks 01901."""
    return {
        "resourceType": "ServiceRequest", "id": "yc", "meta": {"versionId": str(version), "lastUpdated": f"2026-11-20T12:0{version}:00+07:00"},
        "status": "active", "requester": {"reference": "Organization/38001"}, "performer": [{"reference": "Organization/01901"}], **more,
    }  # fmt: skip


def read(*resources: dict[str, Any]) -> list[Telehealth]:
    """Their events."""
    reader = load("fhir")
    return [event for each in resources for event in reader.parse(json.dumps(each).encode(), ARRIVAL) if isinstance(event, Telehealth)]


def figures(*resources: dict[str, Any]) -> dict[tuple[str, str], dict[str, int]]:
    """(unit, kind) -> measures that are not 0."""
    chosen = department("telehealth")
    found = advance(chosen.life, read(*resources), Registry(), lambda table, keys: {}).cells
    told = {(unit, kind): dict(zip(chosen.measures, values, strict=True)) for (_, _, unit, kind), values in found.items()}
    return {place: kept for place, named in told.items() if (kept := {name: n for name, n in named.items() if n})}


HELD = {"sessions": 1, "finished": 1, "seconds": 1800}


def test_rule_07_fhir_times_carry_their_offsets() -> None:
    (one,) = read(encounter("a", period={"start": "2026-11-20T09:00:00+07:00"}))
    (same,) = read(encounter("b", period={"start": "2026-11-20T02:00:00Z"}))
    assert one.started_at_us == same.started_at_us


def test_rule_07_a_session_over_midnight_belongs_to_its_start_day() -> None:
    (event,) = read(encounter("a", period={"start": "2026-11-19T23:50:00+07:00", "end": "2026-11-20T00:40:00+07:00"}))
    cells = advance(department("telehealth").life, [event], Registry(), lambda table, keys: {}).cells
    ((minute, _, _, _),) = cells
    assert date(1970, 1, 1) + timedelta(days=vietnam_day(minute)) == date(2026, 11, 19)
    assert minute + 10 * 60_000_000 == day_start_us(vietnam_day(minute) + 1), "ten minutes before Vietnamese midnight"


@pytest.mark.parametrize("kind", ["HH", "AMB", "EMER", "IMP"])
def test_rule_09_class_vr_counts_and_hh_amb_emer_imp_never(kind: str) -> None:
    assert figures(encounter("a")) == {("38001", "VR"): HELD}
    assert figures(encounter("a", kind)) == {("38001", kind): {"not_telehealth": 1}}


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_rule_09_entered_in_error_and_cancelled_are_excluded(status: str) -> None:
    for order in ((1, 2), (2, 1)):
        found = figures(*(encounter("a", status=status if version == 2 else "finished", version=version) for version in order))
        assert found == ({("38001", "VR"): {"cancelled": 1}} if status == "cancelled" else {})


def appointment(**more: Any) -> dict[str, Any]:
    """Planned for that morning."""
    return {
        "resourceType": "Appointment", "id": "hen", "meta": {"versionId": "1", "lastUpdated": "2026-11-20T08:00:00+07:00"}, "status": "booked",
        "start": "2026-11-20T09:00:00+07:00", "participant": [{"actor": {"reference": "Location/38001"}}], **more,
    }  # fmt: skip


def test_a_planned_session_is_counted_until_an_encounter_takes_its_place() -> None:
    assert figures(appointment()) == {("38001", "VR"): {"planned": 1}}
    held = encounter("a", appointment=[{"reference": "Appointment/hen"}])
    for order in ((appointment(), held), (held, appointment())):
        assert figures(*order) == {("38001", "VR"): HELD}
    assert figures(appointment(status="cancelled")) == {("38001", "VR"): {"cancelled": 1}}
    assert figures(appointment(status="entered-in-error")) == {}


def test_a_request_names_the_pair_of_hospitals_in_whatever_order_it_comes() -> None:
    held = encounter("a", basedOn=[{"reference": "ServiceRequest/yc"}], serviceProvider=None)
    for order in ((request(), held), (held, request())):
        assert figures(*order) == {("38001", "VR>01901"): HELD}
    assert figures(held) == {("", "VR"): HELD}, "nobody knows yet who asked whom"
    other = request(version=2, performer=[{"reference": "Organization/01902"}])
    assert figures(other, held, request()) == {("38001", "VR>01902"): HELD}, "the newest version of the request holds"
    withdrawn = request(version=3, status="entered-in-error")
    assert figures(other, held, withdrawn) == {("", "VR"): HELD}
