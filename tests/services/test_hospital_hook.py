"""Hospitals hand over check-ins and totals, as a province's health portal takes them: a login, then files. Real broker, real HTTP."""

import base64
import hashlib
import uuid
from collections.abc import Iterator

import pytest

from connectors.webhook import LIMITS
from deploy.embedded.topics import create_topics
from streams.settings import Settings, Source
from tests.services.test_webhook import SECRET, Hooks, said, served

CHECKIN = (
    "<CHI_TIEU_TRANG_THAI_KCB><DSACH_TRANG_THAI_KCB><TRANG_THAI_KCB><MA_LK>{0}</MA_LK><HO_TEN>NGUYEN THI CANARY</HO_TEN><NGAY_VAO>202611200730</NGAY_VAO>"
    "<MA_LOAI_KCB>01</MA_LOAI_KCB><MA_CSKCB>38001</MA_CSKCB></TRANG_THAI_KCB></DSACH_TRANG_THAI_KCB></CHI_TIEU_TRANG_THAI_KCB>"
)


@pytest.fixture
def hooks(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    monkeypatch.setenv("HOSPITALS", SECRET.decode())
    told = {"name": "hospitals", "department": "visit", "connector": "webhook", "format": "bhyt", "credential": "env:HOSPITALS"}
    own = settings.model_copy(update={"space": f"hooks-{uuid.uuid4().hex[:8]}", "sources": (Source.model_validate(told),)})
    create_topics(own, bootstrap)
    with served(own, bootstrap) as client:
        yield Hooks(own, bootstrap, client)


def known(hooks: Hooks) -> dict[str, str]:
    """The header of a hospital that has logged in."""
    login = {"username": "bv38001", "password": hashlib.md5(SECRET).hexdigest()}  # noqa: S324  # as their programs send it
    answer = hooks.client.post("/hooks/hospitals/token", files={name: (None, value) for name, value in login.items()})
    assert answer.status_code == 200
    return {"Authorization": f"{answer.json()['token_type']} {answer.json()['access_token']}"}


def test_a_file_is_taken_after_a_login_whether_it_is_the_body_or_in_a_form(hooks: Hooks) -> None:
    header = known(hooks)
    form = hooks.client.post("/hooks/hospitals", files={"file": ("checkin.xml", CHECKIN.format("LK1"), "text/xml")}, headers=header)
    body = hooks.client.post("/hooks/hospitals", content=CHECKIN.format("LK2"), headers=header)
    assert said(form) == said(body) == (200, {"trangThai": 1, "maLoi": None})
    events = hooks.held("visit")
    assert len({event["visit"] for event in events}) == 2
    assert {(event["unit"], event["record"], event["kind"]) for event in events} == {("38001", "checkin", "01")}


def test_a_file_that_cannot_be_read_is_kept_and_its_hospital_hears_so(hooks: Hooks) -> None:
    answer = hooks.client.post("/hooks/hospitals", content=CHECKIN.format("LK1")[:-20], headers=known(hooks))
    assert (answer.status_code, answer.json()["trangThai"]) == (201, 2)
    (reject,) = hooks.held("rejects")
    assert reject["cause"] == "xml_cut"


def test_one_bad_visit_does_not_take_its_envelope_with_it(hooks: Hooks) -> None:
    bad = "<FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>?</NOIDUNGFILE></FILEHOSO>"
    held = base64.b64encode(CHECKIN.format("LK1").encode()).decode()
    good = f"<FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{held}</NOIDUNGFILE></FILEHOSO>"
    raw = f"<GIAMDINHHS><THONGTINHOSO><DANHSACHHOSO><HOSO>{bad}</HOSO><HOSO>{good}</HOSO></DANHSACHHOSO></THONGTINHOSO></GIAMDINHHS>"
    assert hooks.client.post("/hooks/hospitals", content=raw, headers=known(hooks)).status_code == 201
    assert len(hooks.held("visit")) == len(hooks.held("rejects")) == 1


def test_nobody_else_hands_over_files(hooks: Hooks) -> None:
    for header in ({}, {"Authorization": "Bearer 99999999999.00"}, {"Authorization": f"Bearer {SECRET.decode()}"}):
        assert hooks.client.post("/hooks/hospitals", content=CHECKIN.format("LK1"), headers=header).status_code == 401
    assert hooks.held("visit") == []
    assert hooks.client.post("/hooks/hospitals/token", json={"password": "guess"}).status_code == 401


def test_a_day_of_a_hospital_is_not_too_large_and_more_than_that_is(hooks: Hooks) -> None:
    header = known(hooks)
    filled = CHECKIN.format("LK1") + " " * (1 << 20)
    assert hooks.client.post("/hooks/hospitals", content=filled, headers=header).status_code == 200
    assert hooks.client.post("/hooks/hospitals", content=b" " * (LIMITS["bhyt"] + 1), headers=header).status_code == 413


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", 'multipart/form-data; boundary="\xff'])
def test_a_form_that_is_none_is_no_trouble(hooks: Hooks, kind: str) -> None:
    for raw in (b"", b"--x", b"--x\r\n\r\n", bytes(range(256))):
        answer = hooks.client.post(
            "/hooks/hospitals", content=raw, headers=[*known(hooks).items(), ("Content-Type", kind.encode("latin-1"))]
        )  # type: ignore[list-item]  # bytes are headers too
        assert answer.status_code in (201, 413)
