"""The one evaluator: (rule, minutes, calendar) -> a state for every minute. Live, backtests and replays call nothing else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.rules.calendar import awake
from streams.rules.frame import Flags, Frame, Real, run, there, unheard
from streams.rules.rule import STATES, Rule
from streams.rules.values import groups, values

OK, PENDING, FIRING, UNKNOWN, INHIBITED, ASLEEP = range(len(STATES))


@dataclass(frozen=True)
class Decided:
    """States ([groups, minutes], indexes of STATES) and values (NaN: none) of the minutes from `start` on. lit: whether the condition stands,
    though nothing fires while inhibited: what the next decision goes on from."""

    start: int
    groups: tuple[str, ...]
    states: NDArray[np.uint8]
    values: Real
    lit: Flags


def decide(rule: Rule, frame: Frame, since: int, before: Flags | None = None, inhibited: Flags | None = None) -> Decided:
    """Decide the frame's minutes from `since` on; the frame holds `rule.memory` minutes before it.

    before: per group whether the condition stood in the minute before `since` (None: nowhere). inhibited: the minutes, from `since` on, in
    which a rule that inhibits this one fired. A minute that is not over is decided only
    by a rule whose value can only rise, and then only for what already holds.

    A minute whose data are missing proves nothing: under `hold` it neither starts nor ends a firing, and pending begins anew. Where the
    data are there but no value is (nothing to divide by, or a group that was not heard of on the days before), nothing holds. Outside its
    calendar a rule sleeps, and wakes with a clean slate.
    """
    skip = since - frame.start
    found = values(rule, frame)
    if frame.days is not None:
        found = np.where(there(frame, rule.reach), found, np.nan)
    awake_ = awake(rule.calendar, frame.start, frame.minutes)
    hot, cool = _condition(rule, found)
    unknown = np.zeros_like(hot)
    if rule.table != "signs":
        missing = np.broadcast_to(unheard(frame), hot.shape)
        hot, cool, unknown = _missing(rule, hot, cool, missing)
    cool[:, frame.over :] = False  # what is not over yet ends nothing
    hot, cool = hot & awake_, cool | ~awake_
    last = max(0, min(frame.minutes, frame.over + rule.rises) - skip)
    part = slice(skip, skip + last)
    start = run(hot) > rule.for_
    end = (run(cool) > rule.keep_firing_for) | ~awake_
    lit = _latch(start[:, part], end[:, part], before)
    states = np.full(lit.shape, OK, dtype=np.uint8)
    states[unknown[:, part]] = UNKNOWN
    states[hot[:, part]] = PENDING
    states[lit] = FIRING
    if inhibited is not None:
        states[lit & inhibited[:last]] = INHIBITED
    states[:, ~awake_[part]] = ASLEEP
    return Decided(since, groups(rule, frame), states, found[:, part], lit)


def _condition(rule: Rule, found: Real) -> tuple[Flags, Flags]:
    """Where it holds, and where it is past its clear-threshold; between the two neither."""
    when = rule.when
    with np.errstate(invalid="ignore"):
        if when.above is not None:
            clear = when.above if when.clear is None else when.clear
            hot, cool = found > when.above, found <= clear
        else:
            assert when.below is not None  # noqa: S101  # one of the two, held by the model
            clear = when.below if when.clear is None else when.clear
            hot, cool = found < when.below, found >= clear
    return hot, cool | np.isnan(found)


def _missing(rule: Rule, hot: Flags, cool: Flags, missing: Flags) -> tuple[Flags, Flags, Flags]:
    """Hot and cool as missing data leave them, and the minutes that prove nothing."""
    if rule.missing == "ok":
        return hot & ~missing, cool | missing, missing & False
    if rule.missing == "firing":
        return hot | missing, cool & ~missing, missing & False
    known = hot if rule.rises else hot & ~missing  # what can only rise holds already, whatever is still missing
    return known, cool & ~missing, missing & ~known


def _latch(start: Flags, end: Flags, before: Flags | None) -> Flags:
    """On from each start to the next end; the two never meet in one minute."""
    at = np.arange(1, start.shape[1] + 1)
    on = np.maximum.accumulate(np.where(start, at, 0), axis=1)
    off = np.maximum.accumulate(np.where(end & ~start, at, 0), axis=1)
    standing = np.zeros(start.shape[0], dtype=bool) if before is None else before
    return np.asarray((on > off) | ((on == 0) & (off == 0) & standing[:, None]))
