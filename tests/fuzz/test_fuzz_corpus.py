"""The inputs that fuzzing kept: each is played through every wire format again."""

from collections.abc import Sequence

import pytest

from connectors.formats import FORMATS, Arrival
from streams.event import Event
from tests.fuzz import target

INPUTS = sorted({path.read_bytes() for name in FORMATS for path in target.kept(name)})
LIMIT_BYTES = 200_000


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_fuzzing_kept_gives_events_or_reject_in_every_format(name: str) -> None:
    reader, arrivals = target.reader(name), target.arrivals(name)
    for raw in [*INPUTS, *target.seeds(name)]:
        for arrival in arrivals:
            assert target.feed(reader, raw, arrival)


def test_the_corpus_stays_small_and_has_no_format_that_is_none() -> None:
    assert {path.name for path in target.CORPUS.iterdir()} <= {*FORMATS}
    assert sum(path.stat().st_size for path in target.CORPUS.rglob("*") if path.is_file()) < LIMIT_BYTES


class _Slow:
    """A format with the defect that a test of the harness needs."""

    def split(self, raw: bytes) -> list[bytes]:
        return [raw]

    def parse(self, raw: bytes, arrival: Arrival) -> Sequence[Event]:
        if raw == b"broken":
            raise ValueError
        while True:
            sum(range(1_000_000))
            if target.time.process_time() > self.until:
                return []

    until = 0.0


def test_the_harness_sees_a_format_that_lets_an_error_through_or_takes_too_long() -> None:
    reader, arrival = _Slow(), target.arrivals("tvan")[0]
    with pytest.raises(ValueError):  # noqa: PT011  # the very error that came out of the format
        target.feed(reader, b"broken", arrival)
    assert target.feed(reader, b"", arrival) == {"event: "}
    reader.until = target.time.process_time() + target.CPU_SECONDS * 1.2
    with pytest.raises(target.Broken, match="s of CPU"):
        target.feed(reader, b"", arrival)
