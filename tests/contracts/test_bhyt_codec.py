"""Round trip of health-insurance files: what a hospital would write of a visit is read as that visit; and what its records come to together."""

import base64
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Arrival, load
from streams.department import department
from streams.departments.visit import Visit
from streams.event import VIETNAM, micros
from streams.lives import History, Registry, advance
from streams.pseudonym import Pseudonyms

LAW = settings(deadline=None, database=None)
ARRIVAL = Arrival("hospitals", micros(datetime(2026, 11, 22, 1, tzinfo=UTC)), Pseudonyms(bytes(range(32))))
VISIT = department("visit")


@dataclass(frozen=True)
class Told:
    """One visit as a hospital knows it."""

    link: str
    came: datetime
    paid: datetime | None
    card: str
    own: int
    shared: int
    insurance: int


MINUTES = st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 20)).map(lambda at: at.replace(second=0, microsecond=0, tzinfo=VIETNAM))  # noqa: DTZ001  # its zone follows
DONG = st.integers(0, 10**9)
TOLD = st.builds(
    lambda wait, **known: Told(**known, paid=None if wait is None else known["came"] + timedelta(minutes=wait)),
    wait=st.none() | st.integers(0, 1440), link=st.from_regex("[A-Z0-9]{1,20}", fullmatch=True), came=MINUTES,
    card=st.sampled_from(["", "GD4380000000000"]), own=DONG, shared=DONG, insurance=DONG,
)  # fmt: skip


def totals(told: Told) -> str:
    paid = f"{told.paid:%Y%m%d%H%M}" if told.paid else ""
    return (
        f"<TONG_HOP><MA_LK>{told.link}</MA_LK><MA_BN>1</MA_BN><NGAY_SINH>198700000000</NGAY_SINH><MA_THE_BHYT>{told.card}</MA_THE_BHYT>"
        f"<NGAY_VAO>{told.came:%Y%m%d%H%M}</NGAY_VAO><NGAY_TTOAN>{paid}</NGAY_TTOAN><T_TONGCHI_BV>{told.own + told.shared + told.insurance}.00</T_TONGCHI_BV>"
        f"<T_BNTT>{told.own}</T_BNTT><T_BNCCT>{told.shared}.0</T_BNCCT><T_BHTT>{told.insurance}</T_BHTT><MA_LOAI_KCB>01</MA_LOAI_KCB></TONG_HOP>"
    )


def envelope(*visits: Told, plain: bool = False, day: str = "20261121") -> bytes:
    files = (totals(told) if plain else base64.b64encode(totals(told).encode()).decode() for told in visits)
    held = "".join(f"<HOSO><FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{each}</NOIDUNGFILE></FILEHOSO></HOSO>" for each in files)
    unit = "<THONGTINDONVI><MACSKCB>38280</MACSKCB></THONGTINDONVI>"
    held = f"<THONGTINHOSO><NGAYLAP>{day}</NGAYLAP><DANHSACHHOSO>{held}</DANHSACHHOSO></THONGTINHOSO>"
    return f"<GIAMDINHHS>{unit}{held}</GIAMDINHHS>".encode()


def checkin(told: Told) -> bytes:
    record = f"<MA_LK>{told.link}</MA_LK><MA_THE_BHYT>{told.card}</MA_THE_BHYT><NGAY_VAO>{told.came:%Y%m%d%H%M}</NGAY_VAO><MA_CSKCB>38280</MA_CSKCB>"
    return f"<CHI_TIEU_TRANG_THAI_KCB><DSACH_TRANG_THAI_KCB><TRANG_THAI_KCB>{record}</TRANG_THAI_KCB></DSACH_TRANG_THAI_KCB></CHI_TIEU_TRANG_THAI_KCB>".encode()


def read(raw: bytes, arrival: Arrival = ARRIVAL) -> list[Visit]:
    reader = load("bhyt")
    return [event for part in reader.split(raw) for event in reader.parse(part, arrival)]  # type: ignore[misc]  # visits


def figures(*events: Visit) -> dict[str, int]:
    """What these events come to, each told by itself."""
    histories: dict[Any, History] = {}
    sums = dict.fromkeys(VISIT.measures, 0)
    for event in events:
        changes = advance(
            VISIT.life, [event], Registry(), lambda table, keys: {key: histories[table, key] for key in keys if (table, key) in histories}
        )
        histories.update(changes.histories)
        for values in changes.cells.values():
            for name, value in zip(VISIT.measures, values, strict=True):
                sums[name] += value
    return sums


@LAW
@given(visits=st.lists(TOLD, min_size=1, max_size=5), plain=st.booleans())
def test_an_envelope_is_read_as_the_visits_in_it(visits: list[Told], plain: bool) -> None:
    for told, event in zip(visits, read(envelope(*visits, plain=plain)), strict=True):
        assert event.arrived_at_us == micros(told.came)
        assert event.settled_at_us == (None if told.paid is None else micros(told.paid))
        assert (event.patient_vnd, event.insurance_vnd) == (told.own + told.shared, told.insurance)
        assert event.cost_vnd == told.own + told.shared + told.insurance
        assert (event.record, event.insured, event.unit) == ("totals", bool(told.card), "38280")


@LAW
@given(told=TOLD)
def test_a_check_in_and_the_totals_are_about_one_visit(told: Told) -> None:
    (came,), (settled,) = read(checkin(told)), read(envelope(told))
    assert came.record == "checkin"
    assert (came.visit, came.settlement) == (settled.visit, settled.settlement)
    assert figures(came, settled) == figures(settled, came)
    assert figures(came, settled)["visits"] == 1


@LAW
@given(told=TOLD, chance=st.randoms(use_true_random=False))
def test_a_visit_that_is_filed_again_counts_as_its_newest_file_says(told: Told, chance: Any) -> None:
    before = Told(told.link, told.came, None, told.card, told.own, told.shared, told.insurance)
    paid = Told(told.link, told.came, told.came + timedelta(minutes=9), told.card, told.own + 1, told.shared, told.insurance)
    events = [*read(checkin(told)), *read(envelope(before)), *read(envelope(paid)), *read(envelope(before))]
    expected = {"visits": 1, "insured": int(bool(told.card)), "settled": 1, "payers": 1, "patient_vnd": told.own + 1 + told.shared}
    expected |= {"insurance_vnd": told.insurance, "cost_vnd": told.own + told.shared + told.insurance + 1}
    for order in itertools.permutations(events):
        if chance.random() < 0.3:
            assert figures(*order) == expected
    assert figures(*events, *read(envelope(before, day="20261122")))["settled"] == 0, "a newer file without NGAY_TTOAN takes it out again"
