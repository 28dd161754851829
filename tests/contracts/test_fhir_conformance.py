"""What we take for FHIR, held against a library that knows all of it: fhir.resources."""

import json
from typing import Any

import pytest
from fhir.resources.appointment import Appointment as AppointmentR5
from fhir.resources.encounter import Encounter as EncounterR5
from fhir.resources.R4B.appointment import Appointment
from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.servicerequest import ServiceRequest as ServiceRequestR5
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.formats import load
from streams.errors import Reject
from tests.format_cases import CASES

MODELS = {
    "Encounter": (Encounter, EncounterR5),
    "Appointment": (Appointment, AppointmentR5),
    "ServiceRequest": (ServiceRequest, ServiceRequestR5),
}
MILDER = {
    "naive_times",
    "unknown_elements",
    "r5_completed_old_period",
    "reject_planned_in_a_century",
    "r5_two_classes",
    "bundle_transaction",
}
"""Cases that we read although, or refuse because, they are not quite FHIR: each says why itself."""
ARRIVAL = CASES[0].arrival
WORDS = st.text(st.sampled_from("abZ09-._ \t/é"), max_size=70)
LAW = settings(deadline=None, database=None)


def ours(raw: bytes) -> list[dict[str, Any]]:
    """The resources of a record that are ours to read."""
    text = raw.decode("utf-8-sig")
    try:
        held = [json.loads(text)]
    except ValueError:
        held = [*map(json.loads, filter(None, text.splitlines()))]
    found = [entry.get("resource") for each in held for entry in each.get("entry", [])] + held
    return [each for each in found if isinstance(each, dict) and each.get("resourceType") in MODELS]


def is_fhir(resource: dict[str, Any]) -> bool:
    """Whether R4B or R5 has such a resource."""
    for model in MODELS[resource["resourceType"]]:
        try:
            model.model_validate(resource)
        except ValidationError:
            continue
        return True
    return False


@pytest.mark.parametrize("case", [c for c in CASES if c.format == "fhir" and c.events], ids=lambda case: case.name)
def test_what_the_cases_hold_is_fhir_unless_the_case_is_about_what_is_not(case: Any) -> None:
    if case.name.rpartition("/")[2] not in MILDER:
        assert all(map(is_fhir, ours(case.raw)))


def taken(resource: dict[str, Any]) -> bool:
    """Whether we take it."""
    try:
        return bool(load("fhir").parse(json.dumps(resource).encode(), ARRIVAL))
    except Reject:
        return False


@LAW
@given(identity=WORDS, version=st.none() | WORDS, code=WORDS)
def test_ids_versions_and_codes_are_taken_exactly_where_fhir_takes_them(identity: str, version: str | None, code: str) -> None:
    for model, period, kind in ((Encounter, "period", {"code": code}), (EncounterR5, "actualPeriod", [{"coding": [{"code": code}]}])):
        meta = {"versionId": version} if version is not None else {}
        resource = {"resourceType": "Encounter", "id": identity, "meta": meta, "status": "planned", "class": kind, period: {}}
        try:
            model.model_validate(resource)
            right = True
        except ValidationError:
            right = False
        assert taken(resource) == (right and bool(identity) and bool(code))


@pytest.mark.parametrize(("model", "kind"), [(Encounter, {"code": "VR"}), (EncounterR5, [{"coding": [{"code": "VR"}]}])])
def test_every_status_that_the_specification_lists_is_taken(model: Any, kind: Any) -> None:
    listed = model.model_fields["status"].json_schema_extra["enum_values"]
    assert len(listed) >= 8
    for status in {*listed} - {"+"}:  # a sign of the specification's own table
        assert taken({"resourceType": "Encounter", "id": "a", "status": status, "class": kind}), status


@pytest.mark.parametrize("model", [Appointment, AppointmentR5, ServiceRequest, ServiceRequestR5])
def test_every_status_of_plans_and_requests_is_taken(model: Any) -> None:
    kind = model.get_resource_type()
    for status in model.model_fields["status"].json_schema_extra["enum_values"]:
        assert taken({"resourceType": kind, "id": "a", "status": status}), status
