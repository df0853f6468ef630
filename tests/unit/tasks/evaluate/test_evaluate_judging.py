"""The report on an evaluation, its second look, and its judgement again without a model."""

from pathlib import Path
from typing import Any

import pytest

from pipeline_config.errors import EvaluationError
from tasks.artifacts import GateEvidence, PreparedData, TrainedModel
from tasks.evaluate.judging import judge_evaluation, rejudge
from tasks.files import run_folder, sha256_file
from tests.evaluations import answers, evaluated_in, make_row, write_evaluation, write_finished_run, write_prepared, write_trained
from tests.versions import make_config


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    return write_prepared(tmp_path / "prepared")


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    return write_trained(tmp_path / "trained")


GATES: dict[str, Any] = {
    "min_accuracy": {"kind": "threshold", "threshold": 0.5}, "beats_base": {"kind": "improvement", "threshold": 0.8},
    "fit": {"kind": "overfitting"}, "clean": {"kind": "leakage"},
}  # fmt: skip


def judge(
    workspace: Path, prepared: PreparedData, trained: TrainedModel, right: int, rows: int, gates: dict[str, Any] = GATES
) -> GateEvidence:
    config = make_config(gates=gates)
    return judge_evaluation(config.gates, workspace, prepared, trained, evaluated_in(workspace, right, rows), config_digest="c" * 64).value


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
    write_trained(trained.folder, make_row("x", "test text 1"))
    report = judge(tmp_path, prepared, trained, 191, 200).report
    assert {gate.name: gate.outcome for gate in report.gates}["clean"] == "fail"


def test_a_finished_run_is_judged_again_from_its_rows_alone(tmp_path: Path) -> None:
    config, run = make_config(gates=GATES), run_folder(tmp_path, "run-1")
    judged = write_finished_run(tmp_path, config)
    same = rejudge(run, tmp_path, config).judged
    assert same.report.gates == judged.report.gates
    assert same.report.rejudges == judged.digest
    assert same.digest == sha256_file(same.path)
    assert same.path.is_relative_to(run)
    stricter = rejudge(run, tmp_path, make_config(gates=GATES | {"min_accuracy": {"kind": "threshold", "threshold": 0.95}})).judged
    assert (stricter.report.verdict, stricter.path == same.path) == ("fail", False)
    assert write_finished_run(tmp_path, config) == judged  # judging again is no look


def test_rows_that_were_changed_are_not_judged_again(tmp_path: Path) -> None:
    config = make_config(gates=GATES)
    write_finished_run(tmp_path, config)
    write_evaluation(tmp_path / "store" / "evaluate" / "180-200", {"base": answers(0, 200), "tuned": answers(200, 200)})
    with pytest.raises(EvaluationError, match="gone or were changed"):
        rejudge(run_folder(tmp_path, "run-1"), tmp_path, config)


def test_a_run_that_was_not_judged_cannot_be_judged_again(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="was not judged"):
        rejudge(tmp_path, tmp_path, make_config(gates=GATES))
