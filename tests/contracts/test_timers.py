"""What runs at night: the timers and jobs in deploy/ name commands that there are, and systemd and Kubernetes know what they mean."""

import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
JOBS: list[dict[str, Any]] = [*yaml.safe_load_all((DEPLOY / "kubernetes" / "nightly.yaml").read_text())]
IOC = "/opt/song-ma/.venv/bin/ioc "


def read(path: Path) -> list[tuple[str, str, str]]:
    """(section, key, value) in order; a key may stand more than once."""
    section, found = "", []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


def of_timers() -> set[str]:
    services = [timer.with_suffix(".service") for timer in TIMERS]
    return {
        value.removeprefix(IOC) for path in services for section, key, value in read(path) if (section, key) == ("Service", "ExecStart")
    }


def of_jobs() -> set[str]:
    found: set[str] = set()
    for job in JOBS:
        [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        words = container["command"]
        said = words[2].split(" && ") if words[:2] == ["sh", "-c"] else [shlex.join(words)]
        found |= {each.removeprefix("ioc ") for each in said}
    return found


def test_the_same_runs_at_night_on_a_machine_and_in_kubernetes() -> None:
    assert of_timers() == of_jobs()
    assert {timer.stem for timer in TIMERS} == {job["metadata"]["name"] for job in JOBS}


@pytest.mark.parametrize("words", sorted(of_timers()))
def test_what_runs_at_night_is_a_command_with_these_options(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *shlex.split(words), "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.stem)
def test_systemd_knows_the_timer_and_its_service(timer: Path) -> None:
    for path in (timer, timer.with_suffix(".service")):
        assert ConfigParser(strict=False, interpolation=None).read(path)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    calendar = next(value for _, key, value in read(timer) if key == "OnCalendar")
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True, timeout=60)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(timer)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert timer.stem not in done.stderr, done.stderr


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["metadata"]["name"])
def test_a_job_runs_at_the_timers_hour_one_at_a_time(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert (spec["timeZone"], spec["concurrencyPolicy"]) == ("Asia/Ho_Chi_Minh", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    minute, hour = spec["schedule"].split()[:2]
    timer = DEPLOY / "systemd" / f"{job['metadata']['name']}.timer"
    assert f"OnCalendar=*-*-* {int(hour):02}:{int(minute):02}:00 Asia/Ho_Chi_Minh" in timer.read_text()
