"""The processes of a demo: started together, watched, ended together."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.embedded.processes import end, free_port, recall, remember, until
from deploy.simulators import hospitals
from deploy.simulators.notices import MOMO_ACCESS
from streams.errors import Retry

SIMULATORS = ("tax", "telehealth", "banks", "video", "hospitals")
PUSHING = ("banks", "hospitals")
PULLED = ("tax-feed", "telehealth", "video", "files-banks", *(f"list-{bank}" for bank in hospitals.LISTED))
SHARE = {
    "tax": 0.43,
    "telehealth": 0.08,
    "banks": 0.13,
    "video": 0.33,
    "hospitals": 0.03,
}  # a third of the load of the real ones is heartbeats


class Fleet:
    """Child processes by name, each with its log in `folder`/logs and its pid in `folder`/pids: what a killed run left behind is ended
    by the next one."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Sequence[str]] = {}
        for left in (folder / "pids").glob("*"):
            pid = recall(left)
            if pid is not None:
                end(pid, 5.0)
            left.unlink()

    def start(self, name: str, *arguments: str) -> None:
        """Run `python -m ARGUMENTS`."""
        logs = self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._commands[name] = arguments
        with (logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )
        (self._folder / "pids").mkdir(exist_ok=True)
        remember(self._folder / "pids" / f"{name}-{self.processes[name].pid}", self.processes[name].pid)

    def again(self, name: str) -> None:
        """Start a process that was killed once more, as it was."""
        self.start(name, *self._commands[name])

    def kill(self, name: str) -> None:
        """kill -9, as a power cut would."""
        process = self.processes[name]
        process.kill()
        process.wait()

    def line(self, name: str, pattern: str, within_seconds: float = 60.0) -> str:
        """The first group of the first line of a process's log that matches. Raises Retry when it ends or stays silent."""
        path = self._folder / "logs" / f"{name}.log"
        found: list[str] = []

        def look() -> bool:
            match = re.search(pattern, path.read_text(errors="replace"))
            if match:
                found.append(match.group(1))
            return bool(match) or self.processes[name].poll() is not None

        until(look, within_seconds)
        if not found:
            raise Retry(f"{name} did not start: {_last_words(path)}", f"read {path}")
        return found[0]

    def fallen(self) -> list[str]:
        """Names of the processes that ended by themselves, with their last words."""
        return [f"{n}: {_last_words(self._folder / 'logs' / f'{n}.log')}" for n, p in self.processes.items() if p.poll() is not None]

    def end(self, names: Sequence[str] | None = None, within_seconds: float = 15.0) -> None:
        """SIGTERM to all (or to `names`), wait, SIGKILL to those that stay."""
        chosen = [self.processes[n] for n in (names or [*self.processes]) if n in self.processes]
        for process in chosen:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + within_seconds
        for process in chosen:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _last_words(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def write_secrets(folder: Path) -> Mapping[str, Path]:
    """A shared secret per simulator, and MoMo's two keys, as files that only we can read."""
    found = {name: folder / "secrets" / name for name in SIMULATORS}
    for path in found.values():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
    found["momo"] = folder / "secrets" / "momo"  # its access key beside the banks' secret
    found["momo"].touch(mode=0o600)
    found["momo"].write_text(f"{MOMO_ACCESS}:{found['banks'].read_text()}")
    return found


def write_configuration(path: Path, ports: Mapping[str, int], web_port: int, units: Mapping[str, Mapping[str, str]]) -> None:
    """The sources of a demo as ioc.toml. units: bank, or `statements` -> its own code of a hospital -> ours. The banks'
    files lie in the folder `files` beside it."""
    secret_of = write_secrets(path.parent)
    fhir = f"http://127.0.0.1:{ports['telehealth']}/fhir/Encounter"
    tables = [
        _source("tax-feed", "einvoice", "rest", "tvan", f"http://127.0.0.1:{ports['tax']}/tvan/messages", secret_of["tax"], 0.2),
        _source("telehealth", "telehealth", "fhir", "fhir", fhir, secret_of["telehealth"], 0.5, "options = { overlap_seconds = 3 }\n"),
    ]
    pages = f"http://127.0.0.1:{ports['video']}/quality"
    options = 'options = { encoding = "json", content = "", limit = 1000 }\n'
    tables.append(_source("video", "telequality", "rest", "telequality", pages, secret_of["video"], 0.5, options))
    for bank in hospitals.BANKS:
        mapped = "[sources.units]\n" + "".join(f'"{code}" = "{unit}"\n' for code, unit in units[bank].items())
        auth = 'options = { auth = "apikey,secretkey" }\n' if bank == "sepay" else ""
        tables.append(
            _source(f"bank-{bank}", "payment", "webhook", bank, None, secret_of.get(bank, secret_of["banks"]), 1.0, auth) + mapped
        )
        if bank not in hospitals.LISTED:
            continue
        url, more = f"http://127.0.0.1:{ports['banks']}/list/{bank}", f'options = {{ bank = "{bank}" }}\n'
        tables.append(_source(f"list-{bank}", "payment", "query", "hdbank", url, secret_of["banks"], 2.0, more) + mapped)
    (path.parent / "files").mkdir(exist_ok=True)
    mapped = "[sources.units]\n" + "".join(
        f'"{code}" = "{unit}"\n' for bank in ("statements", "momo", "sepay") for code, unit in units[bank].items()
    )
    options = f'path = "{(path.parent / "files").resolve()}"\noptions = {{ settled_seconds = 0 }}\n'
    tables.append(_source("files-banks", "payment", "files", "payment", None, None, 1.0, options) + mapped)
    tables.append(_source("hospitals", "visit", "webhook", "bhyt", None, secret_of["hospitals"], 1.0, 'options = { auth = "apikey" }\n'))
    path.write_text(f"[web]\nport = {web_port}\n\n" + "\n".join(tables))


def _source(
    name: str, department: str, connector: str, form: str, url: str | None, secret: Path | None, every: float, more: str = ""
) -> str:
    at = f'url = "{url}"\n' if url else ""
    at += f'credential = "file:{secret.resolve()}"\n' if secret else ""
    return (
        f'[[sources]]\nname = "{name}"\ndepartment = "{department}"\nconnector = "{connector}"\nformat = "{form}"\n{at}'
        f"interval_seconds = {every}\n{more}"
    )


def choose_ports(names: Sequence[str]) -> dict[str, int]:
    """A free port for each."""
    ports: dict[str, int] = {}
    for name in names:
        ports[name] = free_port(avoid=frozenset(ports.values()))
    return ports
