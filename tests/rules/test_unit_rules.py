"""The rules of units: totals of old communes in the new ones, and the sites that stand on the asked day."""

from collections import Counter
from datetime import date

import pytest

from sinks import communes, units
from streams.units import Gazetteer, recut

EVE, DAY = date(2025, 6, 30), date(2025, 7, 1)


@pytest.fixture(scope="module", params=["38", "31"])
def held(request: pytest.FixtureRequest) -> Gazetteer:
    """All units of Thanh Hóa, and of Hải Phòng with the former Hải Dương."""
    return Gazetteer(*communes.given(request.param))


def test_rule_15_communes_of_whole_parents_hold_the_old_total_and_those_with_a_partial_parent_are_estimated(held: Gazetteer) -> None:
    old = held.valid("commune", EVE).values()
    counted = {unit: {"value_vnd": 10**9 + 7 * int(unit.code), "receipts": int(unit.code) % 1000} for unit in old}
    found = recut(counted, {unit: held.pieces(unit, EVE, DAY) for unit in old})
    links = Counter(each.code for unit in old for each in held.became(unit))
    for unit, total in found.items():
        came = held.came_of(unit)
        assert total.exact == all(each.whole for each in came)
        if total.exact:
            parents = [before for each in came if (before := held.version("commune", each.code, EVE))]
            assert all(links[parent.code] == 1 for parent in parents)
            assert total.values == {name: sum(counted[parent][name] for parent in parents) for name in ("value_vnd", "receipts")}
    for name in ("value_vnd", "receipts"):
        assert sum(total.values[name] for total in found.values()) == sum(values[name] for values in counted.values())


def test_rule_10_27_of_27_are_the_district_hospitals_of_2022_and_districts_are_abolished_in_2026() -> None:
    held = Gazetteer(*communes.given())
    then, now = date(2022, 9, 30), date(2026, 11, 23)
    assert len(units.at(held, then, "hospital", "district").units) == 27
    assert len(units.at(held, then, "district").units) == 27
    assert len(units.at(held, date(2025, 3, 1), "district").units) == 26  # Đông Sơn went into the city of Thanh Hóa on 01/01/2025
    for answer in (units.at(held, now, "district"), units.at(held, now, "hospital", "district")):
        assert answer.units == ()
        assert answer.ended == DAY
    districts = units.at(held, now, "district").became
    assert len(districts) == 26
    assert {unit.kind for found in districts.values() for unit in found} == {"commune", "hospital"}
    assert {unit.code for found in districts.values() for unit in found if unit.kind == "commune"} == {*held.valid("commune", now)}
    regional = [unit for found in districts.values() for unit in found if unit.kind == "hospital"]
    assert sorted(unit.code for unit in regional) == sorted(held.valid("hospital", now))
    assert {unit.level for unit in regional} == {"regional"}
    hospitals = units.at(held, now, "hospital", "district").became
    assert {code: [unit.code for unit in found] for code, found in hospitals.items()} == {
        code: [code] for code in held.valid("hospital", now)
    }
