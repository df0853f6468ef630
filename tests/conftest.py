"""Fixtures for tests that need the real local services."""

from collections.abc import Iterator

import pytest

from pipeline_config.environment import Machine
from tests.machines import running


@pytest.fixture(scope="session")
def machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One set of services for all tests on tiny models. A model server holds one base, so the embedded model's tests have their own set."""
    with running(tmp_path_factory.mktemp("workspace")) as machine:
        yield machine


@pytest.fixture(scope="session")
def embedded_machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Another set, for the tests on the embedded model."""
    with running(tmp_path_factory.mktemp("embedded")) as machine:
        yield machine
