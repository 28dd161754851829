"""How soon a screen shows something: first contentful paint and first figures of each board, by a browser that never saw the wall before."""

from pathlib import Path
from typing import Annotated

import httpx
import typer
from playwright.sync_api import Browser

from tests.bench import figures
from tests.bench.figures import Figure, median
from tests.chrome import browser
from tests.glass import opened
from tests.pictures import lively_wall

PAINT_MS = 1000.0
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_READY = """new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime))
  .observe({type: 'largest-contentful-paint', buffered: true}))"""


def main(
    runs: Annotated[int, typer.Option(help="Times each board is opened.")] = 5,
    out: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("bench.json"),
    state: Annotated[Path, typer.Option(help="Where the database lies.")] = Path(".run/pictures"),
) -> None:
    """Measure the wall's first paint on this machine."""
    with lively_wall(state) as wall, browser() as found:
        uids = [board["uid"] for board in httpx.get(f"{wall.url}/api/boards").json()]
        measured = [figure for uid in uids for figure in _board(found, f"{wall.url}/d/{uid}", uid, runs)]
    figures.show(measured, f"first paint, 1920x1080, empty cache, median of {runs}")
    figures.write(measured, out)
    if any(figure.met is False for figure in measured):
        raise typer.Exit(1)


def _board(found: Browser, address: str, uid: str, runs: int) -> list[Figure]:
    painted, largest = [], []
    for _ in range(runs):
        context = found.new_context(viewport={"width": 1920, "height": 1080})
        page = context.new_page()
        opened(page, address)
        painted.append(float(page.evaluate(_PAINTED)))
        largest.append(float(page.evaluate(_READY)))
        context.close()
    return [median(f"{uid}: first paint", "ms", painted, below=PAINT_MS), median(f"{uid}: largest paint", "ms", largest, below=PAINT_MS)]
