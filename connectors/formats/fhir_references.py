"""References between FHIR resources: contained, fullUrl, urn:uuid, relative, absolute, logical identifier; which hospital, which resource."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.formats import Arrival

Resource = dict[str, Any]  # JSON, of which nothing is known before it is checked

PLACES = {
    "Organization": "partOf",
    "Location": "managingOrganization",
    "PractitionerRole": "organization",
    "HealthcareService": "providedBy",
}
"""What leads to a hospital: type -> the element with the reference that leads on."""
_DEEPEST = 4
_MOST_AROUND = 20
_HOSPITAL = re.compile(r"\d{5}", re.ASCII)


@dataclass(frozen=True)
class Context:
    """What a resource's references can mean. places: reference -> the resource that leads to a hospital; named: urn -> what it was given as
    (`ServiceRequest/1`); full_url: of the resource's own entry."""

    places: Mapping[str, Resource] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    full_url: str = ""

    @staticmethod
    def of(entries: Iterable[Resource]) -> "Context":
        """Of a Bundle's entries. Patients and what else there is are not looked at."""
        places: dict[str, Resource] = {}
        named: dict[str, str] = {}
        for entry in entries:
            url, resource, response = entry.get("fullUrl"), entry.get("resource"), entry.get("response")
            if isinstance(resource, dict):
                kind, identity = resource.get("resourceType"), resource.get("id")
                at: Any = f"{kind}/{identity}" if isinstance(identity, str) else ""
                if _is_place(resource):
                    places |= {name: resource for name in (at, url) if isinstance(name, str) and name}
            else:
                at = response.get("location") if isinstance(response, dict) else None
            if isinstance(url, str) and url.startswith("urn:") and isinstance(at, str) and at:
                named[url] = at
        return Context(places, named)

    def within(self, resource: Resource, full_url: object) -> "Context":
        """As it is for one resource, with what that contains."""
        url = full_url if isinstance(full_url, str) else ""
        held = resource.get("contained")
        if not held or not isinstance(held, list):
            return self if url == self.full_url else replace(self, full_url=url)
        own = {f"#{each['id']}": each for each in held if _is_place(each) and isinstance(each.get("id"), str)}
        return replace(self, places={**self.places, **own}, full_url=url)

    def around(self, resource: Resource) -> list[Resource]:
        """Entries for all that a resource's references need when it travels alone; at most 20."""
        found: dict[int, Resource] = {}
        urns: dict[str, str] = {}
        stack = [(resource, 0)]
        while stack and len(found) + len(urns) < _MOST_AROUND:
            here, depth = stack.pop()
            for reference in _references(here):
                place = self._place(reference)
                if reference in self.named and reference not in self.places:
                    urns[reference] = self.named[reference]
                elif place is not None and id(place) not in found and depth < _DEEPEST:
                    found[id(place)] = {"fullUrl": reference, "resource": place}
                    stack.append((place, depth + 1))
        return [*found.values(), *({"fullUrl": urn, "response": {"location": at}} for urn, at in urns.items())]

    def hospital(self, reference: object, arrival: Arrival) -> str | None:
        """Our code of the hospital a Reference leads to: the source's own code mapped, else a code of five digits; None for anything else."""
        for code in self._codes(reference):
            if code in arrival.units or _HOSPITAL.fullmatch(code):
                return arrival.units.get(code, code)
        return None

    def identity(self, reference: object, kind: str) -> str | None:
        """The id of the resource of that kind which a Reference names; None where it names none, or one it contains."""
        said = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(said, str) or not said or said.startswith("#"):
            return None
        said = self.named.get(said, said)
        if said.startswith("urn:"):
            return said.rpartition(":")[2]
        before, _, identity = _plain(said).rpartition("/")
        return identity if identity and before.rpartition("/")[2] in (kind, "") else None

    def _codes(self, reference: object) -> Iterator[str]:
        """The codes a Reference may mean a hospital by, nearest first: its own, then those of what it refers to, and of what that is part of."""
        for _ in range(_DEEPEST + 1):
            if not isinstance(reference, dict):
                return
            yield from _values([reference.get("identifier")])
            said = reference.get("reference")
            if not isinstance(said, str):
                return
            before, _, tail = _plain(said).rpartition("/")
            if before.rpartition("/")[2] in (*PLACES, ""):
                yield tail.lstrip("#")
            place = self._place(said)
            if place is None:
                return
            if isinstance(place.get("identifier"), list):
                yield from _values(place["identifier"])
            yield from (place["id"],) if isinstance(place.get("id"), str) else ()
            reference = place.get(PLACES[place["resourceType"]])

    def _place(self, reference: str) -> Resource | None:
        found = self.places.get(reference)
        return found if found is not None else self.places.get("/".join(_plain(reference).split("/")[-2:]))


def _plain(reference: str) -> str:
    return reference.partition("/_history/")[0].rstrip("/")


def _is_place(resource: object) -> bool:
    return isinstance(resource, dict) and isinstance(resource.get("resourceType"), str) and resource["resourceType"] in PLACES


def _values(identifiers: Iterable[object]) -> Iterator[str]:
    for identifier in identifiers:
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            yield identifier["value"].strip()


def _references(resource: Resource) -> Iterator[str]:
    """Every reference in a resource, wherever it stands."""
    stack: list[object] = [resource]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            if isinstance(here.get("reference"), str):
                yield here["reference"]
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
