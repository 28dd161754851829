"""What people read: values as the glass writes them, the rule's text filled in, the same key for the same message."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.rules.alarms import Member, Telling
from streams.rules.message import About, Message, compose, digest, duration, filled, gathered, key, number, placeholders, written
from streams.rules.rule import Rule

NOW = datetime(2026, 11, 22, 2, 20, 30, tzinfo=UTC)
MINUTE = int(datetime(2026, 11, 22, 2, 17, tzinfo=UTC).timestamp()) // 60


def rule(**more: Any) -> Rule:
    held = {
        "rule": "payment-silent", "title": "Viện phí thấp", "text": "{units}: {value} trong {window}, ngưỡng {threshold}, từ {since} đến {until}.",
        "why": "a test", "department": "payment", "measure": {"sum": "paid_vnd"}, "window": "15m", "by": "unit", "when": {"below": 1_500_000},
        "owner": "Phòng Tài chính", "runbook": "Gọi bệnh viện.",
    }  # fmt: skip
    return Rule.model_validate(held | more)


def about(chosen: Rule, **more: Any) -> About:
    return replace(About("live", 7, NOW, 0, chosen, {"38001": "Bệnh viện A"}, "https://wall.example.vn"), **more)


def made(chosen: Rule, word: Any, *members: Member) -> Message:
    return compose(about(chosen), Telling(word, "firing", members), members, NOW)


def test_a_message_says_what_where_since_when_what_to_do_and_where_to_look() -> None:
    message = made(rule(), "firing", Member(1, "38001", MINUTE, peak=1_234_567, value=1_300_000))
    assert message.title == "Cảnh báo: Viện phí thấp – Bệnh viện A"
    assert message.text.splitlines() == [
        "Bệnh viện A: 1.300.000 đồng trong 15 phút, ngưỡng 1.500.000 đồng, từ 09:17 22/11 đến nay.",
        "- Bệnh viện A: từ 09:17 22/11 đến nay, thấp nhất 1.234.567 đồng",
        "Việc cần làm: Gọi bệnh viện.",
        "Phụ trách: Phòng Tài chính",
        "https://wall.example.vn/d/ioc-payment?at=2026-11-22T09:20",
    ]


def test_twenty_five_units_are_counted_and_not_all_listed() -> None:
    members = [Member(n, f"u{n:02}", MINUTE) for n in range(25)]
    message = made(rule(), "firing", *members)
    assert message.title == "Cảnh báo: Viện phí thấp (25 đơn vị)"
    assert "u00, u01, u02, u03, u04 và 20 đơn vị khác" in message.text
    assert "- và 5 dòng khác" in message.text
    assert len(message.units) == 25


@pytest.mark.parametrize(
    ("word", "begins"),
    [
        ("more", "Thêm"),
        ("resolved", "Đã hết"),
        ("withdrawn", "Rút lại"),
        ("missed", "Biết muộn"),
        ("again", "Vẫn còn"),
        ("corrected", "Đính chính"),
        ("escalated", "Chưa ai nhận"),
    ],
)
def test_every_word_has_its_title(word: str, begins: str) -> None:
    assert made(rule(), word, Member(1, "", MINUTE, MINUTE + 3)).title == f"{begins}: Viện phí thấp"


def test_what_ended_for_its_root_cause_says_so() -> None:
    ended = Member(1, "38001", MINUTE, MINUTE + 3, told="fired")
    message = compose(about(rule(), held=frozenset({"38001"})), Telling("resolved", "over", (ended,)), (ended,), NOW)
    assert "nguyên nhân gốc đang được báo riêng" in message.text


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ({"sum": "paid_vnd"}, 1_234_567.0, "1.234.567 đồng"),
        ({"count": "receipts"}, 12.0, "12 giao dịch"),
        ({"rate": "receipts"}, 12.5, "12,5 giao dịch/giờ"),
        ({"ratio": "failed", "to": "receipts"}, 12.5, "12,5 %"),
        ({"change": "receipts"}, -40.0, "−40 %"),
        ({"absence": "receipts"}, 180.0, "3 giờ"),
        ({"freshness": "source"}, 90.0, "90 giây"),
        ({"offline": "receipts"}, 3.0, "3 bệnh viện"),
        ({"completeness": "source"}, 99.96, "99,9 %"),
        ({"sum": "paid_vnd"}, None, "—"),
    ],
)
def test_a_value_is_written_as_the_glass_writes_it(measure: dict[str, str], value: float | None, text: str) -> None:
    assert written(rule(measure=measure, by="whole"), value) == text


def test_numbers_and_durations() -> None:
    assert [number(v) for v in (0, 1234567, 12.5, -3.0, 1234.56)] == ["0", "1.234.567", "12,5", "−3", "1.234,6"]
    assert [duration(s) for s in (45, 60, 900, 5400, 7200, 86_400 * 7)] == ["45 giây", "1 phút", "15 phút", "90 phút", "2 giờ", "7 ngày"]


def test_what_stands_in_braces_is_told_and_what_is_no_placeholder_stays() -> None:
    odd = rule(text="{value} và {nothing}")
    assert placeholders(odd.text) == ("value", "nothing")
    assert filled(about(odd), [Member(1, "", MINUTE, peak=5)]) == "5 đồng và {nothing}"


def test_a_value_with_braces_in_a_name_is_not_filled_again() -> None:
    assert filled(about(rule(text="{units} x"), names={"a": "{value}"}), [Member(1, "a", MINUTE)]) == "{value} x"


def test_the_key_depends_on_space_alarm_word_and_sequence_only() -> None:
    one = made(rule(), "firing", Member(1, "38001", MINUTE))
    assert one.key == made(rule(title="Other title"), "firing", Member(1, "38001", MINUTE)).key
    others = [about(rule(), **more) for more in ({"space": "drill"}, {"alarm": 8}, {"said": 1}, {"opened_at": NOW + timedelta(seconds=1)})]
    keys = {compose(each, Telling("firing", "firing", (Member(1, "", MINUTE),)), (), NOW).key for each in others}
    assert len(keys | {one.key, made(rule(), "again", Member(1, "", MINUTE)).key}) == 6
    assert key("a", 1) == key("a", 1) != key("a", 2)


def test_a_night_is_one_message_and_a_quiet_day_says_so() -> None:
    parts = [made(rule(), word, Member(1, "38001", MINUTE, MINUTE + 9)) for word in ("firing", "resolved")]
    night = gathered(parts, NOW)
    assert night.title == "Trong giờ yên lặng có 2 tin"
    assert "- 09:20 22/11 Cảnh báo: Viện phí thấp – Bệnh viện A" in night.text
    assert night.parts == tuple(parts)
    assert digest("live", "default", "2026-11-21", [], NOW).text == "Ngày 21/11/2026: không có báo động"


def test_a_drill_says_that_it_is_one() -> None:
    message = compose(about(rule(), space="drill-01"), Telling("firing", "firing", (Member(1, "", MINUTE),)), (), NOW)
    assert message.title.startswith("[DIỄN TẬP drill-01] ")
    assert message.url.endswith("&space=drill-01"), "its link leads into the drill"
    assert "space=" not in made(rule(), "firing", Member(1, "", MINUTE)).url
