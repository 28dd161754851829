"""`ioc quarantine`: records that could not be understood, by cause; look at one, repair, try again, drop, and who did."""

import getpass
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any

import typer
from psycopg import sql

from connectors.repair import Repair
from connectors.retry import Retrying, Understood
from deploy import console, retrying
from deploy.commands.figures import connect
from deploy.console import Json
from deploy.embedded import parts
from sinks import quarantine
from sinks.migrations import schema
from sinks.quarantine import Connection
from sinks.rehearsal import Rehearsal
from sinks.roles import ingest_dsn
from streams import causes, pseudonym, sealing, settings
from streams.department import NAMES
from streams.errors import Misconfigured
from streams.rules.reading import read_as
from streams.sealing import NotOpened
from streams.settings import Settings

Cause = Annotated[str | None, typer.Option(help="Only records set aside for this cause.")]
Name = Annotated[str | None, typer.Option("--department", help="Only this department's.")]
Origin = Annotated[str | None, typer.Option("--source", help="Only this source's.")]
Print = Annotated[str | None, typer.Option("--fingerprint", help="Only records with this cause at this place in the format.")]
Who = Annotated[str | None, typer.Option(help="Who does it (default: the login name).")]


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc`."""
    group = typer.Typer(
        help="Records that could not be understood: sealed, with their cause, until somebody repairs, retries or drops them.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command("show")(show)
    group.command("fix")(fix)
    group.command("retry")(retry)
    group.command("drop")(drop)
    group.command("audit")(audit)
    app.add_typer(group, name="quarantine")


def list_(department: Name = None, source: Origin = None, cause: Cause = None, fingerprint: Print = None, as_json: Json = False) -> None:
    """What is held, most first: by department, source and fingerprint (the same cause at the same place in the format), with examples."""
    chosen = settings.load()
    with _connected(chosen) as connection:
        found = quarantine.groups(connection, _filters(department, source, cause, fingerprint))
    for row in found:
        row |= {"said": causes.said(row["cause"]), "newest": row["last"].isoformat(), "id": row["examples"][0]}
    columns = ["department", "source", "cause", "fingerprint", "records", "first", "last", "id", "wrong"]
    shown = [[_short(column, row[column]) for column in columns] for row in found]
    console.result({"rows": found}, as_json, lambda: console.table(columns, shown))


def show(
    id: Annotated[str, typer.Argument(help="The record's id, or how it begins.")],
    raw: Annotated[bool, typer.Option("--raw", help="Open and print the record itself: it may hold personal data. That is noted.")] = False,
    who: Who = None,
    why: Annotated[str | None, typer.Option(help="What for; noted with --raw.")] = None,
    as_json: Json = False,
) -> None:
    """One record: where from, why it is held; with --raw the record itself, for whoever has the private key. See `ioc quarantine audit`."""
    chosen = settings.load()
    with _connected(chosen) as connection:
        records, until = quarantine.held(connection, {"id": id}, None)
        if not records:
            raise console.No(f"no record begins with {id}", "`ioc quarantine list` shows what there is")
        if records > 1:
            raise console.No(f"{records} records begin with {id}", "give more of it")
        ((row,),) = quarantine.pages(connection, {"id": id}, until, None)
        sealed = row.pop("sealed")
        row |= {"said": causes.said(row["cause"])}
        if raw:
            row["raw"] = _opened(chosen, connection, row["id"], sealed, who or getpass.getuser(), why)
    console.result(row, as_json)


def fix(
    files: Annotated[list[Path], typer.Argument(metavar="FILE..", help="Repairs, a YAML file each (docs/quarantine.md).")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; say how many records it heals, and which figures change.")
    ] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Do what repairs say with the records they match, and send what is understood then through the front door, at its own time.

    What is still not understood stays held, as it came. Needs the private key. Killed in the middle it may simply be run again.
    """
    chosen = settings.load()
    repairs = [_repair(path) for path in files]
    answers = [_worked(chosen, _filters(**repair.match.model_dump()), repair, dry_run, who) for repair in repairs]

    def say() -> None:
        for answer in answers:
            _say(answer)

    console.result({"repairs": answers}, as_json, say)


def retry(
    department: Name = None,
    source: Origin = None,
    cause: Cause = None,
    fingerprint: Print = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; say how many are understood, and which figures change.")
    ] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Parse held records again, with today's parsers. What is understood now enters at the front door; the rest stays held.

    Each event enters once, however often this is killed and repeated. Needs the private key.
    """
    answer = _worked(settings.load(), _filters(department, source, cause, fingerprint), None, dry_run, who)
    console.result(answer | {"understood": answer["healed"]}, as_json, lambda: _say(answer))


def drop(
    why: Annotated[str, typer.Option(help="Why nobody will miss them; noted.")],
    department: Name = None,
    source: Origin = None,
    cause: Cause = None,
    fingerprint: Print = None,
    id: Annotated[str | None, typer.Option(help="Only the record whose id begins so.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Give held records up: they stay counted as quarantined, their contents are erased."""
    chosen = settings.load()
    if len(why.strip()) < 3:
        raise Misconfigured("--why says nothing", "write a reason, at least three letters")
    with _connected(chosen) as connection:
        filters = _filters(department, source, cause, fingerprint) | {"id": id}
        held = quarantine.held(connection, filters)
        if not yes:
            typer.confirm(f"Erase the contents of {held.records} records?", abort=True, err=True)
        with connection.transaction():
            dropped = quarantine.drop(connection, filters, held.until)
            quarantine.audit(connection, who or getpass.getuser(), "drop", dropped, "dropped", why=why)
    console.result({"dropped": dropped}, as_json)


def audit(last: Annotated[int, typer.Option(help="How many.", min=1)] = 50, as_json: Json = False) -> None:
    """Who opened, repaired, tried again or dropped what, newest first."""
    with _connected(settings.load()) as connection:
        rows = quarantine.audited(connection, last)
    columns = ["at", "who", "what", "records", "record", "why", "result"]
    console.result({"rows": rows}, as_json, lambda: console.table(columns, ([row[c] for c in columns] for row in rows)))


def _worked(chosen: Settings, filters: dict[str, str | None], repair: Repair | None, dry_run: bool, who: str | None) -> dict[str, Any]:
    """One repair, or none, for all that is held and matches."""
    keys = pseudonym.load(chosen.state_dir)
    reading = Retrying(chosen, keys, sealing.load(chosen.state_dir), repair)
    name = repair.repair if repair else None
    bootstrap = parts.find(chosen).bootstrap
    with _connected(chosen) as connection, connect(chosen) as holding:
        holding.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        with retrying.alone(holding, chosen.space):
            if not dry_run:
                retrying.settle(chosen, bootstrap, connection)
            held, tried, left = quarantine.held(connection, filters), 0, Counter[str]()

            def understood() -> Iterator[list[Understood]]:
                nonlocal tried
                for page in quarantine.pages(connection, filters, held.until):
                    found, not_yet = reading.read(page, step)
                    tried += len(page)
                    left.update(not_yet)
                    yield found

            answer: dict[str, Any] = {"repair": name, "left": left, "dry_run": dry_run}
            with console.progress("reading" if dry_run else "sending", held.records) as step:
                if dry_run:
                    answer["healed"], answer["figures"] = _changes(chosen, keys, understood())
                else:
                    answer["healed"] = retrying.send(chosen, bootstrap, connection, understood(), name)
            answer["tried"] = tried
            what: quarantine.What = "try" if dry_run else "fix" if repair else "retry"
            result = f"{answer['healed']} of {tried} understood" + (f", by {name}" if name else "")
            quarantine.audit(connection, who or getpass.getuser(), what, tried, result, why=repair.why if repair else None)
    return answer


def _changes(chosen: Settings, keys: pseudonym.Keys, pages: Iterable[list[Understood]]) -> tuple[int, list[dict[str, Any]]]:
    """(How many records, which figures would be others). The events wait in files, so that figures stand still for counting only."""
    with ExitStack() as stack:
        rehearsal = stack.enter_context(closing(Rehearsal(ingest_dsn(chosen), chosen.space, keys)))
        files: dict[str, IO[bytes]] = {}
        healed = 0
        for each in chain.from_iterable(pages):
            healed += 1
            if each.department not in files:
                files[each.department] = stack.enter_context(TemporaryFile())
            files[each.department].writelines(message.value + b"\n" for message in each.messages)
        found = []
        for name in (name for name in NAMES if name in files):
            files[name].seek(0)
            found += rehearsal.changes(name, (line[:-1] for line in files[name]))
    return healed, found


def _opened(chosen: Settings, connection: Connection, id: str, sealed: str, who: str, why: str | None) -> str:
    """The record as text, and a note of it, also where it was not opened. Raises Misconfigured."""
    try:
        record = sealing.load(chosen.state_dir).open(sealed)
    except Misconfigured:
        quarantine.audit(connection, who, "show", 1, "refused: no private key here", id, why)
        raise
    except NotOpened:
        quarantine.audit(connection, who, "show", 1, "not opened: no key that is held fits", id, why)
        raise Misconfigured(
            "no private key that is held here opens it, or it was dropped", "use those that it was sealed for (IOC_QUARANTINE_KEYS_FILE)"
        ) from None
    quarantine.audit(connection, who, "show", 1, "opened", id, why)  # before anybody sees it
    return record.decode("utf-8", "replace")


def _repair(path: Path) -> Repair:
    try:
        found = read_as(path.read_text(encoding="utf-8"), Repair, "repair")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__})", "give a YAML file of a repair") from error
    if isinstance(found, list):
        raise Misconfigured("; ".join(f"{path}:{wrong}" for wrong in found), "mend the file; docs/quarantine.md says what a repair holds")
    return found


def _say(answer: dict[str, Any]) -> None:
    console.table(("repair", "tried", "healed", "left"), [(answer["repair"], answer["tried"], answer["healed"], _counted(answer["left"]))])
    if answer.get("figures"):
        columns = ("department", "day", "figure", "before", "after")
        console.table(columns, ([row[column] for column in columns] for row in answer["figures"]), "figures that would change")


def _counted(left: dict[str, int]) -> str:
    return ", ".join(f"{cause}: {n}" for cause, n in sorted(left.items())) or "none"


def _short(column: str, value: Any) -> Any:
    return value[:8] if column == "id" else f"{value:%Y-%m-%d %H:%M:%S}" if column in ("first", "last") else value


def _filters(
    department: str | None = None, source: str | None = None, cause: str | None = None, fingerprint: str | None = None
) -> dict[str, str | None]:
    return {"department": department, "source": source, "cause": cause, "fingerprint": fingerprint}


@contextmanager
def _connected(chosen: Settings) -> Iterator[Connection]:
    """A connection that sees the space's tables."""
    with connect(chosen) as connection:
        connection.execute(sql.SQL("set search_path = {}, public").format(sql.Identifier(schema(chosen.space))))
        yield connection
