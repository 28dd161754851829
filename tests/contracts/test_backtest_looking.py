"""What firings amount to: calls, flapping, days, units, what a change adds, whether incidents were met."""

from streams.rules.firing import Span
from streams.rules.looking import Incident, beyond, by_day, by_group, calls, calls_per_week, flapping, score
from streams.rules.measure import DAY, WEEK

T = 20_000 * DAY - 420  # a Vietnamese midnight


def span(group: str, since: int, until: int | None, inhibited: bool = False) -> Span:
    return Span(group, inhibited, T + since, None if until is None else T + until, 1.0)


ONE = [span("a", 0, 10), span("b", 5, 20), span("c", 20, 21), span("a", 24, 30), span("a", 60, None), span("d", 40, 50, inhibited=True)]


def test_firings_that_overlap_or_touch_are_one_call() -> None:
    assert calls(ONE, T + 70) == [(T, T + 21), (T + 24, T + 30), (T + 60, T + 70)]
    assert calls_per_week(ONE, T, T + 2 * WEEK) == 1.5
    assert calls_per_week(ONE, T, T + 60) == 3


def test_a_firing_soon_after_the_last_of_its_group_flaps() -> None:
    assert flapping(ONE) == [span("a", 24, 30)]


def test_firings_are_counted_by_day_and_by_group() -> None:
    assert by_day([span("a", -1, 3), span("a", 0, 1), span("a", DAY - 1, None)], T - 1, T + DAY + 1) == {19_999: 1, 20_000: 2, 20_001: 0}
    assert by_group(ONE, T + 70) == {"a": (3, 26), "b": (1, 15), "c": (1, 1)}


def test_what_a_change_adds_overlaps_nothing_of_the_old() -> None:
    old = [span("a", 0, 10), span("b", 0, 10)]
    new = [span("a", 9, 20), span("b", 10, 20), span("c", 0, None)]
    assert beyond(new, old) == new[1:]
    assert beyond(old, new) == old[1:]


def test_precision_and_recall_are_of_the_same_unit_or_the_whole() -> None:
    firings = [span("a", 0, 10), span("b", 0, 10), span("c", 50, None)]
    incidents = [Incident("a", T + 5, T + 6), Incident("", T + 60, T + 61), Incident("b", T + 10, T + 12)]
    found = score(firings, incidents)
    assert (found.precision, found.recall) == (2 / 3, 2 / 3)
    assert score(firings, []).precision is None
    assert score([], incidents)[:2] == (None, 0.0)
    assert score([span("", 0, 10)], [Incident("z", T, T + 1)])[:2] == (1.0, 1.0)
