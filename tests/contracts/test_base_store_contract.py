"""What every store of bases promises, asked of the fake and of a real MLflow server."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline_config.environment import Machine
from pipeline_config.errors import RegistryError
from tasks.files import file_digests
from tasks.registry.mlflow_bases import DIGEST_TAG, EXPERIMENT, MlflowBaseStore
from tasks.registry.port import BaseStore, StoredBase
from tasks.registry.sealing import digests_of
from tests.fakes import FakeBaseStore

_DIGESTS = (f"{number:064x}" for number in itertools.count(1))


@pytest.fixture(params=["fake", pytest.param("mlflow", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BaseStore:
    if request.param == "fake":
        return FakeBaseStore(tmp_path / "store")
    machine: Machine = request.getfixturevalue("machine_up")
    return MlflowBaseStore(machine.mlflow_url)


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    """A base with a file in a folder of its own."""
    folder = tmp_path / "source"
    (folder / "onnx").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "onnx" / "config.json").write_text("{}")
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def base(files: Mapping[str, Path]) -> StoredBase:
    return StoredBase(digest=next(_DIGESTS), files=digests_of(files))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "target"
    folder.mkdir(parents=True)
    return folder


def test_a_base_is_stored_once_and_comes_back_byte_for_byte(
    store: BaseStore, base: StoredBase, files: Mapping[str, Path], target: Path
) -> None:
    assert [store.keep(base, "tiny", files) for _ in range(3)] == [True, False, False]
    store.fetch(base, target)
    assert file_digests(target) == base.files
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_the_same_base_in_other_bytes_lies_beside_it(store: BaseStore, base: StoredBase, files: Mapping[str, Path], target: Path) -> None:
    store.keep(base, "tiny", files)
    files["onnx/config.json"].write_text('{"written": "otherwise"}')
    other = StoredBase(digest=base.digest, files=digests_of(files))
    assert store.keep(other, "tiny", files)
    store.fetch(other, target)
    assert file_digests(target) == other.files


def test_a_base_that_was_never_stored_is_refused(store: BaseStore, base: StoredBase, target: Path) -> None:
    with pytest.raises(RegistryError, match="is not in the store"):
        store.fetch(base, target)


@pytest.mark.services
def test_a_base_that_was_cut_off_is_not_taken_for_one(
    machine_up: Machine, base: StoredBase, files: Mapping[str, Path], target: Path
) -> None:
    store = MlflowBaseStore(machine_up.mlflow_url)
    with pytest.raises(RegistryError, match="MLflow did not keep base"):
        store.keep(base, "tiny", {**files, "gone.json": target / "gone.json"})
    with pytest.raises(RegistryError, match="is not in the store"):
        store.fetch(base, target)
    assert store.keep(base, "tiny", files)

    from mlflow import MlflowClient

    client = MlflowClient(machine_up.mlflow_url)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], f"tags.`{DIGEST_TAG}` = '{base.digest}'")
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]
