"""The figures of each department: name (doors.md), Vietnamese words, definition, and how a figure follows from the stored measures."""

from dataclasses import dataclass
from typing import Literal

from streams.department import department

Format = Literal["count", "money", "seconds"]
GROWTH = 1.1  # bound b of a duration histogram covers GROWTH^(b-1) .. GROWTH^b seconds


@dataclass(frozen=True)
class Sum:
    """The measure of `<department>_1m` and `_1d`, summed; divided by `per` (60: seconds become minutes)."""

    measure: str
    per: int = 1


@dataclass(frozen=True)
class Units:
    """How many different units had a positive sum of the measure on a day."""

    measure: str


@dataclass(frozen=True)
class Daily:
    """A measure kept once a day in a view of its own (exact distinct counts)."""

    view: str
    measure: str


@dataclass(frozen=True)
class Percentile:
    """Of a duration histogram `view(minute, bound, n)`: middle of the bound that holds the share `at`; error at most 5 %."""

    view: str
    at: float


@dataclass(frozen=True)
class Held:
    """Records in quarantine for one cause."""

    cause: str


Measured = Sum | Units | Daily | Percentile | Held


@dataclass(frozen=True)
class Figure:
    """One figure. name: key of doors.md. word: what is counted, as it stands after the number.
    brief: a shorter label for narrow places. good: whether more or less of it is welcome. watch_above: from here on it deserves attention."""

    name: str
    label: str
    word: str
    definition: str
    measured: Measured
    format: Format = "count"
    watch_above: float | None = None
    brief: str = ""
    good: Literal["more", "less"] = "more"

    @property
    def topic(self) -> str:
        """What the figure is about, without its day: `Hóa đơn điện tử`."""
        return self.brief or self.label.removesuffix(" hôm nay")


@dataclass(frozen=True)
class Glass:
    """What the glass says of a department. headline: the figures of its large tiles; trend, ranking, month: those drawn over the day, by unit
    and over this month. places, place_kind: what its units are called, and their kind in the unit table. slot_minutes: how finely a
    day is drawn."""

    name: str
    label: str
    short: str
    places: str
    place_kind: str
    slot_minutes: int
    headline: tuple[str, ...]
    trend: str
    ranking: str
    figures: tuple[Figure, ...]
    month: str | None = None

    @property
    def silent_after_seconds(self) -> int:
        """A source not heard for longer makes the figures stale (the department's own limit)."""
        return department(self.name).fresh_within_seconds

    def figure(self, name: str) -> Figure:
        """The figure of that name (KeyError when there is none)."""
        return {figure.name: figure for figure in self.figures}[name]


EINVOICE = Glass(
    name="einvoice",
    label="Hóa đơn điện tử",
    short="Hóa đơn",
    places="xã, phường",
    place_kind="commune",
    slot_minutes=10,
    headline=("invoices", "value_vnd", "accepted", "code_seconds_p95"),
    trend="invoices",
    ranking="value_vnd",
    figures=(
        Figure(
            "invoices",
            "Hóa đơn điện tử hôm nay",
            "hóa đơn",
            "Số hóa đơn khác nhau (người bán, ký hiệu mẫu số, ký hiệu, số hóa đơn) có ngày lập hôm nay.",
            Sum("invoices"),
        ),
        Figure(
            "value_vnd",
            "Giá trị hóa đơn hôm nay",
            "đ",
            "Tổng tiền thanh toán đã có thuế (TgTTTBSo nhân TGia) của hóa đơn còn hiệu lực; bị từ chối, hủy, thay thế không tính; "
            "điều chỉnh cộng theo dấu.",
            Sum("value_vnd"),
            "money",
        ),
        Figure(
            "accepted",
            "Hóa đơn được chấp nhận",
            "hóa đơn",
            "Hóa đơn được cơ quan thuế cấp mã hoặc chấp nhận, tính theo trạng thái hiện nay.",
            Sum("accepted"),
        ),
        Figure(
            "code_seconds_p95",
            "Thời gian cấp mã, 95 % nhanh hơn",
            "giây",
            "95 % hóa đơn có mã được cấp nhanh hơn số giây này, từ lúc người bán ký đến lúc cơ quan thuế ký (sai số tối đa 5 %).",
            Percentile("code_seconds_1m", 0.95),
            "seconds",
            watch_above=60,
        ),
        Figure(
            "code_seconds_p50",
            "Cấp mã, trung vị",
            "giây",
            "Một nửa số hóa đơn có mã được cấp nhanh hơn số giây này (sai số tối đa 5 %).",
            Percentile("code_seconds_1m", 0.5),
            "seconds",
        ),
        Figure(
            "messages",
            "Thông điệp T-VAN",
            "thông điệp",
            "Số thông điệp T-VAN khác nhau (MTDiep), theo giờ của chính thông điệp.",
            Sum("messages"),
        ),
        Figure("pending", "Chờ kết quả", "hóa đơn", "Hóa đơn đã gửi, cơ quan thuế chưa trả lời.", Sum("pending")),
        Figure("rejected", "Bị từ chối", "hóa đơn", "Hóa đơn cơ quan thuế không chấp nhận.", Sum("rejected")),
        Figure("cancelled", "Đã hủy", "hóa đơn", "Hóa đơn hủy theo thông báo sai sót 04/SS-HĐĐT đã được chấp nhận.", Sum("cancelled")),
        Figure("replaced", "Bị thay thế", "hóa đơn", "Hóa đơn có hóa đơn khác thay thế.", Sum("replaced")),
        Figure("tax_vnd", "Tiền thuế", "đ", "Tổng tiền thuế (TgTThue nhân TGia) của hóa đơn còn hiệu lực.", Sum("tax_vnd"), "money"),
        Figure(
            "sellers", "Người bán", "người bán", "Số người bán khác nhau có hóa đơn lập trong ngày.", Daily("einvoice_sellers", "sellers")
        ),
    ),
    month="value_vnd",
)

TELEHEALTH = Glass(
    name="telehealth",
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
        ),
        Figure("finished", "Phiên đã kết thúc", "phiên", "Phiên khám từ xa đã kết thúc.", Sum("finished")),
        Figure(
            "minutes", "Phút tư vấn từ xa", "phút", "Tổng thời lượng của các phiên đã kết thúc, tính bằng phút.", Sum("seconds", per=60)
        ),
        Figure(
            "sites", "Bệnh viện có phiên khám", "bệnh viện", "Số bệnh viện khác nhau có phiên khám từ xa trong ngày.", Units("sessions")
        ),
        Figure("cancelled", "Phiên bị hủy", "phiên", "Phiên khám từ xa bị hủy.", Sum("cancelled")),
        Figure(
            "not_telehealth",
            "Lượt khám khác, không tính",
            "lượt",
            "Lượt khám của các lớp khác (tại chỗ, nội trú, cấp cứu, tại nhà) đã nhận và để ngoài số liệu.",
            Sum("not_telehealth"),
        ),
    ),
    month="minutes",
)

PAYMENT = Glass(
    name="payment",
    label="Thu viện phí không tiền mặt",
    short="Viện phí",
    places="bệnh viện",
    place_kind="hospital",
    slot_minutes=10,
    headline=("paid_vnd", "receipts", "mismatched", "hospitals"),
    trend="paid_vnd",
    ranking="paid_vnd",
    figures=(
        Figure(
            "paid_vnd",
            "Thu viện phí không tiền mặt",
            "đ",
            "Số tiền thực trả của các giao dịch thành công, thuộc ngày trả theo giờ Việt Nam; trả sai số tiền không cộng vào.",
            Sum("paid_vnd"),
            "money",
            brief="Viện phí",
        ),
        Figure("receipts", "Giao dịch thành công", "giao dịch", "Số giao dịch khác nhau đã trả thành công.", Sum("receipts")),
        Figure(
            "mismatched", "Trả sai số tiền", "giao dịch", "Giao dịch trả khác số tiền phải trả; không cộng vào số thu.", Sum("mismatched")
        ),
        Figure(
            "hospitals", "Bệnh viện có thu", "bệnh viện", "Số bệnh viện khác nhau có giao dịch thành công trong ngày.", Units("receipts")
        ),
        Figure("failed", "Giao dịch thất bại", "giao dịch", "Giao dịch ngân hàng báo thất bại.", Sum("failed")),
        Figure("unknown", "Chưa rõ kết quả", "giao dịch", "Giao dịch ngân hàng chưa cho biết kết quả.", Sum("unknown")),
        Figure(
            "refused",
            "Sai chữ ký, không nhận",
            "thông báo",
            "Thông báo có chữ ký sai, bị từ chối và giữ lại để tra cứu.",
            Held("signature"),
        ),
    ),
    month="paid_vnd",
)

GLASSES: tuple[Glass, ...] = (EINVOICE, TELEHEALTH, PAYMENT)
BY_NAME: dict[str, Glass] = {glass.name: glass for glass in GLASSES}
