"""`ioc keys`: which keys name and seal, and how a newer one follows."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy import console
from deploy.console import Json
from streams import keyring, pseudonym, sealing, settings
from streams.errors import Misconfigured
from streams.keyring import SEALING
from streams.pseudonym import DOMAINS

OVERLAP_DAYS = 35
"""More than any month, so that whoever counts in the month of the switch was met under both keys."""

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help=f"{', '.join(DOMAINS)} or {SEALING}.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(help="The keys of pseudonyms and of the quarantine: list them, let newer ones follow.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("rotate")(rotate)
    group.command("retire")(retire)
    app.add_typer(group, name="keys")


def list_(as_json: Json = False) -> None:
    """Ids of the keys that this machine holds, never the keys: what names are made with, what is taking over, what seals and what opens."""
    chosen = settings.load()
    keys = pseudonym.load(chosen.state_dir)
    rows = [
        {"domain": name, "id": key.id or "(none)", "since": key.since or None, "does": "names" if number == 0 else "takes over"}
        for name in DOMAINS
        for number, key in enumerate(keys.domains[name])
    ]
    rows.append({"domain": SEALING, "id": keys.sealing.id, "since": None, "does": "seals"})
    try:
        private = sealing.load(chosen.state_dir)
        rows += [{"domain": SEALING, "id": id, "since": None, "does": "opens"} for id in private.keys]
        rows += [{"domain": SEALING, "id": "(none)", "since": None, "does": "opens what is older"} for _ in private.fernet]
    except Misconfigured as error:
        console.say(f"nothing here opens the quarantine: {error.wrong}")
    columns = ["domain", "id", "since", "does"]
    console.result({"rows": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def rotate(domain: Domain, as_json: Json = False) -> None:
    """Make a newer key. Then start connectors and `ioc serve` again: they read keys when they start.

    A domain's records are named with the older key and tell the newer names as well, until `ioc keys retire`; counts of distinct people and firms stay
    right. `sealing` makes a new pair at once, and needs the private keys here; older ones go on opening. Back up secrets/ afterwards.
    """
    _known(domain)
    console.result({"domain": domain, "id": keyring.rotate(settings.load().state_dir, domain)}, as_json)


def retire(
    domain: Domain,
    early: Annotated[bool, typer.Option("--early", help=f"Before {OVERLAP_DAYS} days: whoever was not met meanwhile counts anew.")] = False,
    as_json: Json = False,
) -> None:
    """Let the older key of a domain go: from the next start on, doors name with the newer one only. Nothing brings the older one back."""
    _known(domain)
    if domain == SEALING:
        raise Misconfigured("the private keys of the quarantine are not let go: they open what is still held", "name a domain")
    gone = keyring.retire(settings.load().state_dir, domain, datetime.now(UTC), 0 if early else OVERLAP_DAYS)
    console.result({"domain": domain, "gone": gone}, as_json)


def _known(domain: str) -> None:
    if domain not in (*DOMAINS, SEALING):
        raise Misconfigured(f"there is no domain {domain!r}", f"choose one of {', '.join((*DOMAINS, SEALING))}")
