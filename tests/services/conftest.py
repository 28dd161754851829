"""What tests of services share: a space of their own in the session's database, a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from deploy.embedded.parts import Parts
from streams.settings import Settings
from tests import chrome
from tests.services.space import Space


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One of a module: its loop may not stand in the way of other modules' own."""
    with chrome.browser() as found:
        yield found
