"""The clock of a replay: it runs at its rate, stands when it is told to, and goes back only by a seek."""

from hypothesis import given
from hypothesis import strategies as st

from deploy.replay.pace import Pace

AT_US = 1_795_000_000_000_000
SPEEDS = st.one_of(st.none(), st.floats(0.1, 1000))
STEPS = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(["look", "play", "pause", "go"]), SPEEDS, st.integers(-(10**9), 10**9)), max_size=30
)


@given(SPEEDS, STEPS)
def test_the_clock_never_runs_back(speed: float | None, steps: list[tuple[float, str, float | None, int]]) -> None:
    pace, now, seen = Pace(AT_US, speed, 0.0), 0.0, AT_US
    for seconds, what, asked, away_us in steps:
        now += seconds
        if what == "play":
            pace.played(seen + away_us, now)
        elif what != "look":
            pace.steer(what == "pause", asked, now)
        clock = pace.clock_us(now)
        assert clock >= seen - 1  # of rounding
        seen = max(seen, clock)


@given(st.floats(0.1, 1000), st.floats(0, 1000))
def test_the_clock_goes_speed_times_as_fast_as_time(speed: float, seconds: float) -> None:
    pace = Pace(AT_US, speed, 5.0)
    assert abs(pace.clock_us(5.0 + seconds) - AT_US - seconds * speed * 1e6) <= 1
    assert pace.rate == speed


@given(SPEEDS, st.floats(0, 1000), st.floats(0, 1000))
def test_a_paused_clock_stands(speed: float | None, before: float, after: float) -> None:
    pace = Pace(AT_US, speed, 0.0)
    pace.steer(True, speed, before)
    assert (pace.rate, pace.hurries) == (0.0, False)
    assert pace.clock_us(before + after) == pace.clock_us(before)


@given(st.floats(0.1, 1000), st.integers(1, 10**12), st.floats(0, 1000))
def test_what_is_waited_for_is_due_after_the_wait(speed: float, away_us: int, now: float) -> None:
    pace = Pace(AT_US, speed, now)
    wait = pace.wait_seconds(AT_US + away_us, now)
    assert wait > 0
    assert abs(pace.clock_us(now + wait) - AT_US - away_us) <= 1 + away_us * 1e-6 + speed  # floats of seconds


@given(st.floats(0.1, 1000), st.integers(2, 10**12))
def test_up_to_the_target_of_a_seek_it_hurries_and_then_keeps_its_speed(speed: float, away_us: int) -> None:
    pace = Pace(AT_US, speed, 0.0)
    pace.seek(AT_US + away_us, AT_US, 1.0)
    assert pace.hurries
    pace.played(AT_US + away_us - 1, 2.0)
    assert (pace.hurries, pace.clock_us(9.0)) == (True, AT_US + away_us - 1)
    pace.played(AT_US + away_us, 3.0)
    assert (pace.hurries, pace.rate, pace.clock_us(3.0)) == (False, speed, AT_US + away_us)


def test_a_seek_backward_is_the_only_way_back() -> None:
    pace = Pace(AT_US, 60.0, 0.0)
    pace.seek(AT_US - 1000, AT_US - 5000, 1.0)
    assert (pace.clock_us(1.0), pace.target_us) == (AT_US - 5000, AT_US - 1000)
    pace.seek(AT_US, AT_US, 2.0)
    assert pace.target_us is None


@given(SPEEDS, st.floats(0.1, 1000))
def test_a_seek_of_a_paused_clock_goes_there_and_stands(speed: float | None, seconds: float) -> None:
    pace = Pace(AT_US, speed, 0.0, paused=True)
    pace.seek(AT_US + 1000, AT_US, 1.0)
    assert (pace.hurries, pace.standing) == (True, False)
    pace.steer(True, 60.0, 1.5)  # another speed is no second pause
    pace.played(AT_US + 1000, 2.0)
    assert (pace.hurries, pace.standing, pace.clock_us(2.0 + seconds)) == (False, True, AT_US + 1000)


@given(SPEEDS)
def test_a_pause_within_a_seek_stands_at_once_and_goes_on_with_the_seek(speed: float | None) -> None:
    pace = Pace(AT_US, speed, 0.0)
    pace.seek(AT_US + 1000, AT_US, 1.0)
    pace.steer(True, speed, 2.0)
    assert (pace.hurries, pace.standing) == (False, True)
    pace.steer(False, speed, 3.0)
    assert (pace.hurries, pace.standing, pace.target_us) == (True, False, AT_US + 1000)
