"""What every test may ask for: a real broker and a real database of this test session, started when first asked for."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from deploy.embedded import parts as embedded
from deploy.embedded.parts import Parts
from streams.settings import Settings

# A shared machine makes an example slow, and that proves nothing. `--hypothesis-profile=prove` is for longer searches.
hypothesis_settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("prove", hypothesis_settings.get_profile("house"))
hypothesis_settings.load_profile("house")

KEPT = ("IOC_CHROMIUM", "IOC_DEBIAN_ARCHIVE")


def pytest_configure() -> None:
    """No test may meet the settings of the one who runs it, nor of a program that shares the machine. SIGTERM ends a run as Ctrl-C does: broker
    and database with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("IOC_") and name not in KEPT]:
        del os.environ[name]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of this session's parts, which `parts` starts. A test that wants walls of its own takes another `space`."""
    return Settings(state_dir=tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def parts(settings: Settings) -> Iterator[Parts]:
    """The running broker and database. A test that kills one of them calls `embedded.ensure(settings)` before it ends."""
    yield embedded.ensure(settings)
    embedded.wipe(settings)


@pytest.fixture
def bootstrap(parts: Parts) -> str:
    """host:port of the broker."""
    return parts.bootstrap


@pytest.fixture
def dsn(parts: Parts) -> str:
    """How to reach the database as one who may do everything."""
    return parts.dsn
