"""FHIR R4, R4B and R5: Encounter, Appointment, ServiceRequest, as single resources, Bundles of any type, arrays, NDJSON."""

from collections.abc import Iterator

import orjson

from connectors.formats import Arrival, json
from connectors.formats.fhir_references import Context, Resource
from connectors.formats.fhir_sessions import READERS
from streams.departments.telehealth import Telehealth
from streams.errors import Reject

MAX_BYTES = 2 * 1024 * 1024  # of one resource
MAX_PAGE_BYTES = 64 * 1024 * 1024  # of a Bundle or an NDJSON file


def split(raw: bytes) -> list[bytes]:
    """The resources of a Bundle, array or NDJSON, each as JSON; anything else is one record. Resources of other types go.

    A resource that refers to hospitals of its Bundle (Organization, Location, ..) takes them along, as a Bundle of its own.
    """
    try:
        held = json.read(raw)
    except Reject:
        return _lines(raw) or [raw]
    if isinstance(held, dict) and held.get("resourceType") != "Bundle":
        return [raw]
    try:
        entries = [*_entries(held)]
        context = Context.of(entries)
        return [_record(entry, context) for entry in entries if "resource" in entry and not _is_other(entry["resource"])]
    except (Reject, orjson.JSONEncodeError):  # no Bundle at all; nested too deep to be written again
        return [raw]


def parse(raw: bytes, arrival: Arrival) -> list[Telehealth]:
    """One event per Encounter, Appointment and ServiceRequest; none of other resources.

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
    if isinstance(held, dict) and held.get("resourceType") != "Bundle":
        if len(raw) > MAX_BYTES and not _is_other(held):
            raise Reject("too_large", f"the resource has {len(raw)} bytes, more than {MAX_BYTES}")
        return _events({"resource": held}, Context(), arrival)
    entries = [*_entries(held)]
    context = Context.of(entries)
    return [event for entry in entries for event in _events(entry, context, arrival)]


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


def _entries(held: object) -> Iterator[Resource]:
    """The entries of a Bundle (also of Bundles within it); what an array holds as if each were one."""
    stack = [{"resource": held}]
    while stack:
        entry = stack.pop()
        here = entry.get("resource")
        if isinstance(here, list):
            stack.extend({"resource": each} for each in reversed(here))
        elif isinstance(here, dict) and here.get("resourceType") == "Bundle":
            entries = here.get("entry", [])
            if not isinstance(entries, list):
                raise Reject("not_fhir", "Bundle.entry is not a list")
            stack.extend(each if isinstance(each, dict) else {"resource": each} for each in reversed(entries))
        else:
            yield entry


def _is_other(resource: object) -> bool:
    """Whether it is a resource, and none of ours."""
    return isinstance(resource, dict) and isinstance(resource.get("resourceType"), str) and resource["resourceType"] not in READERS


def _record(entry: Resource, context: Context) -> bytes:
    resource = entry["resource"]
    around = context.around(resource) if isinstance(resource, dict) else []
    if not around and (not isinstance(resource, dict) or "id" in resource):
        return orjson.dumps(resource)
    named = {"fullUrl": entry["fullUrl"]} if "fullUrl" in entry else {}
    return orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{**named, "resource": resource}, *around]})


def _events(entry: Resource, context: Context, arrival: Arrival) -> list[Telehealth]:
    if "resource" not in entry:  # a note of a deletion, or an answer without a body
        return []
    resource = entry["resource"]
    if _is_other(resource):
        return []
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise Reject("not_fhir", "the record is no FHIR resource: it has no resourceType")
    return READERS[resource["resourceType"]](resource, context.within(resource, entry.get("fullUrl")), arrival)
