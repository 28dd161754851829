"""Layers around documents: zip, gzip and base64 are unwrapped, within bounds, by whatever connector they came."""

import base64
import gzip
import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import layers
from connectors.intake import intake
from streams import sealing
from streams.errors import Reject
from streams.pseudonym import DOMAINS, Keys, Pseudonyms
from streams.settings import Source
from tests.format_cases import CASES

LAW = settings(deadline=None, database=None)
KEYS = Keys(dict.fromkeys(DOMAINS, (Pseudonyms(bytes(range(32))),)), sealing.pair()[0])
MESSAGE = next(case.raw for case in CASES if case.name == "einvoice/200_sent_for_code")


def zipped(*documents: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for number, document in enumerate(documents):
            archive.writestr(f"{number}.xml", document)
    return out.getvalue()


def in_lines(document: bytes) -> bytes:
    return base64.encodebytes(document)


def for_urls(document: bytes) -> bytes:
    return base64.urlsafe_b64encode(document).rstrip(b"=")


WRAPPERS: list[Callable[[bytes], bytes]] = [zipped, gzip.compress, base64.b64encode, in_lines, for_urls]


def cause(raw: bytes) -> str:
    with pytest.raises(Reject) as caught:
        layers.documents(raw)
    return caught.value.cause


@pytest.mark.parametrize(
    "raw", [b"<a/>", b" \n<a/>", b'{"a": 1}', b"[1]", b"", b"vnp_Amount=1&vnp_TxnRef=2", b"data=eyJ9&sign=00", b"hello"]
)
def test_a_plain_document_is_itself(raw: bytes) -> None:
    assert layers.documents(raw) == [raw]


@LAW
@given(
    document=st.binary(min_size=9, max_size=300).map(lambda tail: b"<a>%s</a>" % tail),
    wraps=st.lists(st.sampled_from(WRAPPERS), max_size=layers.MAX_DEPTH),
)
def test_a_document_comes_out_as_it_went_in_whatever_wraps_it(document: bytes, wraps: list[Callable[[bytes], bytes]]) -> None:
    raw = document
    for wrap in wraps:
        raw = wrap(raw)
    assert layers.documents(raw) == [document]


def test_all_documents_of_a_zip_come_out_in_their_order_and_those_of_inner_zips_between_them() -> None:
    raw = base64.b64encode(zipped(b"<a/>", zipped(b"<b/>", b"<c/>"), gzip.compress(b"<d/>"), method=zipfile.ZIP_STORED))
    assert layers.documents(raw) == [b"<a/>", b"<b/>", b"<c/>", b"<d/>"]


def test_a_gzip_of_several_members_is_one_document() -> None:
    assert layers.documents(gzip.compress(b"<a>") + gzip.compress(b"</a>") + b"\0\0") == [b"<a></a>"]


def test_a_fourth_layer_is_refused() -> None:
    assert cause(zipped(gzip.compress(zipped(base64.b64encode(b"<a>0123456789</a>"))))) == "layers_deep"


@pytest.mark.parametrize(
    "wrap", [gzip.compress, zipped, lambda raw: base64.b64encode(gzip.compress(raw)), lambda raw: zipped(*[raw[: 4 << 20]] * 40)]
)
def test_rule_11_a_zip_bomb_is_refused_before_it_is_unpacked(wrap: Callable[[bytes], bytes]) -> None:
    bomb = wrap(b"<" + b" " * (150 << 20))
    began = time.process_time()
    assert cause(bomb) == "layers_large"
    assert time.process_time() - began < 2


def test_a_bomb_in_a_bomb_shares_one_bound() -> None:
    layer = gzip.compress(b"<" + b" " * (3 << 20))
    assert cause(zipped(*[layer] * 3, method=zipfile.ZIP_STORED)) == "layers_large"


def test_a_zip_that_lies_about_its_sizes_is_refused() -> None:
    raw = bytearray(zipped(b"<" + b" " * (5 << 20)))
    place = raw.rindex(b"PK\x01\x02") + 24  # uncompressed size in the directory
    raw[place : place + 4] = (10).to_bytes(4, "little")
    assert cause(bytes(raw)) in ("layers_damaged", "layers_large")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (gzip.compress(b"<a/>")[:-6], "layers_damaged"),
        (zipped(b"<a>" + bytes(range(256)) * 9)[:-30], "layers_damaged"),
        (zipped(), "layers_empty"),
        (zipped(b"<a/>", method=zipfile.ZIP_BZIP2), "layers_method"),
        (base64.b64encode(b"<a>" + b"x" * 6000) + b"!", "layers_damaged"),
    ],
)
def test_what_cannot_be_unpacked_is_refused_with_its_reason(raw: bytes, why: str) -> None:
    assert cause(raw) == why


@LAW
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=200).map(gzip.compress), st.binary(max_size=200).map(zipped)), st.data())
def test_any_bytes_give_documents_or_reject(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(0, 255))
    try:
        came = layers.documents(bytes(damaged))
    except Reject as reject:
        came = [reject.cause.encode()]
    assert came


@dataclass
class Door:
    """The door of a source of e-invoices, and what went through it."""

    causes: list[str | None] = field(default_factory=list)

    def take(self, raw: bytes) -> list[str | None]:
        door = intake(Source.model_validate({"name": "tax", "department": "einvoice", "connector": "files"}), KEYS)
        arrival = door.arrival(CASES[0].arrival.known_at_us)
        return [message.cause for record in door.split(raw) for message in door.take(record, arrival)]


def test_the_door_takes_each_message_of_a_wrapped_package_by_itself() -> None:
    wrapped = base64.b64encode(zipped(MESSAGE, b"<TDiep", MESSAGE.replace(b"0001</MTDiep>", b"0002</MTDiep>")))
    assert Door().take(wrapped) == [None, "xml_cut", None]


def test_the_door_refuses_a_bomb_once_and_says_so() -> None:
    assert Door().take(gzip.compress(b"<" + b" " * (90 << 20))) == ["layers_large"]
