"""Grafana's SQL macros for PostgreSQL with TimescaleDB, expanded by us so that the wall and the tests run what Grafana runs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streams.errors import Misconfigured
from streams.event import VIETNAM

LONGEST = timedelta(days=400)

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_CALL = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_RELATIVE = re.compile(r"now(?:-(\d{1,5})([smhdwMy]))?(?:/([dwMy]))?")
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|M|y)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
_STEPS_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800)
_LONG_STEPS_SECONDS = (3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000)


@dataclass(frozen=True)
class Range:
    """What a board looks at: both ends included, aware datetimes."""

    start: datetime
    end: datetime

    def interval_ms(self, points: int = 1000) -> int:
        """The first of Grafana's round steps that needs at most about `points` of them."""
        wanted = (self.end - self.start).total_seconds() / points
        found = next((step for step in _STEPS_SECONDS + _LONG_STEPS_SECONDS if step >= wanted), _LONG_STEPS_SECONDS[-1])
        return round(found * 1000)


def period(start: str, end: str, now: datetime) -> Range:
    """The range of two of Grafana's time expressions (`now/d`, `now-24h`), ISO 8601 texts or milliseconds since 1970.

    Days, weeks, months and years are Vietnamese; `/d` rounds down at the start and up at the end. Raises Misconfigured.
    """
    found = Range(_moment(start, now, up=False), _moment(end, now, up=True))
    if not timedelta(0) < found.end - found.start <= LONGEST:
        raise Misconfigured("the period is empty, backwards or too long", f"ask for at most {LONGEST.days} days")
    return found


def _moment(text: str, now: datetime, up: bool) -> datetime:
    relative = _RELATIVE.fullmatch(text)
    try:
        if relative:
            return _relative(relative, now.astimezone(VIETNAM), up)
        if re.fullmatch(r"\d{1,14}", text):
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise Misconfigured(f"{text[:40]!r} is not a time", "write now/d, now-24h, 2026-11-22T09:17 or milliseconds") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)


def _relative(match: re.Match[str], now: datetime, up: bool) -> datetime:
    amount, of, rounded = match.groups()
    moment = now
    if amount and of in ("M", "y"):
        moment = _months(now, -int(amount) * (12 if of == "y" else 1))
    elif amount:
        moment = now - timedelta(seconds=int(amount) * _SECONDS[of])
    if not rounded:
        return moment
    start = _floor(moment, rounded)
    return _floor(_next(start, rounded), rounded) - timedelta(milliseconds=1) if up else start


def _months(moment: datetime, by: int) -> datetime:
    month = moment.year * 12 + moment.month - 1 + by
    return moment.replace(year=month // 12, month=month % 12 + 1, day=min(moment.day, 28))


def _floor(moment: datetime, to: str) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if to == "w":
        return day - timedelta(days=day.weekday())
    if to == "M":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if to == "y" else day


def _next(start: datetime, of: str) -> datetime:
    return start + timedelta(days={"d": 1, "w": 7, "M": 32, "y": 367}[of])


def expand(text: str, over: Range, chosen: Mapping[str, str] | None = None) -> str:
    """The SQL with every macro replaced as Grafana 12 replaces it, and every `${name:sqlstring}` by its chosen value as a string literal.

    What is chosen comes in last, so that nothing in it is read as a macro. Raises Misconfigured for a macro or a variable that it does
    not know, and for a variable without `:sqlstring`: it would stand in the SQL as it is.
    """
    step = over.interval_ms()
    plain = text.replace("$__interval_ms", str(step)).replace("$__interval", _short(step))
    for macro, value in (
        ("$__unixEpochFrom()", str(_epoch(over.start))),
        ("$__unixEpochTo()", str(_epoch(over.end))),
    ):
        plain = plain.replace(macro, value)

    def replaced(match: re.Match[str]) -> str:
        name, arguments = match.group(1), [part.strip() for part in match.group(2).split(",")]
        if not name.startswith("__"):
            return match.group(0)
        if name not in _MACROS:
            raise Misconfigured(f"unknown macro ${name}", "use one of Grafana's PostgreSQL macros")
        return _MACROS[name](arguments, over)

    return _VARIABLE.sub(lambda match: _literal(match.group(1), chosen or {}), _CALL.sub(replaced, plain))


def _literal(written: str, chosen: Mapping[str, str]) -> str:
    name, _, form = written.partition(":")
    if form != "sqlstring" or name not in chosen:
        raise Misconfigured(f"the query uses ${{{written[:40]}}}", "declare the variable in the board and write ${name:sqlstring}")
    if "\0" in chosen[name]:
        raise Misconfigured(f"the value of {name} is no text", "choose one of those the board offers")
    return "'" + chosen[name].replace("'", "''") + "'"


def _short(step_ms: int) -> str:
    for name in ("d", "h", "m", "s"):
        size = _SECONDS[name] * 1000
        if step_ms >= size and step_ms % size == 0:
            return f"{int(step_ms / size)}{name}"
    return f"{step_ms}ms"


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _nano(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _rfc3339(moment: datetime) -> str:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"'{text}Z'"


def interval_seconds(text: str) -> float:
    """The seconds of one of Grafana's intervals: `5m`, `1d`; a bare number is seconds. Raises Misconfigured."""
    match = _INTERVAL.fullmatch(text.strip("'\" "))
    if match is None:
        raise Misconfigured(f"error parsing interval {text[:40]}", "write an interval such as '5m'")
    return float(match.group(1)) * _SECONDS[match.group(2) or "s"]


def _group(arguments: list[str], _: Range) -> str:
    if len(arguments) < 2:
        raise Misconfigured("macro $__timeGroup needs a time column and an interval", "write $__timeGroup(column,'5m')")
    return f"time_bucket('{interval_seconds(arguments[1]):.3f}s',{arguments[0]})"


def _epoch_group(arguments: list[str], _: Range) -> str:
    if len(arguments) < 2:
        raise Misconfigured("macro $__unixEpochGroup needs a column and an interval", "write $__unixEpochGroup(column,'5m')")
    seconds = interval_seconds(arguments[1])
    return f"floor(({arguments[0]})/{seconds:.0f})*{seconds:.0f}"


_MACROS: dict[str, Callable[[list[str], Range], str]] = {
    "__time": lambda a, r: f'{a[0]} AS "time"',
    "__timeEpoch": lambda a, r: f'extract(epoch from {a[0]}) as "time"',
    "__timeFilter": lambda a, r: f"{a[0]} BETWEEN {_rfc3339(r.start)} AND {_rfc3339(r.end)}",
    "__timeFrom": lambda a, r: _rfc3339(r.start),
    "__timeTo": lambda a, r: _rfc3339(r.end),
    "__timeGroup": _group,
    "__timeGroupAlias": lambda a, r: _group(a, r) + ' AS "time"',
    "__unixEpochFilter": lambda a, r: f"{a[0]} >= {_epoch(r.start)} AND {a[0]} <= {_epoch(r.end)}",
    "__unixEpochNanoFilter": lambda a, r: f"{a[0]} >= {_nano(r.start)} AND {a[0]} <= {_nano(r.end)}",
    "__unixEpochNanoFrom": lambda a, r: str(_nano(r.start)),
    "__unixEpochNanoTo": lambda a, r: str(_nano(r.end)),
    "__unixEpochGroup": _epoch_group,
    "__unixEpochGroupAlias": lambda a, r: _epoch_group(a, r) + ' AS "time"',
}
