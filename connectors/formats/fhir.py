"""FHIR R4 Encounters (R4B and R5 too): single resources, Bundles, NDJSON."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
from fhir.resources.encounter import Encounter as R5
from fhir.resources.R4B.encounter import Encounter as R4
from pydantic import ValidationError

from connectors.formats import Arrival, json, times
from streams.departments.telehealth import Telehealth
from streams.errors import Reject

MAX_BYTES = 2 * 1024 * 1024  # of one resource
MAX_PAGE_BYTES = 64 * 1024 * 1024  # of a Bundle or an NDJSON file

Resource = dict[str, Any]  # JSON, of which nothing is known before it is checked

_CLASSES = {name: name for name in ("AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR")} | {
    "VIRTUAL": "VR",  # the names of DSTU2, which R4 platforms still send
    "AMBULATORY": "AMB",
    "OUTPATIENT": "AMB",
    "INPATIENT": "IMP",
    "EMERGENCY": "EMER",
    "HOME": "HH",
    "FIELD": "FLD",
    "DAYTIME": "SS",
}
_STATUSES = {name: name for name in ("planned", "arrived", "in-progress", "finished", "cancelled", "entered-in-error", "unknown")} | {
    "triaged": "arrived",
    "onleave": "in-progress",
}
_R5_STATUSES = {"on-hold": "in-progress", "discharged": "finished", "completed": "finished", "discontinued": "cancelled"}
_ELEMENTS = {"id", "meta", "status", "class", "period", "actualPeriod", "serviceProvider"}
_TIMES = {("meta", "lastUpdated"), ("period", "start"), ("period", "end"), ("actualPeriod", "start"), ("actualPeriod", "end")}
_HOSPITAL = re.compile(r"\d{5}", re.ASCII)
_REVISION = re.compile(r"\d{1,18}", re.ASCII)


def split(raw: bytes) -> list[bytes]:
    """The resources of a Bundle, array or NDJSON, each as JSON; anything else is one record. Resources other than Encounters go."""
    try:
        held = json.read(raw)
    except Reject:
        return _lines(raw) or [raw]
    if isinstance(held, dict) and held.get("resourceType") != "Bundle":
        return [raw]
    try:
        return [orjson.dumps(resource) for resource in _resources(held) if not _is_other(resource)]
    except orjson.JSONEncodeError:  # nested too deep to be written again
        return [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Telehealth]:
    """One event per Encounter; none of other resources.

    Raises Reject: `too_large`, the causes of `json.read`, `fhir_xml`, `not_fhir`, `missing`, `fhir`, `time`, `time_out_of_range`.
    """
    if len(raw) > MAX_PAGE_BYTES:
        raise Reject("too_large", f"the page has {len(raw)} bytes, more than {MAX_PAGE_BYTES}")
    try:
        held = json.read(raw)
    except Reject as reject:
        lines = _lines(raw)
        if lines:
            return [event for line in lines for event in parse(line, arrival)]
        if b"http://hl7.org/fhir" in raw[:4096] and raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
            raise Reject("fhir_xml", "this is FHIR written as XML; ask the platform for application/fhir+json") from None
        raise reject from None
    if isinstance(held, dict) and held.get("resourceType") == "Encounter" and len(raw) > MAX_BYTES:
        raise Reject("too_large", f"the Encounter has {len(raw)} bytes, more than {MAX_BYTES}")
    return [_encounter(resource, arrival) for resource in _resources(held) if not _is_other(resource)]


def _lines(raw: bytes) -> list[bytes]:
    """The lines of NDJSON; none when the text is something else."""
    lines = [line for line in raw.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    return lines if len(lines) > 1 and any(_is_resource_line(line) for line in lines) else []


def _is_resource_line(line: bytes) -> bool:
    if line[:1] != b"{":
        return False
    try:
        return "resourceType" in orjson.loads(line)
    except orjson.JSONDecodeError:
        return False


def _resources(held: object) -> Iterator[object]:
    """What lies in a Bundle (also in Bundles within it) or array; else the value itself. Entries without a resource go."""
    stack = [held]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(reversed(here))
        elif isinstance(here, dict) and here.get("resourceType") == "Bundle":
            entries = here.get("entry", [])
            if not isinstance(entries, list):
                raise Reject("not_fhir", "Bundle.entry is not a list")
            stack.extend(entry.get("resource") if isinstance(entry, dict) else entry for entry in reversed(entries) if entry_holds(entry))
        else:
            yield here


def entry_holds(entry: object) -> bool:
    """Whether a Bundle entry is more than a note of a deletion or an answer without a body."""
    return not isinstance(entry, dict) or "resource" in entry


def _is_other(resource: object) -> bool:
    return isinstance(resource, dict) and isinstance(resource.get("resourceType"), str) and resource["resourceType"] != "Encounter"


def _encounter(resource: object, arrival: Arrival) -> Telehealth:
    if not isinstance(resource, dict) or resource.get("resourceType") != "Encounter":
        raise Reject("not_fhir", "the record is no FHIR resource: it has no resourceType")
    identity, status, codes = _text(resource, "id"), _text(resource, "status"), _codes(resource)
    meta = _part(resource, "meta")
    actual = "actualPeriod" in resource
    period = _part(resource, "actualPeriod" if actual else "period")
    _validate(resource, meta, period, codes, status)
    updated_us = _time(meta, "lastUpdated", "meta.lastUpdated")
    started_us, ended_us = _time(period, "start", "period.start"), _time(period, "end", "period.end")
    if started_us is not None and ended_us is not None and ended_us < started_us:
        raise Reject("time", "Encounter.period ends before it starts")
    body = arrival.pseudonyms.body(_canonical(resource, meta))
    version = meta.get("versionId") or ""
    return Telehealth(
        id=arrival.pseudonyms("encounter", f"{identity}|{version or meta.get('lastUpdated') or body}"),
        body=body,
        source=arrival.source,
        event_time_us=_event_time(started_us, ended_us, updated_us, arrival.known_at_us),
        known_at_us=arrival.known_at_us,
        kind=_kind(codes),
        unit=_hospital(_part(resource, "serviceProvider"), arrival),
        session=arrival.pseudonyms("encounter", identity),
        status=_STATUSES.get(status) or _R5_STATUSES[status],
        updated_at_us=0 if updated_us is None else times.in_range(updated_us, arrival.known_at_us, "Encounter.meta.lastUpdated"),
        revision=int(version) if _REVISION.fullmatch(version) else 0,
        started_at_us=started_us,
        ended_at_us=ended_us,
    )


def _text(resource: Resource, element: str) -> str:
    value = resource.get(element)
    if value is None or value == "":
        raise Reject("missing", f"Encounter.{element} is absent")
    if not isinstance(value, str):
        raise Reject("fhir", f"Encounter.{element} is not a text")
    return value


def _part(resource: Resource, element: str) -> Resource:
    value = resource.get(element)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Reject("fhir", f"Encounter.{element} is not an object")
    return value


def _codes(resource: Resource) -> list[str]:
    """The class codes: of R4's Coding, of R5's list of CodeableConcepts."""
    value = resource.get("class")
    if isinstance(value, str):
        raise Reject("fhir", "Encounter.class is a plain code, as in DSTU2; R4 has a Coding there")
    concepts = value if isinstance(value, list) else [value]
    codings: list[object] = []
    for concept in concepts:
        inner = concept.get("coding", [concept]) if isinstance(concept, dict) else []
        codings.extend(inner if isinstance(inner, list) else [])
    codes = [coding["code"] for coding in codings if isinstance(coding, dict) and isinstance(coding.get("code"), str) and coding["code"]]
    if not codes:
        raise Reject("missing", "Encounter.class has no code")
    return codes


def _kind(codes: list[str]) -> str:
    """VR when it is among them, else the first class that v3-ActCode has, else `other`: an unknown code might be anything."""
    known = [_CLASSES[code.upper()] for code in codes if code.upper() in _CLASSES]
    return "VR" if "VR" in known else (known[0] if known else "other")


def _validate(resource: Resource, meta: Resource, period: Resource, codes: list[str], status: str) -> None:
    """Holds the elements that are used, and no others, against the FHIR specification. Times are read by `_time`, which is milder."""
    if status not in _STATUSES and status not in _R5_STATUSES:
        raise Reject("fhir", "Encounter.status is not a code of R4 or R5")
    is_r5 = status in _R5_STATUSES or "actualPeriod" in resource or isinstance(resource["class"], list)
    used: Resource = {"resourceType": "Encounter", "id": resource["id"], "status": status, "meta": _only(meta, "versionId", "lastUpdated")}
    used["actualPeriod" if is_r5 else "period"] = _only(period, "start", "end")
    used["class"] = [{"coding": [{"code": code} for code in codes]}] if is_r5 else {"code": codes[0]}
    try:
        (R5 if is_r5 else R4).model_validate(used)
    except ValidationError as error:
        for place in (fault["loc"] for fault in error.errors(include_url=False, include_context=False, include_input=False)):
            if place[:2] not in _TIMES:
                known = str(place[0]) if place and place[0] in _ELEMENTS else ""
                raise Reject("fhir", f"Encounter{known and '.'}{known} is not as FHIR has it") from None


def _only(part: Resource, *elements: str) -> Resource:
    return {element: part[element] for element in elements if part.get(element) is not None}


def _time(part: Resource, element: str, path: str) -> int | None:
    value = part.get(element)
    if value is None or value == "":
        return None
    us = times.fhir(value) if isinstance(value, str) else None
    if us is None:
        raise Reject("time", f"Encounter.{path} is not a time as FHIR writes it")
    return times.not_too_old(us, f"Encounter.{path}")


def _event_time(started_us: int | None, ended_us: int | None, updated_us: int | None, known_at_us: int) -> int:
    """The latest of end and start that was no longer ahead when the version was written; else when it was; else the arrival."""
    limit = known_at_us if updated_us is None else updated_us
    passed = [us for us in (ended_us, started_us) if us is not None and us <= limit]
    return times.in_range(max(passed, default=limit), known_at_us, "the time of the Encounter")


def _canonical(resource: Resource, meta: Resource) -> bytes:
    """The resource without its narrative and without what a platform writes anew at each delivery."""
    bare = {name: value for name, value in resource.items() if name != "text"}
    if meta:
        bare["meta"] = {name: value for name, value in meta.items() if name not in ("source", "tag", "security")}
    return json.canonical(bare)


def _hospital(provider: Resource, arrival: Arrival) -> str | None:
    """The asking hospital: the source's own code mapped, else a hospital code of five digits; None for anything else."""
    identifier, reference = provider.get("identifier"), provider.get("reference")
    codes = [identifier.get("value")] if isinstance(identifier, dict) else []
    if isinstance(reference, str):
        codes.append(reference.partition("/_history/")[0].rstrip("/").rpartition("/")[2].lstrip("#"))
    for code in codes:
        if isinstance(code, str) and (code in arrival.units or _HOSPITAL.fullmatch(code)):
            return arrival.units.get(code, code)
    return None
