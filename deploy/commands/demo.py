"""`ioc demo`: everything on this machine for a while, and at the end the comparison with what the departments really sent."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import httpx
import stamina
import typer
from rich.live import Live
from rich.table import Table

from deploy import console, fleet
from deploy.commands.parts import bring_up
from deploy.commands.rules_apply import connected
from deploy.commands.sellers import load_sellers
from deploy.console import Json
from deploy.embedded import parts
from deploy.embedded.processes import free_port
from deploy.fleet import Fleet
from deploy.reset import forget_demo
from deploy.settled import Settled
from deploy.simulators import hospitals, judge
from sinks import rulebook
from sinks.proof import prove
from sinks.roles import ingest_dsn
from streams import settings
from streams.department import NAMES
from streams.settings import Settings

PATIENCE_SECONDS = 60.0  # with what is still on its way at the end, as long as nothing moves
RETRY_SCALE = "0.05"  # of the banks' curve: eight deliveries in 100 seconds instead of 33 minutes


def register(app: typer.Typer) -> None:
    """Add the command to `ioc`."""
    app.command()(demo)


def demo(
    seconds: Annotated[
        int | None, typer.Option(help="End by itself after so long and print the verdict (default: run until Ctrl-C).")
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second of all departments together.", min=1, max=5000)] = 200.0,
    seed: Annotated[int, typer.Option(help="What the departments send follows from it.")] = 1,
    faults: Annotated[float, typer.Option(help="How badly the departments behave: 1 as real ones do, 0 not at all.", min=0, max=5)] = 1.0,
    as_json: Json = False,
) -> None:
    """Five departments, connectors, Kafka, worker, TimescaleDB and the wall on this machine, with true figures on the wall.

    At the end every figure is recomputed from what the departments really sent, by code that shares nothing with the program. Exit 1 when
    anything is lost, doubled or different.
    """
    started = float(os.environ.get("IOC_DEMO_STARTED") or time.time())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run = Demo(settings.load(), rate, seed, faults, started)
    try:
        run.up()
        run.watch(stop, seconds)
        found = run.verdict()
    finally:
        console.say("ending what was started")
        run.down()
    console.result(found, as_json, lambda: _shown(found))
    if not found["ok"]:
        raise console.No("the figures are not what the departments sent", f"look at {run.folder}/verdict.json and {run.folder}/logs")


class Demo:
    """One run: its folder, its processes, the verdict at the end."""

    def __init__(self, chosen: Settings, rate: float, seed: int, faults: float, started: float) -> None:
        self.folder = chosen.state_dir.resolve() / "demo"
        self.first_figure_seconds: float | None = None
        self.wall = ""
        self._rate, self._seed, self._faults, self._started = rate, seed, faults, started
        self._state_dir = chosen.state_dir.resolve()
        self.ports = fleet.choose_ports([*fleet.SIMULATORS])
        self.web_port = free_port(chosen.web.port or None)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        for old in [*self.folder.glob("truth-*.jsonl"), *self.folder.glob("logs/*.log"), *(self.folder / "files").glob("*")]:
            old.unlink()
        self._config = self.folder / "ioc.toml"
        self.settings = chosen.model_copy(update={"state_dir": self._state_dir})
        self.fleet = Fleet(self.folder, {"IOC_CONFIG": str(self._config), "IOC_STATE_DIR": str(self._state_dir)})
        self.truth = [self.folder / f"truth-{name}.jsonl" for name in fleet.SIMULATORS]

    def up(self) -> None:
        """Start everything, in the order in which it is needed; back when the first figure stands in the database."""
        self._start_simulators("tax", "telehealth", "video")
        found = parts.ensure(self.settings, console.say)
        forget_demo(self.settings, found)
        bring_up(self.settings, lambda words: None)
        with connected(self.settings) as connection, connection.transaction():
            rulebook.stand_ready(connection, self.settings.space, "ioc demo")
        self.fleet.start("worker", "deploy", "work")
        fleet.write_configuration(self._config, self.ports, self.web_port, hospitals.units())
        registry = self.folder / "registry.csv"
        registry.write_bytes(self._ask("tax", "/registry.csv"))
        load_sellers(self.settings, registry)  # before the first message: each belongs to the registry of its arrival
        self.fleet.start("pull-tax-feed", "deploy", "pull", "tax-feed")
        self.fleet.start("wall", "deploy", "serve")
        self.fleet.line("wall", r"the wall is at (http://\S+)")
        self._start_simulators(*fleet.PUSHING)  # not sooner: they give a notice up when nobody answers for long
        for name in fleet.PULLED[1:]:
            self.fleet.start(f"pull-{name}", "deploy", "pull", name)
        console.say("waiting for the first figure")
        self._await_first_figure()

    def watch(self, stop: threading.Event, seconds: int | None) -> None:
        """Show what arrives until the time is over or `stop` is set."""
        until = time.monotonic() + seconds if seconds else None
        self.wall = f"http://127.0.0.1:{self.web_port}/"
        console.say(f"the wall: {self.wall}")
        with Live(console=console.people, refresh_per_second=2, transient=True) as live:
            while not stop.is_set() and (until is None or time.monotonic() < until):
                live.update(self._status())
                fallen = self.fleet.fallen()
                if fallen:
                    console.say("ended by itself: " + "; ".join(fallen))
                    break
                stop.wait(0.5)

    def verdict(self) -> dict[str, Any]:
        """Stop issuing, let everything arrive, compare."""
        console.say("the departments stop issuing; waiting until all has arrived")
        for name in fleet.SIMULATORS:
            httpx.post(f"http://127.0.0.1:{self.ports[name]}/control/stop", timeout=30)
        Settled(self.settings, [self.ports[name] for name in fleet.SIMULATORS], self.folder / "files").wait(PATIENCE_SECONDS)
        return self.compare()

    def compare(self) -> dict[str, Any]:
        """What the database says against what the departments sent, as it stands now."""
        settled = Settled(self.settings, [])
        figures = settled.figures()
        keys = json.loads((self._state_dir / "secrets" / "keys.json").read_text())
        report = judge.judge(self.truth, figures, settled.ids(), keys)
        ledger = settled.ledger()
        (self.folder / "verdict.json").write_text(json.dumps({"report": report.json(), "ledger": ledger}, indent=1, default=str))
        proof = prove(ingest_dsn(self.settings), self.settings.space)
        departments = {}
        for name in NAMES:
            tally = asdict(report.departments[name])
            rows = [row for row in ledger["rows"] if row["department"] == name]
            counted = {k: sum(row[k] for row in rows) for k in ("received", "on_time", "late", "duplicate", "conflict", "quarantined")}
            departments[name] = {"sent": tally["sent"], **counted, "lost": tally["lost"], "doubled": tally["doubled"] + tally["strangers"]}
        equal = report.differing == 0 and report.cells > 0
        whole = all(d["lost"] == d["doubled"] == 0 and d["received"] > 0 for d in departments.values())
        return {
            "ok": equal and whole and ledger["balanced"] and not proof.differences,
            "seconds": round(time.time() - self._started, 1),
            "first_figure_seconds": self.first_figure_seconds,
            "departments": departments,
            "figures_equal_truth": equal,
            "cells_compared": report.cells,
            "balanced": ledger["balanced"],
            "firings": proof.spans,
            "firings_equal_backtest": not proof.differences,
            "latency_ms": settled.latency_ms(),
            "wall": self.wall,
        }

    def down(self) -> None:
        """End what was started: connectors first, so that nothing is left half on its way; then broker and database."""
        self.fleet.end([*fleet.SIMULATORS, *(f"pull-{name}" for name in fleet.PULLED)])
        self.fleet.end()
        parts.stop(self.settings)

    def _start_simulators(self, *names: str) -> None:
        console.say(f"starting {', '.join(names)}: {self._rate:g} events/s in all, seed {self._seed}, faults x {self._faults:g}")
        secrets = fleet.write_secrets(self.folder)
        for name in names:
            path = self.folder / f"truth-{name}.jsonl"
            more = ["--webhooks", f"http://127.0.0.1:{self.web_port}", "--retry-scale", RETRY_SCALE] if name in fleet.PUSHING else []
            more += ["--files", str(self.folder / "files")] if name == "banks" else []
            self.fleet.start(
                name, "deploy.simulators", name, "--port", str(self.ports[name]), "--seed", str(self._seed), "--rate",
                str(self._rate * fleet.SHARE[name]), "--faults", str(self._faults), "--truth", str(path), "--secret", str(secrets[name]), *more,
            )  # fmt: skip

    def _ask(self, name: str, path: str) -> bytes:
        """What a department publishes for those who may ask; its faults are those of the network, so ask again."""
        url = self.fleet.line(name, r"ready (http://\S+)")
        secret = (self.folder / "secrets" / name).read_text()
        for attempt in stamina.retry_context(on=httpx.HTTPError, attempts=20, timeout=60):
            with attempt:
                answer = httpx.get(url + path, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
                return answer.raise_for_status().content
        raise AssertionError  # retry_context either returns or raises

    def _await_first_figure(self) -> None:
        settled = Settled(self.settings, [])

        def look() -> bool:
            fallen = self.fleet.fallen()
            return bool(fallen) or settled.has_figures()

        if not _until(look, 120) or self.fleet.fallen():
            raise console.No(
                "no figure came: " + "; ".join(self.fleet.fallen() or ["nothing arrived"]), f"read the logs in {self.folder}/logs"
            )
        self.first_figure_seconds = round(time.time() - self._started, 1)
        console.say(f"first figure after {self.first_figure_seconds} s")

    def _status(self) -> Table:
        table = Table(
            "department", "received", "on time", "late", "repeats", "conflicts", "quarantined", title="what arrived", title_justify="left"
        )
        with Settled(self.settings, []).connected() as rows:
            for row in rows:
                table.add_row(*(f"{v:,}".replace(",", ".") if isinstance(v, int) else v for v in row))
        return table


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _shown(found: dict[str, Any]) -> None:
    columns = ["department", *next(iter(found["departments"].values()))]
    console.table(columns, ([name, *row.values()] for name, row in found["departments"].items()))
    mark = "✓" if found["ok"] else "✗"
    console.answer.print(
        f"{mark} figures equal the departments' truth: {found['figures_equal_truth']} ({found['cells_compared']} cells) · "
        f"ledger balanced: {found['balanced']} · p99 {found['latency_ms']['p99']} ms"
    )
