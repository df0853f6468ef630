"""The services of the tests with the embedded model."""

from collections.abc import Iterator

import pytest

from pipeline_config.environment import Machine
from tests.machines import running


@pytest.fixture(scope="session")
def machine_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A set of its own: a model server holds one base, and the other tests load tiny ones."""
    with running(tmp_path_factory.mktemp("embedded")) as machine:
        yield machine
