"""Units in time: names, files, what became of whom, and totals cut anew; all of it pure."""

import contextlib
import unicodedata
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks import communes, unitfile
from streams.errors import Misconfigured
from streams.units import Gazetteer, Succession, Unit, fold, recut, split

EVE, DAY = date(2025, 6, 30), date(2025, 7, 1)
HEAD = "code,name,kind,level,parent,latitude,longitude,area_km2,valid_from,valid_to,successor\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Xã Hoằng Hoá", "xã  hoằng hóa"),
        ("Điềm Thuỵ", "Điềm Thụy"),
        ("Thuý", "Thúy"),
        ("Quảng Hoà", unicodedata.normalize("NFD", "Quảng Hòa")),
    ],
)
def test_one_name_in_two_spellings_is_one_name(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Hòa", "Hóa"), ("Thọ", "Tho"), ("Đông", "Dông"), ("Tân", "Tan"), ("Xã Ba Đình", "Phường Ba Đình")]
)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.integers(), st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
def test_parts_of_a_whole_number_are_whole_and_add_up_to_it(value: int, sizes: list[int]) -> None:
    weights = [Fraction(size, sum(sizes)) for size in sizes]
    parts = split(value, weights)
    assert sum(parts) == value
    assert all(abs(part - value * weight) < 1 for part, weight in zip(parts, weights, strict=True))


@st.composite
def histories(draw: st.DrawFn) -> Gazetteer:
    """Units through three changes: each ends in the next era in one to three others, or goes on; areas and shares known or not."""
    eras = [[f"{era}{number}" for number in range(draw(st.integers(1, 6)))] for era in "abc"]
    begins = [date(2000, 1, 1), date(2010, 1, 1), date(2020, 1, 1)]
    units, links = [], []
    for place, codes in enumerate(eras):
        last = begins[place + 1] - timedelta(days=1) if place < 2 else None
        for code in codes:
            area = draw(st.none() | st.floats(0.01, 500))
            ends = None if last is None or draw(st.integers(0, 5)) == 0 else last
            units.append(Unit(code, f"Xã {code}", "commune", begins[place], ends, area_km2=area))
            if ends is None:
                continue
            into = draw(st.lists(st.sampled_from(eras[place + 1]), max_size=3, unique=True))
            share = 1 / len(into) if into and draw(st.booleans()) else None
            links += [Succession("commune", code, ends, to, len(into) == 1, i == 0, share) for i, to in enumerate(into)]
    return Gazetteer(units, links)


DAYS = st.sampled_from([date(2005, 1, 1), date(2009, 12, 31), date(2010, 1, 1), date(2015, 5, 5), date(2020, 1, 1), date(2026, 1, 1)])


@settings(max_examples=300)
@given(histories(), DAYS, DAYS, st.integers(1, 10**9))
def test_totals_cut_anew_lose_and_gain_nothing(held: Gazetteer, of: date, at: date, seed: int) -> None:
    standing = held.valid("commune", of).values()
    counted = {unit: {"value_vnd": seed * place % 10**9 - 10**8, "n": 1} for place, unit in enumerate(standing)}
    pieces = {unit: held.pieces(unit, of, at) for unit in standing}
    found = recut(counted, pieces)
    for name in ("value_vnd", "n"):
        assert sum(total.values[name] for total in found.values()) == sum(values[name] for values in counted.values())
    assert all(sum(piece.weight for piece in several) == 1 for several in pieces.values())
    divided = any(len(held.became(unit)) > 1 or len(held.came_of(unit)) > 1 for unit in held.of("commune"))
    assert divided or all(total.exact for total in found.values())


def test_a_day_in_its_own_units_is_left_as_it_is() -> None:
    held = Gazetteer(*communes.given())
    for unit in held.valid("commune", EVE).values():
        assert held.pieces(unit, EVE, EVE) == held.pieces(unit, date(2025, 1, 1), EVE)
        assert [(piece.unit, piece.weight, piece.exact) for piece in held.pieces(unit, EVE, EVE)] == [(unit, 1, True)]


def test_of_the_communes_of_thanh_hoa_22_come_of_one_only_and_go_back_exactly() -> None:
    held = Gazetteer(*communes.given())
    back = [held.pieces(unit, DAY, EVE) for unit in held.valid("commune", DAY).values()]
    assert (len(back), sum(len(pieces) == 1 for pieces in back)) == (166, 22)
    assert sum(piece.exact for pieces in back for piece in pieces) == 22


@pytest.mark.parametrize(("province", "before", "after", "links", "estimated"), [("38", 547, 166, 558, 17), ("31", 375, 114, 454, 66)])
def test_both_provinces_have_their_communes_of_both_eras(province: str, before: int, after: int, links: int, estimated: int) -> None:
    units, successions = communes.given(province)
    held = Gazetteer(units, successions)
    assert (len(held.valid("commune", EVE)), len(held.valid("commune", DAY))) == (before, after)
    assert len([each for each in successions if each.kind == "commune"]) == links
    into = {piece.unit for unit in held.valid("commune", EVE).values() for piece in held.pieces(unit, EVE, DAY) if not piece.exact}
    assert len(into) == estimated


def test_a_province_that_there_is_not_has_no_units() -> None:
    with pytest.raises(Misconfigured, match="no province with the code 30"):
        communes.given("30")


def test_of_a_code_given_anew_the_day_decides_what_it_means() -> None:
    held = Gazetteer(*communes.given())
    reused = held.valid("commune", EVE).keys() & held.valid("commune", DAY).keys()
    assert len(reused) == 166  # each new commune took the code of one of those before
    assert held.version("commune", "14758", EVE) != held.version("commune", "14758", DAY)
    assert held.version("commune", "99999", DAY) is None


def test_a_hospital_that_took_another_in_is_shared_out_again_before_that_day() -> None:
    units = [
        Unit("A", "A", "hospital", date(2020, 1, 1), date(2025, 5, 31)),
        Unit("B", "B", "hospital", date(2020, 1, 1)),
        Unit("C", "C", "hospital", date(2020, 1, 1)),
    ]
    held = Gazetteer(units, [Succession("hospital", "A", date(2025, 5, 31), "B")])
    a, b, c = units
    after, before = date(2026, 1, 1), date(2024, 1, 1)
    assert [(p.unit, p.exact) for p in held.pieces(a, before, after)] == [(b, True)]
    assert [(p.unit, p.weight, p.exact) for p in held.pieces(b, after, before)] == [(a, Fraction(1, 2), False), (b, Fraction(1, 2), False)]
    assert [(p.unit, p.exact) for p in held.pieces(c, after, before)] == [(c, True)]
    assert held.heir(a, after) == (b, True)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "units.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_gives_units_and_what_became_of_them(tmp_path: Path) -> None:
    text = HEAD + "BV1,Bệnh viện A,hospital,district,380,19.8,105.7,,2020-01-01,2025-06-30,BV2:0.4;BV3:0.6\n"
    text += "BV2,Bệnh viện B,hospital,regional,,,,,2025-07-01,,\nBV3,Bệnh viện C,hospital,,,,,,2019-01-01,,\n"
    found = unitfile.read(written(tmp_path, text))
    assert found.units[0] == Unit("BV1", "Bệnh viện A", "hospital", date(2020, 1, 1), EVE, "district", "380", 19.8, 105.7)
    assert found.successions == (
        Succession("hospital", "BV1", EVE, "BV2", False, False, 0.4),
        Succession("hospital", "BV1", EVE, "BV3", False, True, 0.6),
    )


def test_a_unit_without_a_code_is_found_by_its_name(tmp_path: Path) -> None:
    known = [Unit("14758", "Xã Hoằng Hóa", "commune", DAY)]
    text = "name,kind,valid_from,code\nXã Hoằng Hoá,commune,2025-07-01,\n"
    assert [unit.code for unit in unitfile.read(written(tmp_path, text), known).units] == ["14758"]
    with pytest.raises(Misconfigured, match="line 2, column code: it is missing, and no units of kind commune have that name"):
        unitfile.read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("B 1,X,hospital,,,,,,2020-01-01,,", "line 2, column code"),
        ("B1,,hospital,,,,,,2020-01-01,,", "line 2, column name"),
        ("B1,X,clinic,,,,,,2020-01-01,,", "line 2, column kind: it is one of commune, district, hospital, agency"),
        ("B1,X,hospital,huyện,,,,,2020-01-01,,", "line 2, column level"),
        ("B1,X,hospital,,a b,,,,2020-01-01,,", "line 2, column parent"),
        ("B1,X,hospital,,,91,105,,2020-01-01,,", "line 2, column latitude: it is not between -90 and 90"),
        ("B1,X,hospital,,,nan,105,,2020-01-01,,", "line 2, column latitude"),
        ("B1,X,hospital,,,19,,,2020-01-01,,", "line 2, column longitude: latitude and longitude come together"),
        ("B1,X,hospital,,,,,-1,2020-01-01,,", "line 2, column area_km2"),
        ("B1,X,hospital,,,,,,01/07/2025,,", "line 2, column valid_from: it is no day such as 2025-07-01"),
        ("B1,X,hospital,,,,,,,,", "line 2, column valid_from: it is missing"),
        ("B1,X,hospital,,,,,,2020-01-01,9999-12-31,", "line 2, column valid_to: it is not between 1900 and 2200"),
        ("B1,X,hospital,,,,,,2020-01-01,2019-12-31,", "line 2, column valid_to: it lies before valid_from"),
        ("B1,X,hospital,,,,,,2020-01-01,,B2", "line 2, column successor: a unit that has one ends"),
        ("B1,X,hospital,,,,,,2020-01-01,2020-12-31,B2", "line 2, column successor: no hospital B2 stands on the day after"),
        ("B1,X,hospital,,,,,,2020-01-01,2020-12-31,B2:0.5;B3:0.2", "line 2, column successor: the parts of a unit add up to 1"),
        ("B1,X,hospital,,,,,,2020-01-01,,,more", "line 2: it has more fields"),
        ("B1,X,hospital,,,,,,2020-01-01,,\nB1,Y,hospital,,,,,,2021-01-01,,", "line 3, column valid_from: the unit of line 2 with this code still stands"),
    ],
)  # fmt: skip
def test_a_fault_in_a_file_is_named_by_line_and_column(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        unitfile.read(written(tmp_path, HEAD + line + "\n"))
    assert said in refused.value.wrong


@settings(max_examples=300)
@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["B1", "X", "hospital", "2020-01-01", '"', ",", "\n", "\0", "\r", ";", "9e999"])).map("".join)
)
def test_any_text_is_units_or_misconfigured(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("units") / "any.csv"
    path.write_bytes((HEAD + text).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(Misconfigured):
        found = unitfile.read(path)
        assert Gazetteer(*found).valid("hospital", DAY).keys() <= {unit.code for unit in found.units}
