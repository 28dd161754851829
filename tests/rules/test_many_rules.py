"""A message of many invoices is one record of the ledger and a fact for each invoice (docs/decisions/0019-facts-of-a-message.md)."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from connectors.intake import Message as Record
from connectors.intake import intake
from connectors.repair import Repair
from connectors.retry import Retrying
from deploy.embedded.parts import Parts
from streams import sealing
from streams.event import VIETNAM
from streams.settings import Settings, Source
from tests.services.space import NOW, Space
from tests.tvan_writer import Doc, Message, notice, row, write

SELLER, SERIES = "3800000011", "C26TAA"
AT = datetime(2026, 11, 10, 9, tzinfo=VIETNAM)
DOCS = tuple(Doc(SELLER, SERIES, number, day=AT.date(), signed=AT, net=100_000 * number) for number in range(1, 6))
ROWS = "".join(
    f"<DLieu><KHMSHDon>1</KHMSHDon><KHHDon>{SERIES}</KHHDon><SHDon>{doc.number}</SHDon><NLap>{doc.day}</NLap><TTCThue>{doc.net}</TTCThue>"
    f"<TgTThue>{doc.tax}</TgTThue><TgTTToan>{doc.net + doc.tax}</TgTTToan></DLieu>"
    for doc in DOCS
)
TABLE = f"<BTHDLieu><DLBTHop><TTChung><MST>{SELLER}</MST></TTChung><NDBTHDLieu><DSDLieu>{ROWS}</DSDLieu></NDBTHDLieu></DLBTHop></BTHDLieu>"
IN_WORDS = f"<LHDMTTien><DSLDo><LDo><MLoi>20609</MLoi><MTLoi>1;{SERIES};3;Sai</MTLoi></LDo></DSLDo></LHDMTTien>"
LISTED = f"<LHDKMa><DSHDon>{row('1', SERIES, 3)}</DSHDon></LHDKMa>"
WHOLE = {
    "invoices": 5,
    "accepted": 4,
    "rejected": 1,
    "pending": 0,
    "value_vnd": 1_232_000,
    "tax_vnd": 32_000,
}  # without the third's 308,000


def answered(ltbao: str, inside: str = "") -> Message:
    return Message("204", "V", question="Q", inside=notice(SELLER, f"<LTBao>{ltbao}</LTBao>{inside}", "Q", AT))


MANY = {
    "203": (Message("203", "Q", DOCS, mst=SELLER), answered("3", LISTED)),
    "206": (Message("206", "Q", DOCS, mst=SELLER, package_signed=AT), answered("7", IN_WORDS)),
    "400": (Message("400", "Q", mst=SELLER, inside=TABLE), answered("3", LISTED)),
}


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.drop()


def door(space: Space, *texts: str) -> list[Record]:
    own = intake(Source(name="files-einvoice", department="einvoice", connector="files"), space.keys, space.name)
    return [made for text in texts for part in own.split(text.encode()) for made in own.take(part, own.arrival(NOW))]


def told(space: Space) -> dict[str, Any]:
    (figures,) = space.figures("einvoice")
    return {name: figures[name] for name in WHOLE}


def counts(space: Space) -> list[int]:
    """Of the ledger: received, new (on time or late), duplicate, quarantined."""
    ledger = space.ledger()
    assert ledger["balanced"]
    (line,) = ledger["rows"]
    return [line["received"], line["on_time"] + line["late"], line["duplicate"], line["quarantined"]]


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_each_invoice_of_a_message_has_its_own_life_and_a_message_is_one_record_however_often_it_comes(
    kind: str, order: Sequence[int], space: Space
) -> None:
    records = [each for place in order for each in door(space, write(MANY[kind][place]))]
    for each in [*records, *random.Random(kind).choices(records, k=5)]:
        space.take("einvoice", each.value)
        space.follow("einvoice")
    assert told(space) == WHOLE
    assert counts(space) == [7, 2, 5, 0]
    assert space.figures("einvoice")[0]["messages"] == 2
    again = replace(
        MANY["203"][0], id="Q2", documents=DOCS[1:4]
    )  # three of them once more, the refused one among them, in a message of their own
    space.take("einvoice", *(each.value for each in door(space, write(again))))
    assert told(space) == WHOLE
    space.take(
        "einvoice", *(each.value for each in door(space, write(replace(answered("2"), id="V2", question="Q2")).replace(">Q<", ">Q2<")))
    )
    assert told(space) == WHOLE | {"accepted": 5, "rejected": 0, "value_vnd": 1_540_000, "tax_vnd": 40_000}


def test_a_wrong_invoice_among_many_is_flagged_by_itself(space: Space) -> None:
    off = replace(MANY["203"][0], documents=(*DOCS[:4], replace(DOCS[4], off_by=7000)))
    space.take("einvoice", *(each.value for each in door(space, write(off))))
    (figures,) = space.figures("einvoice")
    assert (figures["invoices"], figures["pending"], figures["flagged"], figures["value_vnd"]) == (5, 5, 1, 1_547_000)


def test_rows_of_a_table_without_their_total_are_flagged(space: Space) -> None:
    space.take("einvoice", *(each.value for each in door(space, write(MANY["400"][0]).replace("TgTTToan>", "Khac>"))))
    (figures,) = space.figures("einvoice")
    assert (figures["invoices"], figures["flagged"], figures["value_vnd"]) == (5, 5, 0)


def test_an_unreadable_invoice_among_many_loses_none_of_them(space: Space) -> None:
    text = write(MANY["203"][0]).replace("<TgTTTBSo>308000", "<TgTTTBSo>308000 đ")
    (held,) = door(space, text)
    assert held.cause == "number"
    space.take("rejects", held.value)
    assert counts(space) == [1, 0, 0, 1]
    strip = {"strip": {"at": "TToan/TgTTTBSo", "characters": " đ"}}
    repair = Repair.model_validate({"repair": "mend-it", "why": "a test", "match": {"cause": "number"}, "steps": [strip]})
    reading = Retrying(space.settings, space.keys, sealing.load(space.settings.state_dir), repair)
    (record,), left = reading.read([json.loads(held.value) | {"known_at": datetime.fromtimestamp(NOW / 1e6, VIETNAM)}])
    assert left == {}
    space.take("einvoice", *(each.value for each in record.messages))
    space.take("einvoice", *(each.value for each in door(space, write(MANY["203"][1]))))
    assert told(space) == WHOLE
    assert counts(space) == [3, 2, 0, 1]
