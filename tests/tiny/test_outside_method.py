"""A method of another package: its own file and a configuration that names it are all it takes, and nothing here is changed for it."""

import os
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import tests.outside
from pipeline_config.loading import load_config
from tasks.engine import open_engine
from tasks.manifest import read_manifest
from tasks.methods import METHODS
from tasks.methods.settings import settle
from tasks.rows import Message, write_rows
from tasks.train.events import TrainingRequest
from tasks.train.train import train
from tests.builders import make_row
from tests.projects import write_project

NAME = "elsewhere.scaled:METHOD"
LABELS = ("network", "hardware")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the repository that holds the package and that both processes find."""
    folder = tmp_path / "elsewhere_root"
    (folder / "elsewhere").mkdir(parents=True)
    (folder / "elsewhere" / "__init__.py").touch()
    source = Path(tests.outside.__file__).read_text(encoding="utf-8").replace("tests.outside:METHOD", NAME)
    (folder / "elsewhere" / "scaled.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, sys.path)]))
    return folder


def test_it_is_named_in_a_file_trained_in_the_child_stored_and_answers(package: Path, tmp_path: Path) -> None:
    assert NAME not in METHODS
    training = {"method": NAME, "custom": {"start": 0.5}, "epochs": 1, "learning_rate": None, "load_best_model_at_end": False}
    file = write_project(tmp_path / "project", training={**training, "per_device_train_batch_size": 4})
    config = load_config("demo", file)
    settled = settle(config.training)
    assert (settled.training.learning_rate, settled.notes) == (1.0, ())
    for side in ("train", "validation"):
        write_rows(tmp_path / f"{side}.parquet", [make_row(f"{side} {number}", LABELS[number % 2]) for number in range(16)])
    request = TrainingRequest(
        workspace=tmp_path, folder=tmp_path / "run", data_folder=tmp_path, data_digest="d", instruction=None, labels=LABELS,
        max_new_tokens=4, code_revision=None, model=config.model, training=settled.training,
    )  # fmt: skip
    request.folder.mkdir()
    trained = train(request, dict(os.environ), lambda event: None)
    assert (trained.method, trained.layout, read_manifest(trained.artifact).method) == (NAME, "blocks", NAME)
    assert load_file(trained.artifact / "scale.safetensors")["scale"].item() != 0.5
    engine = open_engine(config.model, tmp_path)
    engine.load_adapter("version", trained.artifact)
    asked: list[list[Message]] = [[{"role": "user", "content": "network 3"}]]
    [answer] = engine.answer(asked, adapter="version", max_new_tokens=4)
    assert answer.completion_tokens > 0
