"""The linter of Grafana's provisioning folder: what stops a Grafana at its start, and what it takes and gets wrong without a word."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from grafana.lint import Finding
from grafana.wall.library import BOARDS

FOLDER = Path(__file__).parent / "provisioning"
KINDS = ("webhook", "email", "telegram", "slack", "teams", "sns", "pagerduty", "opsgenie", "prometheus-alertmanager", "googlechat", "mqtt")
_NEEDED = {"webhook": "url", "email": "addresses", "telegram": "bottoken", "slack": "recipient", "prometheus-alertmanager": "url"}
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+|0")
_NO_DATA = ("NoData", "OK", "Alerting", "KeepLast")
_EVALUATORS = ("gt", "lt", "eq", "ne", "gte", "lte", "within_range", "outside_range", "within_range_included", "outside_range_included")
_ERROR = ("Error", "OK", "Alerting", "KeepLast")
_KEYS = {
    "file": "apiVersion groups deleteRules contactPoints deleteContactPoints policies resetPolicies muteTimes deleteMuteTimes templates deleteTemplates",
    "group": "orgId name folder interval rules",
    "rule": "uid title condition data for keepFiringFor keep_firing_for noDataState execErrState annotations labels isPaused notification_settings "
    "missing_series_evals_to_resolve record",
    "query": "refId queryType relativeTimeRange datasourceUid model",
    "point": "orgId name receivers",
    "receiver": "uid type settings disableResolveMessage",
    "source": "name type access orgId uid url user database basicAuth basicAuthUser withCredentials isDefault jsonData secureJsonData version editable "
    "correlations",
    "provider": "name orgId folder folderUid type disableDeletion editable updateIntervalSeconds allowUiUpdates options",
}
Found = Iterator[tuple[str, str]]
"""(rule, what is wrong)."""


def check(folder: Path = FOLDER) -> list[Finding]:
    """Every trap in a provisioning folder (datasources/, dashboards/, alerting/)."""
    read: dict[str, list[tuple[str, Any]]] = {"datasources": [], "dashboards": [], "alerting": []}
    out = []
    for kind, files in read.items():
        for path in sorted(p for p in (folder / kind).glob("*") if p.suffix in (".yaml", ".yml", ".json")):
            name = f"{kind}/{path.name}"
            try:
                found = yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError as error:
                out.append(Finding(name, "yaml", f"cannot be read: {str(error).splitlines()[0]}"))
                continue
            if not isinstance(found, dict):
                out.append(Finding(name, "yaml", "holds no mapping"))
            else:
                files.append((name, found))
    sources = {str(s.get("uid")) for _, file in read["datasources"] for s in file.get("datasources") or []} | {"__expr__"}
    for kind, look in (("datasources", _sources), ("dashboards", _providers), ("alerting", _alerting)):
        for name, file in read[kind]:
            out += [Finding(name, rule, wrong) for rule, wrong in look(file, sources)]
    whole: list[tuple[str, Callable[[dict[str, list[tuple[str, Any]]]], Found]]] = [("all files", _together)]
    return out + [Finding(where, rule, wrong) for where, look in whole for rule, wrong in look(read)]


def _keys(what: str, of: str, given: Mapping[str, Any]) -> Found:
    for key in given:
        if key not in _KEYS[of].split():
            yield "unknown-key", f"{what} has the key {key}, which Grafana drops without a word"


def _blank(value: Any) -> bool:
    return not str(value if value is not None else "").strip()


def _sources(file: Mapping[str, Any], _: set[str]) -> Found:
    for source in file.get("datasources") or []:
        name = str(source.get("name"))
        yield from _keys(name, "source", source)
        if not _UID.fullmatch(str(source.get("uid", ""))):
            yield "uid", f"{name} has no uid: Grafana makes one up, and boards name another"
        if "database" in source and "database" not in (source.get("jsonData") or {}):
            yield "database", f"{name} names its database outside jsonData: no default database configured"
        for key, value in (source.get("jsonData") or {}).items():
            if isinstance(value, str) and value.lower() in ("true", "false"):
                yield "quoted", f"{name}: {key} is a quoted {value}, which Grafana cannot read"
            if isinstance(value, str) and value.isdigit() and key != "database":
                yield "quoted", f"{name}: {key} is a quoted number, which Grafana cannot read"
        for key, value in (source.get("secureJsonData") or {}).items():
            if "${" in str(value):
                yield "password", f"{name}: {key} is written ${{..}}, which is expanded twice and spoils a $ in it; write $NAME"
            elif not str(value).startswith(("$", "")) or (value and not str(value).startswith("$")):
                yield "secret", f"{name}: {key} stands in the file; take it from the environment"


def _providers(file: Mapping[str, Any], _: set[str]) -> Found:
    for provider in file.get("providers") or []:
        name = str(provider.get("name"))
        yield from _keys(name, "provider", provider)
        if provider.get("allowUiUpdates"):
            yield "ui-updates", f"{name} allows saving in the browser: what is saved stays unseen, and is lost when the file changes"
        if _blank((provider.get("options") or {}).get("path")):
            yield "path", f"{name} has no path"


def _together(read: dict[str, list[tuple[str, Any]]]) -> Found:
    """What only all files together show."""
    sources = [s for _, file in read["datasources"] for s in file.get("datasources") or []]
    if sum(bool(source.get("isDefault")) for source in sources) > 1:
        yield "default", "Only one datasource per organization can be marked as default"
    groups = [g for _, file in read["alerting"] for g in file.get("groups") or []]
    boards = {str(p.get("folder")) for _, file in read["dashboards"] for p in file.get("providers") or [] if p.get("folderUid")}
    for folder in sorted(boards & {str(group.get("folder")) for group in groups}):
        yield "folder", f"alert rules and boards name the same folder {folder}: Grafana makes two; give the rules one of their own"
    rules = [rule for group in groups for rule in group.get("rules") or []]
    for uid in _twice(str(rule.get("uid")) for rule in rules):
        yield "twice", f"the rule uid {uid} is used twice: the last one wins"
    for where in _twice(f"{group.get('folder')}/{rule.get('title')}" for group in groups for rule in group.get("rules") or []):
        yield "twice", f"two rules are called {where}"
    trees = Counter(str(tree.get("orgId", 1)) for _, file in read["alerting"] for tree in file.get("policies") or [])
    for org, n in trees.items():
        if n > 1:
            yield "policies", f"organisation {org} has {n} policy trees: the last file wins"
    points = {str(p.get("name")) for _, file in read["alerting"] for p in file.get("contactPoints") or []} | {"grafana-default-email"}
    mutes = {str(m.get("name")) for _, file in read["alerting"] for m in file.get("muteTimes") or []}
    for _, file in read["alerting"]:
        for tree in file.get("policies") or []:
            yield from _routes(tree, points, mutes)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, n in Counter(names).items() if n > 1]


def _routes(route: Mapping[str, Any], points: set[str], mutes: set[str]) -> Found:
    if route.get("receiver") is not None and str(route["receiver"]) not in points:
        yield "route", f"a policy names the receiver {route['receiver']}, which is not there: Invalid format of the submitted route"
    for mute in [*(route.get("mute_time_intervals") or []), *(route.get("active_time_intervals") or [])]:
        if mute not in mutes:
            yield "route", f"a policy names the mute timing {mute}, which is not there: Invalid format of the submitted route"
    for below in route.get("routes") or []:
        yield from _routes(below, points, mutes)


def _alerting(file: Mapping[str, Any], sources: set[str]) -> Found:
    yield from _keys("the file", "file", file)
    for group in file.get("groups") or []:
        yield from _group(group, sources)
    for point in file.get("contactPoints") or []:
        yield from _point(point)
    for mute in file.get("muteTimes") or []:
        if any(_blank(each.get("location")) for each in mute.get("time_intervals") or []):
            yield "location", f"the mute timing {mute.get('name')} has no location: its hours would be UTC"
    for template in file.get("templates") or []:
        text = str(template.get("template", ""))
        if (
            text.count("{{ define") + text.count("{{define") + text.count("{{- define") > len(re.findall(r"{{-? *end *-?}}", text))
            or not text.strip()
        ):
            yield "template", f"the template {template.get('name')} is not closed: notifications.templates.invalidFormat"


def _point(point: Mapping[str, Any]) -> Found:
    name = str(point.get("name"))
    yield from _keys(name, "point", point)
    for receiver in point.get("receivers") or []:
        yield from _keys(name, "receiver", receiver)
        kind, told = str(receiver.get("type")), receiver.get("settings") or {}
        if not _UID.fullmatch(str(receiver.get("uid", ""))):
            yield "uid", f"a receiver of {name} has no proper uid: no uid is set"
        if kind not in KINDS:
            yield "receiver", f"{name}: notifier {kind} is not supported"
        elif kind in _NEEDED and _blank(told.get(_NEEDED[kind])):
            yield "receiver", f"{name}: required field '{_NEEDED[kind]}' is not specified"
        if kind == "telegram" and (not isinstance(told.get("chatid"), str) or "$" in told["chatid"]):
            yield "chatid", f"{name}: write chatid as quoted digits; from the environment it becomes a number, which Grafana cannot read"


def _group(group: Mapping[str, Any], sources: set[str]) -> Found:
    name = str(group.get("name"))
    yield from _keys(name, "group", group)
    for key in ("name", "folder"):
        if _blank(group.get(key)):
            yield "missing", f"the rule group {name} has no {key} set"
    said = str(group.get("interval", ""))
    every = _seconds(said)
    if not every or every % 10:
        yield "interval", f"{name}: interval ({said}) should be non-zero and divided exactly by scheduler interval: 10"
    for rule in group.get("rules") or []:
        yield from _rule(rule, sources)


def _seconds(text: str) -> int | None:
    if not _DURATION.fullmatch(text):
        return None
    sizes = {"ms": 0, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
    return sum(int(n) * sizes[of] for n, of in re.findall(r"(\d+)(ms|[smhdwy])", text))


def _rule(rule: Mapping[str, Any], sources: set[str]) -> Found:
    name, data = str(rule.get("uid")), rule.get("data") or []
    yield from _keys(name, "rule", rule)
    if not _UID.fullmatch(str(rule.get("uid") or "")):
        yield "uid", f"a rule has the uid {rule.get('uid')!r}: 1 to 40 letters, digits, dashes, underscores"
    for key in ("title", "condition", "data"):
        if _blank(rule.get(key)) or not rule.get(key):
            yield "missing", f"{name} has no {key} set"
    for key in ("for", "keepFiringFor"):
        if key in rule and _seconds(str(rule[key])) is None:
            yield "duration", f"{name}: failed to parse '{key}' field: not a valid duration string: {rule[key]}"
    if str(rule.get("noDataState", "NoData")) not in _NO_DATA:
        yield "state", f"{name}: unknown NoData state option {rule['noDataState']}"
    if str(rule.get("execErrState", "Error")) not in _ERROR:
        yield "state", f"{name}: unknown error state option {rule['execErrState']}"
    refs = [str(query.get("refId")) for query in data]
    if rule.get("condition") and str(rule["condition"]) not in refs:
        yield "reference", f"{name}: the condition {rule['condition']} is no refId"
    for query in data:
        yield from _query(name, query, refs, sources)
    yield from _panel(name, rule.get("annotations") or {})
    if re.search(r"\$", str(rule.get("title"))):
        yield "dollars", f"{name}: the title has a $, which is read from the environment and vanishes"
    told = {**(rule.get("labels") or {}), **(rule.get("annotations") or {})}
    for said in re.findall(r"\$+values\.(\w+)", " ".join(map(str, told.values()))):
        if said not in refs:
            yield "reference", f"{name}: $values.{said} is no refId"
    for key, value in (rule.get("labels") or {}).items():
        if re.search(r"(?<!\$)\$(?!\$)(?:labels|values)", str(value)):
            yield "dollars", f"{name}: the label {key} has a single $, which is read from the environment and vanishes; write $$"
    for key, value in (rule.get("annotations") or {}).items():
        if "$$" in str(value):
            yield "dollars", f"{name}: the annotation {key} has $$, which stays as it is; write a single $"


def _panel(name: str, annotations: Mapping[str, Any]) -> Found:
    board, panel = annotations.get("__dashboardUid__"), annotations.get("__panelId__")
    if (board is None) != (panel is None) or (panel is not None and not (isinstance(panel, str) and panel.isdigit())):
        yield "panel", f"{name}: __dashboardUid__ and __panelId__ go together, the panel as quoted digits; else there is no link"
    elif board is not None and not (BOARDS / f"{board}.json").exists():
        yield "panel", f"{name}: there is no board {board}"


def _threshold(name: str, model: Mapping[str, Any]) -> Found:
    conditions = model.get("conditions") or []
    if len(conditions) != 1:
        yield "threshold", f"{name}: a threshold has one condition"
    for condition in conditions:
        evaluator, back = condition.get("evaluator") or {}, condition.get("unloadEvaluator")
        for each in (evaluator, *([back] if back else [])):
            numbers = each.get("params") or []
            if (
                each.get("type") not in _EVALUATORS
                or not numbers
                or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers)
            ):
                yield "threshold", f"{name}: {each.get('type')} {numbers} is no threshold"
                return
        if back and ((evaluator["type"], back["type"]) not in (("gt", "lt"), ("lt", "gt")) or _beyond(evaluator, back)):
            yield "threshold", f"{name}: it would recover where it fires"


def _beyond(evaluator: Mapping[str, Any], back: Mapping[str, Any]) -> bool:
    low, high = (back, evaluator) if evaluator["type"] == "gt" else (evaluator, back)
    return bool(low["params"][0] > high["params"][0] + abs(high["params"][0]) * 1e-9)


def _query(name: str, query: Mapping[str, Any], refs: list[str], sources: set[str]) -> Found:
    yield from _keys(name, "query", query)
    model = query.get("model") or {}
    if str(query.get("datasourceUid")) not in sources:
        yield "source", f"{name}: there is no datasource {query.get('datasourceUid')}"
    if query.get("datasourceUid") == "__expr__":
        if model.get("type") == "threshold":
            yield from _threshold(name, model)
        said = [] if model.get("type") == "math" else [str(model.get("expression"))]
        said += re.findall(r"\$\{?(\w+)\}?", str(model.get("expression"))) if model.get("type") == "math" else []
        yield from (("reference", f"{name}: the expression names {each}, which is no refId") for each in said if each not in refs)
        return
    span, sql = query.get("relativeTimeRange") or {}, str(model.get("rawSql", ""))
    if not span or int(span.get("from", 0)) <= int(span.get("to", 0)):
        yield "range", f"{name}: relativeTimeRange runs backwards or is empty: from is further back than to"
    if model.get("format") not in ("table", "time_series"):
        yield "format", f"{name}: has no format"
    if "$$" in sql:
        yield "dollars", f"{name}: rawSql has $$, which stays as it is"
    if re.search(r"\$__\w+\([^)]*\(", sql):
        yield "nested", f"{name}: parentheses inside a macro"
    if re.search(r"\$\{|\[\[|\$(?!__)[a-z]\w*", sql):
        yield "variables", f"{name}: a rule knows no template variables"
