"""Made-up people: Vietnamese names and numbers that look personal, so that one can see whether they get lost at the door."""

from dataclasses import dataclass
from random import Random

FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đỗ", "Bùi", "Hà", "Lưu", "Trịnh", "Mai", "Cao", "Quách", "Lò", "Hơ")
MIDDLE = ("Văn", "Thị", "Đức", "Minh", "Ngọc", "Thanh", "Hữu", "Quang", "Thu", "Xuân", "Hồng", "Bá")
GIVEN = (
    "An",
    "Bình",
    "Chi",
    "Dũng",
    "Giang",
    "Hạnh",
    "Hiếu",
    "Hoa",
    "Khánh",
    "Lan",
    "Linh",
    "Nam",
    "Nhung",
    "Phúc",
    "Quỳnh",
    "Sơn",
    "Thảo",
    "Tuấn",
    "Vân",
    "Yến",
)
STREETS = ("Lê Lợi", "Trần Phú", "Quang Trung", "Lê Hoàn", "Nguyễn Trãi", "Đội Cung", "Bà Triệu", "Lam Sơn", "Hàm Nghi", "Hạc Thành")


@dataclass(frozen=True)
class Person:
    """Nobody real: `cccd` 12 digits of Thanh Hóa (038), `card` a health-insurance number, `phone` a mobile one."""

    name: str
    cccd: str
    phone: str
    card: str
    born: str
    address: str


def person(random: Random) -> Person:
    """Someone new."""
    female = random.random() < 0.5
    year = random.randint(1940, 2020)
    century = (0 if year < 2000 else 2) + female
    middle = "Thị" if female and random.random() < 0.6 else random.choice(MIDDLE)
    return Person(
        name=f"{random.choice(FAMILY)} {middle} {random.choice(GIVEN)}",
        cccd=f"038{century}{year % 100:02d}{random.randrange(10**6):06d}",
        phone=f"09{random.randrange(10**8):08d}",
        card=f"GD438{random.randrange(10**10):010d}",
        born=f"{year}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}",
        address=f"Số {random.randint(1, 400)} đường {random.choice(STREETS)}",
    )


def crowd(random: Random, count: int) -> list[Person]:
    """So many people."""
    return [person(random) for _ in range(count)]
