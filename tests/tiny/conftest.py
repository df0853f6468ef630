"""The workspace that tests of evaluation share."""

from pathlib import Path

import pytest

from tests.tiny.evaluation_world import World, make_world


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def world(evaluated: World, tmp_path: Path) -> World:
    """The evaluated world without anything answered yet."""
    return World(tmp_path, evaluated.config, evaluated.prepared, evaluated.one, evaluated.two, [])
