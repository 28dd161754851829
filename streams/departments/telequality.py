"""Quality of telehealth sessions: the contract of one measurement of one endpoint, every ten seconds (docs/telequality.md)."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from streams.department import Department
from streams.event import Event, Id, Word
from streams.figures import Figure, Glass, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Told
from streams.wire import Hashed, Read, Wire

SLOW_KBPS = 4_000  # Circular 49/2017: 4 Mbps
LOSSY_PERCENT = 2.0
PART_US = 10_000_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Kbps = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Millis = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a platform sends of one endpoint. `in` is what the endpoint receives, `out` what it sends."""

    session: Name
    site: Name
    measured_at: Name
    in_kbps: Kbps
    in_loss_percent: Percent
    endpoint: Name | None = None
    peer: Name | None = None
    out_kbps: Kbps | None = None
    out_loss_percent: Percent | None = None
    rtt_ms: Millis | None = None
    jitter_ms: Millis | None = None


class Telequality(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One measurement of one endpoint.

    id: session + site + endpoint + moment. unit: the endpoint's hospital. peer: the hospital's code at the other end. session: pseudonym of the
    Encounter id. endpoint: pseudonym of session + site + endpoint. kbps: the lower of both directions; loss_e4: the higher, in ten thousandths.
    rtt_ms, jitter_ms: as measured, whole.
    """

    session: Id
    endpoint: Id
    kbps: int
    loss_e4: int
    peer: Word | None = None
    rtt_ms: int | None = None
    jitter_ms: int | None = None


def _read(beat: Heartbeat, hashed: Hashed) -> Read:
    where = f"{beat.session}|{beat.site}|{beat.endpoint or ''}"
    kbps = beat.in_kbps if beat.out_kbps is None else min(beat.in_kbps, beat.out_kbps)
    loss = beat.in_loss_percent if beat.out_loss_percent is None else max(beat.in_loss_percent, beat.out_loss_percent)
    peer = beat.peer if beat.peer is not None and len(beat.peer) == 5 and beat.peer.isascii() and beat.peer.isdecimal() else None
    more = {
        "session": hashed("encounter", beat.session), "endpoint": hashed("endpoint", where), "peer": peer, "kbps": int(kbps),
        "loss_e4": round(loss * 100), "rtt_ms": None if beat.rtt_ms is None else round(beat.rtt_ms),
        "jitter_ms": None if beat.jitter_ms is None else round(beat.jitter_ms),
    }  # fmt: skip
    return Read(f"{where}|{beat.measured_at}", beat.measured_at, beat.site, "heartbeat", more)


class MinuteState(msgspec.Struct, frozen=True, array_like=True):
    """One minute of one endpoint. seen, slow, lossy: which of its six parts of ten seconds were measured, were ever below 4 Mbps, ever above 2 %
    loss, a bit each: a union, so that order and repeats change nothing. event: the least id of its measurements."""

    known_us: int
    minute_us: int
    unit: str
    peer: str
    seen: int
    slow: int
    lossy: int
    event: str


def _tell(event: Telequality) -> Iterable[Told]:
    """The subject is a minute of an endpoint: 96 bits of its pseudonym, 32 of the minute."""
    minute, within = divmod(event.event_time_us, MINUTE_US)
    part = 1 << (within // PART_US)
    slow, lossy = part * (event.kbps < SLOW_KBPS), part * (event.loss_e4 > LOSSY_PERCENT * 100)
    fact = MinuteState(0, minute * MINUTE_US, event.unit or "", event.peer or "", part, slow, lossy, event.id)
    yield Told(("minute", f"{event.endpoint[:24]}{minute % 2**32:08x}"), event.known_at_us, fact)


def _merge(table: str, state: MinuteState | None, known_us: int, fact: MinuteState) -> MinuteState:
    if state is None:
        return msgspec.structs.replace(fact, known_us=known_us)
    merged = MinuteState(
        state.known_us, state.minute_us, max(state.unit, fact.unit), max(state.peer, fact.peer), state.seen | fact.seen,
        state.slow | fact.slow, state.lossy | fact.lossy, min(state.event, fact.event),
    )  # fmt: skip
    return state if merged == state else msgspec.structs.replace(merged, known_us=known_us)


def _counts(state: MinuteState, units: Mapping[str, str]) -> Count:
    """A minute is slow, lossy or bad when at least half of its measured parts are."""
    bad, slow, lossy = (2 * which.bit_count() >= state.seen.bit_count() for which in (state.slow | state.lossy, state.slow, state.lossy))
    kind = f"VR>{state.peer}" if state.peer else "VR"
    return Count(state.minute_us, state.unit, kind, (1, int(bad), int(slow), int(lossy)))


def _minutes(name: str, label: str, definition: str, formula: str) -> Figure:
    return Figure(name, label, "phút", definition, Sum(name), good="less", formula=formula)


GLASS = Glass(
    name="telequality",
    place=4,
    label="Chất lượng phiên khám từ xa",
    short="Đường truyền",
    places="bệnh viện",
    place_kind="hospital",
    slot_minutes=10,
    headline=("bad_minutes", "measured_minutes", "sites"),
    trend="bad_minutes",
    ranking="bad_minutes",
    figures=(
        _minutes(
            "bad_minutes",
            "Đường truyền kém hôm nay",
            "Số phút của các điểm cầu có đường truyền dưới 4 Mbps hoặc mất gói trên 2 %.",
            "đếm phút của từng điểm cầu mà ít nhất nửa số đoạn mười giây đo được có lúc dưới 4 Mbps hoặc mất gói trên 2 %, lấy chiều kém hơn",
        ),
        Figure(
            "measured_minutes",
            "Phút đo được",
            "phút",
            "Số phút của các điểm cầu có ít nhất một lần đo.",
            Sum("measured_minutes"),
            formula="đếm phút của từng điểm cầu trong từng phiên có ít nhất một lần đo",
        ),
        Figure(
            "sites",
            "Bệnh viện có đo",
            "bệnh viện",
            "Số bệnh viện khác nhau có điểm cầu được đo trong ngày.",
            Units("measured_minutes"),
            formula="đếm bệnh viện khác nhau có ít nhất một phút đo được",
        ),
        _minutes(
            "slow_minutes",
            "Phút dưới 4 Mbps",
            "Số phút của các điểm cầu có đường truyền dưới 4 Mbps.",
            "đếm phút của từng điểm cầu mà ít nhất nửa số đoạn mười giây đo được có lúc dưới 4 Mbps",
        ),
        _minutes(
            "lossy_minutes",
            "Phút mất gói trên 2 %",
            "Số phút của các điểm cầu mất gói trên 2 %.",
            "đếm phút của từng điểm cầu mà ít nhất nửa số đoạn mười giây đo được có lúc mất gói trên 2 %",
        ),
    ),
    law="Thông tư 49/2017/TT-BYT (4 Mbps, tham khảo); ngưỡng mất gói 2 % do trung tâm chọn.",
    silent_after_seconds=60,
    network=("district", "regional"),
    pairs="bad_minutes",
    online="measured_minutes",
)


DEPARTMENT = Department(
    name="telequality",
    glass=GLASS,
    event=Telequality,
    domain="health",
    late_after_seconds=120,
    subject=lambda event: event.endpoint,
    measures=("measured_minutes", "bad_minutes", "slow_minutes", "lossy_minutes"),
    distinct="sites",
    chunk_days=1,
    life=Life(states={"minute": MinuteState}, tell=_tell, merge=_merge, counts=_counts, stands_on=lambda state: state.event),
    wire=Wire(Heartbeat, _read),
)
