"""What every connector promises, over a real source of its kind."""

import base64
import gzip
import hashlib
import hmac
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from source_server import Question, Reply, SourceServer, serving

import connectors
from connectors.connector import CONNECTORS, OPTIONS, Connector, Page, connect
from connectors.intake import intake
from deploy import doctor
from streams import keyring, pseudonym
from streams.errors import Misconfigured, Retry
from streams.settings import Settings, Source

SECRET = b"a secret of the test"


class Stand(Protocol):
    """A department's system with records in it. `more(n)` adds n and gives them as the connector shall give them."""

    def source(self) -> Source: ...
    def more(self, count: int) -> list[bytes]: ...
    def broken(self) -> Any: ...


@dataclass
class OverHttp:
    """What stands for a system over HTTP share: the server, the records so far, how it breaks."""

    server: SourceServer
    records: list[bytes] = field(default_factory=list)

    def broken(self) -> "Breaking":
        return Breaking(self.server)

    def more(self, count: int) -> list[bytes]:
        added = [self.record(len(self.records) + n) for n in range(count)]
        self.records += added
        return added

    def record(self, number: int) -> bytes:
        return b"record %d" % number


@dataclass
class Breaking:
    """A context in which every request fails, each in another way."""

    server: SourceServer
    ways = (
        Reply(b"busy", 429, {"Retry-After": "1"}),
        Reply(b"broken", 500),
        Reply(b"away", 503),
        Reply(b'{"items": [', 200, keep_bytes=5),
        Reply(b"<html>", 200),
    )

    def __enter__(self) -> int:
        self.server.faults.extend(self.ways)
        return len(self.ways)

    def __exit__(self, *_: object) -> None:
        self.server.faults.clear()


class RestStand(OverHttp):
    def source(self) -> Source:
        return made("rest", self.server.url + "/messages", limit=7)

    def answer(self, asked: Question) -> Reply:
        after, limit = int(asked.params.get("after", "0")), int(asked.params["limit"])
        last = min(after + limit, len(self.records))
        etag = f'"{after}-{last}"'
        if asked.headers.get("if-none-match") == etag:
            return Reply(b"", 304, {"ETag": etag})
        items = [{"content": base64.b64encode(record).decode()} for record in self.records[after:last]]
        return Reply({"items": items, "next": str(last), "more": last < len(self.records)}, headers={"ETag": etag})


class FhirStand(OverHttp):
    def source(self) -> Source:
        return made("fhir", self.server.url + "/fhir", limit=7, overlap_seconds=2)

    def record(self, number: int) -> bytes:
        updated = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=number // 3)
        return json.dumps({"resourceType": "Encounter", "id": str(number), "meta": {"lastUpdated": updated.isoformat()}}).encode()

    def answer(self, asked: Question) -> Reply:
        assert asked.path == "/fhir/Encounter"
        assert asked.params["_sort"] == "_lastUpdated"
        bound = asked.params["_lastUpdated"]
        found = [record for record in self.records if passes(updated_of(record), bound)]
        first, count = int(asked.params.get("_page", "0")), int(asked.params["_count"])
        link = [
            {"relation": "next", "url": f"/fhir/Encounter?_sort=_lastUpdated&_lastUpdated={bound}&_count={count}&_page={first + count}"}
        ]
        entries = [{"resource": json.loads(record), "search": {"mode": "match"}} for record in found[first : first + count]]
        return Reply({"resourceType": "Bundle", "type": "searchset", "entry": entries, "link": link if first + count < len(found) else []})


class QueryStand(OverHttp):
    def source(self) -> Source:
        return made("query", self.server.url + "/list", credential="env:CONTRACT_SECRET", bank="hdbank")

    def record(self, number: int) -> bytes:
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=90 - number)
        return json.dumps({"transactionId": str(number), "transactionTime": at.strftime("%Y%m%d%H%M%S")}, separators=(",", ":")).encode()

    def answer(self, asked: Question) -> Reply:
        question = json.loads(asked.body)
        assert hmac.compare_digest(question["sign"], sign(question["data"]))
        window = json.loads(base64.b64decode(question["data"]))
        items = [json.loads(record) for record in reversed(self.records)]
        items = [item for item in items if window["from"] <= item["transactionTime"] <= window["to"]]
        page = window["page"]
        content = {"page": page, "pages": max(1, -(-len(items) // 7)), "items": items[(page - 1) * 7 : page * 7]}
        data = base64.b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()
        return Reply({"data": data, "sign": sign(data)})


@dataclass
class FilesStand:
    folder: Path
    count: int = 0

    def source(self) -> Source:
        return Source.model_validate(
            {"name": "files", "department": "einvoice", "connector": "files", "path": self.folder, "options": {"settled_seconds": 0}}
        )

    def more(self, count: int) -> list[bytes]:
        """Documents, spread over files, a folder within and zips."""
        added = []
        for number in range(self.count, self.count + count):
            record = b"<TDiep>%d</TDiep>" % number
            if number % 3 == 2:
                with zipfile.ZipFile(self.folder / f"{number}.zip", "w") as archive:
                    archive.writestr("inner/a.xml", record)
            else:
                place = self.folder / ("deeper" if number % 3 else ".") / f"{number}.xml"
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(record)
            added.append(record)
        self.count += count
        return added

    def broken(self) -> "Moved":
        return Moved(self.folder)


@dataclass
class Moved:
    """A context in which the folder is not there."""

    folder: Path

    def __enter__(self) -> int:
        self.folder.rename(self.folder.with_suffix(".away"))
        return 1

    def __exit__(self, *_: object) -> None:
        self.folder.with_suffix(".away").rename(self.folder)


STANDS = {"rest": RestStand, "fhir": FhirStand, "query": QueryStand}


@pytest.fixture(params=sorted(CONNECTORS))
def stand(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setenv("CONTRACT_SECRET", SECRET.decode())
    if request.param == "files":
        folder = tmp_path / "folder"
        folder.mkdir()
        yield FilesStand(folder)
        return
    with serving(lambda asked: system.answer(asked)) as server:
        system = STANDS[request.param](server)
        yield system


@pytest.fixture
def fresh(stand: Stand, tmp_path: Path) -> Iterator[Any]:
    """Makes connectors of the stand's source, as a new process would."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(connect(stand.source(), tmp_path / "state")))


def test_it_gives_everything_the_source_holds(stand: Stand, fresh: Any) -> None:
    held = stand.more(23)
    given, _ = read(fresh(), None)
    assert set(given) == set(held)


def test_an_empty_source_is_no_trouble(stand: Stand, fresh: Any) -> None:
    assert read(fresh(), None)[0] == []


def test_it_goes_on_from_the_cursor_and_misses_nothing(stand: Stand, fresh: Any) -> None:
    stand.more(9)
    connector = fresh()
    _, cursor = read(connector, None)
    added = stand.more(12)
    given, _ = read(connector, cursor)
    assert set(added) <= set(given)


def test_a_new_process_goes_on_from_the_cursor_and_misses_nothing(stand: Stand, fresh: Any) -> None:
    stand.more(9)
    _, cursor = read(fresh(), None)
    added = stand.more(12)
    given, _ = read(fresh(), cursor)
    assert set(added) <= set(given)


def test_what_was_read_and_acknowledged_is_not_given_again_without_need(stand: Stand, fresh: Any) -> None:
    stand.more(23)
    connector = fresh()
    _, cursor = read(connector, None)
    assert read(connector, cursor)[0] == []


@pytest.mark.parametrize("pages_kept", [0, 1, 2])
def test_what_was_not_acknowledged_is_given_again(stand: Stand, fresh: Any, pages_kept: int) -> None:
    held = stand.more(23)
    connector = fresh()
    kept, cursor = [], None
    pages = connector.pages(None)
    for page in [page for page, _ in zip(pages, range(pages_kept), strict=False)]:
        kept += page.records
        connector.acknowledged(page)
        cursor = page.cursor
    pages.close()
    for again in (connector, fresh()):
        unacknowledged = [record for page in again.pages(cursor) for record in page.records]
        assert set(held) <= set(kept) | set(unacknowledged)


def test_records_that_come_while_it_reads_are_not_lost(stand: Stand, fresh: Any) -> None:
    held = stand.more(23)
    connector = fresh()
    given, cursor = [], None
    for number, page in enumerate(connector.pages(None)):
        given += page.records
        connector.acknowledged(page)
        cursor = page.cursor
        if number < 3:
            held += stand.more(5)
    given += read(connector, cursor)[0]
    assert set(given) == set(held)


def test_a_source_in_trouble_is_a_retry_and_afterwards_nothing_is_missing(stand: Stand, fresh: Any) -> None:
    held = stand.more(23)
    connector = fresh()
    given, cursor = read(connector, None, pages=1)
    with stand.broken() as times:
        for _ in range(times):
            with pytest.raises(Retry):
                read(connector, cursor)
    more, _ = read(connector, cursor)
    assert set(given + more) == set(held)


def test_making_it_reads_and_calls_nothing(stand: Stand, fresh: Any, tmp_path: Path) -> None:
    with stand.broken():
        fresh()
    assert not (tmp_path / "state").exists()


def test_every_file_with_a_connector_is_enumerated() -> None:
    folder = Path(connectors.__file__).parent
    having = {file.stem for file in folder.glob("*.py") if "\ndef connect(source: Source, state_dir: Path)" in file.read_text()}
    assert having - {"connector"} == set(CONNECTORS) == {*STANDS, "files"}


class TestOverHttp:
    """What those that speak HTTP promise besides."""

    @pytest.fixture(params=sorted(STANDS))
    def system(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setenv("CONTRACT_SECRET", SECRET.decode())
        with serving(lambda asked: held.answer(asked)) as server:
            held = STANDS[request.param](server)
            yield held

    @pytest.fixture
    def first_read(self, system: Any, tmp_path: Path) -> Any:
        """Reads all of the system, with changes to its source."""

        def reading(**changes: object) -> list[bytes]:
            with closing(connect(system.source().model_copy(update=changes), tmp_path)) as connector:
                return read(connector, None)[0]

        return reading

    def test_an_answer_without_end_is_refused_and_not_held_in_memory(self, system: Any, first_read: Any) -> None:
        system.server.faults.append(Reply(b" " * (33 << 20)))
        with pytest.raises(Retry, match="more than"):
            first_read()

    def test_a_gzip_bomb_is_refused(self, system: Any, first_read: Any) -> None:
        bomb = gzip.compress(b" " * (200 << 20), 9)
        system.server.faults.append(Reply(bomb, headers={"content-encoding": "gzip"}))
        with pytest.raises(Retry, match="more than"):
            first_read()

    def test_a_gzipped_answer_is_read(self, system: Any, first_read: Any) -> None:
        held, plain = system.more(5), system.answer
        system.answer = lambda asked: Reply(gzip.compress(plain(asked).body), headers={"content-encoding": "gzip"})
        assert set(first_read()) == set(held)

    def test_a_source_that_does_not_answer_in_time_is_a_retry(self, system: Any, first_read: Any) -> None:
        answered = threading.Event()
        system.server.faults.append(Reply(b"", after=answered))
        began = time.monotonic()
        with pytest.raises(Retry, match="ReadTimeout"):
            first_read(timeout_seconds=0.3)
        answered.set()
        assert time.monotonic() - began < 5

    def test_a_redirect_to_another_host_is_not_followed(self, system: Any, first_read: Any) -> None:
        with serving(lambda asked: Reply(b"stolen")) as other:
            system.server.faults.append(Reply(b"", 307, {"location": other.url + "/messages"}))
            with pytest.raises(Misconfigured):
                first_read()
            assert other.asked == []

    def test_retry_after_is_passed_on(self, system: Any, first_read: Any) -> None:
        system.server.faults.append(Reply(b"", 429, {"Retry-After": "7"}))
        with pytest.raises(Retry) as caught:
            first_read()
        assert caught.value.after_seconds == 7

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_a_wrong_address_or_credential_is_a_misconfiguration(self, system: Any, first_read: Any, status: int) -> None:
        system.server.faults.append(Reply(b"", status))
        with pytest.raises(Misconfigured):
            first_read()


def read(connector: Connector, cursor: str | None, pages: int = 10_000) -> tuple[list[bytes], str | None]:
    """All records, acknowledged page by page, and the cursor to go on from."""
    given: list[bytes] = []
    page: Page
    for number, page in enumerate(connector.pages(cursor), 1):
        given += page.records
        assert not page.refused
        connector.acknowledged(page)
        cursor = page.cursor
        if number == pages:
            break
    return given, cursor


def made(connector: str, url: str, credential: str | None = None, **options: object) -> Source:
    return Source.model_validate(
        {"name": "contract", "department": "payment", "connector": connector, "url": url, "credential": credential, "options": options}
    )


def sign(data: str) -> str:
    return hmac.new(SECRET, data.encode(), hashlib.sha256).hexdigest()


def updated_of(record: bytes) -> datetime:
    return datetime.fromisoformat(json.loads(record)["meta"]["lastUpdated"])


def passes(updated: datetime, bound: str) -> bool:
    limit = datetime.fromisoformat(bound[2:])
    return updated > limit if bound.startswith("gt") else updated >= limit


@pytest.mark.parametrize("connector", [*OPTIONS])
def test_the_options_of_a_connector_are_those_that_it_reads(connector: str) -> None:
    files = (
        [Path("connectors/caller.py"), Path("connectors/webhook.py")] if connector == "webhook" else [Path(f"connectors/{connector}.py")]
    )
    read = re.findall(r'(?:(?:text|number)\(source, |source\.options\.get\()"(\w+)"', "".join(file.read_text() for file in files))
    assert {*read} == {*OPTIONS[connector]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"connector": "rest", "url": "http://127.0.0.1:1", "options": {"page": 3}}, "options.page means nothing to the connector rest"),
        ({"connector": "files", "path": "/srv", "options": {"limit": 3}}, "options.limit means nothing"),
        ({"connector": "webhook", "format": "sepay", "options": {"auth": "basic"}}, "without a credential"),
        ({"connector": "webhook", "format": "sepay", "credential": "env:HOOK", "options": {"auth": "basic"}}, "options.auth must be of"),
        ({"connector": "fhir", "url": "http://127.0.0.1:1", "options": {"overlap_seconds": 0}}, "overlap_seconds must be a whole number"),
    ],
)
def test_a_wrong_option_is_found_by_the_doctor_before_anything_is_pulled(
    given: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "a secret")
    source = Source.model_validate({"name": "somewhere", "department": "payment"} | given)
    settings = Settings(state_dir=tmp_path, sources=(source,))
    (check,) = [check for check in doctor.examine(settings) if check.name == "sources"]
    assert not check.ok
    assert said in check.detail
    assert check.mend


def test_an_option_that_nobody_reads_stops_the_door_too(tmp_path: Path) -> None:
    source = Source(name="x", department="payment", connector="files", path=tmp_path, options={"bnak": "vnpay"})
    keyring.make(tmp_path)
    with pytest.raises(Misconfigured, match=r"options\.bnak"):
        intake(source, pseudonym.load(tmp_path))
