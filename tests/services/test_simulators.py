"""The departments' own systems: what they issue, how they misbehave, how they are served, and the judge of what they sent."""

import ast
import base64
import csv
import hashlib
import hmac
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from urllib.parse import quote_plus

import httpx
import pytest
from eventually import eventually
from lxml import etree
from source_server import Question, Reply, serving

from deploy.simulators import curve, hospitals, judge, judge_shares, sellers
from deploy.simulators.clock import DAY_US, HOUR_US, SECOND_US, VIETNAM_US, stamp
from deploy.simulators.encounters import Encounters, Version
from deploy.simulators.faults import Faults, WirePlan
from deploy.simulators.feed import Delivery, Feed, Printer
from deploy.simulators.judge_cells import GROUPS, cells, nearest_rank
from deploy.simulators.notices import notice
from deploy.simulators.payments import Payments, Status
from deploy.simulators.schedule import Schedule, Span

ROOT = Path(__file__).parents[2]
RUN_US = 1_795_000_000 * SECOND_US
SECRET = "một bí mật"
KEYS = {name: [{"id": "", "key": digits * 32}] for name, digits in (("tax", "11"), ("health", "22"), ("payment", "33"))}


def deliveries(seconds: int, faults: Faults, seed: int = 7) -> list[tuple[int, Delivery]]:
    """What the tax feed offers in that time at 500 a second."""
    schedule = Schedule(Feed(sellers.population(seed, 300), seed, RUN_US, faults).make, Span(RUN_US, (), 500.0))
    return schedule.advance(RUN_US + seconds * SECOND_US, most=10**6)


def told(delivery: Delivery) -> dict[str, object]:
    assert delivery.told is not None
    return delivery.told


@pytest.fixture(scope="module")
def offered() -> list[tuple[int, Delivery]]:
    return deliveries(20, Faults())


@pytest.fixture(scope="module")
def printed(offered: list[tuple[int, Delivery]]) -> list[tuple[dict[str, object], etree._Element]]:
    """(truth, document) of every fact."""
    printer = Printer(7)
    return [(told(d), etree.fromstring(printer.print(d))) for _, d in offered if told(d)["what"] == "fact"]


def test_the_simulators_share_nothing_with_what_they_judge() -> None:
    for file in (ROOT / "deploy" / "simulators").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            named = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            assert not [name for name in named if name.split(".")[0] in ("connectors", "streams", "sinks", "grafana")], file
            assert not [name for name in named if name.startswith("deploy") and not name.startswith("deploy.simulators")], file


def test_every_message_has_the_envelope_of_its_type(printed: list[tuple[dict[str, object], etree._Element]]) -> None:
    for truth, root in printed:
        envelope = root.find("TTChung")
        assert root.tag == "TDiep"
        assert envelope is not None
        assert envelope.findtext("MTDiep") == truth["MTDiep"]
        assert re.fullmatch(re.escape(envelope.findtext("MNGui") or "?") + "[0-9A-F]{32}", str(truth["MTDiep"]))
        assert len(str(truth["MTDiep"])) <= 46
        assert envelope.findtext("MLTDiep") == truth["MLTDiep"]
        assert (envelope.findtext("MTDTChieu") or "") == truth.get("MTDTChieu", "")
        if truth["MLTDiep"] == "999":
            assert envelope.find("MST") is None
        else:
            assert envelope.findtext("MST") == truth["MST"]
        documents = root.findall("DLieu/HDon")
        if documents:
            assert envelope.findtext("SLuong") == str(len(documents))


def test_every_invoice_says_what_the_truth_says(printed: list[tuple[dict[str, object], etree._Element]]) -> None:
    seen = 0
    for truth, root in printed:
        if truth["MLTDiep"] == "400":
            continue
        for claimed, document in zip(truth.get("HDon", []), root.findall("DLieu/HDon"), strict=True):  # type: ignore[call-overload]  # JSON
            texts = {name: (document.findtext(f"DLHDon/{path}{name}") or "").strip() or None for path, name in PLACES}
            assert int(texts.pop("SHDon") or "") == int(claimed["SHDon"])
            assert texts == {name: claimed.get(name) for name in texts}
            seen += 1
    assert seen > 1000


def test_every_row_of_a_table_says_what_the_truth_says(printed: list[tuple[dict[str, object], etree._Element]]) -> None:
    tables = [(truth, root.find("DLieu/BTHDLieu/DLBTHop")) for truth, root in printed if truth["MLTDiep"] == "400"]
    assert tables
    for truth, table in tables:
        assert table is not None
        assert table.findtext("TTChung/MST") == truth["MST"]
        rows = [{column.tag: column.text for column in row} for row in table.iterfind("NDBTHDLieu/DSDLieu/DLieu")]
        assert [
            (row["KHMSHDon"], row["KHHDon"], row["SHDon"], row["NLap"], row["TTCThue"], row["TgTThue"], row["TgTTToan"]) for row in rows
        ] == [
            tuple(document[name] for name in ("KHMSHDon", "KHHDon", "SHDon", "NLap", "TgTCThue", "TgTThue", "TgTTTBSo"))
            for document in truth["HDon"]  # type: ignore[attr-defined]  # JSON
        ]


PLACES = [
    ("TTChung/", "KHMSHDon"), ("TTChung/", "KHHDon"), ("TTChung/", "SHDon"), ("TTChung/", "NLap"), ("TTChung/", "DVTTe"), ("TTChung/", "TGia"),
    ("NDHDon/NBan/", "MST"), ("NDHDon/TToan/", "TgTTTBSo"), ("NDHDon/TToan/", "TgTThue"), ("TTChung/TTHDLQuan/", "TCHDon"),
    ("NDHDon/TToan/", "TgTCThue"),
]  # fmt: skip


def test_a_coded_answer_is_the_whole_invoice_with_its_code_and_a_till_codes_by_itself(
    printed: list[tuple[dict[str, object], etree._Element]],
) -> None:
    kinds = Counter(str(truth["MLTDiep"]) for truth, _ in printed)
    assert {"200", "202", "203", "204", "206", "300", "301", "999", "208", "400"} <= kinds.keys()
    for truth, root in printed:
        if truth["MLTDiep"] == "202":
            (document,) = root.findall("DLieu/HDon")
            assert len(document.findtext("MCCQT") or "") == 34
            assert (
                document.findtext("DSCKS/CQT/{*}Signature/{*}Object/{*}SignatureProperties/{*}SignatureProperty/{*}SigningTime")
                == truth["time"]
            )
        if truth["MLTDiep"] == "206":
            assert root.find("DLieu").get("Id")  # type: ignore[union-attr]  # its absence fails the test
            assert {len(code.text or "") for code in root.iterfind("DLieu/HDon/MCCQT")} == {23}
            assert root.find("CKSNNT/{*}Signature") is not None
        if truth["MLTDiep"] in ("204", "301"):
            assert root.findtext("DLieu/TBao/DLTBao/MGDDTu") == truth["MTDTChieu"]


def test_the_feed_has_all_that_makes_invoices_hard(printed: list[tuple[dict[str, object], etree._Element]]) -> None:
    invoices = [document for truth, _ in printed for document in truth.get("HDon", [])]  # type: ignore[attr-defined]  # JSON
    assert {"1", "2", "3"} <= {document.get("TCHDon") for document in invoices}
    assert any(document.get("TgTTTBSo", "").startswith("-") for document in invoices)
    assert any("TgTTTBSo" not in document for document in invoices)
    assert any(document["DVTTe"] == "USD" for document in invoices)
    assert any(document.get("TgTTTBSo", "").endswith(".000000") for document in invoices)
    assert {len(str(document["MST"])) for document in invoices} == {10, 12, 14}
    assert {"1", "2", "3", "7", "9"} <= {truth.get("LTBao") for truth, _ in printed}
    assert {"2.2.0", "2.1.0", "2.0.1", "2.0.0", ""} == {truth["PBan"] for truth, _ in printed}
    assert any(document["DVTTe"] == "USD" and "TGia" not in document for document in invoices)
    assert any(document.get("TgTTTBSo", "").endswith(".50") and document["DVTTe"] == "VND" for document in invoices)
    assert any(
        abs(sum(float(document[name]) for name in ("TgTCThue", "TgTThue")) - float(document["TgTTTBSo"])) > 1
        for document in invoices
        if "TgTCThue" in document
    )


def test_the_same_seed_and_start_give_the_same_bytes() -> None:
    printer = Printer(7)
    first, second = ([(at, printer.print(d)) for at, d in deliveries(3, Faults())] for _ in range(2))
    assert first == second
    other = [printer.print(d) for _, d in deliveries(3, Faults(), seed=8)]
    assert other != [raw for _, raw in first]


def test_faults_come_as_often_as_their_rates_say(offered: list[tuple[int, Delivery]]) -> None:
    what = Counter(str(told(d)["what"]) for _, d in offered)
    assert 0.02 < what["again"] / what["fact"] < 0.07  # some of the last ones are still ahead
    assert 0.006 < what["corrupt"] / what["fact"] < 0.015
    assert 0 < what["conflict"] / what["fact"] < 0.003
    facts = [(at, d) for at, d in offered if told(d)["what"] == "fact"]
    late = sum(stamp(at - 2 * 60 * SECOND_US) > str(told(d)["time"]) for at, d in facts)
    assert 0.06 < late / len(facts) < 0.14


def test_a_corrupt_delivery_cannot_be_read_and_a_repeat_says_the_same(offered: list[tuple[int, Delivery]]) -> None:
    printer = Printer(7)
    seen = Counter[str]()
    for _, delivery in offered:
        raw = printer.print(delivery)
        if delivery.twist in ("cut", "encoding"):
            with pytest.raises(etree.XMLSyntaxError):
                etree.fromstring(raw)
        elif delivery.twist == "number":
            amounts = [(e.text or "").strip() for e in etree.fromstring(raw).iter("TgTTTBSo")]
            assert any(not re.fullmatch(r"-?\d+(\.\d+)?", amount) for amount in amounts)
        elif delivery.twist in ("resaved", "conflict"):
            plain = printer.print(replace(delivery, twist=""))
            same = [(e.text or "").strip() for e in etree.fromstring(raw).iter()] == [
                (e.text or "").strip() for e in etree.fromstring(plain).iter()
            ]
            assert same == (delivery.twist == "resaved")
        seen[delivery.twist] += 1
    assert {"", "cut", "encoding", "number", "resaved", "conflict"} == seen.keys()


def test_without_faults_nothing_goes_wrong() -> None:
    none = Faults().scaled(0)
    assert {d.twist for _, d in deliveries(5, none)} == {""}
    plan = WirePlan(none, "x")
    assert {plan.next().what for _ in range(500)} == {""}


def test_the_wire_fails_as_often_as_its_rates_say() -> None:
    plan = WirePlan(Faults(), "x")
    what = Counter(plan.next().what for _ in range(20_000))
    for fault in ("too_many", "broken", "slow", "cut"):
        assert 0.005 < what[fault] / 20_000 < 0.015


def test_a_schedule_keeps_its_rate_and_begins_with_the_past() -> None:
    schedule = Schedule(lambda us: [(us, us), (us + SECOND_US // 2, us)], Span(RUN_US, (RUN_US - 10, RUN_US - 5), 100.0))
    out = schedule.advance(RUN_US + 20 * SECOND_US, most=10**6)
    assert [at for at, _ in out[:2]] == [RUN_US - 10, RUN_US - 5]
    assert abs(len(out) - 4 - 20 * 100) < 60
    assert [at for at, _ in out] == sorted(at for at, _ in out)
    schedule.stop()
    assert schedule.advance(RUN_US + 40 * SECOND_US) == []


def test_the_curve_is_busy_when_the_departments_are() -> None:
    midnight = RUN_US // DAY_US * DAY_US - VIETNAM_US
    drawn = curve.spread(Random(1), midnight, midnight + DAY_US, 4_000, curve.hospitals)
    morning = sum(midnight + 7.5 * HOUR_US <= us < midnight + 10.5 * HOUR_US for us in drawn)
    assert 0.5 < morning / 4_000 < 0.7
    middle, last = (int(datetime(2026, 11, day, 2, tzinfo=UTC).timestamp()) * SECOND_US for day in (18, 30))
    assert curve.offices(last) == 2 * curve.offices(middle)


def test_sellers_have_numbers_that_check_and_communes_of_thanh_hoa() -> None:
    people = sellers.population(1)
    assert len(sellers.communes()) == 166
    assert {s.commune for s in people} <= set(sellers.communes())
    rows = list(csv.DictReader(sellers.registry(people).splitlines()))
    assert 0.93 < len(rows) / len(people) < 0.97
    for number in (s.mst.partition("-")[0] for s in people if len(s.mst) != 12):
        assert sum(int(d) * w for d, w in zip(number, sellers.WEIGHTS, strict=False)) % 11 == 10 - int(number[9])


def test_the_hospitals_file_names_the_27_hospitals_of_the_simulators() -> None:
    rows = list(csv.DictReader((ROOT / "streams" / "data" / "hospitals.csv").read_text().splitlines()))
    assert tuple(dict.fromkeys(row["code"] for row in rows)) == hospitals.CODES
    assert all(19 < float(row["latitude"]) < 21 and 104 < float(row["longitude"]) < 107 for row in rows)


def versions(seconds: int) -> list[Version]:
    schedule = Schedule(Encounters(3, RUN_US, Faults()).make, Span(RUN_US, (), 100.0))
    return [version for _, version in schedule.advance(RUN_US + seconds * SECOND_US, most=10**6)]


def test_encounters_live_and_are_never_ahead_of_their_update() -> None:
    found = versions(60)
    assert {"planned", "arrived", "in-progress", "finished", "cancelled", "entered-in-error"} <= {
        str((v.told or {}).get("status")) for v in found
    }
    for version in found:
        if version.told and version.told["what"] == "fact":
            resource = json.loads(version.body)
            period = resource["period"]
            ends = [datetime.fromisoformat(at) for at in period.values()]
            assert ends == sorted(ends)
            assert ends[-1] <= datetime.fromisoformat(resource["meta"]["lastUpdated"])
            assert resource["class"]["code"] == version.told["class"]
    assert {str((v.told or {}).get("what")) for v in found} == {"fact", "corrupt", "again", "conflict"}


def test_notices_are_signed_as_each_bank_signs() -> None:
    key = SECRET.encode()
    schedule = Schedule(Payments(3, RUN_US, Faults()).make, Span(RUN_US, (), 100.0))
    pushed = [s for _, s in schedule.advance(RUN_US + 60 * SECOND_US, most=10**6) if s.way == "push"]
    for status in pushed:
        assert signed(status, key) == (status.twist != "signature")
    assert {s.bank for s in pushed} == set(hospitals.BANKS)


def signed(status: Status, key: bytes) -> bool:
    made = notice(status, key)
    if status.bank == "payos":
        body = json.loads(made.body)
        text = "&".join(f"{name}={body['data'][name]}" for name in sorted(body["data"]))
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == str(body["signature"])
    if status.bank == "momo":
        body = {"accessKey": "THANHHOA"} | json.loads(made.body)
        given = str(body.pop("signature"))
        text = "&".join(f"{name}={body[name]}" for name in sorted(body))
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == given
    if status.bank == "sepay":
        by_gateway = "notification_type" in json.loads(made.body)
        return made.headers["X-Secret-Key" if by_gateway else "Authorization"] == (key if by_gateway else b"Apikey " + key)
    fields = dict(httpx.QueryParams(made.query))
    if status.bank == "hdbank":
        return hmac.new(key, fields["data"].encode(), hashlib.sha256).hexdigest() == fields["sign"]
    given = fields.pop("vnp_SecureHash")
    text = "&".join(f"{name}={quote_plus(fields[name])}" for name in sorted(fields))
    return hmac.new(key, text.encode(), hashlib.sha512).hexdigest() == given


# The systems over real HTTP.


@dataclass(frozen=True)
class Running:
    """A simulator that serves. truth: its file."""

    url: str
    truth: Path
    process: "subprocess.Popen[str]"

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.truth.read_text().splitlines()]

    def control(self, what: str, **content: float) -> dict[str, object]:
        answer = httpx.get(f"{self.url}/control/{what}") if what == "state" else httpx.post(f"{self.url}/control/{what}", json=content)
        return dict(answer.raise_for_status().json())


@contextmanager
def running(folder: Path, what: str, *options: str) -> Iterator[Running]:
    secret, truth = folder / "secret", folder / "truth.jsonl"
    secret.write_text(SECRET + "\n")
    command = [sys.executable, "-m", "deploy.simulators", what, "--truth", str(truth), "--secret", str(secret), "--seed", "5", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            assert words[:1] == ["ready"]
            yield Running(words[1], truth, process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def ask(url: str, **params: str | int) -> httpx.Response:
    """An answer that is whole: asks again when the wire fails, as it now and then does."""
    headers = {b"authorization": f"Bearer {SECRET}".encode()}

    def once() -> httpx.Response | None:
        try:
            answer = httpx.get(url, params=params or None, headers=headers)
        except httpx.HTTPError:
            return None
        return answer if answer.status_code not in (429, 500) else None

    found = eventually(once, within_seconds=60)
    assert found is not None
    return found


def read_feed(url: str) -> list[bytes]:
    raws, after, more = [], "", True
    while more:
        page = ask(f"{url}/tvan/messages", after=after, limit=500).json()
        raws += [base64.b64decode(item["content"]) for item in page["items"]]
        after, more = page["next"], page["more"]
    return raws


def test_the_tax_feed_offers_every_fact_of_its_truth_and_says_when_that_is_all(tmp_path: Path) -> None:
    with running(tmp_path, "tax", "--rate", "200", "--history-hours", "24") as tax:
        read_feed(tax.url)
        assert tax.control("stop")["offered_all"] in (True, False)
        raws = read_feed(tax.url)
        eventually(lambda: tax.control("state")["offered_all"])
        facts = {str(line["MTDiep"]) for line in tax.lines() if line["what"] == "fact"}
        found = {match.group(1).decode() for raw in raws if (match := re.search(rb"<MTDiep>([^<]+)</MTDiep>", raw))}
        assert len(facts) > 2000
        assert facts <= found
        assert tax.control("state")["issued"] == len(facts)


def test_what_is_offered_stands_in_the_truth_already(tmp_path: Path) -> None:
    with running(tmp_path, "tax", "--rate", "400", "--history-hours", "0") as tax:
        after = ""
        for _ in range(10):
            page = ask(f"{tax.url}/tvan/messages", after=after, limit=50).json()
            written = tax.truth.read_text()
            after = page["next"]
            for item in page["items"]:
                match = re.search(rb"<MTDiep>([^<]+)</MTDiep>", base64.b64decode(item["content"]))
                assert match is None or match.group(1).decode() in written


def test_the_tax_feed_knows_strangers_etags_and_the_dark(tmp_path: Path) -> None:
    with running(tmp_path, "tax", "--faults", "0", "--history-hours", "24") as tax:
        assert httpx.get(f"{tax.url}/tvan/messages").status_code == 401
        assert ask(f"{tax.url}/tvan/messages", after="gibberish").status_code == 400
        tax.control("stop")
        end = eventually(lambda: (p := ask(f"{tax.url}/tvan/messages", after=last_token(tax.url))).json()["items"] == [] and p)
        headers = {b"authorization": f"Bearer {SECRET}".encode(), b"if-none-match": end.headers["etag"].encode()}
        assert httpx.get(str(end.request.url), headers=headers).status_code == 304
        tax.control("cut", seconds=60)
        assert ask(f"{tax.url}/tvan/messages").status_code == 503
        tax.control("restore")
        assert ask(f"{tax.url}/tvan/messages").status_code == 200
        assert ask(f"{tax.url}/registry.csv").text.startswith("mst,commune_code\n")


def last_token(url: str) -> str:
    after, more = "", True
    while more:
        page = ask(f"{url}/tvan/messages", after=after, limit=1000).json()
        after, more = page["next"], page["more"]
    return str(after)


def test_the_fhir_search_shows_current_versions_in_the_order_of_their_updates(tmp_path: Path) -> None:
    with running(tmp_path, "telehealth", "--rate", "100", "--history-hours", "24") as platform:
        eventually(lambda: int(str(platform.control("state")["issued"])) > 600, within_seconds=30)
        platform.control("stop")
        found, url = [], f"{platform.url}/fhir/Encounter?_sort=_lastUpdated&_count=40&_lastUpdated=gt2020-01-01T00:00:00Z"
        while url:
            bundle = ask(url).json()
            assert bundle["type"] == "searchset"
            found += [entry["resource"] for entry in bundle["entry"]]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        eventually(lambda: platform.control("state")["offered_all"])
        facts = {(str(line["id"]), int(str(line["versionId"]))) for line in platform.lines() if line["what"] == "fact"}
        newest = {name: max(number for other, number in facts if other == name) for name, _ in facts}
        shown = {(resource["id"], int(resource["meta"]["versionId"])) for resource in found}
        assert set(newest.items()) <= shown
        whole = {(name, number) for name, number in shown if (name, number) in facts}
        assert whole == set(newest.items())
        stamps = [resource["meta"]["lastUpdated"] for resource in found]
        half = ask(f"{platform.url}/fhir/Encounter", _lastUpdated=f"gt{sorted(stamps)[len(stamps) // 2]}", _count=500).json()
        assert 0 < len(half["entry"]) < len(stamps)


REPLIES = {
    "/hooks/bank-hdbank": {"code": "00"},
    "/hooks/bank-vnpay": {"RspCode": "00", "Message": "Confirm Success"},
    "/hooks/bank-payos": {"success": True},
    "/hooks/bank-momo": {},
    "/hooks/bank-sepay": {"success": True},
}


def test_banks_push_until_confirmed_and_their_list_has_everything(tmp_path: Path) -> None:
    refused = Counter[str]()

    def answer(question: Question) -> Reply:
        name = json.dumps(question.params, sort_keys=True) + question.body.decode()
        refused[name] += 1
        if refused[name] <= 2:
            return Reply({"code": "99", "RspCode": "99", "success": False}, 503)
        return Reply(REPLIES[question.path], 204 if question.path == "/hooks/bank-momo" else 200)

    options = ("--files", str(folder(tmp_path)), "--rate", "25", "--retry-scale", "0.01", "--history-hours", "24")
    with serving(answer) as hooks, running(tmp_path, "banks", "--webhooks", hooks.url, *options) as banks:
        eventually(lambda: int(str(banks.control("state")["delivered"])) > 40, within_seconds=60)
        banks.control("stop")
        listed = {item["transactionId"]: item for bank in hospitals.LISTED for item in read_list(f"{banks.url}/list/{bank}")}
        eventually(lambda: banks.control("state")["offered_all"], within_seconds=60)
        facts = [line for line in banks.lines() if line["what"] == "fact"]
        last = {
            str(line["transactionId"]): line["status"] for line in facts if line["bank"] in hospitals.LISTED and line["status"] != "refund"
        }
        assert {name: listed[name]["status"] for name in last} == last
        pushed = " ".join(
            base64.b64decode(q.params["data"]).decode() if "data" in q.params else json.dumps(q.params) + q.body.decode()
            for q in hooks.asked
        )
        assert all(str(line["transactionId"]) in pushed for line in facts if line["way"] == "push")
        assert {line["way"] for line in facts} == {"push", "list", "file", "statement"}
        files = [file.read_text() for file in folder(tmp_path).iterdir()]
        unpushed = [str(line["transactionId"]) for line in facts if line["way"] == "file"]
        assert unpushed
        assert all(any(name in text for text in files) for name in unpushed)
        assert all(str(line["transactionId"]) in " ".join(files) for line in banks.lines() if line["what"] == "booked")
        assert set(ask(f"{banks.url}/units.json").json()["vnpay"].values()) == set(hospitals.CODES)


def folder(place: Path) -> Path:
    """For the banks' files."""
    (place / "files").mkdir(exist_ok=True)
    return place / "files"


def read_list(url: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = []
    page, pages = 1, 1
    while page <= pages:
        asked = base64.b64encode(json.dumps({"from": "20200101000000", "to": "20990101000000", "page": page}).encode()).decode()
        wish = {"data": asked, "sign": hmac.new(SECRET.encode(), asked.encode(), hashlib.sha256).hexdigest()}
        answer = eventually(partial(posted, url, wish), within_seconds=60)
        assert hmac.new(SECRET.encode(), answer["data"].encode(), hashlib.sha256).hexdigest() == answer["sign"]
        listed = json.loads(base64.b64decode(answer["data"]))
        assert len(listed["items"]) <= 50
        items += listed["items"]
        page, pages = page + 1, listed["pages"]
    return items


def posted(url: str, content: dict[str, str]) -> dict[str, str]:
    try:
        answer = httpx.post(url, json=content)
    except httpx.HTTPError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def test_a_notice_that_nobody_took_is_given_up_and_the_truth_says_so(tmp_path: Path) -> None:
    options = ("--files", str(folder(tmp_path)), "--rate", "10", "--retry-scale", "0.0001", "--history-hours", "0", "--faults", "0")
    with serving(lambda question: Reply({}, 503)) as hooks, running(tmp_path, "banks", "--webhooks", hooks.url, *options) as banks:
        eventually(lambda: [line for line in banks.lines() if line["what"] == "given_up"], within_seconds=60)
        times = Counter(json.dumps(q.params, sort_keys=True) + q.body.decode() for q in hooks.asked)
        assert max(times.values()) == 8


def test_an_unsigned_question_to_the_list_is_refused(tmp_path: Path) -> None:
    options = ("--files", str(folder(tmp_path)), "--webhooks", "http://127.0.0.1:9", "--rate", "1", "--faults", "0")
    with running(tmp_path, "banks", *options) as banks:
        assert httpx.post(f"{banks.url}/list/vnpay", json={"data": "e30=", "sign": "00"}).status_code == 401
        assert httpx.post(f"{banks.url}/list/vnpay", content=b"[]").status_code == 400
        assert httpx.post(f"{banks.url}/list/other", json={}).status_code == 404


# The judge.


def hdon(number: int, total: str | None, **more: object) -> dict[str, object]:
    made = {
        "MST": "2800000001",
        "KHMSHDon": "1",
        "KHHDon": "C26TAA",
        "SHDon": str(number),
        "NLap": "2026-11-20",
        "SigningTime": "2026-11-20T09:00:00",
    }
    return made | ({"TgTTTBSo": total, "TgTThue": "8"} if total else {}) | more


def message(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"what": "fact", "system": "tax", "MTDiep": name, "MLTDiep": kind, "MST": "2800000001", "time": "2026-11-20T09:00:00"} | more


LIVES: list[dict[str, object]] = [
    {"what": "registry", "system": "tax", "MST": "2800000001", "commune": "14758"},
    # 1: coded after 7 s; then replaced by 2, which is an invoice of its own
    message("200", "Q1", HDon=[hdon(1, "108")]),
    message("999", "A1", MST="", MTDTChieu="Q1", TTTNhan="0", time="2026-11-20T09:00:02"),
    message("202", "C1", MTDTChieu="Q1", HDon=[hdon(1, "108")], time="2026-11-20T09:00:09"),
    message(
        "202", "C2", MTDTChieu="gone", HDon=[hdon(2, "208", TCHDon="1", CLQuan=[["1", "C26TAA", "0000001"]])], time="2026-11-20T09:01:00"
    ),
    # 3: refused, then sent again and coded
    message("200", "Q3", HDon=[hdon(3, "300")]),
    message("204", "R3", MTDTChieu="Q3", LTBao="1", refused=[["1", "C26TAA", "3"]]),
    message("202", "C3", MTDTChieu="Q3b", HDon=[hdon(3, "300")], time="2026-11-20T09:00:30"),
    # 4 to 6: a package accepted but for 5; 4 is cancelled, of 6 the tax office will not have it
    message("204", "V4", MTDTChieu="P4", LTBao="3", refused=[["1", "C26TAA", "5"]]),
    message("203", "P4", HDon=[hdon(4, "1000"), hdon(5, "2000"), hdon(6, "-50.5", TGia="2", DVTTe="USD")]),
    message("301", "K4", MTDTChieu="N4", TBao=[{"STTThe": 1, "HDon": [["1", "C26TAA", "6", "2"]]}]),
    message("300", "N4", TBao=[{"HDon": [["1", "C26TAA", "4", "1"], ["1", "C26TAA", "6", "1"]]}]),
    # 7: nobody answered; 8: known by a refusal only; 9 has no totals
    message("200", "Q7", HDon=[hdon(7, "70")]),
    message("204", "R8", MTDTChieu="Q8", LTBao="1", refused=[["1", "C26TAA", "8"]]),
    message("200", "Q9", HDon=[hdon(9, None)], time="2026-11-21T00:00:01"),
    {"what": "conflict", "system": "tax", "MTDiep": "Q7"},
    {"what": "corrupt", "system": "tax", "MTDiep": "Q10"},
]


def write(folder: Path, lines: list[dict[str, object]]) -> Path:
    file = folder / "truth.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def figures_of(file: Path, department: str, group: str) -> dict[tuple[str | None, ...], dict[str, int | None]]:
    counted = cells(judge.truth([file]).facts[department])[group]
    return {place: {name: cell.figure(name) for name in judge.FIGURES[department]} for place, cell in counted.items()}


def test_the_judge_reads_the_lives_of_invoices_as_settled(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    assert figures_of(file, "einvoice", "total")[()] == {
        "messages": 14, "invoices": 8, "accepted": 3, "rejected": 1, "pending": 2, "cancelled": 1, "replaced": 1,
        "value_vnd": 208 + 300 - 101 + 70, "tax_vnd": 8 + 8 + 16 + 8, "sellers": 1, "code_seconds_p50": 30, "code_seconds_p95": 60,
        "unlisted": 0, "flagged": 0, "signed": 0, "unsigned": 0, "invalid": 0,
    }  # fmt: skip
    by_unit = figures_of(file, "einvoice", "unit")
    assert (by_unit["14758",]["messages"], by_unit[None,]["messages"]) == (13, 1)
    assert figures_of(file, "einvoice", "day")["2026-11-21",]["messages"] == 1


def test_the_judge_counts_what_no_list_has_and_money_that_is_wrong(tmp_path: Path) -> None:
    lines = [
        message("200", "Q1", HDon=[hdon(1, "108", TgTCThue="100"), hdon(2, "110", TgTCThue="100"), hdon(3, "108.50")], PBan="2.2.0"),
        message("200", "Q2", HDon=[hdon(4, "108.50", DVTTe="USD"), hdon(5, "108.50", DVTTe="USD", TGia="26000")], PBan="2.1.0"),
        message("300", "N1", TBao=[{"HDon": [["1", "C26TAA", "1", "1"]]}], PBan="2.1.0"),
        message("300", "N2", TBao=[{"HDon": [["1", "C26TAA", "1", "1"]]}], PBan="2.0.1"),
        message("300", "N3", TBao=[{"HDon": [["1", "C26TAA", "1", "9"]]}]),
    ]
    total = figures_of(write(tmp_path, lines), "einvoice", "total")[()]
    assert (total["unlisted"], total["flagged"]) == (3, 3)


def test_the_judge_holds_what_was_paid_against_what_visits_cost_where_both_are_known(tmp_path: Path) -> None:
    alone = visit("9", "totals", "20261121", "202611210100", MA_CSKCB="38003")
    file = write(tmp_path, [*PAID, *VISITS, alone])
    told = judge.truth([file])
    found = judge_shares.shares("payment", told.facts)
    half = {"cashless_percent": 250.0, "cashless_count_percent": 100.0}
    assert found["day"]["2026-11-21",] == {"cashless_percent": 125.0, "cashless_count_percent": 50.0}
    assert dict(found["day,unit"]) == {
        ("2026-11-21", "38001"): half,
        ("2026-11-21", "38003"): {"cashless_percent": 0.0, "cashless_count_percent": 0.0},
    }
    rows: list[dict[str, object]] = [{"unit": place[0], **figures} for place, figures in figures_of(file, "payment", "unit").items()]
    unknown = {"cashless_percent": None, "cashless_count_percent": None}
    shown = [row | (half if row["unit"] == "38001" else unknown) for row in rows]
    shown.append({"unit": "38003"} | dict.fromkeys(judge.FIGURES["payment"]) | {"cashless_percent": 0.0, "cashless_count_percent": 0.0})
    assert judge.judge([file], {"payment": {"unit": shown}}, {}, KEYS).differences == []
    shown[-1]["cashless_percent"] = None
    (wrong,) = judge.judge([file], {"payment": {"unit": shown}}, {}, KEYS).differences
    assert (wrong.place, wrong.figure, wrong.expected, wrong.actual) == (("38003",), "cashless_percent", 0.0, None)


def test_the_order_of_messages_changes_nothing_for_the_judge(tmp_path: Path) -> None:
    expected = figures_of(write(tmp_path, LIVES), "einvoice", "day,unit")
    for seed in range(5):
        shuffled = Random(seed).sample(LIVES, len(LIVES))
        assert figures_of(write(tmp_path, shuffled), "einvoice", "day,unit") == expected


def encounter(name: str, number: int, status: str, start: str, **more: object) -> dict[str, object]:
    at = f"2026-11-21T10:00:0{number}.000+07:00"
    made = {"what": "fact", "system": "telehealth", "id": name, "versionId": str(number), "lastUpdated": at, "status": status}
    return made | {"class": "VR", "hospital": "38001", "start": start, "end": None} | more


def test_the_judge_counts_the_newest_version_of_each_encounter(tmp_path: Path) -> None:
    lines = [
        encounter("a", 2, "finished", "2026-11-20T23:50:00+07:00", end="2026-11-21T00:10:59+07:00"),
        encounter("a", 1, "planned", "2026-11-21T08:00:00+07:00"),
        encounter("b", 1, "finished", "2026-11-20T16:59:00Z", end="2026-11-20T17:00:30Z"),
        encounter("c", 1, "finished", "2026-11-20T09:00:00+07:00", end="2026-11-20T10:00:00+07:00"),
        encounter("c", 2, "entered-in-error", "2026-11-20T09:00:00+07:00"),
        encounter("d", 1, "cancelled", "2026-11-20T09:00:00+07:00", hospital="38002"),
        encounter("e", 1, "arrived", "2026-11-20T09:00:00+07:00", **{"class": "HH"}),
        encounter("f", 1, "in-progress", "2026-11-20T17:30:00Z"),
    ]
    by_day = figures_of(write(tmp_path, lines), "telehealth", "day")
    assert by_day["2026-11-20",] == {
        "sessions": 2,
        "finished": 2,
        "cancelled": 1,
        "minutes": 22,
        "sites": 1,
        "not_telehealth": 1,
        "planned": 0,
    }
    assert by_day["2026-11-21",] == {
        "sessions": 1,
        "finished": 0,
        "cancelled": 0,
        "minutes": 0,
        "sites": 1,
        "not_telehealth": 0,
        "planned": 0,
    }


def payment(name: str, status: str, amount: int, paid: str | None, made: str = "20261120165900", **more: object) -> dict[str, object]:
    told = {
        "what": "fact",
        "system": "banks",
        "bank": "vnpay",
        "transactionId": name,
        "status": status,
        "hospital": "38001",
        "paidAmount": amount,
    }
    return told | {"paidTime": paid, "transactionTime": made, "way": "push"} | more


PAID: list[dict[str, object]] = [
    payment("1", "01", 0, None),
    payment("1", "00", 1000, "20261120170001"),
    payment("2", "10", 900, "20261120165959"),
    payment("3", "99", 0, None, way="list"),
    payment("4", "01", 0, None, made="20261120170000", hospital="38002"),
    {"what": "corrupt", "system": "banks", "bank": "vnpay", "transactionId": "5", "how": "signature", "offered": "2026-11-21T09:00:00"},
    {"what": "corrupt", "system": "banks", "bank": "vnpay", "transactionId": "6", "how": "number", "offered": "2026-11-21T09:00:00"},
]


def test_the_judge_counts_the_strongest_status_of_each_transaction(tmp_path: Path) -> None:
    by_day = figures_of(write(tmp_path, PAID), "payment", "day")
    some = {day: {name: value for name, value in figures.items() if value} for (day,), figures in by_day.items()}
    assert some["2026-11-20"] == {"mismatched": 1, "unknown": 1, "unstated": 1}
    assert some["2026-11-21"] == {"receipts": 1, "paid_vnd": 1000, "unstated": 1, "failed": 1, "refused": 1, "hospitals": 1}


BOOKED: list[dict[str, object]] = [
    {"what": "booked", "system": "banks", "bank": "vnpay", "hospital": "38001"} | line
    for line in (
        {"transactionId": "1", "statement": "a", "amounts": [500, 500], "booked": "20261121000001", "batch": "B1"},
        {"transactionId": "B1", "statement": "c", "amounts": [1000], "booked": "20261121000000"},
        {"transactionId": "B9", "statement": "c", "amounts": [40], "booked": "20261121000000", "hospital": "38002"},
        {"transactionId": "1", "statement": "b", "amounts": [500], "booked": "20261121000000"},
        {"transactionId": "2", "statement": "b", "amounts": [1000], "booked": "20261120000000"},
        {"transactionId": "4", "statement": "b", "amounts": [70], "booked": "20261121000000"},
        {"transactionId": "K", "statement": "b", "amounts": [7], "booked": "20261121000000", "hospital": "38002"},
        {"transactionId": "1", "status": "refund", "statement": "b", "amounts": [300], "booked": "20261122000001"},
    )
]
REFUND = payment("1", "refund", 300, "20261121170001", way="file")


def test_the_judge_holds_statements_against_notices_and_takes_out_refunds(tmp_path: Path) -> None:
    file = write(tmp_path, [*PAID, *BOOKED, REFUND])
    by_day = figures_of(file, "payment", "day")
    some = {day: {name: value for name, value in figures.items() if value} for (day,), figures in by_day.items()}
    assert some["2026-11-20"] == {"mismatched": 1, "unknown": 1, "differs": 1, "stated_vnd": 1000}
    stated = {"matched": 1, "unnotified": 3, "stated_vnd": 1117}
    assert some["2026-11-21"] == {"receipts": 1, "paid_vnd": 1000, "failed": 1, "refused": 1, "hospitals": 1} | stated
    assert some["2026-11-22"] == {"refunds": 1, "refunded_vnd": 300, "paid_vnd": -300}
    at = 1795194001_000_000
    lines = {f"vnpay|1|credited|{at}|500", f"vnpay|1|credited|{at}|500|2", f"vnpay|1|credited|{at - 1_000_000}|500"}
    given_back = {"vnpay|refund|1|refunded", f"vnpay|refund|1|returned|{at + 24 * 3600 * 1_000_000}|300"}
    assert lines | given_back <= judge.truth([file]).required["payment"]


def test_a_refund_whose_notice_was_given_up_counts_nothing(tmp_path: Path) -> None:
    pushed, gone = (
        REFUND | {"way": "push"},
        {"what": "given_up", "system": "banks", "bank": "vnpay", "transactionId": "1", "status": "refund"},
    )
    file = write(tmp_path, [*PAID, pushed, gone])
    assert figures_of(file, "payment", "total")[()]["refunds"] == 0
    assert "vnpay|refund|1|refunded" not in judge.truth([file]).required["payment"]


def test_a_passing_status_whose_notice_was_given_up_may_be_missing(tmp_path: Path) -> None:
    given_up: dict[str, object] = {"what": "given_up", "system": "banks", "bank": "vnpay", "transactionId": "1", "status": "01"}
    assert "vnpay|1|failed" in judge.truth([write(tmp_path, PAID)]).required["payment"]
    assert "vnpay|1|failed" not in judge.truth([write(tmp_path, [*PAID, given_up])]).required["payment"]


def visit(link: str, record: str, filed: str = "", paid: str = "", came: str = "202611202350", **more: object) -> dict[str, object]:
    money = {"T_TONGCHI_BV": 900, "T_BNTT": 300, "T_BNCCT": 100, "T_BHTT": 500} if record == "totals" else {}
    about = {"MA_LK": link, "MA_CSKCB": "38001", "MA_LOAI_KCB": "01", "MA_BN": "1", "MA_THE_BHYT": "GD4", "NGAY_VAO": came}
    key = f"{link}/{record}/{filed}/{paid}"
    return (
        {"what": "fact", "system": "hospitals", "record": record, "key": key, "NGAYLAP": filed, "NGAY_TTOAN": paid} | about | money | more
    )


VISITS: list[dict[str, object]] = [
    visit("1", "totals", "20261121", "202611210030"),
    visit("1", "totals", "20261121"),
    visit("1", "checkin", MA_THE_BHYT=""),
    visit("2", "checkin"),
    visit("3", "totals", "20261121", "202611210100", T_BNTT=0, T_BNCCT=0),
    {"what": "corrupt", "system": "hospitals", "key": "x", "how": "cut"},
]


def test_the_judge_counts_a_visit_as_its_newest_file_says(tmp_path: Path) -> None:
    by_day = figures_of(write(tmp_path, VISITS), "visit", "day")
    some = {day: {name: value for name, value in figures.items() if value} for (day,), figures in by_day.items()}
    assert some["2026-11-20"] == {"visits": 3, "insured": 3, "hospitals": 1}
    assert some["2026-11-21"] == {"settled": 2, "payers": 1, "patient_vnd": 400, "insurance_vnd": 1000, "cost_vnd": 1800}


def test_a_file_of_a_visit_that_nobody_took_in_time_may_be_missing(tmp_path: Path) -> None:
    given_up = {"what": "given_up", "system": "hospitals", "key": VISITS[3]["key"]}
    before = judge.truth([write(tmp_path, VISITS)]).required["visit"]
    assert before - judge.truth([write(tmp_path, [*VISITS, given_up])]).required["visit"] == {
        name for name in before if name.startswith("38001|2|")
    }


def test_hospitals_hand_over_files_until_somebody_has_taken_them(tmp_path: Path) -> None:
    tries = Counter[bytes]()

    def answer(question: Question) -> Reply:
        tries[question.body] += 1
        cut = not question.body.rstrip().endswith((b"</GIAMDINHHS>", b"</CHI_TIEU_TRANG_THAI_KCB>"))
        return Reply({}, 503) if tries[question.body] == 1 else Reply({"trangThai": 2 if cut else 1}, 201 if cut else 200)

    options = ("--rate", "25", "--retry-scale", "0.01", "--history-hours", "6", "--faults", "30")
    with serving(answer) as hooks, running(tmp_path, "hospitals", "--webhooks", hooks.url, *options) as clinics:
        eventually(lambda: int(str(clinics.control("state")["delivered"])) > 60, within_seconds=60)
        clinics.control("stop")
        eventually(lambda: clinics.control("state")["offered_all"], within_seconds=60)
        told = Counter(str(line["what"]) for line in clinics.lines())
        assert min(told["fact"], told["again"], told["corrupt"]) > 0
        assert told["given_up"] == 0
        assert min(tries.values()) >= 2
        assert {question.headers["authorization"].encode("latin-1") for question in hooks.asked} == {f"Apikey {SECRET}".encode()}


def rows_of(file: Path, department: str) -> dict[str, list[dict[str, object]]]:
    """Figures as a system that is right would give them."""
    return {
        group: [
            {**dict(zip(group.split(","), place, strict=False)), **figures}
            for place, figures in figures_of(file, department, group).items()
        ]
        for group in GROUPS
    }


def test_the_judge_finds_a_planted_difference(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    rows = rows_of(file, "einvoice")
    assert judge.judge([file], {"einvoice": rows}, {}, KEYS).ok
    rows["unit"][0]["value_vnd"] = int(str(rows["unit"][0]["value_vnd"])) + 1
    rows["day"][0]["code_seconds_p95"] = 70
    rows["total"][0]["code_seconds_p50"] = 31
    report = judge.judge([file], {"einvoice": rows}, {}, KEYS)
    assert [(d.group, d.figure) for d in report.differences] == [("day", "code_seconds_p95"), ("unit", "value_vnd")]
    assert not report.ok


def test_the_judge_misses_a_row_and_finds_one_too_many(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    rows = rows_of(file, "einvoice")
    gone = rows["day"].pop()
    rows["unit"].append(rows["unit"][0] | {"unit": "99999"})
    report = judge.judge([file], {"einvoice": {"day": rows["day"], "unit": rows["unit"]}}, {}, KEYS)
    assert {d.place for d in report.differences} == {(gone["day"],), ("99999",)}


def test_the_judge_names_what_was_lost_doubled_or_never_sent(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    ids = [judge.pseudonym(KEYS["tax"], "message", name) for name in judge.truth([file]).required["einvoice"] if name != "Q7"]
    tally = judge.judge([file], {}, {"einvoice": [*ids, ids[0], "f" * 32]}, KEYS).departments["einvoice"]
    assert (tally.sent, tally.lost, tally.doubled, tally.strangers, tally.corrupt) == (14, 1, 1, 1, 1)
    assert tally.lost_examples == ["Q7"]


def test_a_percentile_is_the_sample_at_its_rank() -> None:
    assert nearest_rank([], 50) is None
    assert nearest_rank([4, 1, 3, 2], 50) == 2
    assert nearest_rank(range(1, 101), 95) == 95


def test_a_line_that_a_crash_cut_off_is_no_fact(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    with file.open("a") as more:
        more.write('{"what":"fact","system":"tax","MTD')
    assert len(judge.truth([file]).required["einvoice"]) == 14


def test_the_judge_answers_on_the_command_line(tmp_path: Path) -> None:
    file = write(tmp_path, LIVES)
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"einvoice": {"total": {"department": "einvoice", "rows": rows_of(file, "einvoice")["total"]}}}))
    command = [sys.executable, "-m", "deploy.simulators", "judge", "--truth", str(file), "--figures", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)
