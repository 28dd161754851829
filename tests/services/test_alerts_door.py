"""`ioc alerts`: a route tried, messages seen, failed ones sent again; and what settings of routes are refused."""

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sinks.channels.channel import CHANNELS
from streams import settings as house_settings
from streams.errors import Misconfigured
from streams.rules.alarms import Word
from streams.rules.message import PLACEHOLDERS, Message
from tests.services.ringing import ringing
from tests.services.space import Space
from tests.source_server import Reply, serving

TOML = """
[[channels]]
name = "hook"
kind = "webhook"
url = "{url}/hook"
credential = "env:HOOK_KEY"

[[channels]]
name = "boss"
kind = "webhook"
url = "{url}/boss"
credential = "env:HOOK_KEY"

[[routes]]
name = "default"
channels = ["hook"]
escalate_after_minutes = 15
escalate_to = ["boss"]
"""


def ioc(space: Space, config: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "IOC_STATE_DIR": str(space.settings.state_dir), "IOC_SPACE": space.name, "IOC_CONFIG": str(config)} | more
    command = [sys.executable, "-m", "deploy", "alerts", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def answered(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_route_is_tried_channel_by_channel(space: Space, tmp_path: Path) -> None:
    config = tmp_path / "ioc.toml"
    with serving(lambda asked: Reply(b"", 200 if asked.path == "/hook" else 403)) as server:
        config.write_text(TOML.format(url=server.url))
        told = answered(ioc(space, config, "test", "default", "--json", HOOK_KEY="secret"), 1)
        assert told["ok"] is False
        assert [(each["channel"], each["ok"], each["answer"]) for each in told["channels"]] == [
            ("hook", True, "taken"), ("boss", False, "channel boss answered 403"),
        ]  # fmt: skip
        assert {json.loads(asked.body)["word"] for asked in server.asked} == {"test"}
        missing = answered(ioc(space, config, "test", "default", "--json"), 1)
        assert "export HOOK_KEY" in missing["channels"][0]["answer"]
    unknown = ioc(space, config, "test", "night", HOOK_KEY="secret")
    assert unknown.returncode == 2
    assert "known: default" in unknown.stderr


def test_the_outbox_is_seen_and_what_failed_goes_out_again(space: Space, tmp_path: Path) -> None:
    config = tmp_path / "ioc.toml"
    config.write_text("")
    bell = ringing(space)
    bell.changed("fired", "38001")
    bell.after(1).changed("cleared", "38001")
    with closing(bell.connect()) as connection:
        connection.execute("update outbox set state = 'failed', wrong = 'channel hook answered 401', made_at = now() where word = 'firing'")
    told = answered(ioc(space, config, "outbox", "--json"))
    assert told["counts"] == {"failed": 1, "waiting": 1}
    assert [row["word"] for row in told["rows"]] == ["resolved", "firing"]
    (failed,) = answered(ioc(space, config, "outbox", "--state", "failed", "--json"))["rows"]
    assert failed["wrong"] == "channel hook answered 401"
    assert "Viện phí thấp" in ioc(space, config, "outbox").stdout
    assert answered(ioc(space, config, "retry", str(failed["id"]), "--json")) == {"retried": 1}
    assert answered(ioc(space, config, "outbox", "--json"))["counts"] == {"waiting": 2}


@pytest.mark.parametrize(
    ("channels", "ok", "said"),
    [("", True, "nobody is told"), (TOML.format(url="http://127.0.0.1:1"), False, "HOOK_KEY")],
)
def test_the_doctor_says_when_nobody_would_be_told(tmp_path: Path, channels: str, ok: bool, said: str) -> None:
    config = tmp_path / "ioc.toml"
    config.write_text(channels)
    environment = {**os.environ, "IOC_STATE_DIR": str(tmp_path / "state"), "IOC_CONFIG": str(config)}
    told = subprocess.run(
        [sys.executable, "-m", "deploy", "doctor", "--json"], env=environment, capture_output=True, text=True, timeout=120
    )
    (check,) = [check for check in json.loads(told.stdout)["checks"] if check["name"] == "channels"]
    assert check["ok"] is ok
    assert said in check["detail"]


HOOK = {"name": "hook", "kind": "webhook", "url": "http://127.0.0.1:1", "credential": "env:X"}


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ("not the secret itself", {"channels": [HOOK | {"credential": "hunter2"}]}),
        ("there is no channel nobody", {"channels": [HOOK], "routes": [{"name": "default", "channels": ["nobody"]}]}),
        ("there is no channel boss", {"channels": [HOOK], "routes": [{"name": "default", "channels": ["hook"], "escalate_after_minutes": 5, "escalate_to": ["boss"]}]}),
        ("go together", {"channels": [HOOK], "routes": [{"name": "default", "channels": ["hook"], "escalate_after_minutes": 5}]}),
        ("quiet_hours", {"channels": [HOOK], "routes": [{"name": "default", "channels": ["hook"], "quiet_hours": "25:00-06:00"}]}),
        ("same name", {"channels": [HOOK, HOOK]}),
        ("kind", {"channels": [HOOK | {"kind": "pager"}]}),
    ],
)  # fmt: skip
def test_settings_that_could_not_ring_are_refused_at_the_start(wrong: str, given: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=wrong):
        house_settings.load(**given)


def test_a_route_that_is_not_configured_is_the_default_one() -> None:
    held = house_settings.load(channels=[HOOK], routes=[{"name": "default", "channels": ["hook"]}])
    found = held.route("nights")
    assert found is not None
    assert found.name == "default"
    assert house_settings.load(channels=[HOOK]).route("nights") is None
    assert "http://127.0.0.1:1" not in repr(held)


def test_the_examples_of_the_guide_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "ringing.md").read_text()
    (toml,), (body,) = (re.findall(rf"```{kind}\n(.*?)```", guide, re.DOTALL) for kind in ("toml", "json"))
    config = tmp_path / "ioc.toml"
    config.write_text(toml)
    monkeypatch.setenv("IOC_CONFIG", str(config))
    held = house_settings.load(config)
    assert {channel.kind for channel in held.channels} == set(CHANNELS)
    assert msgspec.json.decode(body, type=Message).units[0].until is None
    told = {row.split("`")[1] for row in guide.splitlines() if row.startswith("| `")}
    assert told == set(get_args(Word)) | {"morning", "digest"}
    assert all(f"{{{name}}}" in guide for name in PLACEHOLDERS)
