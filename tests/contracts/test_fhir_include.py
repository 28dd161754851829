"""Hospitals that a FHIR server sends along with its Encounters."""

from contextlib import closing
from pathlib import Path

from connectors.connector import connect
from connectors.formats import load
from streams.departments.telehealth import Telehealth
from streams.settings import Source
from tests.format_cases import CASES
from tests.source_server import Question, Reply, serving

HELD = {"resourceType": "Encounter", "id": "a", "meta": {"versionId": "1", "lastUpdated": "2026-11-20T09:00:00Z"}, "status": "finished",
        "class": {"code": "VR"}, "serviceProvider": {"reference": "Organization/bv"}}  # fmt: skip
HOSPITAL = {"resourceType": "Organization", "id": "bv", "identifier": [{"value": "38280"}]}


def test_a_server_asked_to_include_hospitals_sends_them_and_they_are_found(tmp_path: Path) -> None:
    def answer(asked: Question) -> Reply:
        assert asked.params["_include"] == "Encounter:service-provider"
        entries = [{"resource": HELD, "search": {"mode": "match"}}, {"resource": HOSPITAL, "search": {"mode": "include"}}]
        return Reply({"resourceType": "Bundle", "type": "searchset", "entry": entries})

    with serving(answer) as server:
        options = {"include": "Encounter:service-provider"}
        source = Source.model_validate(
            {"name": "th", "department": "telehealth", "connector": "fhir", "url": server.url + "/fhir", "options": options}
        )
        with closing(connect(source, tmp_path)) as connector:
            pages = [*connector.pages(None)]
            for page in pages:
                connector.acknowledged(page)
            again = [*connector.pages(pages[-1].cursor)]
    reader = load("fhir")
    events = [
        event for page in pages for raw in page.records for part in reader.split(raw) for event in reader.parse(part, CASES[0].arrival)
    ]
    assert [(type(event), event.unit) for event in events] == [(Telehealth, "38280")]
    assert [page.records for page in again] == [[]], "what was read lately is not handed on again, hospitals alone are nothing"
