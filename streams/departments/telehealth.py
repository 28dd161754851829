"""Telehealth: the contract of one version of a session, planned or held, and of the request it answers."""

from collections.abc import Iterable, Mapping

import msgspec

from streams.department import Department, Grown
from streams.event import Event, Id, Key, TimeUs, Word
from streams.figures import Figure, Glass, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Subject, Told

APPOINTMENT, REQUEST = "Appointment", "ServiceRequest"


class Telehealth(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a FHIR Encounter, Appointment or ServiceRequest.

    id: the resource's id + version (versionId, else lastUpdated, else the body). kind: class code of an Encounter (VR, AMB, IMP, EMER, HH, ..), else
    `Appointment` or `ServiceRequest`. unit: the asking hospital (serviceProvider, requester). session: pseudonym of the resource's id.
    updated_at_us: meta.lastUpdated, 0 if absent. revision: versionId as a number, 0 if it is none. The newest version by (updated_at_us, revision,
    id) is what holds. status: planned, arrived, in-progress, finished, cancelled, entered-in-error, unknown (onleave and triaged are folded into
    in-progress and arrived; R5 names are mapped to R4's); of an Appointment planned, cancelled, entered-in-error or `fulfilled`.
    started_at_us, ended_at_us: period, of what is planned the planned one.
    Since contract 2: supporting: the hospital that is asked (performer of a ServiceRequest). appointments: those this session was planned by;
    requests: those it answers.
    """

    session: Id
    status: Word
    updated_at_us: TimeUs = 0
    revision: int = 0
    started_at_us: TimeUs | None = None
    ended_at_us: TimeUs | None = None
    supporting: Word | None = None
    appointments: tuple[Key, ...] = ()
    requests: tuple[Key, ...] = ()


TOOK_PLACE = ("arrived", "in-progress", "finished")
Stamp = tuple[int, int, str]
"""(updated_at_us, revision, event): which of two versions is newer."""
_NEVER: Stamp = (0, 0, "")


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """The newest version of one session; whether it is an Appointment that an Encounter has taken the place of; the newest pair of hospitals that
    a request names. A session is known by its appointment or request before its own versions: then `newest` is (0, 0, "")."""

    known_us: int
    newest: Stamp
    kind: str
    unit: str
    status: str
    at_us: int
    seconds: int
    taken: bool = False
    asked: Stamp = _NEVER
    asking: str = ""
    supporting: str = ""


class RequestState(msgspec.Struct, frozen=True, array_like=True):
    """The newest version of one request, and the sessions that answer it, ascending."""

    known_us: int
    newest: Stamp = _NEVER
    asking: str = ""
    supporting: str = ""
    sessions: tuple[str, ...] = ()


_NOTHING = SessionState(0, _NEVER, "", "", "", 0, 0)


def _tell(event: Telehealth) -> Iterable[Told]:
    newest, unit = (event.updated_at_us, event.revision, event.id), event.unit or ""
    if event.kind == REQUEST:
        gone = event.status == "entered-in-error"
        pair = ("", "") if gone else (unit, event.supporting or "")
        yield Told(("request", event.session), event.known_at_us, RequestState(0, newest, *pair))
        return
    started, ended = event.started_at_us, event.ended_at_us
    seconds = max(0, (ended - started) // 1_000_000) if event.status == "finished" and started is not None and ended is not None else 0
    at_us = started if started is not None else event.event_time_us
    yield Told(("session", event.session), event.known_at_us, SessionState(0, newest, event.kind, unit, event.status, at_us, seconds))
    for appointment in event.appointments:
        yield Told(("session", appointment), event.known_at_us, msgspec.structs.replace(_NOTHING, taken=True))
    for request in event.requests:
        yield Told(("request", request), event.known_at_us, RequestState(0, sessions=(event.session,)))


def _merge(table: str, state: SessionState | RequestState | None, known_us: int, fact: SessionState | RequestState) -> object:
    if state is None:
        return msgspec.structs.replace(fact, known_us=known_us)
    merged = _session(state, fact) if isinstance(state, SessionState) and isinstance(fact, SessionState) else _request(state, fact)
    return state if merged == state else msgspec.structs.replace(merged, known_us=known_us)


def _session(state: SessionState, fact: SessionState) -> SessionState:
    """Each of its three parts by itself, the newer one."""
    held = fact if fact.newest > state.newest else state
    pair = fact if fact.asked > state.asked else state
    taken = state.taken or fact.taken
    known = state.known_us
    version = (held.newest, held.kind, held.unit, held.status, held.at_us, held.seconds)
    return SessionState(known, *version, taken=taken, asked=pair.asked, asking=pair.asking, supporting=pair.supporting)


def _request(state: object, fact: object) -> RequestState:
    assert isinstance(state, RequestState) and isinstance(fact, RequestState)  # noqa: S101, PT018  # tables hold one kind each
    held = fact if fact.newest > state.newest else state
    sessions = tuple(sorted({*state.sessions, *fact.sessions}))
    return RequestState(state.known_us, held.newest, held.asking, held.supporting, sessions)


def _follows(subject: Subject, state: object) -> Iterable[Told]:
    """A request tells the sessions that answer it which hospitals they join."""
    if isinstance(state, RequestState) and state.newest != _NEVER:
        pair = msgspec.structs.replace(_NOTHING, asked=state.newest, asking=state.asking, supporting=state.supporting)
        for session in state.sessions:
            yield Told(("session", session), state.known_us, pair)


def _counts(state: SessionState, units: Mapping[str, str]) -> Count | None:
    """A session belongs to the day it started, or is planned to; entered in error takes it out again (doors.md). Where the supporting hospital is
    known the kind names it, so that pairs are counted: `VR>01901`."""
    if state.newest == _NEVER or state.taken or state.status == "entered-in-error":
        return None
    minute, unit = state.at_us - state.at_us % MINUTE_US, state.unit or state.asking
    if state.kind not in ("VR", APPOINTMENT):
        return Count(minute, unit, state.kind, (0, 0, 0, 0, 1, 0))
    took_place, finished = state.status in TOOK_PLACE, state.status == "finished"
    measures = (int(took_place), int(finished), int(state.status == "cancelled"), state.seconds, 0, int(state.status == "planned"))
    return Count(minute, unit, f"VR>{state.supporting}" if state.supporting else "VR", measures) if any(measures) else None


GLASS = Glass(
    name="telehealth",
    place=2,
    label="Khám bệnh từ xa",
    short="Khám từ xa",
    places="bệnh viện",
    place_kind="hospital",
    slot_minutes=60,
    headline=("sessions", "finished", "minutes", "sites"),
    trend="sessions",
    ranking="sessions",
    figures=(
        Figure(
            "sessions",
            "Phiên khám từ xa hôm nay",
            "phiên",
            "Lượt khám lớp VR đã diễn ra (đã đến, đang khám, đã xong), thuộc ngày bắt đầu theo giờ Việt Nam.",
            Sum("sessions"),
            formula="đếm Encounter lớp VR mà bản mới nhất là arrived, in-progress hoặc finished, theo phút bắt đầu",
        ),
        Figure(
            "finished",
            "Phiên đã kết thúc",
            "phiên",
            "Phiên khám từ xa đã kết thúc.",
            Sum("finished"),
            formula="đếm Encounter lớp VR mà bản mới nhất là finished, theo phút bắt đầu",
        ),
        Figure(
            "minutes",
            "Phút tư vấn từ xa",
            "phút",
            "Tổng thời lượng của các phiên đã kết thúc, tính bằng phút.",
            Sum("seconds", per=60),
            formula="tổng số giây (period.end − period.start) của phiên finished, chia 60, bỏ phần lẻ",
        ),
        Figure(
            "sites",
            "Bệnh viện có phiên khám",
            "bệnh viện",
            "Số bệnh viện khác nhau có phiên khám từ xa trong ngày.",
            Units("sessions"),
            formula="đếm serviceProvider khác nhau có ít nhất một phiên đã diễn ra",
        ),
        Figure(
            "cancelled",
            "Phiên bị hủy",
            "phiên",
            "Phiên khám từ xa bị hủy.",
            Sum("cancelled"),
            formula="đếm Encounter lớp VR mà bản mới nhất là cancelled",
        ),
        Figure(
            "planned",
            "Phiên còn trong lịch",
            "phiên",
            "Phiên khám từ xa đã xếp lịch mà chưa diễn ra, thuộc ngày dự kiến bắt đầu.",
            Sum("planned"),
            formula="đếm Encounter lớp VR mà bản mới nhất là planned, và Appointment còn hiệu lực chưa có Encounter, theo phút dự kiến",
        ),
        Figure(
            "not_telehealth",
            "Lượt khám khác, không tính",
            "lượt",
            "Lượt khám của các lớp khác (tại chỗ, nội trú, cấp cứu, tại nhà) đã nhận và để ngoài số liệu.",
            Sum("not_telehealth"),
            formula="đếm Encounter có lớp khác VR",
        ),
    ),
    month="minutes",
    network=("district", "regional"),
    pairs="sessions",
    law="Luật Khám bệnh, chữa bệnh 15/2023/QH15, Điều 80; Nghị định 96/2023/NĐ-CP, Điều 87 và 88; Thông tư 30/2023/TT-BYT; dữ liệu theo FHIR R4, Encounter lớp VR.",
)


DEPARTMENT = Department(
    name="telehealth",
    glass=GLASS,
    event=Telehealth,
    domain="health",
    late_after_seconds=900,
    subject=lambda event: event.session,
    measures=("sessions", "finished", "cancelled", "seconds", "not_telehealth", "planned"),
    distinct="sites",
    chunk_days=364,
    finish=lambda sums: {
        ("minutes" if name == "seconds" else name): (value // 60 if name == "seconds" else value) for name, value in sums.items()
    },
    life=Life(
        states={"session": SessionState, "request": RequestState},
        tell=_tell,
        merge=_merge,
        counts=_counts,
        stands_on=lambda state: state.newest[2],
        follows=_follows,
    ),
    grown=(Grown(fields=("supporting", "appointments", "requests"), measures=("planned",), states=("request",)),),
)
