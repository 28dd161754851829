"""`ioc boards`: boards as code."""

from typing import Annotated

import typer

from deploy import console

boards = typer.Typer(help="Boards as code: built from the declared figures, emitted as Grafana JSON.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `ioc boards ...`."""
    app.add_typer(boards, name="boards")


@boards.command("build")
def build_boards(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the files are not what the code builds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")] = False,
) -> None:
    """Write grafana/boards/*.json."""
    from grafana import build  # half a second that no other command should wait for

    differing = build.differing()
    if check and differing:
        raise console.No(
            f"these boards are not what the code builds: {', '.join(differing)}", "run `ioc boards build` and commit the files"
        )
    if not check:
        build.write()
    names = sorted(build.emitted())
    console.result(
        {"ok": True, "boards": names, "changed": [] if check else differing},
        as_json,
        lambda: console.say(f"{len(names)} boards, {len(differing)} {'differ' if check else 'changed'}"),
    )
