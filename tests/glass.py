"""A wall to look at in tests: our boards and those of tests/boards over a lively space, in a thread, and a chromium to see it with."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Page

from deploy.embedded.processes import free_port
from grafana.wall.app import Wall, build
from grafana.wall.hub import Hub
from grafana.wall.library import BOARDS
from grafana.wall.rooms import Rooms
from sinks import migrations, roles
from streams.settings import Settings
from tests import chrome, lively
from tests.eventually import eventually

OWN = Path(__file__).parent / "boards"
_STANDS = "document.fonts.status === 'loaded' && (!document.querySelector('[data-type=geomap]') || !!document.querySelector('.cell'))"


class Served:
    """A wall that runs: its address, its hub, and the rooms of its spaces."""

    def __init__(self, url: str, hub: Hub, rooms: Rooms) -> None:
        self.url = url
        self.hub = hub
        self.rooms = rooms


@contextmanager
def served(dsn: str, settings: Settings, folder: Path, boards: Path = BOARDS, duty_dsn: str | None = None) -> Iterator[Served]:
    """The wall over `settings.space`, filled first; without Kafka. folder: where its boards are put together. duty_dsn: of who may steer."""
    lively.fill(dsn, settings)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(boards, folder, dirs_exist_ok=True)
    shutil.copytree(OWN, folder, dirs_exist_ok=True)
    tables = {"schema": migrations.board(settings.space), "schema_at": migrations.board_at(settings.space)}
    app = build(Wall(reader_dsn=roles.reader_dsn(settings), **tables, boards=folder, duty_dsn=duty_dsn))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield Served(f"http://127.0.0.1:{port}", app.state.hub, app.state.rooms)
    finally:
        server.should_exit = True
        thread.join(10)


def opened(page: Page, address: str) -> None:
    """Go there and wait until figures, map and typeface stand."""
    chrome.opened(page, address)
    stands(page)


def stands(page: Page) -> None:
    """Wait until map and typeface stand."""
    eventually(lambda: page.evaluate(_STANDS), 20)
