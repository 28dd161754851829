"""Telehealth: the contract of one version of an encounter."""

from collections.abc import Iterable, Mapping

import msgspec

from streams.department import Department
from streams.event import Event, Id, TimeUs, Word
from streams.figures import Figure, Glass, Sum, Units
from streams.lives import MINUTE_US, Count, Life, Told


class Telehealth(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a FHIR Encounter.

    id: Encounter id + version (versionId, else lastUpdated, else the body). kind: class code (VR, AMB, IMP, EMER, HH, ..).
    unit: the asking hospital (serviceProvider). session: pseudonym of the Encounter id. updated_at_us: meta.lastUpdated, 0 if absent.
    revision: versionId as a number, 0 if it is none. The newest version by (updated_at_us, revision, id) is what holds.
    status: planned, arrived, in-progress, finished, cancelled, entered-in-error, unknown (onleave and triaged are folded into
    in-progress and arrived; R5 names are mapped to R4's). started_at_us, ended_at_us: period.
    """

    session: Id
    status: Word
    updated_at_us: TimeUs = 0
    revision: int = 0
    started_at_us: TimeUs | None = None
    ended_at_us: TimeUs | None = None


TOOK_PLACE = ("arrived", "in-progress", "finished")


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """The newest version of one encounter."""

    known_us: int
    newest: tuple[int, int, str]
    kind: str
    unit: str
    status: str
    at_us: int
    seconds: int


def _tell(event: Telehealth) -> Iterable[Told]:
    started, ended = event.started_at_us, event.ended_at_us
    seconds = max(0, (ended - started) // 1_000_000) if event.status == "finished" and started is not None and ended is not None else 0
    at_us = started if started is not None else event.event_time_us
    newest = (event.updated_at_us, event.revision, event.id)
    fact = SessionState(0, newest, event.kind, event.unit or "", event.status, at_us, seconds)
    yield Told(("session", event.session), event.known_at_us, fact)


def _merge(table: str, state: SessionState | None, known_us: int, fact: SessionState) -> SessionState:
    if state is not None and fact.newest <= state.newest:
        return state
    return msgspec.structs.replace(fact, known_us=known_us)


def _counts(state: SessionState, units: Mapping[str, str]) -> Count | None:
    """A session belongs to the day it started; entered in error takes it out again (doors.md)."""
    if state.status == "entered-in-error":
        return None
    minute = state.at_us - state.at_us % MINUTE_US
    if state.kind != "VR":
        return Count(minute, state.unit, state.kind, (0, 0, 0, 0, 1))
    measures = (int(state.status in TOOK_PLACE), int(state.status == "finished"), int(state.status == "cancelled"), state.seconds, 0)
    return Count(minute, state.unit, state.kind, measures) if any(measures) else None


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
    law="Luật Khám bệnh, chữa bệnh 15/2023/QH15, Điều 80; Nghị định 96/2023/NĐ-CP, Điều 87 và 88; Thông tư 30/2023/TT-BYT; dữ liệu theo FHIR R4, Encounter lớp VR.",
)


DEPARTMENT = Department(
    name="telehealth",
    glass=GLASS,
    event=Telehealth,
    domain="health",
    late_after_seconds=900,
    subject=lambda event: event.session,
    measures=("sessions", "finished", "cancelled", "seconds", "not_telehealth"),
    distinct="sites",
    chunk_days=364,
    finish=lambda sums: {
        ("minutes" if name == "seconds" else name): (value // 60 if name == "seconds" else value) for name, value in sums.items()
    },
    life=Life(states={"session": SessionState}, tell=_tell, merge=_merge, counts=_counts, stands_on=lambda state: state.newest[2]),
)
