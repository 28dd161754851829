"""`ioc units` and figures by unit, in a real space: loaded twice, cut anew, marked where they are estimated."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner

from deploy.commands import figures, units
from sinks import communes, migrations
from streams.departments.payment import Payment
from streams.departments.telehealth import Telehealth
from streams.event import micros
from streams.units import Gazetteer
from tests.bench import events as bench
from tests.services.space import Space, paid

HEAD = "code,name,kind,level,valid_from,valid_to,successor\n"


@dataclass
class Door:
    """`ioc` at work in a space; each answer is its JSON."""

    app: typer.Typer
    folder: Path

    def __call__(self, *words: str, code: int = 0) -> Any:
        said = CliRunner().invoke(self.app, [*words, "--json"])
        if code:
            assert said.exit_code != 0
            return said.exception
        assert said.exit_code == 0, (said.stderr, said.exception)
        return json.loads(said.stdout.splitlines()[-1])

    def file(self, text: str) -> str:
        path = self.folder / "given.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def door(space: Space, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Door:
    monkeypatch.setenv("IOC_STATE_DIR", str(space.settings.state_dir))
    monkeypatch.setenv("IOC_SPACE", space.name)
    app = typer.Typer()
    units.register(app)
    figures.register(app)
    return Door(app, tmp_path)


def test_units_are_loaded_twice_and_listed_at_any_day(door: Door) -> None:
    first = door("units", "load", "--dry-run")
    assert (first["units"], first["dry_run"]) == (first["added"], True)
    assert door("units", "list")["rows"] == []
    assert door("units", "load")["added"] == first["units"]
    again = door("units", "load")
    assert (again["added"], again["removed"], again["linked"], again["unlinked"]) == (0, 0, 0, 0)
    counts = {day: door("units", "at", day)["counts"] for day in ("2022-09-30", "2025-06-30", "2025-07-01")}
    assert counts == {
        "2022-09-30": {"commune": 0, "district": 27, "hospital": 27, "agency": 0},
        "2025-06-30": {"commune": 547, "district": 26, "hospital": 27, "agency": 0},
        "2025-07-01": {"commune": 166, "district": 0, "hospital": 27, "agency": 0},
    }
    answer = door("units", "at", "2026-11-23", "--kind", "district")
    assert answer["ended"] == {"district": "2025-07-01"}
    assert answer["said"][0].startswith("district: abolished 01/07/2025")
    assert "38005" in {unit["code"] for unit in answer["became"]["district"]["386"]}
    assert {row["valid_to"] for row in door("units", "show", "xã Hoằng Hoá")["rows"]} <= {"2025-06-30", None}


def test_the_units_of_an_older_version_become_those_of_this_one(space: Space, door: Door) -> None:
    space.rows(
        "insert into unit (code, name, kind, latitude, longitude, valid_from) values ('38005', 'BV', 'hospital', 20.4, 105.3, '2020-01-01'), "
        "('14758', 'Xã', 'commune', 20.0, 105.0, '2025-07-01') returning code"
    )
    door("units", "load")
    assert space.rows("select valid_from::text, valid_to::text, level from unit where code = '38005' order by 1") == [
        ("2020-01-01", "2025-06-30", "district"), ("2025-07-01", None, "regional"),
    ]  # fmt: skip
    assert space.rows("select valid_to::text from unit where code = '14758' order by valid_from") == [("2025-06-30",), (None,)]


def test_boards_read_the_units_that_stand_then_and_no_code_twice(space: Space, door: Door) -> None:
    door("units", "load")
    counted = "select kind, count(*), count(distinct code) from {}.unit group by 1 order by 1"
    standing = space.rows(counted.format(migrations.board(space.name)))
    assert standing == [("commune", 166, 166), ("hospital", 27, 27)]
    with space.connect() as connection:
        connection.execute("set ioc.at = '2025-06-30T16:59:00Z'")
        then = connection.execute(counted.format(migrations.board_at(space.name)).encode()).fetchall()
        connection.execute("set ioc.at = '2025-06-30T17:00:00Z'")
        assert connection.execute(counted.format(migrations.board_at(space.name)).encode()).fetchall() == standing
    assert then == [("commune", 547, 547), ("district", 26, 26), ("hospital", 27, 27)]


def test_rule_10_asked_for_2026_the_districts_are_abolished_and_lead_to_their_communes(door: Door) -> None:
    door("units", "load")
    said = CliRunner().invoke(door.app, ["units", "at", "2026-11-23", "--kind", "district"])
    assert said.exit_code == 0
    words = " ".join(said.stderr.split())
    assert "district: abolished 01/07/2025; `ioc units at 2025-06-30 --kind district` shows the last ones" in words
    assert "392 Huyện Hà Trung →" in words
    none = CliRunner().invoke(door.app, ["units", "at", "2022-09-30", "--kind", "commune"])
    assert "commune: none is known of 30/09/2022; the first is of 01/01/2025" in " ".join(none.stderr.split())


def test_what_a_file_says_of_a_code_is_all_there_is_of_it_and_stays_so(door: Door) -> None:
    door("units", "load")
    merged = "38007,BV Đông Sơn,hospital,district,2020-01-01,2025-06-30,38001\n"
    dry = door("units", "load", door.file(HEAD + merged), "--dry-run")
    assert (dry["added"], dry["removed"], dry["linked"]) == (1, 3, 1)
    assert len(door("units", "at", "2026-01-01", "--kind", "hospital")["rows"]) == 27
    assert door("units", "load", door.file(HEAD + merged))["added"] == 1
    assert not door("units", "load", door.file(HEAD + merged))["changes"]
    assert not door("units", "load")["changes"]
    assert len(door("units", "at", "2026-01-01", "--kind", "hospital")["rows"]) == 26
    assert door("units", "show", "38007")["rows"][0]["became"][0]["into"] == "38001"


def test_a_file_with_one_fault_loads_nothing(door: Door) -> None:
    refused = door("units", "load", door.file(HEAD + "B1,X,agency,,2020-01-01,,\nB2,Y,agency,,2020-13-01,,\n"), code=2)
    assert "line 3, column valid_from" in str(refused)
    assert door("units", "list", "--kind", "agency")["rows"] == []


def at(day: str) -> int:
    return micros(datetime.fromisoformat(f"{day}T03:00:00+00:00"))


def payments(rows: list[tuple[str, str, int]]) -> list[Payment]:
    """(hospital, day, amount)."""
    return [
        paid(number, amount, unit=unit, event_time_us=at(day), paid_at_us=at(day), known_at_us=at(day) + 10**6)
        for number, (unit, day, amount) in enumerate(rows)
    ]


MERGED = (
    HEAD
    + "A,Bệnh viện A,hospital,district,2020-01-01,2025-06-30,N\n"
    + "B,Bệnh viện B,hospital,district,2020-01-01,2025-06-30,N\n"
    + "C,Bệnh viện C,hospital,district,2020-01-01,2025-06-30,M:0.7;N:0.3\n"
    + "D,Bệnh viện D,hospital,district,2020-01-01,,\n"
    + "N,Bệnh viện N,hospital,regional,2025-07-01,,\nM,Bệnh viện M,hospital,regional,2025-07-01,,\n"
)


def test_figures_by_unit_are_in_the_units_of_their_day_or_of_any_other(space: Space, door: Door) -> None:
    door("units", "load", door.file(MERGED))
    june, july = "2025-06-30", "2025-07-01"
    rows = [
        ("A", june, 100),
        ("B", june, 50),
        ("C", june, 1001),
        ("D", june, 7),
        ("N", july, 9),
        ("D", july, 1),
        ("A", july, 3),
        ("X", july, 2),
    ]
    space.take("payment", *payments(rows))
    space.follow("payment")
    own = door("figures", "payment", "--by", "unit")
    assert {row["unit"]: (row["paid_vnd"], row["exact"]) for row in own["rows"]} == {
        "A": (100, True), "B": (50, True), "C": (1001, True), "D": (8, True), "N": (12, True), "X": (2, True),
    }  # fmt: skip  # A was used after its end: what took its place counts
    assert own["exact"]
    now = door("figures", "payment", "--by", "unit", "--units-at", "2026-01-01")
    assert {row["unit"]: (row["paid_vnd"], row["receipts"], row["hospitals"], row["exact"]) for row in now["rows"]} == {
        "D": (8, 2, 1, True), "M": (701, 1, None, False), "N": (462, 4, None, False), "X": (2, 1, 1, True),
    }  # fmt: skip
    assert (now["exact"], now["estimated"], now["units_at"]) == (False, 2, "2026-01-01")
    since = door("figures", "payment", "--by", "unit", "--units-at", "2026-01-01", "--from", july)
    assert {row["unit"]: (row["paid_vnd"], row["exact"]) for row in since["rows"]} == {"D": (1, True), "N": (12, True), "X": (2, True)}
    then = door("figures", "payment", "--by", "unit", "--units-at", "2025-01-01", "--to", july)
    assert {row["unit"]: row["paid_vnd"] for row in then["rows"]} == {"A": 100, "B": 50, "C": 1001, "D": 7}
    back = door("figures", "payment", "--by", "unit", "--units-at", "2025-01-01")
    assert sum(row["paid_vnd"] for row in back["rows"]) == sum(amount for *_, amount in rows)
    assert {row["unit"] for row in back["rows"] if not row["exact"]} == {"A", "B", "C"}


def session(number: int, hospital: str, day: str) -> Telehealth:
    return Telehealth(
        id=f"{number:032x}", body=f"{number:016x}", source="vr", event_time_us=at(day), known_at_us=at(day) + 10**6, kind="VR", unit=hospital,
        session=f"{number + 2**64:032x}", status="finished", started_at_us=at(day), ended_at_us=at(day) + 600 * 10**6,
    )  # fmt: skip


def test_rule_10_sites_are_counted_of_those_that_stand_on_the_asked_day(space: Space, door: Door) -> None:
    door("units", "load")
    closed = "38007,Bệnh viện đa khoa huyện Đông Sơn,hospital,district,2020-01-01,2025-06-30,38001\nTW1,Bệnh viện tuyến trên,hospital,central,2020-01-01,,\n"
    door("units", "load", door.file(HEAD + closed))
    hospitals = [f"{38_000 + number}" for number in range(1, 28)]
    told = [session(number, unit, "2022-09-30") for number, unit in enumerate([*hospitals, "TW1"])]
    told += [session(100 + number, unit, "2026-03-02") for number, unit in enumerate([*hospitals[:7], "TW1"])]
    space.take("telehealth", *told)
    space.follow("telehealth")
    days = {
        row["day"]: (row["sites"], row["sites_taking_part"], row["sites_valid"])
        for row in door("figures", "telehealth", "--by", "day")["rows"]
    }
    assert days == {"2022-09-30": (28, 27, 27), "2026-03-02": (8, 6, 26)}  # one closed, one is not of the network
    (whole,) = door("figures", "telehealth", "--to", "2026-03-03")["rows"]
    assert (whole["sites_taking_part"], whole["sites_valid"]) == (26, 26)


def test_sellers_of_an_older_registry_count_in_todays_communes_and_mark_those_that_are_estimated(space: Space, door: Door) -> None:
    door("units", "load")
    held, eve = Gazetteer(*communes.given()), date(2025, 6, 30)
    old = held.valid("commune", eve)
    gone = next(code for code in sorted(old) if code not in held.valid("commune", date(2026, 1, 1)) and len(held.became(old[code])) == 1)
    divided = next(unit for unit in old.values() if len(held.became(unit)) == 3)
    text = f"mst,commune_code\n0100047516,{gone}\n0107001729-001,{divided.code}\n0103930279,99999\n"
    refused = door("units", "sellers", door.file(text), code=2)
    assert f"line 2, column commune_code: {gone} was a commune from 2025-01-01 to 2025-06-30" in str(refused)
    assert space.rows("select count(*) from seller") == [(0,)]
    loaded = door("units", "sellers", door.file(text), "--units-at", "2025-06-30")
    assert loaded == {"sellers": 3, "moved": 1, "estimated": 1, "unknown": 1}
    main = next(each.into for each in held.became(divided) if each.main)
    assert space.rows("select distinct unit from seller where estimated") == [(main,)]
    assert {unit for (unit,) in space.rows("select unit from seller")} == {held.became(old[gone])[0].into, main, "99999"}
    board = migrations.board(space.name)
    assert space.rows(f"select code from {board}.estimated") == [(main,)]
    door("units", "sellers", door.file(f"mst,commune\n0107001729-001,{held.valid('commune', date(2026, 1, 1))[main].name}\n"))
    assert space.rows(f"select code from {board}.estimated") == []


def test_figures_of_sellers_stand_in_todays_communes_at_any_day_and_go_back_as_estimates(space: Space, door: Door) -> None:
    door("units", "load")
    told = [event for name, event in bench.events(60, bench.Truth(), 5) if name == "einvoice"]
    then = micros(datetime(2025, 6, 1, 3, tzinfo=UTC))
    seller = next(invoice.seller for event in told for invoice in event.facts.invoices)
    space.register({seller: "14758"}, then - 1)
    shifted = [replace(event, known_at_us=then + number * 10**6, event_time_us=then) for number, event in enumerate(told)]
    space.take("einvoice", *shifted)
    space.follow("einvoice")
    (here,) = [row for row in door("figures", "einvoice", "--by", "unit")["rows"] if row["unit"] == "14758"]
    assert (here["valid_from"], here["exact"]) == ("2025-07-01", True)
    before = door("figures", "einvoice", "--by", "unit", "--units-at", "2025-06-30")["rows"]
    shared = [row for row in before if row["unit"] and row["valid_to"] == "2025-06-30"]
    assert len(shared) == len(
        Gazetteer(*communes.given()).came_of(Gazetteer(*communes.given()).valid("commune", date(2026, 1, 1))["14758"])
    )
    assert sum(row["value_vnd"] for row in shared) == here["value_vnd"]


def test_totals_of_a_file_are_cut_anew_and_add_up(door: Door) -> None:
    door("units", "load")
    old = door("units", "at", "2025-06-30", "--kind", "commune")["rows"]
    path = door.folder / "totals.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["code", "households"])
        writer.writerows([row["code"], place] for place, row in enumerate(old))
    found = door("units", "recut", str(path), "--of", "2025-06-30", "--at", "2026-01-01")
    assert len(found["rows"]) == 166
    assert sum(row["households"] for row in found["rows"]) == sum(range(547))
    assert found["estimated"] == sum(not row["exact"] for row in found["rows"]) == 17
    same = door("units", "recut", str(path), "--of", "2025-06-30", "--at", "2025-03-01")
    assert same["exact"]
    refused = door("units", "recut", str(path), "--of", "2024-06-30", code=2)
    assert "no commune" in str(refused)
