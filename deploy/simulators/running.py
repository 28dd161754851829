"""The command line of the simulators."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random

import orjson

from deploy.simulators import banks, curve, his, judge, sellers, tax, telehealth, video
from deploy.simulators.beats import Beats
from deploy.simulators.clock import DAY_US, HOUR_US, midnight_us, now_us
from deploy.simulators.encounters import Encounters
from deploy.simulators.faults import Faults, WirePlan
from deploy.simulators.feed import Feed, Printer
from deploy.simulators.payments import Payments
from deploy.simulators.pushing import Pushing
from deploy.simulators.schedule import Schedule, Span
from deploy.simulators.serving import Door, Place, app, control, serve
from deploy.simulators.statements import Folder
from deploy.simulators.truth import Truth
from deploy.simulators.visits import Visits


@dataclass(frozen=True)
class Wishes:
    """What the command line asks of a simulator. run_us: when this run began. webhooks, retry_scale: of those that push. files: the folder that the
    banks' files are put into."""

    place: Place
    seed: int
    rate: float
    truth: Truth
    secret: str
    faults: Faults
    history_hours: float
    webhooks: str
    retry_scale: float
    run_us: int
    files: Path

    def span(self, chains_a_day: int, weight: curve.Weight) -> Span:
        """The past since midnight or `history_hours` ago, whichever is earlier, along the day's curve; then the set rate."""
        begin = min(midnight_us(self.run_us), self.run_us - int(self.history_hours * HOUR_US)) if self.history_hours > 0 else self.run_us
        count = round(chains_a_day * (self.run_us - begin) / DAY_US)
        return Span(self.run_us, curve.spread(Random(f"{self.seed}/history"), begin, self.run_us, count, weight), self.rate)


async def serve_tax(wishes: Wishes) -> None:
    """The tax feed."""
    people = sellers.population(wishes.seed)
    for seller in people:
        if seller.registered:
            wishes.truth.add({"what": "registry", "system": "tax", "MST": seller.mst, "commune": seller.commune})
    contents = Feed(people, wishes.seed, wishes.run_us, wishes.faults)
    system = tax.Tax(
        Schedule(contents.make, wishes.span(tax.HISTORY_CHAINS_A_DAY, curve.offices)), wishes.truth, Printer(wishes.seed), people
    )
    door: Door = Door(
        app([*system.routes(), *control(system, lambda: door, system.stop)]), WirePlan(wishes.faults, f"{wishes.seed}/tax"), wishes.secret
    )
    await serve(system, door, wishes.truth, wishes.place)


async def serve_telehealth(wishes: Wishes) -> None:
    """The telehealth platform."""
    contents = Encounters(wishes.seed, wishes.run_us, wishes.faults)
    system = telehealth.Telehealth(Schedule(contents.make, wishes.span(telehealth.HISTORY_CHAINS_A_DAY, curve.hospitals)), wishes.truth)
    door: Door = Door(
        app([*system.routes(), *control(system, lambda: door, system.stop)]),
        WirePlan(wishes.faults, f"{wishes.seed}/telehealth"),
        wishes.secret,
    )
    await serve(system, door, wishes.truth, wishes.place)


async def serve_video(wishes: Wishes) -> None:
    """The video platform."""
    contents = Beats(wishes.seed, wishes.run_us, wishes.faults)
    system = video.Video(Schedule(contents.make, wishes.span(video.HISTORY_CHAINS_A_DAY, curve.hospitals)), wishes.truth)
    door: Door = Door(
        app([*system.routes(), *control(system, lambda: door, system.stop)]), WirePlan(wishes.faults, f"{wishes.seed}/video"), wishes.secret
    )
    await serve(system, door, wishes.truth, wishes.place)


async def serve_banks(wishes: Wishes) -> None:
    """The hospitals' banks."""
    contents = Payments(wishes.seed, wishes.run_us, wishes.faults)
    pushing = Pushing(wishes.webhooks, wishes.retry_scale, is_dark=lambda: door.is_dark())
    schedule = Schedule(contents.make, wishes.span(banks.HISTORY_CHAINS_A_DAY, curve.hospitals))
    folder = Folder(wishes.files, wishes.truth, wishes.faults.corrupt, Random(f"{wishes.seed}/statements/{wishes.run_us}"))
    system = banks.Banks(schedule, wishes.truth, pushing, wishes.secret.encode(), folder)
    door: Door = Door(
        app([*system.routes(), *control(system, lambda: door, system.stop)]), WirePlan(wishes.faults, f"{wishes.seed}/banks"), None
    )
    await serve(system, door, wishes.truth, wishes.place, beside=pushing.run)


async def serve_hospitals(wishes: Wishes) -> None:
    """The hospitals' information systems."""
    contents = Visits(wishes.seed, wishes.run_us, wishes.faults)
    pushing = Pushing(wishes.webhooks, wishes.retry_scale, is_dark=lambda: door.is_dark())
    schedule = Schedule(contents.make, wishes.span(his.HISTORY_CHAINS_A_DAY, curve.hospitals))
    system = his.Hospitals(schedule, wishes.truth, pushing, wishes.secret)
    door: Door = Door(
        app([*system.routes(), *control(system, lambda: door, system.stop)]), WirePlan(wishes.faults, f"{wishes.seed}/hospitals"), None
    )
    await serve(system, door, wishes.truth, wishes.place, beside=pushing.run)


SYSTEMS: dict[str, tuple[Callable[[Wishes], Coroutine[None, None, None]], float]] = {
    "tax": (serve_tax, 140.0),
    "telehealth": (serve_telehealth, 20.0),
    "banks": (serve_banks, 40.0),
    "video": (serve_video, 68.0),
    "hospitals": (serve_hospitals, 8.0),
}


def main(arguments: list[str]) -> int:
    """Run what the arguments say. 0 done, 1 the judge found a difference."""
    given = _parser().parse_args(arguments)
    if given.what == "judge":
        report, ok = judge.command(given.truth, given.figures, given.ids, given.keys)
        sys.stdout.write(orjson.dumps(report).decode() + "\n")
        return 0 if ok else 1
    run, _ = SYSTEMS[given.what]
    asyncio.run(run(_wishes(given)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.simulators", description="the departments' own systems, over real HTTP")
    choices = parser.add_subparsers(dest="what", required=True)
    for name, (_, rate) in SYSTEMS.items():
        one = choices.add_parser(name)
        one.add_argument("--port", type=int, default=0, help="0 takes a free one")
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--rate", type=float, default=rate, help="facts a second")
        one.add_argument("--truth", type=Path, required=True, help="the file to append to")
        one.add_argument("--secret", type=Path, required=True, help="a file that holds the shared secret")
        one.add_argument("--faults", type=float, default=1.0, help="0 turns them off, 2 doubles them")
        one.add_argument("--history-hours", type=float, default=24.0, help="0: no past at all")
        one.add_argument("--seconds", type=float, default=None, help="end after so long")
        if name in ("banks", "hospitals"):
            one.add_argument("--webhooks", required=True, help="where notices are pushed, http://127.0.0.1:PORT")
            one.add_argument("--retry-scale", type=float, default=1.0, help="0.01 makes a minute of the retry curve 0.6 s")
        if name == "banks":
            one.add_argument("--files", type=Path, required=True, help="the folder that statements and exports are put into")
    one = choices.add_parser("judge")
    one.add_argument("--truth", type=Path, action="append", required=True)
    one.add_argument("--figures", type=Path, required=True, help="JSON {department: {total|day|unit: rows}}")
    one.add_argument("--ids", type=Path, help="JSON {department: [id, ..]}")
    one.add_argument("--keys", type=Path, help="the keys file, needed with --ids")
    return parser


def _wishes(given: argparse.Namespace) -> Wishes:
    return Wishes(
        place=Place(given.port, given.seconds),
        seed=given.seed,
        rate=given.rate,
        truth=Truth(given.truth),
        secret=given.secret.read_text().strip(),
        faults=Faults().scaled(given.faults),
        history_hours=given.history_hours,
        webhooks=getattr(given, "webhooks", ""),
        retry_scale=getattr(given, "retry_scale", 1.0),
        run_us=now_us(),
        files=getattr(given, "files", Path()),
    )
