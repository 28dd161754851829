"""A wall of its own with chosen rules, over real HTTP, with figures of a real database; on a port that stays its own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn

from deploy.commands.serve import _listen
from deploy.embedded.parts import Parts
from grafana.wall import access
from grafana.wall.app import Wall, build
from grafana.wall.limits import Bounded
from sinks import migrations, roles
from streams import settings as house_settings
from streams.settings import Settings
from tests.eventually import eventually

SPACE = "access-test"


@dataclass
class Door:
    """A wall with rules of its own."""

    wall: Wall
    port: int = 0
    key: access.Key = field(init=False)
    server: uvicorn.Server = field(init=False)

    def __post_init__(self) -> None:
        self.key = access.Key(self.wall.key)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        listening = _listen("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(build(self.wall), http=Bounded, log_config=None, timeout_graceful_shutdown=1, proxy_headers=False)
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        eventually(lambda: self.server.started)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)

    def token(self, kind: str = "link", boards: tuple[str, ...] | None = None, seconds: float = 600, **more: Any) -> str:
        more = {"operator": False, "once": True, **more}
        return self.key.sign(access.new_grant(kind, "test", time.time() + seconds, boards, **more))  # type: ignore[arg-type]  # wrong kinds too

    def login(self, token: str, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.url}/api/login", json={"token": token}, headers={"origin": self.url, **headers}, timeout=20)

    def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """With the cookie, or without any."""
        cookie = {"cookie": f"{access.COOKIE}={token}"} if token is not None else {}
        return httpx.get(self.url + path, headers={**cookie, **headers}, timeout=20)


def prepared(settings: Settings, parts: Parts) -> Settings:
    """The space with its figures: 4.324 invoices, 3 of them refused, worth 1.555.554 đồng."""
    chosen = settings.model_copy(update={"space": SPACE})
    migrations.migrate(parts.dsn, chosen)
    with psycopg.connect(parts.dsn, autocommit=True) as connection:
        connection.execute(f"set search_path = {migrations.schema(SPACE)}, public")
        for table in ("einvoice_1m", "einvoice_10m", "einvoice_1d", "heard"):
            connection.execute(f"delete from {table}")
        for unit, n, refused in (("C1", 3, 3), ("C2", 4321, 0)):
            measures = f"{n}, {n}, {n - refused}, {refused}, 0, 0, 0, 777777, 70707"
            cells = f"'{unit}', 'a kind', {measures}"
            slot = "date_bin('10 minutes', now(), timestamptz '2020-01-01Z')"
            connection.execute(f"insert into einvoice_1m values (date_trunc('minute', now()), clock_timestamp(), {cells})")
            connection.execute(f"insert into einvoice_10m values ({slot}, '{unit}', {measures})")
            connection.execute(f"insert into einvoice_1d values ((now() at time zone 'Asia/Ho_Chi_Minh')::date, {cells})")
        connection.execute("insert into heard values ('einvoice', 'tax-feed', now(), now(), now())")
    return chosen


@contextmanager
def door(closed: Settings, folder: Path, **rules: Any) -> Iterator[Door]:
    """A running wall; its key lies in `folder`."""
    made = Door(
        Wall(
            reader_dsn=roles.reader_dsn(closed),
            schema=migrations.board(SPACE),
            access=house_settings.Wall(**rules),
            key=folder / "secrets" / "wall.key",
        )
    )
    made.start()
    try:
        yield made
    finally:
        made.stop()
