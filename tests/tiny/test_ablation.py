"""What an ablation is made of, on a tiny model: trainings that end after the same steps, and marks of the validation rows."""

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipeline_config.data import DataConfig, SourceConfig
from pipeline_config.errors import EvaluationError
from pipeline_config.evaluation import EvaluationConfig
from pipeline_config.gates import OverfittingGate, ThresholdGate
from pipeline_config.pipeline import PipelineConfig
from pipeline_config.training import TrainingConfig
from tasks.artifacts import PreparedData, TrainedModel, ValidationMarks
from tasks.evaluate.validation import mark_validation
from tasks.files import MARKS
from tasks.rows import answer_of, read_rows
from tasks.stages import StageResult
from tasks.train.events import TrainingRequest
from tasks.train.steps import ending_after
from tasks.train.train import train
from tests.builders import make_prepared, make_row, make_trained, tiny_base

QUEUES = ("access", "hardware", "network")
TRAIN = [make_row(f"the laptop number {n} is broken", QUEUES[n % 3]) for n in range(20)]
VALIDATION = [make_row(f"please help, the vpn drops {n} times an hour", QUEUES[n % 3]) for n in range(9)]


@dataclass
class World:
    folder: Path
    config: PipelineConfig

    def prepared(self, name: str, rows: int = 20, *, labelled: bool = True) -> PreparedData:
        return make_prepared(self.folder / name, TRAIN[:rows], VALIDATION, TRAIN[:1], labelled=labelled)

    def mark(self, prepared: PreparedData, trained: TrainedModel) -> StageResult[ValidationMarks]:
        return mark_validation(self.config, self.folder, prepared, trained, lambda *progress: None)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("ablation")
    config = PipelineConfig(
        data=DataConfig(source=SourceConfig(path=Path("unused"))),
        model=tiny_base(folder / "base"),
        evaluation=EvaluationConfig(max_new_tokens=8, batch_size=4),
        gates={"min_accuracy": ThresholdGate(threshold=0.5, min_rows=1), "fit": OverfittingGate(kind="overfitting")},
    )
    return World(folder, config)


@pytest.fixture(scope="module")
def version(world: World) -> TrainedModel:
    return make_trained(world.folder / "version", world.config.model, world.folder, world.prepared("for a version"), seed=2)


@pytest.mark.parametrize(("rows", "epochs"), [(20, 2.0), (9, 10 / 3)])
def test_arms_end_after_the_same_steps_however_many_rows_they_have(world: World, rows: int, epochs: float) -> None:
    training = TrainingConfig.model_validate({"epochs": 1, "learning_rate": 1e-2, "per_device_train_batch_size": 4, "evals_per_epoch": 2})
    prepared = world.prepared(f"{rows} rows", rows)
    folder = world.folder / f"arm of {rows}"
    folder.mkdir()
    request = TrainingRequest(
        workspace=world.folder, folder=folder, data_folder=prepared.folder, data_digest="d", instruction=prepared.instruction,
        labels=prepared.labels, max_new_tokens=8, code_revision=None, model=world.config.model,
        training=ending_after(training, 10, prepared.training_rows),
    )  # fmt: skip
    trained = train(request, dict(os.environ), lambda event: None)
    assert (trained.steps, trained.shipped_step, trained.stopped_early) == (10, 10, False)
    assert trained.curve[-1].step == 10
    assert trained.curve[-1].epoch == pytest.approx(epochs, abs=0.1)


def test_validation_rows_are_marked_one_by_one_and_asked_once(world: World, version: TrainedModel) -> None:
    prepared = world.prepared("labelled")
    first = world.mark(prepared, version)
    table = pl.read_parquet(first.value.folder / MARKS)
    rows = read_rows(prepared.folder / "validation.parquet")
    assert table["row_id"].to_list() == [row["row_id"] for row in rows]
    assert table["cluster"].to_list() == [row["group"] for row in rows]
    right = [answer.strip() == answer_of(row) for answer, row in zip(table["answer"], rows, strict=True)]
    assert table["amount"].to_list() == [float(one) for one in right]
    assert (first.value.metric, first.value.rows, first.value.value) == ("exact_match", 9, sum(right) / 9)
    again = world.mark(prepared, version)
    assert (first.reused, again.reused, again.value) == (False, True, first.value)


def test_of_free_text_the_loss_is_measured_and_nothing_is_generated(world: World, version: TrainedModel) -> None:
    marks = world.mark(world.prepared("free text", labelled=False), version).value
    table = pl.read_parquet(marks.folder / MARKS)
    assert marks.metric == "loss"
    assert table["answer"].null_count() == 9
    assert table["weight"].min() >= 2, "a word and the end of the answer"  # type: ignore[operator]
    assert marks.value == pytest.approx(table["amount"].sum() / table["weight"].sum())
    assert marks.value > 0


def test_no_validation_rows_are_an_error(world: World, version: TrainedModel) -> None:
    nothing = make_prepared(world.folder / "nothing", TRAIN, [], TRAIN[:1])
    with pytest.raises(EvaluationError, match="no validation rows"):
        world.mark(nothing, version)
