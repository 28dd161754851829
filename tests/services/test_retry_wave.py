"""A retry wave: the door is shut for as long as SePay tries, and afterwards every notice is there, once. Real HTTP and broker, simulated time."""

import hashlib
import hmac
import json
import uuid
from heapq import heappop, heappush

import httpx
import pytest

from deploy.embedded.processes import free_port
from deploy.embedded.topics import create_topics
from streams.settings import Settings
from tests.services.space import Space
from tests.services.test_webhook import SECRET, Hooks, served, source

MINUTES = (0, 1, 2, 4, 7, 12, 20, 33)  # SePay's eight deliveries, counted from the first
DARK_MINUTES = 33
PER_MINUTE = 120  # two a second


def sepay(number: int, at_minute: float) -> tuple[bytes, dict[str, str]]:
    """A notice, signed at that simulated minute as SePay signs each delivery."""
    said = {
        "id": number,
        "transactionDate": "2026-11-20 09:00:00",
        "accountNumber": "1234500038001",
        "transferType": "in",
        "transferAmount": 1000 + number,
    }
    body, stamp = json.dumps(said).encode(), str(1_795_140_000 + int(60 * at_minute))
    sign = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return body, {"X-SePay-Signature": f"sha256={sign}", "X-SePay-Timestamp": stamp}


def test_rule_14_retry_wave_of_33_minutes_with_sepays_curve_loses_nothing_and_doubles_nothing(
    settings: Settings, bootstrap: str, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_SECRET", SECRET.decode())
    own = settings.model_copy(update={"space": f"hooks-{uuid.uuid4().hex[:8]}", "sources": (source("bank-sepay", "sepay"),)})
    create_topics(own, bootstrap)
    total = DARK_MINUTES * PER_MINUTE
    due = [(number / PER_MINUTE, number, 0) for number in range(total)]
    delivered = 0
    with served(own, bootstrap) as client:
        shut = httpx.Client(base_url=f"http://127.0.0.1:{free_port()}", timeout=5)
        while due:
            minute, number, tries = heappop(due)
            begun = number / PER_MINUTE
            body, headers = sepay(number, minute)
            dark = minute < DARK_MINUTES
            delivered += not dark
            if dark:
                with pytest.raises(httpx.ConnectError):
                    shut.post("/hooks/bank-sepay", content=body, headers=headers)
            else:
                heard = client.post("/hooks/bank-sepay", content=body, headers=headers).json() == {"success": True}
                if heard and (number % 5 or tries + 2 > len(MINUTES)):  # every fifth answer is lost on its way back
                    continue
            if tries + 1 < len(MINUTES):
                heappush(due, (begun + MINUTES[tries + 1], number, tries + 1))
        shut.close()
        held = Hooks(own, bootstrap, client).held("payment")
    assert {event["paid_vnd"] for event in held} == {1000 + number for number in range(total)}, "nothing is lost"
    assert len(held) == delivered > total, "the answers that were lost brought their notices again"
    space.take("payment", *(json.dumps(event).encode() for event in held))
    (figures,) = space.figures("payment")
    assert (figures["receipts"], figures["paid_vnd"]) == (total, sum(1000 + number for number in range(total)))
    ledger = space.ledger()
    assert ledger["balanced"]
    assert [row["duplicate"] for row in ledger["rows"]] == [delivered - total]
