"""Chains: one seller's business and every message that follows from it, with the moments at which they are signed and offered."""

from collections import deque
from random import Random

from deploy.simulators.clock import HOUR_US, SECOND_US, day_text
from deploy.simulators.documents import Message, Office
from deploy.simulators.faults import Faults, lag_us
from deploy.simulators.invoices import Desk, Invoice, Link
from deploy.simulators.sellers import Seller, activity

Offers = list[tuple[int, Message]]
KINDS = ("coded", "plain", "table", "till", "cancel", "replace", "adjust", "many", "orphan", "unanswered")
WEIGHTS = (58, 14, 1, 17, 2.5, 2.5, 2.5, 0.4, 0.6, 1.5)
REMEMBERED = 600


class Chains:
    """`begin(us)` gives the next chain. The same seed, run and instants give the same chains."""

    def __init__(self, sellers: list[Seller], seed: int, run_us: int, faults: Faults) -> None:
        self._random = Random(f"{seed}/chains/{run_us}")
        self._faults = faults
        self._office = Office(self._random)
        self._desk = Desk(self._random, run_us)
        self._ways = {
            way: [s for s in sellers if s.way in (way, also)] for way, also in (("coded", "coded"), ("plain", "direct"), ("till", "till"))
        }
        self._busy = {way: activity(len(found)) for way, found in self._ways.items()}
        self._accepted: deque[Invoice] = deque(maxlen=REMEMBERED)
        self._lives = {
            "coded": self._coded, "plain": self._plain, "table": self._table, "till": self._till, "cancel": self._cancel, "replace": self._replace,
            "adjust": self._adjust, "many": self._many, "orphan": self._orphan, "unanswered": self._unanswered,
        }  # fmt: skip

    def begin(self, begin_us: int) -> Offers:
        """The messages of a new chain, each with the moment at which it is offered; a late one happened long before."""
        random = self._random
        lag = lag_us(random) if random.random() < self._faults.late else 0
        kind = random.choices(KINDS, WEIGHTS)[0]
        messages = self._lives[kind](begin_us - lag)
        return [(self._offered(message, lag), message) for message in messages]

    def _offered(self, message: Message, lag: int) -> int:
        """Shortly after it was signed; a shuffled one up to half a minute later, so that answers overtake their questions."""
        random = self._random
        delay = random.uniform(2, 30) if random.random() < self._faults.shuffled else random.uniform(0.05, 0.4)
        return message.event_us + lag + int(delay * SECOND_US)

    def _seller(self, way: str) -> Seller:
        return self._random.choices(self._ways[way], cum_weights=self._busy[way])[0]

    def _coded(self, us: int) -> list[Message]:
        seller = self._seller("coded")
        return self._ask_for_code(self._desk.write(seller, us, self._desk.form("coded")), us)

    def _ask_for_code(self, invoice: Invoice, us: int) -> list[Message]:
        """200 -> 999 -> 202; refused once in a while by 999 or 204, and then mostly sent again."""
        random, seller = self._random, invoice.seller
        question = self._office.send("200", seller, [invoice], us)
        heard_us = self._soon(us, 1, 4)
        draw = random.random()
        if draw < 0.01:
            refusal = self._office.acknowledge(question, "TCT", seller.sender, heard_us, "0002")
            return [question, refusal, *self._ask_for_code(invoice, self._soon(heard_us, 5, 20))]
        heard = self._office.acknowledge(question, "TCT", seller.sender, heard_us)
        decided_us = self._decided(heard_us)
        if draw < 0.04:
            verdict = random.choice("119")
            refusal = self._office.check(question, seller, verdict, [invoice] if verdict == "1" else [], decided_us)
            again = self._ask_for_code(invoice, self._soon(decided_us, 5, 30)) if random.random() < 0.6 else []
            return [question, heard, refusal, *again]
        self._accepted.append(invoice)
        return [question, heard, *self._coded_answer(question, invoice, decided_us)]

    def _coded_answer(self, question: Message | str, invoice: Invoice, us: int) -> list[Message]:
        code = self._office.code(question, invoice, us)
        if self._random.random() < 0.25:
            return [code, self._office.acknowledge(code, invoice.seller.sender, "TCT", self._soon(us, 1, 3))]
        return [code]

    def _plain(self, us: int) -> list[Message]:
        seller = self._seller("plain")
        form = self._desk.form("plain")
        return self._package("203", seller, [self._desk.write(seller, us, form) for _ in range(self._random.randint(2, 8))], us, "3")

    def _table(self, us: int) -> list[Message]:
        """400 -> 999 -> 204: of some sellers of uncoded invoices the tax office gets a table of them only; it is refused as a whole."""
        seller = self._seller("plain")
        rows = [self._desk.write(seller, us, "1", money=self._desk.plain()) for _ in range(self._random.randint(2, 12))]
        return self._package("400", seller, rows, us, "9")

    def _till(self, us: int) -> list[Message]:
        seller = self._seller("till")
        form = self._desk.form("till")
        return self._package("206", seller, [self._desk.write(seller, us, form) for _ in range(self._random.randint(1, 4))], us, "7")

    def _package(self, kind: str, seller: Seller, invoices: list[Invoice], us: int, partly: str) -> list[Message]:
        """203, 206 or 400 -> 999 -> 204: accepted whole, but for some (LTBao 3 or 7), or refused whole (9)."""
        random = self._random
        question = self._office.send(kind, seller, invoices, us)
        heard_us = self._soon(us, 1, 4)
        heard = self._office.acknowledge(question, "TCT", seller.sender, heard_us)
        draw = random.random()
        verdict = "2" if draw < 0.93 else partly if draw < 0.98 else "9"
        bad = random.sample(invoices, max(1, len(invoices) // 3)) if verdict in "37" else []
        answer = self._office.check(question, seller, verdict, bad, self._decided(heard_us), len(invoices))
        if verdict != "9":
            self._accepted.extend(invoice for invoice in invoices if invoice not in bad)
        if random.random() < 0.2:
            return [question, heard, answer, self._office.acknowledge(answer, seller.sender, "TCT", self._soon(answer.event_us, 1, 3))]
        return [question, heard, answer]

    def _cancel(self, us: int) -> list[Message]:
        """300 -> 999 -> 301, accepted in three of four; TCTBao other than 1 changes nothing."""
        if not self._accepted:
            return self._coded(us)
        random = self._random
        first = random.choice(self._accepted)
        invoices = [
            first,
            *{i.key: i for i in self._accepted if i.seller is first.seller and i is not first and random.random() < 0.3}.values(),
        ][:3]
        action = "1" if random.random() < 0.8 else random.choice("2346")
        question = self._office.errors(first.seller, invoices, action, us)
        heard_us = self._soon(us, 1, 4)
        heard = self._office.acknowledge(question, "TCT", first.seller.sender, heard_us)
        taken = [random.random() < 0.75 for _ in invoices]
        answer = self._office.answer(question, first.seller, invoices, taken, random.random() < 0.4, self._decided(heard_us))
        return [question, heard, answer]

    def _replace(self, us: int) -> list[Message]:
        return self._with_link(us, "1")

    def _adjust(self, us: int) -> list[Message]:
        return self._with_link(us, "2")

    def _with_link(self, us: int, kind: str) -> list[Message]:
        """A coded invoice that replaces (1) or adjusts (2) a former one; what it replaces may itself have replaced another."""
        old = self._coded_before()
        if old is None:
            return self._coded(us)
        link = Link(kind, (old.key,), day_text(old.day))
        money = self._desk.adjusting() if kind == "2" else None
        return self._ask_for_code(self._desk.write(old.seller, us, old.key.form, link, money), us)

    def _many(self, us: int) -> list[Message]:
        """208 -> 999 -> 202: one invoice replaces several; only the BKe names them."""
        first = self._coded_before()
        if first is None:
            return self._coded(us)
        seller = first.seller
        old = tuple(dict.fromkeys(i.key for i in self._accepted if i.seller is seller))[:4]
        invoice = self._desk.write(seller, us, first.key.form, Link("3", old, day_text(first.day), f"BK{us // SECOND_US % 10**6}"))
        question = self._office.send_many(seller, invoice, old, us)
        heard_us = self._soon(us, 1, 4)
        heard = self._office.acknowledge(question, "TCT", seller.sender, heard_us)
        self._accepted.append(invoice)
        return [question, heard, *self._coded_answer(question, invoice, self._decided(heard_us))]

    def _orphan(self, us: int) -> list[Message]:
        """A 202 whose 200 went another way: it is enough by itself."""
        seller = self._seller("coded")
        invoice = self._desk.write(seller, us, "1")
        gone = self._office.envelope("200", seller.sender, "TCT").id
        return self._coded_answer(gone, invoice, self._soon(us, 3, 60))

    def _unanswered(self, us: int) -> list[Message]:
        seller = self._seller("coded")
        question = self._office.send("200", seller, [self._desk.write(seller, us, "1")], us)
        return [question, self._office.acknowledge(question, "TCT", seller.sender, self._soon(us, 1, 4))]

    def _coded_before(self) -> Invoice | None:
        """One of the accepted invoices of an enterprise that asks for codes."""
        for _ in range(8):
            found = self._random.choice(self._accepted) if self._accepted else None
            if found is not None and found.seller.way == "coded":
                return found
        return None

    def _soon(self, us: int, least: float, most: float) -> int:
        return us + int(self._random.uniform(least, most) * SECOND_US)

    def _decided(self, us: int) -> int:
        """When the tax office decides: mostly within seconds, at times an hour."""
        return us + min(HOUR_US, int((2 + self._random.lognormvariate(0.8, 1.1)) * SECOND_US))
