"""Encounters of the telehealth platform through their lives, version by version, with their faults."""

from dataclasses import dataclass
from random import Random

from deploy.simulators import hospitals, people
from deploy.simulators.clock import DAY_US, MINUTE_US, SECOND_US, VIETNAM_US, day_text, stamp
from deploy.simulators.faults import Faults, lag_us

CLASSES = {"VR": "virtual", "AMB": "ambulatory", "IMP": "inpatient encounter", "EMER": "emergency", "HH": "home health"}
CENTRAL = ("01901", "01902", "79001")
CLASS_WEIGHTS = (68, 12, 7, 5, 8)
LIVES: tuple[tuple[str, ...], ...] = (
    ("planned", "arrived", "in-progress", "finished"),
    ("planned", "in-progress", "finished"),
    ("planned", "arrived", "in-progress", "finished", "finished"),
    ("planned", "cancelled"),
    ("planned", "arrived", "in-progress"),
    ("planned", "arrived"),
    ("planned",),
    ("planned", "in-progress", "finished", "entered-in-error"),
)
LIFE_WEIGHTS = (60, 8, 6, 9, 7, 4, 3, 3)
REASONS = (
    "Đau ngực, khó thở",
    "Hội chẩn phim phổi",
    "Theo dõi tăng huyết áp",
    "Đái tháo đường típ 2",
    "Tư vấn sau phẫu thuật",
    "Sốt kéo dài",
)
NARRATIVE = '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">Phiên khám</div>"}'


@dataclass(slots=True)
class Version:
    """One version as the search shows it. number: meta.versionId; whole: not corrupt, so that it hides the versions before it."""

    id: str
    number: int
    updated_us: int
    body: bytes
    whole: bool
    told: dict[str, object] | None


@dataclass(frozen=True)
class _Case:
    """What all versions of one Encounter share."""

    id: str
    kind: str
    hospital: str
    patient: people.Person
    doctor: str
    reason: str
    supporting: str | None


class Encounters:
    """`make(begin_us)` gives the versions of one Encounter for a `Schedule`."""

    def __init__(self, seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/encounters/{run_us}")
        self._faults = faults
        self._prefix = f"th-{run_us // SECOND_US:x}"
        self._count = 0
        self._patients = people.crowd(self._random, 500)
        self._doctors = people.crowd(self._random, 60)

    def make(self, begin_us: int) -> list[tuple[int, Version]]:
        """The versions, each with the moment at which the search shows it: a little after its lastUpdated, at times two seconds."""
        random = self._random
        self._count += 1
        case = _Case(
            f"{self._prefix}-{self._count}",
            random.choices(tuple(CLASSES), CLASS_WEIGHTS)[0],
            random.choices(hospitals.CODES, cum_weights=hospitals.BUSY)[0],
            random.choice(self._patients),
            f"BS {random.choice(self._doctors).name}",
            random.choice(REASONS),
            random.choice(CENTRAL) if random.random() < 0.7 else None,
        )
        life = random.choices(LIVES, LIFE_WEIGHTS)[0]
        if case.kind != "VR" and life[-1] == "entered-in-error":
            life = life[:-1]
        lag = lag_us(random) if random.random() < self._faults.late else 0
        return self._versions(case, life, begin_us, lag)

    def _versions(self, case: _Case, life: tuple[str, ...], begin_us: int, lag: int) -> list[tuple[int, Version]]:
        random = self._random
        minutes = min(120.0, max(4.0, random.lognormvariate(3.0, 0.6)))
        planned_us = (begin_us - lag - int((minutes + random.uniform(5, 20)) * MINUTE_US)) // (5 * MINUTE_US) * 5 * MINUTE_US
        start_us = planned_us + int(random.uniform(0, 4) * 60) * SECOND_US
        end_us = start_us + int(minutes * 60) * SECOND_US - 4 * MINUTE_US if minutes > 8 else start_us + int(minutes * 30) * SECOND_US
        made: list[tuple[int, Version]] = []
        updated_us = begin_us
        for number, status in enumerate(life, 1):
            ends = status in ("finished", "entered-in-error") and random.random() > 0.005
            if number == 5:
                end_us -= 30 * SECOND_US
            begin = planned_us if status in ("planned", "cancelled") else start_us
            made += self._shown(case, number, status, begin, end_us if ends else None, updated_us)
            updated_us += int(random.uniform(1.5, 9) * SECOND_US)
        return made

    def _shown(
        self, case: _Case, number: int, status: str, start_us: int, end_us: int | None, updated_us: int
    ) -> list[tuple[int, Version]]:
        random, faults = self._random, self._faults
        shown_us = updated_us + int((random.uniform(0.3, 2) if random.random() < faults.shuffled else random.uniform(0, 0.02)) * SECOND_US)
        start, end = _offset(start_us, random), None if end_us is None else _offset(end_us, random)
        updated = _instant(updated_us)
        told: dict[str, object] = {
            "system": "telehealth", "id": case.id, "versionId": str(number), "lastUpdated": updated, "status": status, "class": case.kind,
            "hospital": case.hospital, "start": start, "end": end,
            "supporting": case.supporting if case.kind == "VR" else None,
        }  # fmt: skip
        named: dict[str, object] = {"system": "telehealth", "id": case.id, "versionId": str(number)}
        body = _body(case, number, updated, status, start, end)
        good = Version(case.id, number, updated_us, body.encode(), True, {"what": "fact"} | told)
        out = [(shown_us, good)]
        if random.random() < faults.corrupt:
            how = random.choice(("time", "status", "month"))
            instead = random.random() < 0.3
            bad = Version(
                case.id,
                number,
                updated_us,
                _corrupt(body, how, start),
                False,
                {"what": "corrupt"} | named | {"how": how, "instead": instead},
            )
            if instead:
                return [(shown_us, bad)]
            out.insert(0, (shown_us, bad))
        if random.random() < faults.again:
            again = body if random.random() < 0.6 else body.replace('"class":', f'{NARRATIVE},"class":', 1)
            out.append((shown_us, Version(case.id, number, updated_us, again.encode(), True, {"what": "again"} | named)))
        if random.random() < faults.conflict:
            other = body.replace(f'"start":"{start}"', f'"start":"{_offset(start_us - 7 * MINUTE_US, random)}"')
            out.append((shown_us, Version(case.id, number, updated_us, other.encode(), True, {"what": "conflict"} | named)))
        return out


def _offset(us: int, random: Random) -> str:
    """ISO 8601 with an offset: Vietnamese, now and then UTC."""
    return f"{stamp(us)}+07:00" if random.random() < 0.95 else f"{stamp(us - VIETNAM_US)}Z"


def _instant(us: int) -> str:
    """A FHIR instant in milliseconds."""
    day, rest = divmod(us + VIETNAM_US, DAY_US)
    second, millis = divmod(rest // 1_000, 1_000)
    return f"{day_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{millis:03d}+07:00"


def _corrupt(body: str, how: str, start: str) -> bytes:
    match how:
        case "time":
            return body.replace(f'"start":"{start}"', '"start":"hôm qua"').encode()
        case "month":
            return body.replace(f'"start":"{start}"', f'"start":"{start[:5]}13{start[7:]}"').encode()
    return body.replace('"status":', '"state":', 1).encode()


def _body(case: _Case, number: int, updated: str, status: str, start: str, end: str | None) -> str:
    """An Encounter of FHIR R4, with all that a platform lets through about a patient."""
    who = case.patient
    closed = f',"end":"{end}"' if end else ""
    asked, based = "", ""
    if case.kind == "VR" and case.supporting is not None:
        based = ',"basedOn":[{"reference":"#yc"}]'
        asked = (
            ',{"resourceType":"ServiceRequest","id":"yc","status":"active","intent":"order","subject":{"reference":"#p1"},'
            f'"requester":{{"reference":"Organization/{case.hospital}"}},"performer":[{{"reference":"Organization/{case.supporting}"}}]}}'
        )
    return (
        f'{{"resourceType":"Encounter","id":"{case.id}","meta":{{"versionId":"{number}","lastUpdated":"{updated}"}},'
        f'"contained":[{{"resourceType":"Patient","id":"p1","identifier":[{{"system":"http://fhir.hl7.org.vn/core/sid/cccd","value":"{who.cccd}"}},'
        f'{{"system":"http://fhir.hl7.org.vn/core/sid/bhyt","value":"{who.card}"}}],"name":[{{"text":"{who.name}"}}],'
        f'"telecom":[{{"system":"phone","value":"{who.phone}"}}],"birthDate":"{who.born}","address":[{{"text":"{who.address}"}}]}}{asked}]{based},'
        f'"status":"{status}","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{case.kind}","display":"{CLASSES[case.kind]}"}},'
        f'"subject":{{"reference":"#p1","display":"{who.name}"}},"participant":[{{"individual":{{"display":"{case.doctor}"}}}}],'
        f'"period":{{"start":"{start}"{closed}}},"reasonCode":[{{"text":"{case.reason}"}}],'
        f'"serviceProvider":{{"reference":"Organization/{case.hospital}"}}}}'
    )
