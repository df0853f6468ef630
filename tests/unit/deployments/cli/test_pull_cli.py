"""`tunegate pull` refuses what is not clear before it asks a server."""

from pathlib import Path

import pytest

from deployments.cli.pull import pull_version
from pipeline_config.errors import ConfigError, ServiceError
from tests.machines import scratch_machine


@pytest.mark.parametrize(("version", "model"), [("3", None), ("v3", None), ("routing-v3", "other"), ("routing-v", None)])
def test_a_version_that_is_not_clear_is_refused(tmp_path: Path, version: str, model: str | None) -> None:
    with pytest.raises(ConfigError, match=r"not clear which model is meant|names no version"):
        pull_version(version, tmp_path / "out", model, scratch_machine(tmp_path), merged=False, dtype=None)


def test_a_precision_needs_a_merge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only a merged model"):
        pull_version("routing-v3", tmp_path / "out", None, scratch_machine(tmp_path), merged=False, dtype="float32")


def test_a_server_that_is_not_up_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="MLflow cannot be asked"):
        pull_version("routing-v3", tmp_path / "out", None, scratch_machine(tmp_path), merged=False, dtype=None)
    assert not (tmp_path / "out").exists()
