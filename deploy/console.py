"""What the `ioc` command says: words for people on stderr, one JSON object for scripts on stdout, exit codes with a meaning."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import stamina
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streams import logs
from streams.errors import IocError, Misconfigured, Retry
from streams.event import VIETNAM

Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout, for scripts.")]

people = Console(stderr=True, highlight=False)
answer = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


class No(IocError):
    """The answer is no: unbalanced, differs, refused by a check (exit 1)."""


def say(text: str) -> None:
    """A line for people, on stderr."""
    people.print(text, markup=False)


def result(found: Any, as_json: bool, shown: Callable[[], None] | None = None) -> None:
    """The answer: one JSON object on the last line of stdout, or `shown()` for people (by default the object, indented)."""
    if as_json:
        sys.stdout.write(orjson.dumps(found, default=str).decode() + "\n")
        sys.stdout.flush()
    elif shown is not None:
        shown()
    else:
        answer.print_json(data=found, default=str)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> None:
    """A table for people on stdout: one row is shown as a list, None as a dash; numbers are never cut."""
    names, held = [*columns], [[*row] for row in rows]
    drawn = Table(header_style="bold", show_header=len(held) != 1)
    if title:
        answer.print(title)
    if len(held) == 1:
        for name, value in zip(names, held[0], strict=True):
            drawn.add_row(name, _cell(value))
    else:
        for i, name in enumerate(names):
            counts = all(row[i] is None or isinstance(row[i], int | float) for row in held)
            drawn.add_column(name, no_wrap=counts, justify="right" if counts else "left", overflow="fold")
        for row in held:
            drawn.add_row(*(_cell(value) for value in row))
    answer.print(drawn)


def instant(at: datetime) -> str:
    """A time as people here write it, of Asia/Ho_Chi_Minh."""
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S}"


def _cell(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, datetime):
        return instant(value)
    return f"{value:,}".replace(",", ".") if isinstance(value, int) and not isinstance(value, bool) else str(value)


@contextlib.contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; call what it gives with the number of steps done since the last call."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=people, transient=not people.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda steps: bar.advance(task, steps)


def at(text: str | None, now: datetime | None = None) -> datetime | None:
    """An instant from the command line: ISO 8601, a date, `today`, `yesterday`, `now`, `-2h`, `-30m`, `-7d`; without an offset Asia/Ho_Chi_Minh.

    Raises Misconfigured for anything else.
    """
    if text is None:
        return None
    now = (now or datetime.now(UTC)).astimezone(VIETNAM)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1), "tomorrow": midnight + timedelta(days=1)}
    if text in words:
        return words[text]
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text[0] == "-" and text[1:-1].isdigit() and text[-1] in units:
        return now - timedelta(**{units[text[-1]]: int(text[1:-1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"{text!r} is not a time", "write 2026-11-22, 2026-11-22T09:17, yesterday or -2h") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)


def configure_logging(verbose: bool) -> None:
    """Logs are sentences for an operator on stderr; the clients' chatter while a part is away is held back."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True)
    for noisy in ("aiokafka", "kafka", "faust", "mode", "httpx", "asyncio", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR if noisy in ("faust", "mode", "asyncio") else logging.CRITICAL)
    stamina.instrumentation.set_on_retry_hooks([])  # who waits says so himself
    logs.configure(level)


def exit_code(error: BaseException, debug: bool) -> int:
    """Say what is wrong and what to do about it; the exit code of doors.md."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, IocError):
        people.print(f"[red]✗[/red] {_escaped(error.wrong)}")
        if error.mend:
            people.print(f"  → {_escaped(error.mend)}")
        return 2 if isinstance(error, Misconfigured) else 3 if isinstance(error, Retry) else 1
    people.print(f"[red]✗[/red] something went wrong that should not: {_escaped(type(error).__name__)}: {_escaped(str(error)[:300])}")
    people.print("  → run it again with --debug and report what it prints")
    return 1


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
