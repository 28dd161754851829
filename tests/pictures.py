"""`make pictures`: every board as it looks on a lively day, dark and light, on a wall, in 4K and on a phone, into pictures/."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from playwright.sync_api import Page

from deploy import console
from deploy.embedded import timescale
from deploy.embedded.places import locked, silent
from grafana.wall.library import BOARDS
from sinks import migrations, roles
from streams.settings import Settings
from tests.chrome import browser
from tests.drill import Drill
from tests.glass import Served, opened, served

SIZES = {"wall": (1920, 1080), "4k": (3840, 2160), "phone": (390, 844)}
DRILL = {"drill-overview": "/d/ioc-overview?space=drill-01", "drill-alarms": "/alarms?space=drill-01", "drill-einvoice": "/d/ioc-einvoice?space=drill-01",
         "drill-compare": "/compare?space=drill-01&board=ioc-overview"}  # fmt: skip


@contextmanager
def lively_wall(state: Path, boards: Path = BOARDS) -> Iterator[Served]:
    """A wall over a lively database of its own in `state`; both are ended afterwards."""
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    settings = Settings(state_dir=state)
    with locked(state / "lock", 600, silent):
        dsn = timescale.ensure(state, silent)
        try:
            external = settings.model_copy(update={"database": settings.database.model_copy(update={"dsn": dsn})})
            migrations.migrate(dsn, external)
            drill = Drill(dsn, external)
            with served(dsn, external, state / "boards", boards, roles.duty_dsn(external)) as wall:
                drill.density(external.space)
                drill.plays(state="playing", wanted="play", clock=drill.clock, clock_rate=60, rate=412)
                yield wall
        finally:
            timescale.stop(state)


def look(page: Page, address: str) -> None:
    """Go there and wait until all of it stands, in every frame."""
    if "/compare" not in address:
        return opened(page, address)
    page.goto(address)
    for frame in ("live", "drill"):
        page.frame_locator(f".{frame} iframe").locator("html[data-ready]").wait_for(state="attached", timeout=20_000)
    return None


def main(
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("pictures"),
    boards: Annotated[Path, typer.Option(help="Whose pictures.")] = BOARDS,
    only: Annotated[str, typer.Option(help="Only boards whose uid holds this.")] = "",
    sizes: Annotated[str, typer.Option(help="Which sizes.")] = ",".join(SIZES),
    state: Annotated[Path, typer.Option(help="Where the database lies.")] = Path(".run/pictures"),
) -> None:
    """Take them."""
    out.mkdir(parents=True, exist_ok=True)
    with lively_wall(state, boards) as wall, browser() as found:
        uids = [board["uid"] for board in httpx.get(f"{wall.url}/api/boards").json()]
        pages = {uid: f"/d/{uid}?" for uid in uids} | {name: f"{path}&" for name, path in DRILL.items()}
        for uid, path in [(uid, path) for uid, path in pages.items() if only in uid]:
            for size in sizes.split(","):
                width, height = SIZES[size]
                page = found.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
                for theme in ("dark", "light"):
                    look(page, f"{wall.url}{path}theme={theme}")
                    page.screenshot(path=out / f"{uid}-{size}-{theme}.png", full_page=size == "phone" and uid not in DRILL)
                page.close()
            console.say(f"{uid}: {out}/{uid}-*.png")


if __name__ == "__main__":
    typer.run(main)
