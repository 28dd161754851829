"""`python -m tests.fuzz.keep FORMAT`: of all that the runs found, the smallest input for each outcome that no case folder has is kept."""

import hashlib
import sys

from tests.fuzz import target

FILES, BYTES = 40, 4096


def keep(name: str) -> int:
    """Write them into the corpus of the tests; how many."""
    reader, arrivals = target.reader(name), target.arrivals(name)
    known = {came for raw in target.seeds(name) for arrival in arrivals for came in target.feed(reader, raw, arrival)}
    new: dict[str, bytes] = {}
    for path in sorted((target.FOUND / name).glob("*"), key=lambda path: path.stat().st_size):
        raw = path.read_bytes()
        if len(raw) > BYTES or len(new) >= FILES:
            break
        for arrival in arrivals:
            for came in target.feed(reader, raw, arrival) - known:
                new.setdefault(came, raw)
    for raw in {*new.values()}:
        (target.CORPUS / name / hashlib.sha256(raw).hexdigest()[:16]).write_bytes(raw)
    return len({*new.values()})


if __name__ == "__main__":
    print(f"{keep(sys.argv[1])} inputs kept")
