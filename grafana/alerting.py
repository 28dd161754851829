"""Our rules as provisioned Grafana alert rules: each as SQL over the reader's views, for those who want them there; and a dead man's switch."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from grafana.alarmsql import column, value
from grafana.provisioned import FOLDER
from streams.errors import Misconfigured
from streams.rules import reading
from streams.rules.measure import Absence, Completeness, Count, Freshness, Offline, Rate, Ratio, Sum
from streams.rules.rule import Rule

FILE = FOLDER / "alerting" / "rules.yaml"
NAMESPACE = "IOC cảnh báo"
COMPILED = (Sum, Count, Rate, Ratio, Completeness, Freshness, Absence, Offline)
_STATES = {"hold": "KeepLast", "ok": "OK", "firing": "Alerting"}
_BOARD, _PANEL = "ioc-operations", "1"


class Left(NamedTuple):
    """A rule that Grafana cannot be told, and why."""

    rule: str
    why: str


def read(folder: Path = reading.READY) -> list[Rule]:
    """The rules of a folder, by name. Raises Misconfigured for one that is wrong."""
    out = []
    for path in sorted(folder.glob("*.yaml")):
        found = reading.read(path.read_text(encoding="utf-8"))
        if not isinstance(found, Rule):
            raise Misconfigured(f"{path.name}:{found[0]}", "run `ioc rules lint`")
        out.append(found)
    return out


def left(rule: Rule) -> str | None:
    """Why Grafana cannot be told this rule; None when it can."""
    if not isinstance(rule.measure, COMPILED):
        return f"{type(rule.measure).__name__.lower()} does not follow from sums alone"
    if any(sign in text for text in (rule.title, rule.why, rule.runbook, rule.owner) for sign in ("$", "{{")):
        return "its words hold $ or {{, which Grafana would read as its own"
    return None


def uid(rule: Rule) -> str:
    """At most 40 letters, as Grafana wants it; of a long name its beginning and a hash."""
    whole = f"ioc-r-{rule.rule}"
    return whole if len(whole) <= 40 else f"{whole[:31]}-{hashlib.sha256(rule.rule.encode()).hexdigest()[:8]}"


def emitted(rules: Sequence[Rule], before: str = "") -> str:
    """The provisioning file. before: the file there was: what was compiled once and is no more goes under deleteRules, because Grafana keeps
    a rule that merely left its file."""
    compiled = [rule for rule in rules if left(rule) is None]
    groups: list[dict[str, Any]] = [_group("dead-man-evaluator", [switch()])]
    for department in sorted({rule.department for rule in compiled}):
        groups.append(_group(f"rules-{department}", [_rule(rule) for rule in compiled if rule.department == department]))
    standing = {rule["uid"] for group in groups for rule in group["rules"]}
    gone = sorted(_uids(before) - standing)
    held = {"apiVersion": 1, "groups": groups, "deleteRules": [{"orgId": 1, "uid": each} for each in gone]}
    lines = [
        "# Built by `ioc boards build` from the rules; do not edit. What Grafana decides less exactly than we do, docs/boards.md tells.",
        *(f"# Not compiled: {each.rule}: {each.why}." for each in _left(rules)),
        *(f"# {rule.rule} rings here even while {', '.join(rule.inhibited_by)} fires." for rule in compiled if rule.inhibited_by),
    ]
    return "\n".join(lines) + "\n" + yaml.safe_dump(held, allow_unicode=True, sort_keys=False, width=10_000)


def write(rules: Sequence[Rule], path: Path = FILE) -> bool:
    """Write the file; whether it changed."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = emitted(rules, before)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def differs(rules: Sequence[Rule], path: Path = FILE) -> bool:
    """Whether the file is not what these rules give."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    return emitted(rules, before) != before


def _left(rules: Iterable[Rule]) -> list[Left]:
    return [Left(rule.rule, why) for rule in rules if (why := left(rule))]


def _uids(text: str) -> set[str]:
    held = yaml.safe_load(text) or {}
    stood = [rule for group in held.get("groups") or [] for rule in group["rules"]]
    return {str(each["uid"]) for each in [*stood, *(held.get("deleteRules") or [])]}


def _group(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"orgId": 1, "name": name, "folder": NAMESPACE, "interval": "1m", "rules": rules}


def _rule(rule: Rule) -> dict[str, Any]:
    state = _STATES[rule.missing]
    place = f"{{{{ with $labels.{column(rule)} }}}}{{{{ . }}}}: {{{{ end }}}}" if column(rule) else ""
    return {
        "uid": uid(rule),
        "title": f"{rule.title} ({rule.rule})",
        "condition": "C",
        "for": f"{rule.for_}m",
        **({"keepFiringFor": f"{rule.keep_firing_for}m"} if rule.keep_firing_for else {}),
        "noDataState": state,
        "execErrState": state,
        "labels": {"severity": rule.severity, "department": rule.department, "rule": rule.rule, "route": rule.route},
        "annotations": {
            "summary": f'{place}{{{{ if $values.A }}}}{{{{ printf "%.1f" $values.A.Value }}}}{{{{ end }}}}',
            "description": rule.why,
            "runbook": rule.runbook,
            "owner": rule.owner,
            "__dashboardUid__": rule.board or _BOARD,
            "__panelId__": _PANEL,
        },
        "data": _data(value(rule), _condition(rule)),
    }


def _condition(rule: Rule) -> dict[str, Any]:
    """Above or below; where it clears elsewhere, Grafana's recovery threshold, which is strict: the next number makes it ours."""
    when = rule.when
    if when.above is not None:
        found: dict[str, Any] = {"evaluator": {"type": "gt", "params": [when.above]}}
        if when.clear is not None:
            found["unloadEvaluator"] = {"type": "lt", "params": [math.nextafter(when.clear, math.inf)]}
        return found
    found = {"evaluator": {"type": "lt", "params": [when.below]}}
    if when.clear is not None:
        found["unloadEvaluator"] = {"type": "gt", "params": [math.nextafter(when.clear, -math.inf)]}
    return found


def _data(sql: str, condition: dict[str, Any]) -> list[dict[str, Any]]:
    asked = {"refId": "A", "format": "table", "rawQuery": True, "rawSql": sql}
    threshold = {
        "refId": "C", "type": "threshold", "expression": "A", "datasource": {"type": "__expr__", "uid": "__expr__"}, "conditions": [condition],
    }  # fmt: skip
    return [
        {"refId": "A", "datasourceUid": "ioc-tsdb", "relativeTimeRange": {"from": 3600, "to": 0}, "model": asked},
        {"refId": "C", "datasourceUid": "__expr__", "model": threshold},
    ]


def switch() -> dict[str, Any]:
    """Rings when what decides the rules has not beaten for two minutes, never beat, or cannot be asked."""
    sql = "SELECT extract(epoch FROM now() - max(at))::float8 AS seconds FROM beat WHERE name = 'evaluator' HAVING count(*) > 0"
    return {
        "uid": "ioc-evaluator-dead",
        "title": "Bộ đánh giá cảnh báo không chạy",
        "condition": "C",
        "for": "0s",
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "labels": {"severity": "critical"},
        "annotations": {
            "summary": '{{ if $values.A }}{{ printf "%.0f" $values.A.Value }} giây không có quy tắc nào được xét{{ else }}'
            "Bộ đánh giá chưa chạy, hoặc không đọc được cơ sở dữ liệu{{ end }}",
            "runbook": "Xem ioc work còn chạy không; trong lúc này không quy tắc nào của IOC báo động.",
            "__dashboardUid__": _BOARD,
            "__panelId__": _PANEL,
        },
        "data": _data(sql, {"evaluator": {"type": "gt", "params": [120]}}),
    }
