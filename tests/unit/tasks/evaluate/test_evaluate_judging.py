"""The report on an evaluation, its second look, and its judgement again without a model."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline_config.errors import EvaluationError
from tasks.artifacts import EvaluationResult, GateEvidence, PreparedData, RowCounts, TrainedModel
from tasks.evaluate.judging import judge_evaluation, keep_for_rejudging, rejudge
from tasks.files import sha256_file
from tasks.manifest import TRAIN_ROWS
from tasks.rows import Row, messages_digest, to_messages, write_rows
from tasks.stages import StageResult
from tests.evaluations import answers, make_trained, write_evaluation
from tests.versions import make_config


def row(name: str, text: str) -> Row:
    messages = to_messages(None, text, "right")
    return {"row_id": name, "digest": messages_digest(messages), "group": name, "messages": messages}


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    folder = tmp_path / "prepared"
    folder.mkdir()
    for side in ("train", "validation", "test"):
        write_rows(folder / f"{side}.parquet", [row(f"{side} {at}", f"{side} text {at}") for at in range(3)])
    counts = RowCounts(read=9, train=3, validation=3, test=3, quarantined=0, duplicates=0, unselected=0, set_aside=0)
    return PreparedData(folder=folder, digest="d" * 64, training_digest="t" * 64, instruction=None, labels=None, counts=counts)


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    (tmp_path / "trained" / "artifact").mkdir(parents=True)
    pl.DataFrame({"digest": [row("x", "train text 0")["digest"]]}).write_parquet(tmp_path / "trained" / "artifact" / TRAIN_ROWS)
    return make_trained(tmp_path / "trained")


def evaluated(workspace: Path, right: int, rows: int) -> StageResult[EvaluationResult]:
    folder = workspace / "store" / "evaluate" / f"{right}-{rows}"
    plain = write_evaluation(folder, {"base": answers(0, rows), "tuned": answers(right, rows)})
    value = EvaluationResult.model_validate(plain.model_dump())
    return StageResult("evaluate", value, f"{right}-{rows}", 0.0, False)


GATES: dict[str, Any] = {
    "min_accuracy": {"kind": "threshold", "threshold": 0.5}, "beats_base": {"kind": "improvement", "threshold": 0.8},
    "fit": {"kind": "overfitting"}, "clean": {"kind": "leakage"},
}  # fmt: skip


def judge(
    workspace: Path, prepared: PreparedData, trained: TrainedModel, right: int, rows: int, gates: dict[str, Any] = GATES
) -> GateEvidence:
    config = make_config(gates=gates)
    return judge_evaluation(config.gates, workspace, prepared, trained, evaluated(workspace, right, rows), config_digest="c" * 64).value


def test_more_rows_for_the_same_artifact_are_a_second_look_that_links_the_first(
    tmp_path: Path, prepared: PreparedData, trained: TrainedModel
) -> None:
    first = judge(tmp_path, prepared, trained, 164, 200)
    second = judge(tmp_path, prepared, trained, 330, 400)
    assert (first.report.look, first.report.earlier, first.report.verdict) == (1, (), "hold")
    assert (second.report.look, second.report.earlier) == (2, (first.digest,))
    [gate] = [gate for gate in second.report.gates if gate.name == "beats_base"]
    assert gate.level == 0.01
    assert judge(tmp_path, prepared, trained, 164, 200) == first
    assert judge(tmp_path, prepared, trained, 330, 400) == second


def test_other_gates_on_the_same_answers_are_another_look(tmp_path: Path, prepared: PreparedData, trained: TrainedModel) -> None:
    judge(tmp_path, prepared, trained, 164, 200)
    softer = judge(tmp_path, prepared, trained, 164, 200, GATES | {"beats_base": {"kind": "improvement", "threshold": 0.7}})
    assert softer.report.look == 2


def test_another_artifact_is_looked_at_for_the_first_time(tmp_path: Path, prepared: PreparedData, trained: TrainedModel) -> None:
    judge(tmp_path, prepared, trained, 164, 200)
    other = trained.model_copy(update={"artifact_digest": "f" * 64})
    assert judge(tmp_path, prepared, other, 165, 200).report.look == 1


def test_a_test_row_that_the_artifact_was_trained_on_closes_the_gate(tmp_path: Path, prepared: PreparedData, trained: TrainedModel) -> None:
    outcomes = {gate.name: gate.outcome for gate in judge(tmp_path, prepared, trained, 190, 200).report.gates}
    assert outcomes["clean"] == "pass"
    # Not in this run's training rows, but in those of the artifact.
    pl.DataFrame({"digest": [row("x", "test text 1")["digest"]]}).write_parquet(trained.artifact / TRAIN_ROWS)
    report = judge(tmp_path, prepared, trained, 191, 200).report
    assert {gate.name: gate.outcome for gate in report.gates}["clean"] == "fail"


def finished(workspace: Path, prepared: PreparedData, trained: TrainedModel) -> tuple[Path, GateEvidence]:
    judged, run = judge(workspace, prepared, trained, 180, 200), workspace / "runs" / "run-1"
    keep_for_rejudging(run, workspace, prepared, trained, evaluated(workspace, 180, 200).value, judged)
    return run, judged


def test_a_finished_run_is_judged_again_from_its_rows_alone(tmp_path: Path, prepared: PreparedData, trained: TrainedModel) -> None:
    run, judged = finished(tmp_path, prepared, trained)
    same = rejudge(run, tmp_path, make_config(gates=GATES))
    assert same.report.gates == judged.report.gates
    assert same.report.rejudges == judged.digest
    assert same.digest == sha256_file(same.path)
    assert same.path.is_relative_to(run)
    stricter = rejudge(run, tmp_path, make_config(gates=GATES | {"min_accuracy": {"kind": "threshold", "threshold": 0.95}}))
    assert (stricter.report.verdict, stricter.path == same.path) == ("fail", False)
    assert judge(tmp_path, prepared, trained, 180, 200) == judged


def test_rows_that_were_changed_are_not_judged_again(tmp_path: Path, prepared: PreparedData, trained: TrainedModel) -> None:
    run, _ = finished(tmp_path, prepared, trained)
    evaluated(tmp_path, 200, 200)
    write_evaluation(tmp_path / "store" / "evaluate" / "180-200", {"base": answers(0, 200), "tuned": answers(200, 200)})
    with pytest.raises(EvaluationError, match="gone or were changed"):
        rejudge(run, tmp_path, make_config(gates=GATES))


def test_a_run_that_was_not_judged_cannot_be_judged_again(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="was not judged"):
        rejudge(tmp_path, tmp_path, make_config(gates=GATES))
