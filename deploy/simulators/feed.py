"""The tax feed's contents: chains of messages with their faults, and the bytes of each delivery."""

import re
from dataclasses import dataclass
from random import Random

from deploy.simulators.chains import Chains
from deploy.simulators.clock import SECOND_US, stamp
from deploy.simulators.documents import Message
from deploy.simulators.faults import Faults
from deploy.simulators.invoices import signature_parts
from deploy.simulators.sellers import Seller

AMOUNT = re.compile(rb"(<TgTTTBSo>\s*-?)(\d)")
LEGACY = ("Hóa".encode(), "Hóa".encode("latin-1"))


@dataclass(slots=True)
class Delivery:
    """One item of the feed. twist: `""` as issued, `resaved` with other white space, `conflict`, or how it is corrupt: `cut`, `encoding`, `number`.

    told: its line for the truth; None once that is written.
    """

    parts: tuple[bytes, ...]
    twist: str
    salt: float
    told: dict[str, object] | None


class Feed:
    """`make(begin_us)` gives the deliveries of one chain for a `Schedule`."""

    def __init__(self, sellers: list[Seller], seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/feed/{run_us}")
        self._chains = Chains(sellers, seed, run_us, faults)
        self._faults = faults

    def make(self, begin_us: int) -> list[tuple[int, Delivery]]:
        """A chain with its repeats, its corrupt deliveries and its contradictions."""
        made: list[tuple[int, Delivery]] = []
        for offer_us, message in self._chains.begin(begin_us):
            made += self._deliveries(offer_us, message)
        return made

    def _deliveries(self, offer_us: int, message: Message) -> list[tuple[int, Delivery]]:
        random, faults = self._random, self._faults
        fact = Delivery(message.parts, "", 0.0, {"what": "fact", "system": "tax"} | message.truth)
        out = [(offer_us, fact)]
        if random.random() < faults.corrupt:
            how = self._how(message)
            instead = random.random() < 0.3
            bad = Delivery(message.parts, how, random.uniform(0.2, 0.9), self._named("corrupt", message) | {"how": how, "instead": instead})
            if instead:
                return [(offer_us, bad)]
            out.append((offer_us + int(random.uniform(-0.05, 5) * SECOND_US), bad))
        if random.random() < faults.again:
            twist = random.choice(("", "", "resaved"))
            out.append((offer_us + self._later(), Delivery(message.parts, twist, 0.0, self._named("again", message))))
        if random.random() < faults.conflict:
            out.append((offer_us + self._later(), Delivery(message.parts, "conflict", 0.0, self._named("conflict", message))))
        return out

    def _named(self, what: str, message: Message) -> dict[str, object]:
        return {"what": what, "system": "tax", "MTDiep": message.id, "MLTDiep": message.kind}

    def _how(self, message: Message) -> str:
        """A way to be corrupt that this message's text has room for."""
        text = b"".join(message.parts)
        ways = ["cut"] + ["encoding"] * (LEGACY[0] in text) + ["number"] * (AMOUNT.search(text) is not None)
        return self._random.choice(ways)

    def _later(self) -> int:
        return int((1 + self._random.expovariate(1 / 12)) * SECOND_US)


class Printer:
    """Turns deliveries into the bytes that are sent."""

    def __init__(self, seed: int) -> None:
        self._begin, self._middle, self._end = (part.encode() for part in signature_parts(seed))

    def print(self, delivery: Delivery) -> bytes:
        """The same bytes whenever the same delivery is asked for."""
        whole = b"".join(delivery.parts).replace(b"\1", self._begin).replace(b"\2", self._middle).replace(b"\3", self._end)
        match delivery.twist:
            case "resaved":
                return whole.replace(b"><", b">\r\n  <")
            case "conflict":
                return _contradict(whole)
            case "number":
                return AMOUNT.sub(rb"\g<1>" + "mười ".encode() + rb"\2", whole)
            case "encoding":
                return whole.replace(*LEGACY)
            case "cut":
                return whole[: int(len(whole) * delivery.salt)]
        return whole


def _contradict(whole: bytes) -> bytes:
    """The same MTDiep, another content: another amount, else another remark."""
    changed, count = AMOUNT.subn(rb"\g<1>9\2", whole, count=1)
    return changed if count else whole.replace(b"</DLieu>", "<GChu>Gửi lại</GChu></DLieu>".encode(), 1)


def arrived(told: dict[str, object], now_us: int) -> dict[str, object]:
    """The line with the moment at which it is offered, Vietnamese time."""
    return told | {"offered": stamp(now_us)}
