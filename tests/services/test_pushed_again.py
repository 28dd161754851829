"""What senders pushed who prove themselves in a header, was set aside, and is tried again: real HTTP, broker, worker, database, `ioc`."""

import base64
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.formats import bhyt, plain, sepay
from deploy.embedded.parts import Parts
from deploy.embedded.topics import delete_topics
from streams.settings import Settings, Source
from tests.services import test_webhook as pushed
from tests.services.test_hospital_hook import CHECKIN
from tests.services.test_quarantine import House
from tests.services.test_webhook import SECRET, served

SOURCES = """
[[sources]]
name = "sepay"
department = "payment"
connector = "webhook"
format = "sepay"
credential = "env:SENDERS"
units = { 1234500038001 = "38001" }

[[sources]]
name = "hospitals"
department = "visit"
connector = "webhook"
credential = "env:SENDERS"

[[sources]]
name = "video"
department = "telequality"
connector = "webhook"
credential = "env:SENDERS"
"""  # the last two are read as their departments' own format, which is not said
BEAT = {"site": "38280", "in_kbps": 5200, "in_loss_percent": 0.3}


@pytest.fixture
def house(settings: Settings, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(settings, parts, tmp_path)
    (tmp_path / "ioc.toml").write_text(SOURCES)
    monkeypatch.setenv("SENDERS", SECRET.decode())  # the doors' own: whoever repairs has no need of it
    yield made
    made.fleet.end()
    delete_topics(made.settings, made.bootstrap)
    made.space.drop()


def envelope(*names: str) -> str:
    """An envelope of several check-ins."""
    files = (base64.b64encode(CHECKIN.format(name).encode()).decode() for name in names)
    held = "".join(f"<HOSO><FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{file}</NOIDUNGFILE></FILEHOSO></HOSO>" for file in files)
    return f"<GIAMDINHHS><THONGTINHOSO><DANHSACHHOSO>{held}</DANHSACHHOSO></THONGTINHOSO></GIAMDINHHS>"


def push(client: httpx.Client, secret: bytes = SECRET, called: str = "") -> None:
    """Five notices, four check-ins in three files, two measurements in one push, from somebody with that secret; `called` makes them others."""
    for number in range(5):
        client.send(pushed.sepay(f"{client.base_url}/hooks/sepay", number + 100 * len(called), secret))
    token = client.post("/hooks/hospitals/token", json={"password": secret.decode()}).json().get("access_token", "none")
    known, names = {"Authorization": f"Bearer {token}"}, [f"LK{number}{called}" for number in range(4)]
    client.post("/hooks/hospitals", files={"file": ("checkin.xml", CHECKIN.format(names[0]), "text/xml")}, headers=known)
    client.post("/hooks/hospitals", content=CHECKIN.format(names[1]), headers=known)
    client.post("/hooks/hospitals", content=envelope(*names[2:]), headers=known)
    beats = [BEAT | {"session": f"vr{called}", "measured_at": f"2026-11-20T07:{minute}:50+07:00"} for minute in (10, 11)]
    client.post("/hooks/video", json=beats, headers={"Authorization": f"Apikey {secret.decode()}"})


def broken(*_: Any) -> Any:
    raise ZeroDivisionError


def test_what_a_defect_of_ours_set_aside_enters_once_and_what_nobody_vouched_for_never(house: House) -> None:
    listed = [Source.model_validate(each) for each in tomllib.loads(SOURCES)["sources"]]
    own = house.settings.model_copy(update={"sources": tuple(listed)})
    house.fleet.start("worker", "deploy", "work")
    with served(own, house.bootstrap) as client, pytest.MonkeyPatch.context() as defect:
        for place, name in ((sepay, "parse"), (bhyt, "parse"), (plain.Plain, "parse")):
            defect.setattr(place, name, broken)
        push(client)
        push(client, b"somebody else's", "forged")
        house.settles(20, 20)
    config = {"IOC_CONFIG": str(house.folder / "ioc.toml")}
    assert {row["cause"]: row["records"] for row in house.ioc("quarantine", "list")["rows"] if row["source"] == "video"} == {
        "parser_error": 2, "signature": 1,
    }  # fmt: skip
    tried = house.ioc("quarantine", "retry", "--dry-run", **config)
    assert (tried["tried"], tried["healed"], tried["left"]) == (20, 11, {"signature": 9})
    assert house.states() == {"held": 20}
    done = house.ioc("quarantine", "retry", **config)
    assert (done["tried"], done["healed"], done["left"]) == (20, 11, {"signature": 9})
    house.settles(31, 20)
    assert house.states() == {"held": 9, "retried": 11}

    def figures() -> list[dict[str, int]]:
        asked = (("payment", "receipts"), ("payment", "paid_vnd"), ("visit", "visits"), ("telequality", "measured_minutes"))
        return [{row["unit"]: row[figure] for row in house.space.figures(name, "unit") if row[figure]} for name, figure in asked]

    once = [{"38001": 5}, {"38001": 750_000}, {"38001": 4}, {"38280": 2}]
    assert figures() == once
    with served(own, house.bootstrap) as client:
        push(client)  # they never heard that we had it
    house.settles(42, 20)
    assert figures() == once
    ledger = house.space.ledger()
    assert ledger["balanced"]
    assert sum(row["duplicate"] for row in ledger["rows"]) == 11
    assert house.ioc("quarantine", "retry", **config)["left"] == {"signature": 9}
