"""A backtest as a page of its own: no request to anywhere, its script decides as `decide` does."""

import base64
import hashlib
import html
from pathlib import Path

import numpy as np
import orjson

from sinks.backtest import Backtest
from streams.rules.calendar import awake
from streams.rules.decide import decide
from streams.rules.frame import unheard

MOST_VALUES, MOST_GROUPS = 600_000, 30
_HERE = Path(__file__).parent


def page(found: Backtest) -> str:
    """The page's text: its latest minutes and, where there are many groups, those that fired most."""
    style, script = (_HERE / "backtest.css").read_text(), (_HERE / "backtest.js").read_text()
    parts = {
        "@title@": html.escape(found.rule.title), "@style@": style, "@script@": script, "@style-hash@": _hash(style), "@script-hash@": _hash(script),
        "@data@": orjson.dumps(_data(found)).decode().replace("<", "\\u003c"),
    }  # fmt: skip
    text = (_HERE / "backtest.html").read_text()
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def since(found: Backtest) -> int:
    """The first minute that a page shows."""
    return max(found.since, found.until - MOST_VALUES // max(1, min(MOST_GROUPS, len(found.decided.groups))))


def _data(found: Backtest) -> dict[str, object]:
    rule, first = found.rule, since(found)
    lead = max(rule.for_, rule.keep_firing_for) + 1
    decided = decide(rule, found.frame, first - lead)
    fired = dict.fromkeys(decided.groups, 0) | {span.group: len([s for s in found.spans if s.group == span.group]) for span in found.spans}
    groups = sorted(sorted(decided.groups, key=lambda group: -fired[group])[:MOST_GROUPS])
    skip = first - lead - found.frame.start
    part = slice(skip, skip + found.until - first + lead)
    missing = np.zeros(found.until - first + lead, dtype=bool) if rule.table == "signs" else unheard(found.frame)[part]
    held = np.zeros(found.until - found.since, dtype=bool) if found.inhibited is None else found.inhibited
    limit = rule.when.above if rule.when.above is not None else rule.when.below
    return {
        "rule": rule.rule, "why": rule.why, "since": first, "until": found.until, "lead": lead, "above": rule.when.above is not None,
        "threshold": limit, "clear": rule.when.clear, "for": rule.for_, "keep": rule.keep_firing_for, "when_missing": rule.missing,
        "rises": rule.rises, "groups": groups,
        "values": [_bytes(decided.values[decided.groups.index(group), : found.until - first + lead].astype("<f8")) for group in groups],
        "awake": _bytes(awake(rule.calendar, first - lead, found.until - first + lead)), "missing": _bytes(missing),
        "inhibited": _bytes(held[first - found.since :]),
    }  # fmt: skip


def _bytes(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
