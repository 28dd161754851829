"""A rule to begin with: filled in so that it can be read and its test holds, to be changed by who knows the measure."""

from streams.department import Department
from streams.errors import Misconfigured
from streams.rules.linting import nearly
from streams.rules.measure import LEDGER

_RULE = """\
# yaml-language-server: $schema=rule.schema.json
rule: {name}
title: {title}
text: "{words}: {{value}} (ngưỡng {{threshold}}, {{window}} gần nhất) ở {{units}}"
why: Viết vì sao con số này đáng gọi người dậy.
department: {department}
measure: {measure}
window: {window}
by: {by}
when: {{above: {above}, clear: {clear}}}
for: 2m
keep_firing_for: 5m
severity: warning
owner: Sở phụ trách
route: default
runbook: Viết việc phải làm trước tiên, gọi ai, số nào.
board: ioc-{department}
missing: hold
calls_per_week: 7
tests:
  - name: báo khi vượt ngưỡng quá hai phút, thôi khi đã yên
    until: "11:00"
{rows}
    expect:
      {group}: {{"09:0{pending}": pending, "09:0{firing}": firing, "09:{ok}": ok}}
"""


def rule(department: Department, measure: str) -> str:
    """The text of a rule about a measure. Raises Misconfigured when the department has no such measure."""
    ledger, spread = measure in LEDGER, measure == department.histogram
    known = (*department.measures, *LEDGER, *([department.histogram] if department.histogram else []), "freshness")
    if measure not in known:
        raise Misconfigured(f"{department.name} has no measure {measure!r}{nearly(measure, known)}", "`ioc rules new` takes one of those")
    words = next((f.label for f in department.glass.figures if f.name.startswith(measure)), measure)
    said = {"name": f"{department.name}-{measure.replace('_', '-')}", "department": department.name, "title": words, "words": words}
    if measure == "freshness":
        rows = '    silent:\n      - {source: nguon-thu, from: "09:00", until: "09:20"}'
        return _RULE.format(
            measure="{freshness: source}", window="1m", by="source", above=300, clear=60, rows=rows, group="nguon-thu",
            pending=4, firing=6, ok="25", **said,
        )  # fmt: skip
    by, group = ("source", "nguon-thu") if ledger else ("unit", '"14758"' if department.glass.place_kind == "commune" else '"38001"')
    if spread:
        rows = f'    rows:\n      - {{at: "09:00", until: "09:20", {by}: {group}, seconds: 500}}'
        return _RULE.format(
            measure=f"{{percentile: {measure}, at: 95}}", window="1m", by=by, above=300, clear=200, rows=rows, group=group,
            pending=0, firing=2, ok="25", **said,
        )  # fmt: skip
    rows = f'    rows:\n      - {{at: "09:00", until: "09:20", {by}: {group}, {measure}: 4}}'
    return _RULE.format(
        measure=f"{{sum: {measure}}}", window="10m", by=by, above=10, clear=5, rows=rows, group=group, pending=2, firing=4, ok="33", **said,
    )  # fmt: skip
