"""Fixtures for tests that need the real local services, and how many examples a property is tried with."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline_config.environment import Machine
from tests.machines import running
from tests.postgres import forget_ledger, postgres

# No deadlines: how long an example takes says more of what else runs on this machine than of our code.
settings.register_profile("full", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.load_profile("full")


def pytest_configure() -> None:
    """Modules make many objects and hardly any garbage: to look for it time and again was a twelfth of the fast tests' time."""
    gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    """What the modules hold stays."""
    gc.freeze()


@pytest.fixture(scope="session")
def machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One set of services for all tests on tiny models. A model server holds one base, so the embedded model's tests have their own set."""
    with running(tmp_path_factory.mktemp("workspace")) as machine:
        yield machine


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A database server for all tests that want one; skipped, with the reason, where none can be had."""
    with postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database without a ledger."""
    yield postgres_server
    forget_ledger(postgres_server)


@pytest.fixture(scope="session")
def embedded_machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Another set, for the tests on the embedded model."""
    with running(tmp_path_factory.mktemp("embedded")) as machine:
        yield machine
