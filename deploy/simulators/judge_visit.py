"""The judge's own reading of visits: the newest file of each is what holds."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from deploy.simulators.judge_cells import Fact
from deploy.simulators.judge_lines import VisitLine

FIGURES = ("visits", "insured", "settled", "payers", "patient_vnd", "insurance_vnd", "cost_vnd", "hospitals")
VIETNAM = timezone(timedelta(hours=7))


def facts(lines: Iterable[VisitLine]) -> Iterator[Fact]:
    """Two facts for a visit: that it came, and, once that is so, that it was paid."""
    told = list(lines)
    given_up = {line.key for line in told if line.what == "given_up"}
    held: dict[tuple[str, str], list[VisitLine]] = {}
    for line in told:
        if line.what == "fact" and line.key not in given_up:
            held.setdefault((line.MA_CSKCB, line.MA_LK), []).append(line)
    for files in held.values():
        newest = max(files, key=lambda line: (line.record == "totals", line.NGAYLAP, line.NGAY_TTOAN))
        hospital = newest.MA_CSKCB
        yield Fact(_day(newest.NGAY_VAO), hospital, {"visits": 1, "insured": int(newest.MA_THE_BHYT != "")}, (("hospitals", hospital),))
        if newest.NGAY_TTOAN:
            paid = newest.T_BNTT + newest.T_BNCCT
            money = {"patient_vnd": paid, "insurance_vnd": newest.T_BHTT, "cost_vnd": newest.T_TONGCHI_BV}
            yield Fact(_day(newest.NGAY_TTOAN), hospital, {"settled": 1, "payers": int(paid > 0)} | money)


def ids(lines: Iterable[VisitLine]) -> tuple[set[str], set[str]]:
    """Every file must have arrived, but those that nobody took in time."""
    told = list(lines)
    given_up = {line.key for line in told if line.what == "given_up"}
    held = [line for line in told if line.what == "fact"]
    return {_id(line) for line in held if line.key not in given_up}, {_id(line) for line in held}


def _id(line: VisitLine) -> str:
    filed = _us(line.NGAYLAP) if line.NGAYLAP else ""
    paid = _us(line.NGAY_TTOAN) if line.NGAY_TTOAN else ""
    money = (line.T_TONGCHI_BV, line.T_BNTT + line.T_BNCCT, line.T_BHTT)
    who = (line.MA_THE_BHYT, line.MA_BN)
    return "|".join(map(str, (line.MA_CSKCB, line.MA_LK, line.record, line.MA_LOAI_KCB, _us(line.NGAY_VAO), paid, filed, *who, *money)))


def _us(digits: str) -> int:
    return int(datetime.strptime(digits.ljust(12, "0"), "%Y%m%d%H%M").replace(tzinfo=VIETNAM).timestamp()) * 1_000_000


def _day(digits: str) -> str:
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"
