"""What each connector does about the particular ways of its protocol."""

import base64
import dataclasses
import gzip
import json
import zipfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from samples import signed
from source_server import Question, Reply, serving

from connectors import documents
from connectors.connector import Page, connect
from connectors.fhir import Fhir
from connectors.formats import layers
from connectors.http import retry_after
from connectors.patience import LONGEST_SECONDS, backoff
from connectors.query import Query
from streams.errors import Misconfigured, Retry
from streams.settings import Source

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def source(connector: str, **fields: Any) -> Source:
    return Source.model_validate({"name": "it", "department": "telehealth", "connector": connector} | fields)


def whole(made: Any, cursor: str | None = None) -> list[Page]:
    """All pages, each acknowledged."""
    pages = []
    with closing(made) as connector:
        for page in connector.pages(cursor):
            connector.acknowledged(page)
            pages.append(page)
    return pages


def bundle(stamps: dict[str, str], following: str | None = None, mode: str = "match") -> Reply:
    entry = [{"resource": {"id": name, "meta": {"lastUpdated": at}}, "search": {"mode": mode}} for name, at in stamps.items()]
    link = [{"relation": "next", "url": following}] if following else []
    return Reply({"resourceType": "Bundle", "type": "searchset", "entry": entry, "link": link})


def ids(pages: list[Page]) -> list[str]:
    return [json.loads(record)["id"] for page in pages for record in page.records]


def fhir(url: str, tmp_path: Path, now: datetime = NOW) -> Fhir:
    made = connect(source("fhir", url=url + "/fhir", options={"limit": 2, "overlap_seconds": 60}), tmp_path)
    assert isinstance(made, Fhir)
    return Fhir(made.web, made.search, made.page_records, made.overlap_seconds, lambda: now)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def test_a_link_to_another_origin_is_not_followed(tmp_path: Path) -> None:
    with serving(lambda asked: bundle({"a": at(-9)})) as other, serving(lambda asked: bundle({"a": at(-9)}, other.url + "/fhir")) as server:
        with pytest.raises(Misconfigured, match="another origin"):
            whole(fhir(server.url, tmp_path))
        assert other.asked == []


def test_a_server_that_neither_sorts_nor_filters_is_followed_by_its_links(tmp_path: Path) -> None:
    pages = {"": ({"a": at(-1), "b": at(-9)}, "1"), "1": ({"c": at(-5), "d": at(-2)}, "2"), "2": ({"e": at(-7)}, None)}

    def answer(asked: Question) -> Reply:
        stamps, following = pages[asked.params.get("page", "")]
        return bundle(stamps, following and f"/fhir/Encounter?page={following}")

    with serving(answer) as server:
        read = whole(fhir(server.url, tmp_path))
    assert set(ids(read)) == set("abcde")
    assert [page.cursor for page in read[:-1]] == [None] * (len(read) - 1)  # unsorted: no place to go on from before the end
    assert read[-1].cursor == "2026-11-20T08:59:59.000Z"


def test_a_record_that_moves_to_the_end_while_pages_are_read_hides_no_other(tmp_path: Path) -> None:
    held = {name: at(-100 + n) for n, name in enumerate("abcdef")}

    def answer(asked: Question) -> Reply:
        bound, first = asked.params["_lastUpdated"], int(asked.params.get("page", "0"))
        limit = datetime.fromisoformat(bound[2:])
        found = [(name, stamp) for name, stamp in sorted(held.items(), key=lambda pair: pair[1]) if datetime.fromisoformat(stamp) >= limit]
        if len(server.asked) == 1:
            held["a"] = at(-1)  # the first is updated after its page was read: all others shift one place up
        more = first + 2 < len(found)
        return bundle(dict(found[first : first + 2]), f"/fhir/Encounter?_lastUpdated={bound}&page={first + 2}" if more else None)

    with serving(answer) as server:
        assert set(ids(whole(fhir(server.url, tmp_path)))) == set("abcdef")


def test_a_stamp_from_the_future_does_not_carry_the_cursor_away(tmp_path: Path) -> None:
    with serving(lambda asked: bundle({"a": at(-5), "b": "2099-01-01T00:00:00Z"})) as server:
        assert whole(fhir(server.url, tmp_path))[-1].cursor == "2026-11-20T09:00:00.000Z"


def test_a_reading_starts_before_the_newest_because_servers_commit_late(tmp_path: Path) -> None:
    with serving(lambda asked: bundle({})) as server:
        whole(fhir(server.url, tmp_path), "2026-11-20T08:00:00.000Z")
        assert server.asked[0].params["_lastUpdated"] == "gt2026-11-20T07:59:00.000Z"


def test_resources_keep_their_bytes(tmp_path: Path) -> None:
    resource = b'{"id":"a",  "length":{"value":1.50},"meta":{"lastUpdated":"2026-11-20T08:00:00Z"}}'
    with serving(lambda asked: Reply(b'{"resourceType":"Bundle","entry":[{"resource":' + resource + b"}]}")) as server:
        assert [record for page in whole(fhir(server.url, tmp_path)) for record in page.records] == [resource]


def test_what_a_search_adds_to_its_matches_is_left_out(tmp_path: Path) -> None:
    with serving(lambda asked: bundle({"a": at(-5)}, mode="include")) as server:
        assert ids(whole(fhir(server.url, tmp_path))) == []


def test_a_token_that_does_not_move_ends_the_reading(tmp_path: Path) -> None:
    item = {"content": base64.b64encode(b"x").decode()}
    with serving(lambda asked: Reply({"items": [item], "next": "7", "more": True})) as server:
        assert len(whole(connect(source("rest", url=server.url), tmp_path))) == 2


def test_the_shape_of_a_rest_source_is_configuration(tmp_path: Path) -> None:
    options = {"items": "data.list", "content": "xml", "encoding": "text", "next": "paging.after", "more": "paging.more"}
    options |= {"after": "cursor", "limit_parameter": "size", "limit": 5}

    def answer(asked: Question) -> Reply:
        assert asked.params["size"] == "5"
        last = asked.params.get("cursor") == "2"
        return Reply({"data": {"list": [{"xml": "<b/>" if last else "<a/>"}]}, "paging": {"after": 2, "more": not last}})

    with serving(answer) as server:
        read = whole(connect(source("rest", url=server.url, options=options), tmp_path))
    assert [page.records for page in read] == [[b"<a/>"], [b"<b/>"]]


def test_a_bearer_token_goes_to_the_source_and_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very-secret")
    with serving(lambda asked: Reply({"items": []})) as server:
        made = connect(source("rest", url=server.url, credential="env:TOKEN"), tmp_path)
        whole(made)
        assert server.asked[0].headers["authorization"] == "Bearer very-secret"
    assert "very-secret" not in repr(made)


@pytest.mark.parametrize("url", ["", "ftp://host/x", "host/x", "http://", "http://name:word@host/x", "file:///etc/passwd"])
def test_an_address_that_is_none_is_a_misconfiguration(url: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="url"):
        connect(source("rest", url=url), tmp_path)


def bank(url: str, **options: int) -> Source:
    return source("query", url=url, credential="env:BANK_SECRET", options=options)


def listed(items: list[dict[str, str]], pages: int = 1, secret: bytes = b"s") -> Reply:
    data, sign = signed({"page": 1, "pages": pages, "items": items}, secret)
    return Reply({"data": data, "sign": sign})


def test_a_list_with_a_wrong_signature_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_SECRET", "s")
    with serving(lambda asked: listed([{"transactionId": "1"}], secret=b"another")) as server, pytest.raises(Retry, match="signature"):
        whole(connect(bank(server.url), tmp_path))


def test_a_list_is_read_past_its_window_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_SECRET", "s")
    with serving(lambda asked: listed([{"transactionTime": "20200101000000"}], pages=9)) as server:
        whole(connect(bank(server.url), tmp_path))
        assert len(server.asked) == 1  # all of the page is older than what was asked for: so is the rest


def test_the_place_in_a_list_moves_only_when_all_of_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_SECRET", "s")
    with serving(lambda asked: listed([{"n": str(len(server.asked))}], pages=3)) as server:
        assert [page.cursor is None for page in whole(connect(bank(server.url), tmp_path))] == [True, True, False]


def test_a_list_is_read_a_little_back_each_time_and_far_back_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_SECRET", "s")
    clock = [NOW]
    with serving(lambda asked: listed([])) as server:
        made = connect(bank(server.url, overlap_seconds=60, reach_back_seconds=3600), tmp_path)
        assert isinstance(made, Query)
        query, cursor, reached = dataclasses.replace(made, now=lambda: clock[0]), NOW.strftime("%Y%m%d%H%M%S"), []
        for minutes in (0, 5, 10, 16):
            clock[0] = NOW + timedelta(minutes=minutes)
            whole(query, cursor)
            window = json.loads(base64.b64decode(json.loads(server.asked[-1].body)["data"]))
            reached.append(NOW - datetime.strptime(window["from"] + "Z", "%Y%m%d%H%M%S%z"))
    assert [int(back.total_seconds()) for back in reached] == [3600, 60, 60, 3600]


def files(path: Path, tmp_path: Path) -> list[Page]:
    return whole(connect(source("files", path=path, options={"settled_seconds": 0}), tmp_path / "state"))


def given(pages: list[Page]) -> list[bytes]:
    return [record for page in pages for record in page.records]


def causes(pages: list[Page]) -> list[str]:
    return [refused.cause for page in pages for refused in page.refused]


def packed(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_plain_gzipped_and_lined_documents_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<a/>")
    (folder / "b.xml.gz").write_bytes(gzip.compress(b"<b/>"))
    (folder / "c.ndjson").write_bytes(b'{"c":1}\n\n{"c":2}\r\n')
    (folder / "d.ndjson.gz").write_bytes(gzip.compress(b'{"d":1}\n{"d":2}'))
    (folder / ".hidden.xml").write_bytes(b"<no/>")
    (folder / "e.txt").write_bytes(b"no")
    assert given(files(folder, tmp_path)) == [b"<a/>", b"<b/>", b'{"c":1}', b'{"c":2}', b'{"d":1}', b'{"d":2}']


def test_a_single_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "message.dat").write_bytes(b"<a/>")
    assert given(files(tmp_path / "message.dat", tmp_path)) == [b"<a/>"]


def test_a_file_that_is_still_being_written_waits(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<a/>")
    patient = connect(source("files", path=folder, options={"settled_seconds": 3600}), tmp_path / "state")
    assert whole(patient) == []


def test_a_content_is_read_once_under_whatever_name(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<a/>")
    pages = files(folder, tmp_path)
    (folder / "a.xml").rename(folder / "b.xml")
    again = connect(source("files", path=folder, options={"settled_seconds": 0}), tmp_path / "state")
    assert whole(again, pages[-1].cursor) == []


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "outside.xml").write_bytes(b"<secret/>")
    (folder / "link.xml").symlink_to(tmp_path / "outside.xml")
    (folder / "deep").symlink_to(tmp_path)
    assert files(folder, tmp_path) == []


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"../../../evil.xml": b"<a/>", "/etc/evil.xml": b"<b/>", "notes.txt": b"no"})
    before = sorted(tmp_path.rglob("*"))
    assert given(files(path, tmp_path)) == [b"<a/>", b"<b/>"]
    assert [found for found in sorted(tmp_path.rglob("*")) if found not in before and "state" not in found.parts] == []


def test_an_archive_in_an_archive_is_one_record_that_the_door_unwraps(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"x.xml": b"<x/>", "y.xml": b"<y/>"}).read_bytes()
    path = packed(tmp_path / "a.zip", {"a.xml": b"<a/>", "b.zip": inner, "c.xml": gzip.compress(b"<c/>"), "d.xml": b"<d/>"})
    records = given(files(path, tmp_path))
    assert len(records) == 4
    assert [document for record in records for document in layers.documents(record)] == [b"<a/>", b"<x/>", b"<y/>", b"<c/>", b"<d/>"]


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    pages = files(packed(tmp_path / "a.zip", {"a.xml": b" " * (64 << 20)}), tmp_path)
    assert (given(pages), causes(pages)) == ([], ["archive_too_large"])


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(b'{"a":1}' + b" " * (64 << 20)))
    pages = files(tmp_path / "a.ndjson.gz", tmp_path)
    assert (given(pages), causes(pages)) == ([], ["too_large", "archive_damaged"])


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "ENTRIES_LIMIT", 3)
    pages = files(packed(tmp_path / "a.zip", {f"{n}.xml": b"<a/>" for n in range(4)}), tmp_path)
    assert (given(pages), causes(pages)) == ([], ["archive_too_large"])


def test_a_document_or_line_that_is_too_long_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT_BYTES", 10)
    monkeypatch.setattr(documents, "LINE_LIMIT_BYTES", 10)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(b"<a>" + b"x" * 10)
    (folder / "b.ndjson").write_bytes(b'{"b":1}\n' + b"y" * 25 + b'\n{"b":2}\n')
    pages = files(folder, tmp_path)
    assert given(pages) == [b'{"b":1}', b'{"b":2}']
    assert causes(pages) == ["too_large", "too_large"]


@pytest.mark.parametrize("damage", [slice(0, 60), slice(0, -30)])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: slice) -> None:
    path = packed(tmp_path / "a.zip", {"a.xml": bytes(range(256)) * 40})
    path.write_bytes(path.read_bytes()[damage])
    assert causes(files(path, tmp_path)) == ["archive_damaged"]


def test_a_large_file_comes_in_pages_and_is_remembered_after_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n".join(b'{"n":%d}' % n for n in range(450)))
    connector = connect(source("files", path=path, options={"settled_seconds": 0}), tmp_path / "state")
    pages = list(connector.pages(None))
    assert [len(page.records) for page in pages] == [200, 200, 50]
    for page in pages[:2]:
        connector.acknowledged(page)
    assert len(given(list(connector.pages(pages[1].cursor)))) == 450
    connector.acknowledged(pages[2])
    assert list(connector.pages(pages[2].cursor)) == []


def test_waiting_doubles_with_jitter_and_never_undercuts_what_was_asked() -> None:
    assert [backoff(attempt, 1.0) for attempt in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert backoff(50, 1.0) == LONGEST_SECONDS
    assert backoff(3, 0.0) == 0.5
    assert backoff(1, 0.0, after_seconds=7) >= 7


def test_retry_after_is_read_in_seconds_and_as_a_date() -> None:
    assert retry_after("7", NOW) == 7
    assert retry_after("Fri, 20 Nov 2026 09:01:00 GMT", NOW) == 60
    assert retry_after("Fri, 20 Nov 2020 09:01:00 GMT", NOW) == 0
    assert retry_after("999999999", NOW) == 600
    assert retry_after("soon", NOW) is retry_after(None, NOW) is None
