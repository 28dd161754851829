"""The compose file: what it names is there, and it carries no secret and no open door."""

import re
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from grafana import provisioned
from grafana.wall.library import BOARDS

FILE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"
TEXT = FILE.read_text(encoding="utf-8")


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Health(_Strict):
    test: list[str]
    interval: str
    timeout: str
    retries: int


class Service(_Strict):
    image: str
    restart: Literal["unless-stopped", "always", "on-failure", "no"]
    ports: list[str]
    environment: dict[str, str]
    volumes: list[str]
    healthcheck: Health


class Compose(_Strict):
    """The part of the compose specification that we use."""

    name: str
    services: dict[str, Service]
    volumes: dict[str, dict[str, str]]


GRAFANA = msgspec.convert(yaml.safe_load(TEXT), Compose).services["grafana"]


def test_it_is_a_compose_file_and_what_it_mounts_is_there() -> None:
    mounted = {inside: outside for outside, inside, *_ in (volume.split(":") for volume in GRAFANA.volumes)}
    assert (FILE.parent / mounted["/etc/grafana/provisioning"]).resolve() == provisioned.FOLDER.resolve()
    assert (FILE.parent / mounted["/etc/grafana/ioc-boards"]).resolve() == BOARDS.resolve()
    assert all(volume.endswith(":ro") for volume in GRAFANA.volumes if volume.startswith(".."))


def test_every_variable_of_the_provisioning_files_is_given() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in provisioned.FOLDER.rglob("*.yaml"))
    wanted = set(re.findall(r"\$(IOC_[A-Z_]+)", texts))
    assert wanted
    assert wanted <= GRAFANA.environment.keys()


def test_the_provider_reads_where_the_boards_are_mounted_and_the_home_board_is_one_of_them() -> None:
    provider = yaml.safe_load((provisioned.FOLDER / "dashboards" / "ioc.yaml").read_text(encoding="utf-8"))["providers"][0]
    path = provider["options"]["path"]
    assert any(volume.split(":")[1] == path for volume in GRAFANA.volumes)
    home = GRAFANA.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{path}/")
    assert (BOARDS / Path(home).name).is_file()


def test_it_holds_no_secret_and_opens_nothing_to_everybody() -> None:
    secrets = {name: value for name, value in GRAFANA.environment.items() if "PASSWORD" in name}
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?\}", value) for value in secrets.values())
    assert all(port.startswith("127.0.0.1:") for port in GRAFANA.ports)
    assert GRAFANA.environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false", "an anonymous viewer may send any SQL"
    assert GRAFANA.environment["GF_LIVE_MAX_CONNECTIONS"] == "0", "a viewer could push false values into live tiles"
