"""The sellers of the province: who they are, where they are registered, how busy they are."""

import sqlite3
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from random import Random

from deploy.simulators import people

THANH_HOA = "38"
SELLERS = 2_000
UNREGISTERED = 0.05
WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)
GOODS = ("Vật liệu xây dựng", "Thực phẩm", "Dược phẩm", "Vận tải", "May mặc", "Cơ khí", "Nông sản", "Điện máy", "Du lịch", "Thủy sản")


@dataclass(frozen=True)
class Seller:
    """mst: as the seller writes it (a branch with its dash). way: `coded`, `plain` (uncoded), `till` (cash register) or `direct` (plain, K + MST)."""

    mst: str
    name: str
    address: str
    commune: str
    registered: bool
    way: str
    sender: str


def communes() -> list[str]:
    """The codes of the 166 communes of Thanh Hóa, from the data of vietnamadminunits."""
    spec = find_spec("vietnamadminunits")
    if spec is None or spec.origin is None:
        raise RuntimeError("vietnamadminunits is not installed")
    file = Path(spec.origin).parent / "data" / "dataset.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as base:
        rows = base.execute("SELECT wardCode FROM admin_units WHERE provinceCode = ? ORDER BY wardCode", (THANH_HOA,)).fetchall()
    base.close()
    return [str(code) for (code,) in rows]


def mst(random: Random) -> str:
    """Ten digits with a right check digit (Circular 105/2020, annex 1); a remainder of 0 was never issued."""
    while True:
        body = f"2800{random.randrange(10**5):05d}"
        check = 10 - sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11
        if check < 10:
            return f"{body}{check}"


def population(seed: int, count: int = SELLERS) -> list[Seller]:
    """The same sellers for the same seed, no two with one MST."""
    random = Random(f"{seed}/sellers")
    places = communes()
    heights = [1 / (rank + 3) for rank in range(len(places))]
    random.shuffle(places)
    sellers: dict[str, Seller] = {}
    while len(sellers) < count:
        seller = _seller(random, random.choices(places, heights)[0])
        sellers.setdefault(seller.mst.replace("-", ""), seller)
    return list(sellers.values())


def activity(count: int) -> list[float]:
    """Cumulated weights for `random.choices`: a few sellers write most of the invoices."""
    return list(accumulate(1 / (rank + 8) for rank in range(count)))


def registry(sellers: list[Seller]) -> str:
    """`GET /registry.csv`: mst,commune_code of those the registry knows."""
    rows = [f"{seller.mst},{seller.commune}" for seller in sellers if seller.registered]
    return "\n".join(["mst,commune_code", *rows]) + "\n"


def _seller(random: Random, commune: str) -> Seller:
    draw = random.random()
    person = people.person(random)
    if draw < 0.10:
        number, name = person.cccd, f"Hộ kinh doanh {person.name}"
    else:
        number, name = mst(random), f"Công ty TNHH {random.choice(GOODS)} {random.choice(people.GIVEN)} {random.choice(people.GIVEN)}"
        if draw < 0.18:
            number, name = f"{number}-{random.randint(1, 40):03d}", f"Chi nhánh {name}"
    way = random.choices(("coded", "plain", "till", "direct"), (58, 14, 24, 4))[0]
    if len(number) == 12 and way != "till":
        way = "coded"
    sender = "K" + number.replace("-", "") if way == "direct" else random.choice(("V0100000001", "V0100000018", "V0100000025"))
    return Seller(number, name, person.address, commune, random.random() >= UNREGISTERED, way, sender)
