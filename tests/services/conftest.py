"""What tests of services share: a space of their own in the session's database."""

from collections.abc import Iterator

import pytest

from deploy.embedded.parts import Parts
from streams.settings import Settings
from tests.services.space import Space


@pytest.fixture
def space(settings: Settings, parts: Parts) -> Iterator[Space]:
    made = Space(settings, parts)
    yield made
    made.drop()
