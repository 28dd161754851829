"""Measurements of the video platform: sessions of a few endpoints, each measured every ten seconds, with their faults."""

from dataclasses import dataclass
from random import Random

import orjson

from deploy.simulators import hospitals
from deploy.simulators.clock import MINUTE_US, SECOND_US, stamp
from deploy.simulators.faults import Faults, lag_us

EVERY_US = 10 * SECOND_US
CENTRAL = ("01901", "01902", "79001")
ROOMS = (None, None, None, "phong-hop", "xe-luu-dong")
STRANGER = "PK-NGOAI"  # a practice that nobody gave a code


@dataclass(slots=True)
class Beat:
    """One delivery: what is sent, and what the truth file is told of it."""

    body: bytes
    told: dict[str, object] | None


@dataclass(frozen=True)
class _Endpoint:
    """poor: how likely each minute is a poor one."""

    session: str
    site: str
    room: str | None
    peer: str | None
    poor: float
    lag_us: int


class Beats:
    """`make(begin_us)` gives the measurements of one session for a `Schedule`."""

    def __init__(self, seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/beats/{run_us}")
        self._faults = faults
        self._prefix = f"vc-{run_us // SECOND_US:x}"
        self._count = 0

    def make(self, begin_us: int) -> list[tuple[int, Beat]]:
        """Of one to four minutes and two to five endpoints."""
        random = self._random
        self._count += 1
        peer = random.choice(CENTRAL) if random.random() < 0.9 else None
        sites = {random.choices(hospitals.CODES, cum_weights=hospitals.BUSY)[0] for _ in range(random.randint(2, 5))}
        made: list[tuple[int, Beat]] = []
        length_us = int(random.uniform(1, 4) * MINUTE_US)
        for site in sorted(sites) if random.random() > 0.02 else [STRANGER]:
            lag = lag_us(random) if random.random() < self._faults.late else 0
            end = _Endpoint(
                f"{self._prefix}-{self._count}", site, random.choice(ROOMS), peer, 0.6 if int(site[-1:], 36) % 9 == 4 else 0.04, lag
            )
            made += self._measured(end, begin_us, begin_us + length_us)
        return made

    def _measured(self, end: _Endpoint, begin_us: int, until_us: int) -> list[tuple[int, Beat]]:
        random, faults = self._random, self._faults
        made: list[tuple[int, Beat]] = []
        is_poor = False
        for number, at_us in enumerate(range(begin_us + random.randrange(EVERY_US), until_us, EVERY_US)):
            if number % 6 == 0:
                is_poor = random.random() < end.poor
            beat = self._beat(end, at_us - end.lag_us, is_poor)
            body = orjson.dumps(beat)
            offer_us = at_us + int((random.uniform(3, 15) if random.random() < faults.shuffled else random.uniform(0.1, 1)) * SECOND_US)
            named: dict[str, object] = {
                "system": "video", "session": end.session, "site": end.site, "endpoint": end.room, "measured_at": beat["measured_at"],
            }  # fmt: skip
            if random.random() < faults.corrupt:
                how = random.choice(("text", "absent", "time"))
                made.append((offer_us, Beat(_corrupt(beat, how), {"what": "corrupt", "how": how} | named)))
            made.append((offer_us, Beat(body, {"what": "fact"} | beat | named)))
            if random.random() < faults.again:
                made.append((offer_us, Beat(body, {"what": "again"} | named)))
            if random.random() < faults.conflict:
                other = orjson.dumps(beat | {"in_kbps": 1})
                made.append((offer_us + SECOND_US, Beat(other, {"what": "conflict"} | named)))
        return made

    def _beat(self, end: _Endpoint, at_us: int, is_poor: bool) -> dict[str, object]:
        random = self._random
        kbps, loss = (random.gauss(3600, 900), random.uniform(0, 5)) if is_poor else (random.gauss(7000, 800), random.uniform(0, 1.2))
        beat: dict[str, object] = {
            "session": end.session, "site": end.site, "measured_at": f"{stamp(at_us)}+07:00", "in_kbps": round(max(0.0, kbps), 1),
            "in_loss_percent": round(loss, 2), "rtt_ms": round(random.lognormvariate(3.4, 0.3), 1),
        }  # fmt: skip
        if random.random() < 0.8:
            beat |= {
                "out_kbps": round(max(0.0, kbps * random.uniform(0.8, 1.3)), 1),
                "out_loss_percent": round(loss * random.uniform(0.5, 1.2), 2),
            }
        beat |= {name: value for name, value in (("endpoint", end.room), ("peer", end.peer)) if value is not None}
        return beat


def _corrupt(beat: dict[str, object], how: str) -> bytes:
    match how:
        case "text":
            return orjson.dumps(beat | {"in_kbps": "nhanh"})
        case "absent":
            return orjson.dumps({name: value for name, value in beat.items() if name != "in_loss_percent"})
    return orjson.dumps(beat | {"measured_at": "hôm qua"})
