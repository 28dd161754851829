"""Round trips: sessions and measurements written from facts, by a writer that shares nothing with the parsers, come back as those facts."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import load
from streams.departments.telehealth import Telehealth
from streams.departments.telequality import Telequality
from streams.event import micros
from tests.format_cases import CASES, KNOWN_AT_US

ARRIVAL = CASES[0].arrival
ZONES = st.sampled_from([timezone.utc, timezone(timedelta(hours=7)), timezone(timedelta(hours=-5))])  # noqa: UP017  # of one kind
NOW = datetime.fromisoformat("2026-11-22T00:00:00+00:00")
IDS = st.text("abcXYZ019.-", min_size=1, max_size=64)
HOSPITALS = st.sampled_from(["38001", "38280", "01901"])
R4 = {"planned": "planned", "arrived": "arrived", "triaged": "arrived", "in-progress": "in-progress", "onleave": "in-progress", "finished": "finished",
      "cancelled": "cancelled", "entered-in-error": "entered-in-error", "unknown": "unknown"}  # fmt: skip
R5 = {"planned": "planned", "in-progress": "in-progress", "on-hold": "in-progress", "discharged": "finished", "completed": "finished",
      "cancelled": "cancelled", "discontinued": "cancelled", "entered-in-error": "entered-in-error", "unknown": "unknown"}  # fmt: skip
WAYS = ("alone", "searchset", "history", "bundle of bundles", "array", "ndjson")


def delivered(resource: dict[str, Any], way: str) -> bytes:
    """The resource as one of many ways deliver it."""
    other = {"resourceType": "Patient", "id": "p", "name": [{"text": "Người Bệnh Ví Dụ"}]}
    entries = [{"resource": other}, {"resource": resource}]
    held: Any = {
        "alone": resource, "searchset": {"resourceType": "Bundle", "type": "searchset", "entry": entries},
        "history": {"resourceType": "Bundle", "type": "history", "entry": [*entries, {"request": {"method": "DELETE"}}]},
        "bundle of bundles": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Bundle", "entry": entries}}]},
        "array": [other, resource],
    }.get(way)  # fmt: skip
    return "\n".join(map(json.dumps, (other, resource))).encode() if held is None else json.dumps(held).encode()


@st.composite
def sessions(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(an Encounter, what it says)."""
    is_r5, zone = draw(st.booleans()), draw(ZONES)
    status, means = draw(st.sampled_from(sorted((R5 if is_r5 else R4).items())))
    began = NOW - timedelta(seconds=draw(st.integers(3_600, 10**7)))
    ended = began + timedelta(seconds=draw(st.integers(0, 3_000)))
    kind, hospital, version = draw(st.sampled_from(["VR", "AMB", "HH", "IMP", "EMER"])), draw(HOSPITALS), draw(st.integers(1, 99))
    period = {"start": began.astimezone(zone).isoformat(), "end": ended.astimezone(zone).isoformat()}
    resource = {
        "resourceType": "Encounter", "id": draw(IDS), "status": status, "class": [{"coding": [{"code": kind}]}] if is_r5 else {"code": kind},
        "actualPeriod" if is_r5 else "period": period, "meta": {"versionId": str(version), "lastUpdated": NOW.astimezone(zone).isoformat()},
        "serviceProvider": draw(st.sampled_from([
            {"reference": f"Organization/{hospital}"}, {"reference": f"https://a.vn/fhir/Organization/{hospital}/_history/3"},
            {"identifier": {"value": hospital}}, {"reference": "#o"},
        ])),
        "contained": [{"resourceType": "Organization", "id": "o", "identifier": [{"value": hospital}]}],
    }  # fmt: skip
    says = {
        "kind": kind,
        "status": means,
        "unit": hospital,
        "revision": version,
        "started_at_us": micros(began),
        "ended_at_us": micros(ended),
    }
    return resource, says | {"updated_at_us": micros(NOW), "event_time_us": micros(ended)}


@given(session=sessions(), way=st.sampled_from(WAYS))
def test_a_session_written_in_any_release_and_delivered_in_any_way_says_the_same(
    session: tuple[dict[str, Any], dict[str, Any]], way: str
) -> None:
    resource, says = session
    reader = load("fhir")
    found = [event for part in reader.split(delivered(resource, way)) for event in reader.parse(part, ARRIVAL)]
    (event,) = found
    assert isinstance(event, Telehealth)
    assert {name: getattr(event, name) for name in says} == says
    (alone,) = reader.parse(json.dumps(resource).encode(), ARRIVAL)
    assert alone == event


@given(
    seconds=st.integers(0, 10**6), zone=ZONES, kbps=st.integers(0, 10**6), out=st.none() | st.integers(0, 10**6), loss=st.integers(0, 10_000),
    out_loss=st.none() | st.integers(0, 10_000), peer=st.none() | HOSPITALS, site=HOSPITALS, lines=st.booleans(),
)  # fmt: skip
def test_a_measurement_comes_back_as_the_worse_of_both_directions(
    seconds: int, zone: timezone, kbps: int, out: int | None, loss: int, out_loss: int | None, peer: str | None, site: str, lines: bool
) -> None:
    at_us = KNOWN_AT_US - seconds * 1_000_000
    at = datetime.fromtimestamp(at_us // 1_000_000, zone).isoformat()
    beat = {"session": "s", "site": site, "measured_at": at, "in_kbps": kbps, "in_loss_percent": loss / 100, "peer": peer, "out_kbps": out}
    beat["out_loss_percent"] = None if out_loss is None else out_loss / 100
    reader = load("telequality")
    raw = json.dumps(beat) if not lines else json.dumps(beat) + "\n" + json.dumps(beat)
    found = [event for part in reader.split(raw.encode()) for event in reader.parse(part, ARRIVAL)]
    assert len(found) == 1 + lines
    for event in found:
        assert isinstance(event, Telequality)
        assert (event.event_time_us, event.unit, event.peer) == (at_us, site, peer)
        assert event.kbps == (kbps if out is None else min(kbps, out))
        assert event.loss_e4 == (loss if out_loss is None else max(loss, out_loss))
