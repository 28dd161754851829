"""What a rule measures: from minutes in columns to a value at every minute; NaN where there is none."""

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from streams.lives import middle
from streams.rules.frame import Frame, Real, Whole, silence, since, windowed
from streams.rules.measure import (
    ABSENT_MOST,
    ACTIVE_WITHIN,
    SIGN_MOST,
    WEEK,
    Absence,
    Change,
    Completeness,
    Count,
    Distinct,
    Freshness,
    Offline,
    Part,
    Percentile,
    Rate,
    Ratio,
    Sum,
)  # fmt: skip
from streams.rules.rule import Rule


def groups(rule: Rule, frame: Frame) -> tuple[str, ...]:
    """The groups that the values are of: units that are only counted are one group."""
    return ("",) if rule.by == "whole" else frame.groups


def values(rule: Rule, frame: Frame) -> Real:
    """[groups, minutes]; the first `rule.reach` minutes lack what lies before the frame."""
    return _values(rule.measure, rule, frame)


@singledispatch
def _values(measure: Part, rule: Rule, frame: Frame) -> Real:
    raise TypeError(f"no values for {type(measure).__name__}")


@_values.register(Sum)
@_values.register(Count)
def _sum(measure: Sum | Count, rule: Rule, frame: Frame) -> Real:
    return windowed(frame.columns[rule.columns[0]], rule.window).astype(np.float64)


@_values.register
def _rate(measure: Rate, rule: Rule, frame: Frame) -> Real:
    return np.asarray(windowed(frame.columns[measure.rate], rule.window) * (measure.per / rule.window), dtype=np.float64)


@_values.register
def _ratio(measure: Ratio, rule: Rule, frame: Frame) -> Real:
    part, whole = (windowed(frame.columns[name], rule.window) for name in (measure.ratio, measure.to))
    return _percent(part, whole, measure.at_least)


@_values.register
def _completeness(measure: Completeness, rule: Rule, frame: Frame) -> Real:
    received, conflict, quarantined = (windowed(frame.columns[name], rule.window) for name in ("received", "conflict", "quarantined"))
    return _percent(received - conflict - quarantined, received, measure.at_least)


def _percent(part: Whole, whole: Whole, at_least: int) -> Real:
    found = np.full(part.shape, np.nan)
    np.divide(100.0 * part, whole, out=found, where=whole >= max(1, at_least))
    return found


@_values.register
def _percentile(measure: Percentile, rule: Rule, frame: Frame) -> Real:
    return percentile(frame.columns, rule.window, measure.at, measure.at_least, (len(frame.groups), frame.minutes))


def percentile(columns: Mapping[str, Whole], window: int, at: float, at_least: int, shape: tuple[int, int]) -> Real:
    """The nearest-rank percentile, as `ioc figures` and the boards take it; off by 5 % at most."""
    bounds = sorted(map(int, columns))
    spread = {bound: windowed(columns[str(bound)], window) for bound in bounds}
    total = sum(spread.values(), np.zeros(shape, dtype=np.int64))
    rank = np.ceil(total * (at / 100) - 1e-9)
    found, below = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for bound in bounds:
        below += spread[bound]
        found[np.isnan(found) & (below >= rank) & (spread[bound] > 0)] = round(middle(bound), 2)
    found[total < max(1, at_least)] = np.nan
    return found


@_values.register
def _distinct(measure: Distinct, rule: Rule, frame: Frame) -> Real:
    return np.asarray((windowed(frame.columns[measure.of], rule.window) > 0).sum(axis=0, keepdims=True), dtype=np.float64)


@_values.register
def _change(measure: Change, rule: Rule, frame: Frame) -> Real:
    now = windowed(frame.columns[measure.change], rule.window).astype(np.float64)
    before = np.full((measure.weeks, *now.shape), np.nan)
    for week in range(1, measure.weeks + 1):
        if week * WEEK < frame.minutes:
            before[week - 1, :, week * WEEK :] = now[:, : -week * WEEK]
    usual = before[0] if measure.weeks == 1 else np.sort(before, axis=0)  # NaN, a week not seen, sorts last
    if measure.weeks > 1:
        usual = _median(usual)
    known = usual >= max(1, measure.at_least)
    found = np.full(now.shape, np.nan)
    np.divide(100.0 * (now - usual), usual, out=found, where=known)
    return found


def _median(ordered: Real) -> Real:
    """Of weeks sorted along the first axis; NaN when one is missing."""
    half = ordered.shape[0] // 2
    middle_ = ordered[half] if ordered.shape[0] % 2 else (ordered[half - 1] + ordered[half]) / 2
    return np.asarray(np.where(np.isnan(ordered[-1]), np.nan, middle_), dtype=np.float64)


@_values.register
def _absence(measure: Absence, rule: Rule, frame: Frame) -> Real:
    return np.minimum(since(frame.columns[measure.absence] != 0), ABSENT_MOST).astype(np.float64)


@_values.register
def _offline(measure: Offline, rule: Rule, frame: Frame) -> Real:
    there = frame.columns[measure.offline] != 0
    ago = since(there)
    return np.asarray(((ago >= rule.window) & (ago < ACTIVE_WITHIN)).sum(axis=0, keepdims=True), dtype=np.float64)


@_values.register
def _freshness(measure: Freshness, rule: Rule, frame: Frame) -> Real:
    rows = [np.minimum(silence(frame, source), SIGN_MOST * 60) for source in frame.signs]
    if rule.by == "whole":
        return np.fmax.reduce(rows or [np.full(frame.minutes, np.nan)], axis=0, keepdims=True)
    return np.array(rows, dtype=np.float64).reshape(len(rows), frame.minutes)
