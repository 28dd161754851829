"""`make chaos`: faults on a running system, drawn from a seed; one JSON line on stdout after each, the figures at the end."""

import argparse
import json
import sys
from random import Random

from deploy import console
from streams import settings
from tests.chaos.faults import FAULTS
from tests.chaos.system import System


def main() -> int:
    """0 when no fault lost or doubled anything and every figure equals the truth at the end, else 1."""
    parser = argparse.ArgumentParser(prog="make chaos", description="faults on a running system, compared with the truth after each")
    parser.add_argument("--faults", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which faults, when, and what the departments send")
    parser.add_argument("--rate", type=float, default=300.0, help="events per second of all departments together")
    parser.add_argument("--only", choices=sorted(FAULTS), action="append", help="no other faults than this one")
    given = parser.parse_args()
    random = Random(given.seed)
    system = System(settings.load(), given.rate, given.seed)
    ok = True
    try:
        system.up()
        for number in range(given.faults):
            name = random.choice(given.only or [*FAULTS])
            console.say(f"fault {number + 1} of {given.faults}: {name}")
            outcome = system.outcome(name, FAULTS[name](system, random))
            line = {"what": name, "lost": outcome.lost, "doubled": outcome.doubled, "recovered_seconds": outcome.recovered_seconds}
            sys.stdout.write(json.dumps(line | {"balanced": outcome.balanced, "fell": outcome.fell}) + "\n")
            sys.stdout.flush()
            ok = ok and outcome.ok
        found = system.verdict()
        console.say(f"at the end: {json.dumps(found)}")
        ok = ok and found["ok"]
    except TimeoutError as error:
        console.say(str(error))
        ok = False
    finally:
        system.down()
    console.say(f"{given.faults} faults: {'nothing lost, nothing doubled' if ok else f'see {system.demo.folder}'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
