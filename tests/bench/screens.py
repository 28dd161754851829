"""Two hundred screens on one server: commits go on, every screen gets them; how soon, and what it costs the server."""

import asyncio
import re
import statistics
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from kafka import KafkaProducer

from deploy import console
from deploy.embedded import parts
from deploy.embedded.processes import free_port
from deploy.embedded.topics import create_topics
from grafana.wall import library
from sinks.migrations import migrate, schema
from streams.brokers import kafka_python_options
from streams.event import Touched, encode
from streams.settings import Settings
from streams.topics import topic
from tests.bench import figures
from tests.bench.figures import Figure, median
from tests.bench.measure import cpu_seconds, end, peak_mb, start

SPACE = "screens"
SCREENS = 200
COMMIT_SECONDS = 60.0
COMMITS_EACH_SECOND = 4.0
OPEN_SECONDS, LAST_SECONDS = 60.0, 10.0
P99_SECONDS = 1.0
SERVE = (sys.executable, "-m", "deploy", "serve", "--port")
_KNOWN = re.compile(rb'"known":(\d+)')


@dataclass
class Run:
    """What one run measured. delays: event -> glass, one for each screen and commit, in seconds. missing: screens x commits that never came."""

    delays: list[float] = field(default_factory=list)
    missing: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    waves: float = 0.0
    queries: float = 0.0
    one_screen_queries: float = 0.0


class Screen:
    """One screen: a plain connection that notes when it got which commit."""

    def __init__(self, port: int, board: str) -> None:
        self._port, self._board = port, board
        self.seen: list[tuple[int, float]] = []  # newest commit in a message (ms), when it came (monotonic)
        self.open = asyncio.Event()

    async def watch(self) -> None:
        """Until cancelled. Raises ConnectionError when the server refuses or ends it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        try:
            writer.write(f"GET /api/live?board={self._board} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise ConnectionError(head.split(b"\r\n", 1)[0].decode())
            while True:
                message = await reader.readuntil(b"\n\n")
                if known := _KNOWN.findall(message):
                    self.seen.append((max(map(int, known)), time.monotonic()))
                    self.open.set()
        finally:
            writer.close()


class Commits:
    """What a worker does as far as the wall can tell: figures and freshness in one commit, then a touch. Notes each one's time."""

    def __init__(self, dsn: str, kafka: dict[str, object]) -> None:
        self.done: list[tuple[int, float]] = []
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(f"set search_path = {schema(SPACE)}, public")
        self._producer = KafkaProducer(**kafka, acks="all")
        for table in ("heard", "einvoice_1m", "einvoice_1d"):
            self._connection.execute(f"delete from {table}")

    def one(self) -> None:
        with self._connection.transaction():
            cells = "'C1', 'a kind', 1, 1, 1, 0, 0, 0, 0, 100, 10"
            self._connection.execute(f"insert into einvoice_1m values (date_trunc('minute', now()), clock_timestamp(), {cells})")
            self._connection.execute("delete from einvoice_1d")
            self._connection.execute(
                "insert into einvoice_1d select (now() at time zone 'Asia/Ho_Chi_Minh')::date, 'C1', 'a kind', sum(messages), sum(invoices), "
                "sum(accepted), 0, 0, 0, 0, sum(value_vnd), sum(tax_vnd) from einvoice_1m"
            )
            self._connection.execute("delete from heard")
            row = self._connection.execute(
                "insert into heard select 'einvoice', 'tax-feed', at, at, at from (select date_trunc('milliseconds', clock_timestamp()) as at) as m "
                "returning round(extract(epoch from greatest(known_at, committed_at)) * 1000)::bigint"
            ).fetchone()
        began = time.monotonic()
        self._producer.send(topic("touched", SPACE), encode(Touched(space=SPACE, department="einvoice", stage="figures"))).get(timeout=20)
        if row:
            self.done.append((row[0], began))

    def close(self) -> None:
        self._producer.close()
        self._connection.close()


def run(settings: Settings, screens: int = SCREENS, seconds: float = COMMIT_SECONDS) -> Run:
    """Serve a wall in a process of its own, open `screens`, commit for `seconds`; ends in bounded time whatever hangs. Raises SystemExit."""
    chosen = settings.model_copy(update={"space": SPACE})
    found = parts.find(chosen)
    create_topics(chosen, found.bootstrap)
    migrate(found.dsn, chosen)
    port = free_port()
    environment = {
        "IOC_STATE_DIR": str(settings.state_dir.resolve()),
        "IOC_SPACE": SPACE,
        "IOC_WALL__STREAMS_PER_ADDRESS": str(screens + 10),
    }
    server = start((*SERVE, str(port)), settings.state_dir / "bench-wall.log", **environment)
    commits = Commits(found.dsn, kafka_python_options(chosen, found.bootstrap))
    try:
        limit = 2 * OPEN_SECONDS + seconds + LAST_SECONDS + 60
        return asyncio.run(asyncio.wait_for(_measured(server.pid, port, screens, seconds, commits), limit))
    except (TimeoutError, ConnectionError) as error:
        raise SystemExit(f"the screens could not be measured: {error!r}; read {settings.state_dir}/bench-wall.log") from error
    finally:
        end(server)
        commits.close()


async def _measured(pid: int, port: int, screens: int, seconds: float, commits: Commits) -> Run:
    await _ready(port)
    await asyncio.to_thread(commits.one)
    boards = [*library.load(library.BOARDS)]
    alone = [Screen(port, board) for board in boards]
    result = Run()
    async with _watching(alone):
        result.one_screen_queries = (await _steady(port, min(10.0, seconds), commits))[0]
    commits.done.clear()
    many = [Screen(port, boards[i % len(boards)]) for i in range(screens)]
    async with _watching(many):
        cpu, began = cpu_seconds(pid), time.monotonic()
        result.queries, result.waves = await _steady(port, seconds, commits)
        result.seconds, result.cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
        result.peak_mb = peak_mb(pid)
        last = commits.done[-1][0]
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while not all(screen.seen[-1][0] >= last for screen in many):
                    await asyncio.sleep(0.05)
    for screen in many:
        _delays(screen, commits.done, result)
    return result


def _delays(screen: Screen, done: list[tuple[int, float]], result: Run) -> None:
    """For each commit, when the first message came that knew of it."""
    at = 0
    for known, began in done:
        while at < len(screen.seen) and screen.seen[at][0] < known:
            at += 1
        if at == len(screen.seen):
            result.missing += 1
        else:
            result.delays.append(screen.seen[at][1] - began)


class _watching:
    """Screens that are open inside the block; all have got their first picture when it begins."""

    def __init__(self, screens: list[Screen]) -> None:
        self._screens = screens

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(screen.watch()) for screen in self._screens]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                for screen, task in zip(self._screens, self._tasks, strict=True):
                    opened = asyncio.create_task(screen.open.wait())
                    await asyncio.wait({opened, task}, return_when=asyncio.FIRST_COMPLETED)
                    if task.done():
                        task.result()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _steady(port: int, seconds: float, commits: Commits) -> tuple[float, float]:
    """Commit steadily; (queries of each wave, waves) meanwhile."""
    queries, waves = await asyncio.to_thread(_counts, port)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        due = time.monotonic() + 1 / COMMITS_EACH_SECOND
        await asyncio.to_thread(commits.one)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    later = await asyncio.to_thread(_counts, port)
    made = later[1] - waves
    return (later[0] - queries) / max(1.0, made), made


def _counts(port: int) -> tuple[float, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()

    def one(name: str) -> float:
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    return one("ioc_wall_query_seconds_count"), one("ioc_wall_wave_seconds_count")


async def _ready(port: int) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/readyz", timeout=5)
            if answer.status == 200:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("the wall does not get ready")


def of(runs: list[Run], screens: int = SCREENS) -> list[Figure]:
    """The figures of several runs."""
    name = f"{screens} screens"

    def centile(run: Run, share: float) -> float:
        return sorted(run.delays)[min(len(run.delays) - 1, int(len(run.delays) * share))]

    return [
        median(f"{name}: event to glass, p50", "s", [statistics.median(r.delays) for r in runs]),
        median(f"{name}: event to glass, p99", "s", [centile(r, 0.99) for r in runs], below=P99_SECONDS),
        median(f"{name}: commits that a screen missed", "", [float(r.missing) for r in runs], below=1),
        median(f"{name}: server CPU", "s/s", [r.cpu / r.seconds for r in runs]),
        median(f"{name}: server peak memory", "MB", [r.peak_mb for r in runs]),
        median(f"{name}: waves", "/s", [r.waves / r.seconds for r in runs]),
        median(f"{name}: queries of a wave", "", [r.queries for r in runs]),
        median("one screen a board: queries of a wave", "", [r.one_screen_queries for r in runs]),
    ]


def main(
    screens: Annotated[int, typer.Option(help="Screens at a time, spread over all boards.", min=1, max=480)] = SCREENS,
    seconds: Annotated[float, typer.Option(help="How long commits go on.")] = COMMIT_SECONDS,
    runs: Annotated[int, typer.Option(help="Runs; medians are shown.")] = 3,
    out: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("bench-screens.json"),
    state: Annotated[Path, typer.Option(help="Folder of the broker and the database; kept.")] = Path("/tmp/song-ma-screens"),  # noqa: S108
) -> None:
    """Many screens on one server, alone."""
    from streams.settings import load

    console.configure_logging(False)
    settings = load(state_dir=state)
    parts.ensure(settings, console.say)
    try:
        found = of([run(settings, screens, seconds) for _ in range(runs)], screens)
    finally:
        parts.stop(settings)
    figures.show(found, f"{screens} screens, {seconds:g} s of commits, median of {runs}")
    figures.write(found, out)
    if any(f.met is False for f in found):
        raise typer.Exit(1)
