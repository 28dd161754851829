"""The linter of boards and of the provisioning folder: silent on ours, and each trap, seeded, is caught by the rule made for it."""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana import build, lint, provisioned

OURS = [(name, json.loads(text)) for name, text in build.emitted().items()]
Json = dict[str, Any]


def of_type(board: Json, kind: str) -> Json:
    found: Json = next(panel for panel in board["panels"] if panel["type"] == kind)
    return found


def sql(replaced: str, by: str, kind: str = "timeseries") -> Callable[[Json], None]:
    """Change the query of the first panel of a kind."""

    def change(board: Json) -> None:
        target = of_type(board, kind)["targets"][0]
        assert replaced in target["rawSql"]
        target["rawSql"] = target["rawSql"].replace(replaced, by)

    return change


def query(text: str) -> Callable[[Json], None]:
    def change(board: Json) -> None:
        of_type(board, "timeseries")["targets"][0]["rawSql"] = text

    return change


def at(*path: Any, put: Any = None, kind: str | None = None, drop: bool = False) -> Callable[[Json], None]:
    """Set, or drop, what lies at a path of the board or of its first panel of a kind."""

    def change(board: Json) -> None:
        place: Any = of_type(board, kind) if kind else board
        for step in path[:-1]:
            place = place[step]
        if drop:
            del place[path[-1]]
        else:
            place[path[-1]] = put

    return change


BOARD_TRAPS = [
    ("schema", at("fieldConfig", "defaults", "dezimals", put=2, kind="stat")),
    ("schema", at("schemaVersion", put=36)),
    ("schema", at("panels", 0, "gridPos", "x", put="0")),
    ("named", at("title", put=" ")),
    ("named", at("uid", put="x" * 41)),
    ("refresh", at("refresh", put="1s")),
    ("refresh", at("refresh", put="soon")),
    ("timezone", at("timezone", put="browser")),
    ("grid", at("gridPos", "x", put=1, kind="timeseries")),
    ("grid", at("panels", 1, "id", put=1)),
    ("grid", at("gridPos", "w", put=30, kind="timeseries")),
    ("source", at("datasource", "uid", put="${DS_IOC}", kind="stat")),
    ("format", at("targets", 0, "format", drop=True, kind="stat")),
    ("group-alias", query("SELECT $__timeGroup(minute,'5m'), sum(n) AS n FROM x GROUP BY $__timeGroup(minute,'5m') ORDER BY 1")),
    ("day-bucket", query("SELECT $__timeGroupAlias(minute,'1d'), sum(n) AS n FROM x GROUP BY 1 ORDER BY 1")),
    ("day-bucket", query("SELECT time_bucket('1 day', minute) AS time, sum(n) AS n FROM x GROUP BY 1 ORDER BY 1")),
    ("nested", query("SELECT minute AS time, n FROM x WHERE $__timeFilter(date_trunc('hour', minute)) ORDER BY 1")),
    ("interval", query("SELECT time_bucket($__interval, minute) AS time, n FROM x ORDER BY 1")),
    ("literal-time", query("SELECT minute AS time, n FROM x WHERE minute > $__timeFrom() - interval '1 day' ORDER BY 1")),
    ("time-column", query("SELECT minute, n FROM x ORDER BY 1")),
    ("sorted", query("SELECT minute AS time, n FROM x")),
    ("variables", query("SELECT minute AS time, n FROM x WHERE unit = ${unit:sqlstring} ORDER BY 1")),
    ("dollars", query("SELECT minute AS time, n FROM x WHERE $$__timeFilter(minute) ORDER BY 1")),
    ("thresholds", at("fieldConfig", "defaults", put={"noValue": "—", "unit": "s"}, kind="stat")),
    ("from-zero", at("fieldConfig", "defaults", "min", drop=True, kind="bargauge")),
    ("no-value", at("fieldConfig", "defaults", "noValue", drop=True, kind="stat")),
    ("units", at("fieldConfig", "defaults", "unit", put="currencyVND", kind="stat")),
    ("wall", at("type", put="canvas", kind="stat")),
    ("wall", at("repeat", put="unit", kind="stat")),
    ("wall", at("transformations", put=[{"id": "merge"}], kind="stat")),
    ("columns", at("options", "reduceOptions", "fields", put="/^nichts$/", kind="stat")),
    ("columns", at("fieldConfig", "defaults", "links", 0, "url", put="/d/ioc-hospital?var-unit=${__data.fields.code}", kind="bargauge")),
    ("outside", at("options", "basemap", put={"type": "osm-standard"}, kind="geomap")),
    ("outside", at("options", "basemap", drop=True, kind="geomap")),
    ("outside", at("fieldConfig", "defaults", "links", 0, "url", put="https://example.vn/x", kind="bargauge")),
    ("links", at("fieldConfig", "defaults", "links", 0, "url", put="/d/ioc-nowhere", kind="bargauge")),
]


def test_our_boards_fall_into_no_trap() -> None:
    assert lint.check(OURS) == []


@pytest.mark.parametrize(("rule", "seed"), BOARD_TRAPS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BOARD_TRAPS)])
def test_a_trap_in_a_board_is_caught(rule: str, seed: Callable[[Json], None]) -> None:
    boards = copy.deepcopy(OURS)
    seed(dict(boards)["ioc-overview.json"])
    caught = lint.check(boards)
    assert rule in {finding.rule for finding in caught}
    assert all(finding.where.startswith("ioc-overview.json") for finding in caught)


@pytest.mark.parametrize("written", ["${unit}", "$unit", "[[unit]]"])
def test_a_variable_that_would_stand_unquoted_is_caught(written: str) -> None:
    boards = copy.deepcopy(OURS)
    sql("${unit:sqlstring}", written)(dict(boards)["ioc-hospital.json"])
    assert {finding.rule for finding in lint.check(boards)} == {"variables"}


@pytest.mark.parametrize("key", ["uid", "title"])
def test_two_boards_of_one_name_are_caught(key: str) -> None:
    boards = copy.deepcopy(OURS)
    boards[1][1][key] = boards[2][1][key]
    assert "twice" in {finding.rule for finding in lint.check(boards)}


def test_every_rule_of_the_linter_is_seeded() -> None:
    assert set(lint.RULES) <= {rule for rule, _ in BOARD_TRAPS}


def alerting(*path: Any, put: Any = None, drop: bool = False) -> tuple[str, Callable[[Json], None]]:
    return "alerting", at(*path, put=put, drop=drop)


def rule(*path: Any, put: Any = None, drop: bool = False) -> tuple[str, Callable[[Json], None]]:
    return alerting("groups", 0, "rules", 0, *path, put=put, drop=drop)


def points(**settings: Any) -> tuple[str, Callable[[Json], None]]:
    return alerting("contactPoints", 0, "receivers", 0, put={"uid": "x", **settings})


ROUTE = {"orgId": 1, "receiver": "ioc-duty"}
MUTE = {"orgId": 1, "name": "night", "time_intervals": [{"times": [{"start_time": "22:00", "end_time": "24:00"}]}]}
FILE_TRAPS: list[tuple[str, tuple[str, Callable[[Json], None]]]] = [
    ("uid", rule("uid", put=" ")),
    ("uid", rule("uid", put="x" * 41)),
    ("missing", rule("title", put="")),
    ("missing", rule("condition", drop=True)),
    ("missing", rule("data", put=[])),
    ("missing", alerting("groups", 0, "folder", put=" ")),
    ("interval", alerting("groups", 0, "interval", put="7s")),
    ("state", rule("noDataState", put="Nodata2")),
    ("state", rule("execErrState", put="Broken")),
    ("duration", rule("for", put="abc")),
    ("unknown-key", rule("executionErrorState", put="OK")),
    ("unknown-key", rule("dashboardUid", put="ioc-overview")),
    ("reference", rule("condition", put="Z")),
    ("reference", rule("data", 1, "model", "expression", put="Z")),
    ("reference", rule("annotations", "summary", put="{{ $values.Q.Value }}")),
    ("dollars", rule("labels", "place", put="{{ $labels.unit }}")),
    ("dollars", rule("annotations", "summary", put="{{ $$labels.unit }}")),
    ("dollars", rule("data", 0, "model", "rawSql", put="SELECT 1 WHERE $$__timeFilter(x)")),
    ("nested", rule("data", 0, "model", "rawSql", put="SELECT 1 WHERE $__timeFilter(date_trunc('hour', x))")),
    ("variables", rule("data", 0, "model", "rawSql", put="SELECT 1 WHERE unit = ${unit:sqlstring}")),
    ("format", rule("data", 0, "model", "format", drop=True)),
    ("range", rule("data", 0, "relativeTimeRange", put={"from": 0, "to": 300})),
    ("source", rule("data", 0, "datasourceUid", put="elsewhere")),
    ("twice", rule("uid", put="ioc-figures-owed")),
    ("twice", rule("title", put="Số liệu chưa tính kịp")),
    ("folder", alerting("groups", 0, "folder", put="IOC")),
    ("uid", alerting("contactPoints", 0, "receivers", 0, "uid", drop=True)),
    ("receiver", points(type="zalo", settings={})),
    ("receiver", points(type="webhook", settings={})),
    ("chatid", points(type="telegram", settings={"bottoken": "$T", "chatid": "$CHAT"})),
    ("chatid", points(type="telegram", settings={"bottoken": "$T", "chatid": -100})),
    ("route", alerting("policies", put=[{**ROUTE, "receiver": "nobody"}])),
    ("route", alerting("policies", put=[{**ROUTE, "routes": [{"mute_time_intervals": ["night"]}]}])),
    ("policies", alerting("policies", put=[ROUTE, ROUTE])),
    ("location", alerting("muteTimes", put=[MUTE])),
    ("template", alerting("templates", put=[{"orgId": 1, "name": "t", "template": '{{ define "x" }}oh'}])),
    ("unknown-key", alerting("contactpoints", put=[])),
    ("ui-updates", ("dashboards", at("providers", 0, "allowUiUpdates", put=True))),
    ("path", ("dashboards", at("providers", 0, "options", put={}))),
    ("uid", ("datasources", at("datasources", 0, "uid", drop=True))),
    ("quoted", ("datasources", at("datasources", 0, "jsonData", "timescaledb", put="true"))),
    ("quoted", ("datasources", at("datasources", 0, "jsonData", "postgresVersion", put="1700"))),
    ("database", ("datasources", at("datasources", 0, put={"name": "x", "uid": "ioc-tsdb", "database": "ioc", "jsonData": {}}))),
    ("password", ("datasources", at("datasources", 0, "secureJsonData", "password", put="${IOC_DB_READER_PASSWORD}"))),
    ("secret", ("datasources", at("datasources", 0, "secureJsonData", "password", put="hunter2"))),
    ("default", ("datasources", lambda file: file["datasources"].append({**file["datasources"][0], "uid": "other"}))),
]


def test_our_provisioning_falls_into_no_trap() -> None:
    assert provisioned.check() == []


@pytest.mark.parametrize(("rule", "seeded"), FILE_TRAPS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(FILE_TRAPS)])
def test_a_trap_in_a_provisioning_file_is_caught(rule: str, seeded: tuple[str, Callable[[Json], None]], tmp_path: Path) -> None:
    shutil.copytree(provisioned.FOLDER, tmp_path, dirs_exist_ok=True)
    kind, seed = seeded
    path = tmp_path / kind / "ioc.yaml"
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    seed(file)
    path.write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    assert rule in {finding.rule for finding in provisioned.check(tmp_path)}


def test_a_file_that_is_no_yaml_is_caught(tmp_path: Path) -> None:
    (tmp_path / "alerting").mkdir()
    (tmp_path / "alerting" / "x.yaml").write_text("groups: [")
    assert [finding.rule for finding in provisioned.check(tmp_path)] == ["yaml"]


def test_the_command_says_no_and_names_the_trap(tmp_path: Path) -> None:
    build.write(tmp_path)
    path = tmp_path / "ioc-payment.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"noValue": "—",', "", 1), encoding="utf-8")
    command = [sys.executable, "-m", "deploy", "boards", "test", "--static", "--boards", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (said["ok"], said["boards"]) == (False, len(OURS))
    assert [failure["rule"] for failure in said["failures"]] == ["no-value"]
    assert "Traceback" not in done.stderr
