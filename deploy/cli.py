"""The `ioc` command: one Typer app, one file per command in commands/."""

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console

WrongUsage: type[Any] = typer.BadParameter.__mro__[2]  # Typer's ClickException: it exports only this one of its children

app = typer.Typer(
    name="ioc",
    help="Sông Mã: the streaming backend of a province's operations centre.\n\n"
    "Departments -> Kafka -> Faust -> TimescaleDB -> boards. Start with [bold]ioc demo[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_debug = False


@app.callback()
def _common(
    config: Annotated[Path | None, typer.Option(help="Settings file (default: IOC_CONFIG, else ./ioc.toml).", metavar="FILE")] = None,
    space: Annotated[str | None, typer.Option(help="Space to work in: live, or a replay's name.", metavar="NAME")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More of what happens, on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    global _debug
    _debug = debug
    if config is not None:
        os.environ["IOC_CONFIG"] = str(config)
    if space is not None:
        os.environ["IOC_SPACE"] = space
    console.configure_logging(verbose)


COMMANDS = {
    "parts": ("up", "down", "doctor"), "demo": ("demo",), "pull": ("pull",), "work": ("work",), "serve": ("serve",), "wall": ("wall",), "figures": ("figures", "ledger"),
    "quarantine": ("quarantine",), "keys": ("keys",), "sources": ("sources",),
    "units": ("units",), "plans": ("plans",), "boards": ("boards",), "explain": ("explain",), "rules": ("rules",),
    "orphans": ("orphans",),
    "incidents": ("incidents",), "alerts": ("alerts",), "replay": ("replay", "diff"), "spaces": ("spaces",), "archive": ("archive",), "scenarios": ("scenarios",),
}  # fmt: skip


def _register(arguments: list[str]) -> None:
    """Register the command that was asked for; all of them when help is wanted, since importing all takes a second."""
    asked = {word for word in arguments if not word.startswith("-")}
    chosen = [module for module, names in COMMANDS.items() if asked & {*names}]
    for module in chosen or COMMANDS:
        importlib.import_module(f"deploy.commands.{module}").register(app)


def _hoisted(arguments: list[str]) -> list[str]:
    """The options that every command knows, moved to the front: `ioc pull tax-feed --config F` is `ioc --config F pull tax-feed`."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for word in left:
        name = word.partition("=")[0]
        if word == "--":
            rest += [word, *left]
        elif name in ("--config", "--space"):
            front += [word] if "=" in word else [word, *([value] if (value := next(left, None)) is not None else [])]
        elif word in ("--debug", "--verbose"):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def main() -> None:
    """Run `ioc`; every error becomes one sentence of what is wrong, one of what to do, and an exit code (doors.md)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was begun is ended
    arguments = _hoisted(sys.argv[1:])
    _register(arguments)
    try:
        code = app(arguments, standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        console.say("interrupted")
        sys.exit(130)
    except WrongUsage as error:
        error.show()
        sys.exit(2)
    except SystemExit:
        raise
    except BaseException as error:
        sys.exit(console.exit_code(error, _debug))
    sys.exit(code if isinstance(code, int) else 0)
