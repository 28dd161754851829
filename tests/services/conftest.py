"""What tests of services share: a space of their own in the session's database, a browser."""

from collections.abc import Iterator

import pytest
import typer
from playwright.sync_api import Browser
from typer.testing import CliRunner

from deploy.commands import incidents, rules
from deploy.embedded.parts import Parts
from streams.settings import Settings
from tests import chrome
from tests.services.space import Ioc, Space


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.drop()


@pytest.fixture
def ioc(space: Space, monkeypatch: pytest.MonkeyPatch) -> Ioc:
    """`ioc rules` and `ioc incidents`, at work in the space of the test."""
    monkeypatch.setenv("IOC_STATE_DIR", str(space.settings.state_dir))
    monkeypatch.setenv("IOC_SPACE", space.name)
    app = typer.Typer()
    rules.register(app)
    incidents.register(app)
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One of a module: its loop may not stand in the way of other modules' own."""
    with chrome.browser() as found:
        yield found
