"""What keeps its contract is made ready; what does not goes to quarantine before it can stop a transaction, or the figures later."""

import json
from typing import Any

import pytest

from sinks import copy
from sinks.batch import Batch, Preparer
from streams import sealing
from streams.pseudonym import DOMAINS, Keys, Pseudonyms
from streams.store import Partition, Records

ID, BODY, SELLER = "ab" * 16, "cd" * 8, "12" * 16
T0 = 1_795_000_000_000_000
EVENT: dict[str, Any] = {"id": ID, "body": BODY, "source": "s", "event_time_us": T0, "known_at_us": T0, "kind": "200", "seller": SELLER}


def prepared(*events: dict[str, Any]) -> Batch:
    values = [json.dumps(event).encode() for event in events]
    preparer = Preparer(Keys(dict.fromkeys(DOMAINS, (Pseudonyms(b"k" * 32),)), sealing.pair()[0]))
    return preparer.prepare([Records(Partition("einvoice", "0" * 32, 0), 0, len(values), values, [0] * len(values))])


def test_an_event_that_keeps_its_contract_is_one_row() -> None:
    batch = prepared(EVENT)
    assert not batch.rejects
    assert len(batch.parts["einvoice"].rows) == 1


def test_an_id_in_capital_letters_is_the_same_id() -> None:
    batch = prepared(EVENT, EVENT | {"id": ID.upper()})
    assert len(batch.parts["einvoice"].rows) == 1
    assert [outcome for _, _, outcome in batch.parts["einvoice"].tally] == ["on_time", "duplicate"]


def test_another_body_is_a_conflict() -> None:
    assert [c.id for c in prepared(EVENT, EVENT | {"body": "ef" * 8}).parts["einvoice"].conflicts] == [ID]


def test_what_repeats_and_what_conflicts_is_told_by_the_first_of_all_not_by_the_first_of_the_batch() -> None:
    second, third = ({"body": body * 8, "known_at_us": T0 + at} for body, at in (("ef", 1), ("12", 2)))
    some = [EVENT | each for each in (second, {}, second | {"known_at_us": T0 + 5}, third, {"known_at_us": T0 + 9})]
    batch = prepared(*some)
    part, counts = batch.parts["einvoice"], batch.counts()
    part.strike({copy.uuid(ID): copy.sized(bytes.fromhex(BODY))}, counts)  # as the identity table says
    assert sorted((c.body % 256, c.known_at_us - T0) for c in part.conflicts) == [(0x12, 2), (0xEF, 1), (0xEF, 5)]
    assert sorted(r.known_at_us - T0 for r in part.repeats) == [0, 9]
    assert [*counts.rows.values()] == [[5, 0, 0, 2, 3, 0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "ab"},
        {"id": "zz" * 16},
        {"body": "cd" * 7},
        {"seller": "12"},
        {"event_time_us": 2**62},
        {"unknown": [1]},
        {"facts": {"invoices": [{"key": 5}]}},
    ],
)
def test_what_no_table_and_no_life_could_hold_goes_to_quarantine(wrong: dict[str, Any]) -> None:
    batch = prepared(EVENT | wrong)
    assert [r.cause for r in batch.rejects] == ["contract"]
    assert not batch.parts["einvoice"].rows
