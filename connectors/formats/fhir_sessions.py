"""What a FHIR Encounter, Appointment or ServiceRequest says of a telehealth session, in R4, R4B and R5."""

import re
from collections.abc import Callable, Iterable, Mapping

from connectors.formats import Arrival, json, times
from connectors.formats.fhir_references import Context, Resource
from streams.departments.telehealth import APPOINTMENT, REQUEST, Telehealth
from streams.errors import Reject
from streams.event import DAY_US

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
    "on-hold": "in-progress",  # from here on R5's
    "discharged": "finished",
    "completed": "finished",
    "discontinued": "cancelled",
}
_R5 = ("actualPeriod", "plannedStartDate", "plannedEndDate", "subjectStatus", "virtualService")  # R4's Encounter has none of them
_PRESENT = ("arrived", "triaged", "receiving-care", "on-leave")  # R5's subjectStatus, while status is still planned
_APPOINTMENTS = dict.fromkeys(("proposed", "pending", "booked", "arrived", "checked-in", "waitlist"), "planned") | {
    "fulfilled": "fulfilled",
    "cancelled": "cancelled",
    "noshow": "cancelled",
    "entered-in-error": "entered-in-error",
}
_REQUESTS = ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CODE = re.compile(r"\S+(\s\S+)*")
_REVISION = re.compile(r"\d{1,18}", re.ASCII)
_MOST_LINKS = 20
_AHEAD_US = 3_660 * DAY_US  # nobody plans a session more than ten years ahead


def _encounter(resource: Resource, context: Context, arrival: Arrival) -> list[Telehealth]:
    head = _Head(resource, "Encounter", context, arrival)
    status = _status(resource, _STATUSES, "Encounter")
    codes = _codes(resource)
    if status == "planned" and any(code in _PRESENT for code in _concepts(resource.get("subjectStatus"))):
        status = "arrived"
    started, ended = _period(resource, status, head)
    if started is not None and ended is not None and ended < started:
        raise Reject("time", "Encounter.period ends before it starts")
    requests = _keys(context, _list(resource.get("basedOn")), REQUEST, arrival)
    contained = _contained(resource, head, context, arrival)
    appointments = _keys(context, _list(resource.get("appointment")), APPOINTMENT, arrival)
    requests += tuple(event.session for event in contained if event.session not in requests)
    told = head.event(
        kind=_kind(codes),
        unit=_unit(resource, context, arrival),
        status=status,
        started=started,
        ended=ended,
        contract=2 if appointments or requests else 1,
        appointments=appointments,
        requests=requests,
    )
    return [told, *contained]


def _appointment(resource: Resource, context: Context, arrival: Arrival) -> list[Telehealth]:
    """None where it says, as R5 can, that it is for another class than a virtual one."""
    head = _Head(resource, APPOINTMENT, context, arrival)
    status = _status(resource, _APPOINTMENTS, APPOINTMENT)
    codes = [code for each in _list(resource.get("class")) for code in _concepts(each)]
    if codes and _kind(codes) != "VR" and not resource.get("virtualService"):
        return []
    started, ended = head.time(resource, "start", "start"), head.time(resource, "end", "end")
    if started is None:
        for period in _list(resource.get("requestedPeriod"))[:1]:
            started, ended = head.time(_object(period), "start", "requestedPeriod.start"), None
    if started is not None and ended is not None and ended < started:
        raise Reject("time", "Appointment.end lies before its start")
    actors = [_object(each).get("actor") for each in _list(resource.get("participant"))]
    found = (context.hospital(actor, arrival) for actor in actors)
    told = head.event(
        kind=APPOINTMENT,
        unit=next((unit for unit in found if unit), None),
        status="unknown" if status == "planned" and started is None else status,  # on which day would it count
        started=started,
        ended=ended,
        contract=2,
        requests=_keys(context, _list(resource.get("basedOn")), REQUEST, arrival),
    )
    return [told]


def _request(resource: Resource, context: Context, arrival: Arrival) -> list[Telehealth]:
    return [_asked(resource, _Head(resource, REQUEST, context, arrival), context, arrival)]


def _asked(resource: Resource, head: "_Head", context: Context, arrival: Arrival) -> Telehealth:
    """Who asks whom."""
    status = _status(resource, {name: name for name in _REQUESTS}, REQUEST)
    performers = (context.hospital(each, arrival) for each in _list(resource.get("performer")))
    return head.event(
        kind=REQUEST,
        unit=context.hospital(resource.get("requester"), arrival),
        status=status,
        started=None,
        ended=None,
        contract=2,
        supporting=next((unit for unit in performers if unit), None),
    )


READERS: Mapping[str, Callable[[Resource, Context, Arrival], list[Telehealth]]] = {
    "Encounter": _encounter, APPOINTMENT: _appointment, REQUEST: _request,
}  # fmt: skip
"""How each type of resource that is ours is read."""


class _Head:
    """What every resource begins with, checked: id, meta."""

    def __init__(self, resource: Resource, kind: str, context: Context, arrival: Arrival, identity: str = "") -> None:
        self._kind, self._arrival, self._resource = kind, arrival, resource
        self.identity = identity or _identity(resource, kind, context)
        self._meta = _part(resource, "meta", kind)
        version = self._meta.get("versionId")
        if version is not None and not (isinstance(version, str) and _ID.fullmatch(version)):
            raise Reject("fhir", f"{kind}.meta is not as FHIR has it")
        self.version = version or ""
        self.updated_us = self.time(self._meta, "lastUpdated", "meta.lastUpdated")

    def time(self, part: Resource, element: str, path: str) -> int | None:
        """Microseconds since 1970. Raises Reject: `time`, `time_out_of_range`."""
        value = part.get(element)
        if value is None or value == "":
            return None
        us = times.fhir(value) if isinstance(value, str) else None
        if us is None:
            raise Reject("time", f"{self._kind}.{path} is not a time as FHIR writes it")
        if us > self._arrival.known_at_us + _AHEAD_US:
            raise Reject("time_out_of_range", f"{self._kind}.{path} lies more than ten years after the record arrived")
        return times.not_too_old(us, f"{self._kind}.{path}")

    def event(
        self,
        *,
        kind: str,
        unit: str | None,
        status: str,
        started: int | None,
        ended: int | None,
        contract: int,
        supporting: str | None = None,
        appointments: tuple[str, ...] = (),
        requests: tuple[str, ...] = (),
    ) -> Telehealth:
        arrival, what, updated = self._arrival, self._kind.lower(), self.updated_us
        body = arrival.pseudonyms.body(_canonical(self._resource, self._meta))
        known = arrival.known_at_us
        return Telehealth(
            id=arrival.pseudonyms(what, f"{self.identity}|{self.version or self._meta.get('lastUpdated') or body}"),
            body=body,
            source=arrival.source,
            event_time_us=_event_time(started, ended, updated, known, self._kind),
            known_at_us=known,
            kind=kind,
            unit=unit,
            contract=contract,
            session=arrival.pseudonyms(what, self.identity),
            status=status,
            updated_at_us=0 if updated is None else times.in_range(updated, known, f"{self._kind}.meta.lastUpdated"),
            revision=int(self.version) if _REVISION.fullmatch(self.version) else 0,
            started_at_us=started,
            ended_at_us=ended,
            supporting=supporting,
            appointments=appointments,
            requests=requests,
        )


def _identity(resource: Resource, kind: str, context: Context) -> str:
    """The resource's id; of one that a transaction creates, which has none yet, the urn it is known by there."""
    identity = resource.get("id")
    if identity is None or identity == "":
        if context.full_url.startswith("urn:"):
            return context.full_url.rpartition(":")[2]
        raise Reject("missing", f"{kind}.id is absent")
    if not isinstance(identity, str):
        raise Reject("fhir", f"{kind}.id is not a text")
    if not _ID.fullmatch(identity):
        raise Reject("fhir", f"{kind}.id is not as FHIR has it")
    return identity


def _status(resource: Resource, known: Mapping[str, str], kind: str) -> str:
    status = resource.get("status")
    if status is None or status == "":
        raise Reject("missing", f"{kind}.status is absent")
    if not isinstance(status, str):
        raise Reject("fhir", f"{kind}.status is not a text")
    if status not in known:
        raise Reject("fhir", f"{kind}.status is not a code of R4 or R5")
    return known[status]


def _codes(resource: Resource) -> list[str]:
    """The class codes: of R4's Coding, of R5's list of CodeableConcepts; none where R5 says none (VR where it has a virtualService)."""
    value = resource.get("class")
    if isinstance(value, str):
        raise Reject("fhir", "Encounter.class is a plain code, as in DSTU2; R4 has a Coding there")
    codes = [code for each in (value if isinstance(value, list) else [value]) for code in _concepts(each)]
    if not codes and value is None and any(name in resource for name in _R5):
        return ["VR"] if resource.get("virtualService") else []  # R5 lets it be absent
    if not codes:
        raise Reject("missing", "Encounter.class has no code")
    if not all(map(_CODE.fullmatch, codes)):
        raise Reject("fhir", "Encounter.class is not as FHIR has it")
    return codes


def _concepts(concept: object) -> list[str]:
    """The codes of a Coding, or of a CodeableConcept."""
    inner = concept.get("coding", [concept]) if isinstance(concept, dict) else []
    codings = inner if isinstance(inner, list) else []
    return [coding["code"] for coding in codings if isinstance(coding, dict) and isinstance(coding.get("code"), str) and coding["code"]]


def _kind(codes: list[str]) -> str:
    """VR when it is among them, else the first class that v3-ActCode has, else `other`: an unknown code might be anything."""
    known = [_CLASSES[code.upper()] for code in codes if code.upper() in _CLASSES]
    return "VR" if "VR" in known else (known[0] if known else "other")


def _period(resource: Resource, status: str, head: _Head) -> tuple[int | None, int | None]:
    """When it began and ended: period (R4), actualPeriod (R5); where that says nothing what R4's statusHistory does, and of what is planned
    R5's plannedStartDate and plannedEndDate."""
    name = "actualPeriod" if "actualPeriod" in resource else "period"
    period = _part(resource, name, "Encounter")
    started, ended = head.time(period, "start", f"{name}.start"), head.time(period, "end", f"{name}.end")
    if started is None and status == "planned":
        return head.time(resource, "plannedStartDate", "plannedStartDate"), head.time(resource, "plannedEndDate", "plannedEndDate")
    if "statusHistory" in resource and (started is None or (ended is None and status == "finished")):
        past = [_object(each) for each in _list(resource["statusHistory"])]
        held = [_object(each.get("period")) for each in past if _STATUSES.get(str(each.get("status"))) in ("arrived", "in-progress")]
        starts = [head.time(each, "start", "statusHistory.period.start") for each in held]
        ends = [head.time(each, "end", "statusHistory.period.end") for each in held]
        started = started if started is not None else min((us for us in starts if us is not None), default=None)
        if ended is None and status == "finished":
            ended = max((us for us in ends if us is not None), default=None)
    return started, ended


def _unit(resource: Resource, context: Context, arrival: Arrival) -> str | None:
    """The asking hospital: the service provider, else where one of the locations belongs to."""
    found = context.hospital(_part(resource, "serviceProvider", "Encounter"), arrival)
    for each in _list(resource.get("location")) if found is None else ():
        found = found or context.hospital(_object(each).get("location"), arrival)
    return found


def _contained(resource: Resource, head: _Head, context: Context, arrival: Arrival) -> list[Telehealth]:
    """The ServiceRequests that an Encounter contains: as old as it is, and known by its id."""
    found = []
    for each in _list(resource.get("contained"))[:_MOST_LINKS]:
        if isinstance(each, dict) and each.get("resourceType") == REQUEST and isinstance(each.get("id"), str):
            alone = {**each, "meta": _part(resource, "meta", "Encounter")}
            found.append(_asked(alone, _Head(alone, REQUEST, context, arrival, f"{head.identity}#{each['id']}"), context, arrival))
    return found


def _keys(context: Context, references: Iterable[object], kind: str, arrival: Arrival) -> tuple[str, ...]:
    """The pseudonyms of the resources of that kind among the references, each once; at most 20."""
    found = (context.identity(each, kind) for each in references)
    return tuple(dict.fromkeys(arrival.pseudonyms(kind.lower(), each) for each in found if each))[:_MOST_LINKS]


def _event_time(started: int | None, ended: int | None, updated: int | None, known_at_us: int, kind: str) -> int:
    """The latest of end and start that was no longer ahead when the version was written; else when it was; else the arrival."""
    limit = known_at_us if updated is None else updated
    passed = [us for us in (ended, started) if us is not None and us <= limit]
    return times.in_range(max(passed, default=limit), known_at_us, f"the time of the {kind}")


def _canonical(resource: Resource, meta: Resource) -> bytes:
    """The resource without its narrative and without what a platform writes anew at each delivery."""
    bare = {name: value for name, value in resource.items() if name != "text"}
    if meta:
        bare["meta"] = {name: value for name, value in meta.items() if name not in ("source", "tag", "security")}
    return json.canonical(bare)


def _part(resource: Resource, element: str, kind: str) -> Resource:
    value = resource.get(element)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Reject("fhir", f"{kind}.{element} is not an object")
    return value


def _object(value: object) -> Resource:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
