"""Template variables: what a board declares, what a viewer may choose, and how a choice gets into SQL."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grafana.macros import Range, expand
from grafana.wall import library, places
from grafana.wall.variables import MOST_OPTIONS, Variable, declared, periods, settle
from streams.errors import Misconfigured

DAY = Range(datetime(2026, 4, 12, 18, tzinfo=UTC), datetime(2026, 4, 12, 20, tzinfo=UTC))
GALLERY = Path(__file__).parent.parent / "boards" / "gallery.json"


def custom(**more: Any) -> dict[str, Any]:
    return {"templating": {"list": [{"type": "custom", "name": "kind", "query": "tất cả : all, xã : commune, phường", **more}]}}


async def nobody(sql: str) -> dict[str, Any]:
    raise AssertionError("a list needs no database")


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_choice_is_one_string_literal_whatever_it_holds(value: str) -> None:
    found = expand("a = ${unit:sqlstring} AND $__timeFilter(ts)", DAY, {"unit": value})
    inside = found.removeprefix("a = '").removesuffix("' AND ts BETWEEN '2026-04-12T18:00:00Z' AND '2026-04-12T20:00:00Z'")
    assert inside.replace("''", "") == value.replace("'", ""), "quotes come in pairs, the rest stays"
    assert len(inside) - len(value) == value.count("'")


def test_a_choice_is_never_read_as_a_macro_or_a_variable() -> None:
    assert expand("${a:sqlstring}", DAY, {"a": "$__timeFrom() ${b:sqlstring}", "b": "x"}) == "'$__timeFrom() ${b:sqlstring}'"


@pytest.mark.parametrize("written", ["${unit}", "${unit:raw}", "${other:sqlstring}", "${}", "${unit:sqlstring:raw}"])
def test_a_query_may_use_declared_variables_as_literals_only(written: str) -> None:
    with pytest.raises(Misconfigured):
        expand(f"SELECT {written}", DAY, {"unit": "x"})


def test_a_choice_without_an_end_of_text_sign_is_refused() -> None:
    with pytest.raises(Misconfigured):
        expand("${unit:sqlstring}", DAY, {"unit": "a\0b"})


def test_a_list_of_choices_is_read_as_grafana_writes_it() -> None:
    (variable,) = declared(custom())
    assert variable.fixed == (("all", "tất cả"), ("commune", "xã"), ("phường", "phường"))
    chosen, (picker,) = asyncio.run(settle((variable,), {"kind": "commune"}, nobody, DAY))
    assert chosen == {"kind": "commune"}
    assert picker["current"] == "commune"
    assert picker["options"][0] == {"value": "all", "text": "tất cả"}


def test_without_a_choice_it_is_the_boards_own_else_the_first() -> None:
    own = declared(custom(current={"value": "phường", "text": "phường"}))
    gone = declared(custom(current={"value": "thôn", "text": "thôn"}))
    assert asyncio.run(settle(own, {}, nobody, DAY))[0] == {"kind": "phường"}
    assert asyncio.run(settle(gone, {}, nobody, DAY))[0] == {"kind": "all"}


@pytest.mark.parametrize("value", ["", "thôn", "all' OR 1=1 --", "ALL"])
def test_what_is_not_among_the_choices_is_refused(value: str) -> None:
    with pytest.raises(Misconfigured, match="no such choice"):
        asyncio.run(settle(declared(custom()), {"kind": value}, nobody, DAY))


def test_the_sql_of_a_variable_knows_the_choices_before_it() -> None:
    asked: list[str] = []

    async def read(sql: str) -> dict[str, Any]:
        asked.append(sql)
        return {"fields": [{"name": "__value", "type": "string"}], "columns": [["a", "b"] if len(asked) == 1 else []]}

    first = Variable("first", "first", "SELECT 1", (), "", False)
    second = Variable("second", "second", "SELECT x WHERE y = ${first:sqlstring}", (), "", False)
    chosen, _ = asyncio.run(settle((first, second), {"first": "b"}, read, DAY))
    assert asked[1] == "SELECT x WHERE y = 'b'"
    assert chosen == {"first": "b", "second": ""}, "where there is nothing to choose from, panels find nothing"


def test_choices_have_an_end() -> None:
    async def read(sql: str) -> dict[str, Any]:
        return {"fields": [{"name": "__value", "type": "number"}], "columns": [list(range(MOST_OPTIONS + 5))]}

    _, (picker,) = asyncio.run(settle((Variable("n", "n", "SELECT 1", (), "", False),), {}, read, DAY))
    assert len(picker["options"]) == MOST_OPTIONS


def test_a_period_is_offered_only_where_the_board_declares_a_time_picker() -> None:
    assert periods({}) is None
    assert periods({"timepicker": {"hidden": True}}) is None
    assert [each["text"] for each in periods({"timepicker": {"hidden": False}}) or ()] == ["hôm nay", "hôm qua", "7 ngày", "30 ngày"]
    week = {"display": "tuần này", "from": "now/w", "to": "now/w"}
    assert periods({"timepicker": {"quick_ranges": [week]}}) == ({"text": "tuần này", "from": "now/w", "to": "now/w"},)


@pytest.mark.parametrize(
    "change",
    [
        {"templating": {"list": [{"type": "adhoc", "name": "x"}]}},
        {"templating": {"list": [{"type": "custom", "name": "x", "query": "a", "multi": True}]}},
        {"panels": [{"id": 1, "type": "row", "title": "x", "gridPos": {}, "panels": [{"id": 2, "type": "text"}]}]},
    ],
)
def test_a_board_that_asks_for_more_than_the_wall_has_is_refused_at_start(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**json.loads(GALLERY.read_text()), **change}))
    with pytest.raises(Misconfigured):
        library.load(tmp_path)


def test_a_province_has_its_communes_on_the_map() -> None:
    found = json.loads(places.communes("38"))["communes"]
    assert len(found) == 166
    assert all(each["km2"] > 0 and 19 < each["lat"] < 21 and 104 < each["lon"] < 107 for each in found)
    with pytest.raises(Misconfigured, match="no province"):
        places.communes("99")
