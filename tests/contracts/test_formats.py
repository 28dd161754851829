"""Every wire format against the cases of tests/cases, and what all formats promise."""

import msgspec
import pytest

from connectors.formats import DEPARTMENT_FORMATS, FORMATS, load
from streams.department import departments
from streams.errors import Misconfigured, Reject
from streams.event import Event, encode
from streams.pseudonym import DOMAINS
from tests.format_cases import CASES, Case, resolve, told

CONTRACTS: dict[str, type[Event]] = {each.name: each.event for each in departments()}
ACCEPTED = [case for case in CASES if case.events is not None]
REJECTED = [case for case in CASES if case.reject is not None]


def _name(case: Case) -> str:
    return case.name


def _parse(case: Case) -> list[Event]:
    reader = load(case.format)
    return [event for part in reader.split(case.raw) for event in reader.parse(part, case.arrival)]


@pytest.mark.parametrize("case", ACCEPTED, ids=_name)
def test_a_record_becomes_the_events_that_its_case_says(case: Case) -> None:
    assert [told(event) for event in _parse(case)] == resolve(case.events)


@pytest.mark.parametrize("case", ACCEPTED, ids=_name)
def test_an_event_is_the_same_after_the_wire_and_carries_its_arrival(case: Case) -> None:
    for event in _parse(case):
        assert msgspec.json.decode(encode(event), type=CONTRACTS[case.department]) == event
        assert (event.source, event.known_at_us) == (case.arrival.source, case.arrival.known_at_us)
        assert len(bytes.fromhex(event.id)) == 16
        assert len(bytes.fromhex(event.body)) == 8


@pytest.mark.parametrize("case", ACCEPTED, ids=_name)
def test_a_whole_page_gives_the_events_of_its_parts(case: Case) -> None:
    if case.raw.count(b"vnp_SecureHash=") < 2:  # VNPAY has no page: a file of lines is split first
        assert list(load(case.format).parse(case.raw, case.arrival)) == _parse(case)


@pytest.mark.parametrize("case", REJECTED, ids=_name)
def test_a_bad_record_is_rejected_with_a_cause_that_names_the_place(case: Case) -> None:
    assert case.reject is not None
    with pytest.raises(Reject) as caught:
        _parse(case)
    assert caught.value.cause == case.reject["cause"]
    assert case.reject["names"] in caught.value.wrong


def test_every_format_has_an_accepted_and_a_rejected_case() -> None:
    assert {case.format for case in ACCEPTED} == set(FORMATS)
    assert {case.format for case in REJECTED} >= set(FORMATS) - {"payment"}


def test_every_department_has_a_format_for_files() -> None:
    assert set(DEPARTMENT_FORMATS) == set(CONTRACTS)
    assert set(DEPARTMENT_FORMATS.values()) <= set(FORMATS)


def test_every_department_names_its_subjects_in_a_domain_that_has_a_key() -> None:
    assert {each.domain for each in departments()} <= {*DOMAINS}


def test_an_unknown_format_is_a_wrong_configuration_that_names_the_known_ones() -> None:
    with pytest.raises(Misconfigured) as caught:
        load("edifact")
    assert "tvan" in caught.value.mend


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_record_over_the_bound_is_refused(name: str) -> None:
    big = {"tvan": b"<TDiep>" + b" " * (2 << 20) + b"</TDiep>", "fhir": b'{"resourceType": "Encounter"}' + b" " * (2 << 20)}
    big["camt"] = big["bhyt"] = b"<Document>" + b" " * (16 << 20) + b"</Document>"
    with pytest.raises(Reject) as caught:
        load(name).parse(big.get(name, b"vnp_Amount=" + b"1" * (2 << 20)), CASES[0].arrival)
    assert caught.value.cause == "too_large"


def test_one_bad_entry_does_not_take_the_page_with_it() -> None:
    reader = load("fhir")
    good = next(case for case in ACCEPTED if case.name == "telehealth/finished")
    page = (
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Encounter"}}, {"resource": %s}, {"resource": null}]}'
        % good.raw
    )
    parts = reader.split(page)
    assert len(parts) == 3
    assert [told(event) for event in reader.parse(parts[1], good.arrival)] == resolve(good.events)
    for bad in (parts[0], parts[2]):
        with pytest.raises(Reject):
            reader.parse(bad, good.arrival)
