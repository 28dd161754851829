"""Messages: what people are told, in Vietnamese, and the same in fields for machines."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from streams.department import department
from streams.event import VIETNAM
from streams.rules.alarms import Member, Telling, Word
from streams.rules.measure import LEDGER, Absence, Change, Completeness, Distinct, Freshness, Offline, Percentile, Rate, Ratio
from streams.rules.rule import Rule
from streams.topics import LIVE

PLACEHOLDERS = ("value", "peak", "threshold", "window", "units", "since", "until")
"""What a rule's text may ask for in braces."""

MOST_UNITS, MOST_NAMES, MOST_LINES = 20, 5, 40
WHOLE = "toàn tỉnh"

_BRACES = re.compile(r"\{(\w*)\}")
_SEVERITY = {"info": "Thông tin", "warning": "Cảnh báo", "critical": "Nghiêm trọng"}
_LABEL = {
    "more": "Thêm", "resolved": "Đã hết", "withdrawn": "Rút lại", "missed": "Biết muộn", "again": "Vẫn còn", "corrected": "Đính chính",
    "escalated": "Chưa ai nhận",
}  # fmt: skip
_SENTENCE = {
    "withdrawn": "Số liệu đến sau cho thấy việc này không xảy ra.",
    "missed": "Số liệu đến muộn cho thấy việc này đã xảy ra và đã hết.",
    "again": "Đã báo hết, nhưng số liệu đến sau cho thấy việc này vẫn tiếp diễn.",
    "corrected": "Số liệu đến sau cho thấy một phần đã báo không xảy ra.",
    "escalated": "Chưa có ai xác nhận cảnh báo này.",
}
_MANY = {"whole": "đơn vị", "unit": "đơn vị", "kind": "loại", "source": "nguồn"}


class Unit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One group of an alarm. since, until: ISO 8601, UTC; until is None while it lasts. withdrawn: it never was."""

    code: str
    name: str
    since: str
    until: str | None = None
    peak: float | None = None
    withdrawn: bool = False


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. key: the same however often it is made or sent. title, text: for people. alarm: None for one that is about several.
    units: all of the alarm that people know of, as they are now. parts: the messages that it carries. made_at: ISO 8601, UTC."""

    key: str
    word: Word | Literal["morning", "digest", "test"]
    space: str
    made_at: str
    title: str
    text: str
    alarm: int | None = None
    rule: str = ""
    department: str = ""
    severity: str = ""
    owner: str = ""
    runbook: str = ""
    url: str = ""
    units: tuple[Unit, ...] = ()
    parts: tuple["Message", ...] = ()


@dataclass(frozen=True)
class About:
    """Which alarm a message is about. said: how many messages of it there were. names: of units. wall_url: what links begin with.
    held: the groups whose firing ended because a rule that inhibits this one rings instead. off: the rule was switched off or removed."""

    space: str
    alarm: int
    opened_at: datetime
    said: int
    rule: Rule
    names: Mapping[str, str]
    wall_url: str | None = None
    held: frozenset[str] = frozenset()
    off: bool = False


def placeholders(text: str) -> tuple[str, ...]:
    """What stands in braces in a rule's text, in its order; whatever is not one of PLACEHOLDERS is a mistake of the author's."""
    return tuple(_BRACES.findall(text))


def key(*parts: object) -> str:
    """32 hex digits that are always the same for the same parts."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def compose(about: About, telling: Telling, known: Sequence[Member], now: datetime) -> Message:
    """The message that a telling is; its word may not be None. known: the firings of the alarm that people know of after it."""
    rule, word = about.rule, telling.word
    assert word is not None  # noqa: S101  # of nothing there is no message
    news = telling.news or tuple(known)
    real = [member for member in news if not member.withdrawn] or [*news]
    many = _MANY[rule.by]
    label = _SEVERITY[rule.severity] if word == "firing" else _LABEL[word]
    named = (
        ""
        if {m.unit for m in real} <= {""}
        else f" – {_names(about, real)}"
        if len({m.unit for m in real}) == 1
        else f" ({len(real)} {many})"
    )
    url = f"{about.wall_url}/d/{rule.board or f'ioc-{rule.department}'}?at={_local(now):%Y-%m-%dT%H:%M}" if about.wall_url else ""
    url += f"&space={about.space}" if url and about.space != LIVE else ""
    lines = [_sentence(about, word, real), filled(about, real), *_unit_lines(about, news)]
    lines += [f"Việc cần làm: {rule.runbook}", f"Phụ trách: {rule.owner}", *([url] if url else [])]
    return Message(
        key=key(about.space, about.alarm, about.opened_at.isoformat(), word, about.said),
        word=word, space=about.space, made_at=now.astimezone(UTC).isoformat(), title=_line(f"{_drill(about.space)}{label}: {rule.title}{named}"),
        text="\n".join(line for line in lines if line), alarm=about.alarm, rule=rule.rule, department=rule.department, severity=rule.severity,
        owner=rule.owner, runbook=rule.runbook, url=url, units=tuple(_unit(about, member) for member in known),
    )  # fmt: skip


def gathered(parts: Sequence[Message], now: datetime) -> Message:
    """One message for several that waited until quiet hours ended."""
    title = f"{_drill(parts[0].space)}Trong giờ yên lặng có {len(parts)} tin"
    told = [f"- {stamp(datetime.fromisoformat(part.made_at))} {part.title}" for part in parts]
    text = "\n".join([f"{title}:", *_some(told)])
    made = {"word": "morning", "space": parts[0].space, "made_at": now.astimezone(UTC).isoformat()}
    return msgspec.convert({"key": key(*(part.key for part in parts)), "title": title, "text": text, "parts": parts, **made}, Message)


class Tally(msgspec.Struct, frozen=True):
    """Of one day: how often a rule fired for a unit, and for how many minutes."""

    title: str
    unit: str
    times: int
    minutes: int


def digest(space: str, route: str, day: str, tallies: Sequence[Tally], now: datetime) -> Message:
    """What a day (`2026-11-21`) had of alarms."""
    said = f"{day[8:]}/{day[5:7]}/{day[:4]}"
    title = (
        f"{_drill(space)}Ngày {said}: {sum(t.times for t in tallies)} lần báo"
        if tallies
        else f"{_drill(space)}Ngày {said}: không có báo động"
    )
    told = [f"- {t.title}{f' – {t.unit}' if t.unit else ''}: {number(t.times)} lần, {number(t.minutes)} phút" for t in tallies]
    text = "\n".join([title, *_some(told)])
    return Message(
        key=key(space, "digest", route, day), word="digest", space=space, made_at=now.astimezone(UTC).isoformat(), title=title, text=text
    )


def filled(about: About, members: Sequence[Member]) -> str:
    """The rule's text with its placeholders filled in; what is not known there is a dash, what is no placeholder stays."""
    rule = about.rule
    farthest = max if rule.when.above is not None else min
    peaks = [member.peak for member in members if member.peak is not None]
    values = [member.value for member in members if member.value is not None and member.lasts]
    peak = farthest(peaks) if peaks else None
    ends = [member.until for member in members]
    given = {
        "peak": written(rule, peak), "value": written(rule, farthest(values) if values else peak), "window": duration(rule.window * 60),
        "threshold": written(rule, rule.when.above if rule.when.above is not None else rule.when.below), "units": _names(about, members),
        "since": stamp(_moment(min(member.since for member in members))),
        "until": "nay" if None in ends else stamp(_moment(max(end for end in ends if end is not None))),
    }  # fmt: skip
    return _BRACES.sub(lambda found: given.get(found[1], found[0]), rule.text)


def written(rule: Rule, value: float | None) -> str:
    """A value of the rule's measure as the glass writes it: `1.234.567 đồng`, `12,5 %`."""
    if value is None:
        return "—"
    match rule.measure:
        case Ratio() | Change() | Completeness():
            return f"{number(value if not 99.9 < value < 100 else 99.9)} %"  # a share is never rounded up to all of it
        case Percentile() | Freshness():
            return duration(value)
        case Absence():
            return duration(value * 60)
        case Distinct() | Offline():
            return f"{number(value)} {department(rule.department).glass.places}"
    name = rule.columns[0]
    figure = next((figure for figure in department(rule.department).glass.figures if figure.name == name), None)
    word = "đồng" if name.endswith("_vnd") else "tin" if name in LEDGER else figure.word if figure else ""
    per = f"/{duration(rule.measure.per * 60).removeprefix('1 ')}" if isinstance(rule.measure, Rate) else ""
    return f"{number(value)} {word}".rstrip() + per


def number(value: float) -> str:
    """`1.234.567`, `12,5`, `−3`: whole numbers whole, others with one decimal."""
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}".removesuffix(".0")
    return text.translate(str.maketrans(",.-", ".,−"))


def duration(seconds: float) -> str:
    """`45 giây`, `15 phút`, `2 giờ`: in the largest unit of which there are two."""
    steps = ((86_400, "ngày"), (3_600, "giờ"), (60, "phút"))
    by, word = next(((by, word) for by, word in steps if seconds >= 2 * by or seconds == by), (1, "giây"))
    return f"{number(seconds / by)} {word}"


def stamp(at: datetime) -> str:
    """`09:17 22/11`, Vietnamese time."""
    return f"{_local(at):%H:%M %d/%m}"


def _sentence(about: About, word: Word, real: Sequence[Member]) -> str:
    if word == "resolved" and about.off:
        return "Quy tắc này đã được tắt hoặc gỡ: việc này không còn được theo dõi."
    if word == "resolved" and all(member.unit in about.held for member in real):
        return "Tạm ngừng báo: nguyên nhân gốc đang được báo riêng."
    return _SENTENCE.get(word, "")


def _unit_lines(about: About, members: Sequence[Member]) -> list[str]:
    if len(members) == 1 and not members[0].unit:
        return [f"Từ {_span(about, members[0])}."]
    return _some([f"- {_names(about, [member])}: từ {_span(about, member)}" for member in members], MOST_UNITS)


def _span(about: About, member: Member) -> str:
    since = stamp(_moment(member.since))
    if member.withdrawn:
        return f"{since}: rút lại, không xảy ra"
    until = "nay" if member.until is None else stamp(_moment(member.until))
    far = "cao nhất" if about.rule.when.above is not None else "thấp nhất"
    return f"{since} đến {until}" + (f", {far} {written(about.rule, member.peak)}" if member.peak is not None else "")


def _names(about: About, members: Sequence[Member]) -> str:
    names = [*dict.fromkeys(about.names.get(member.unit, member.unit) or WHOLE for member in members)]
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" và {rest} {_MANY[about.rule.by]} khác" if rest > 0 else "")


def _unit(about: About, member: Member) -> Unit:
    until = None if member.until is None else _moment(member.until).isoformat()
    since = _moment(member.since).isoformat()
    return Unit(code=member.unit, name=_names(about, [member]), since=since, until=until, peak=member.peak, withdrawn=member.withdrawn)


def _some(lines: list[str], most: int = MOST_LINES) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"- và {len(lines) - most} dòng khác"]


def _drill(space: str) -> str:
    return "" if space == LIVE else f"[DIỄN TẬP {space}] "


def _line(text: str) -> str:
    return " ".join(text.split())


def _moment(minute: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


def _local(at: datetime) -> datetime:
    return at.astimezone(VIETNAM)
