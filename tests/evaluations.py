"""Writes stored evaluations as small as they can be, and lets a test bend any part of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import (
    CurvePoint,
    EvaluationResult,
    Figures,
    Fit,
    GateEvidence,
    PreparedData,
    RowCounts,
    RunContext,
    SideFit,
    TrainedModel,
)
from tasks.evaluate.gates_case import Case
from tasks.evaluate.judging import judge_evaluation, keep_for_rejudging
from tasks.evaluate.leakage import Leaks
from tasks.evaluate.looks import FIRST, Look
from tasks.evaluate.outcomes import read_outcomes
from tasks.evaluate.stored_rows import read_scores
from tasks.files import SUMMARY, run_folder, write_json
from tasks.manifest import TRAIN_ROWS
from tasks.rows import Row, messages_digest, to_messages, write_rows
from tasks.stages import StageResult

CONTENDERS = ("base", "tuned", "champion")


def write_evaluation(
    folder: Path,
    answers: Mapping[str, Sequence[str]],
    *,
    expected: Sequence[str] | None = None,
    scores: Mapping[str, Sequence[Any]] | None = None,
    saw: Sequence[bool] | None = None,
    figures: Mapping[str, Mapping[str, float | None]] | None = None,
    **changes: Any,
) -> EvaluationResult:
    """Writes predictions and scores.

    Args:
        answers: of `base`, `tuned` and, if there is one, `champion`; `right` is right unless `expected` says otherwise.
        scores: columns of `scores.parquet` besides `row_id` and `cluster`, which may be given too; null: there is no such file.
        figures: further figures of a contender.
        changes: fields of the result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(answers["tuned"])
    ids, wanted = [f"row {at:05}" for at in range(rows)], list(expected or ["right"] * rows)
    columns: dict[str, Any] = {"row_id": ids, "expected": wanted, **answers}
    if "champion" in answers:
        columns["champion_saw"] = list(saw or [False] * rows)
    pl.DataFrame(columns).write_parquet(folder / "predictions.parquet")
    if scores is not None:
        pl.DataFrame({"row_id": ids, "cluster": ids, **scores}).write_parquet(folder / "scores.parquet")
    found = {
        name: Figures(values={"accuracy": sum(map(str.__eq__, texts, wanted)) / rows, **(figures or {}).get(name, {})})
        for name, texts in answers.items()
    }
    values: dict[str, Any] = {
        "folder": folder, "rows": rows, "base": found["base"], "tuned": found["tuned"], "tfidf": Figures(),
        "champion": found.get("champion"),
        "champion_name": "desk-v1" if "champion" in answers else None, "champion_fault": None, "champion_seen_rows": sum(saw or ()),
        "tuned_train_accuracy": 0.9, "base_constrained": True,
        "fit": Fit(**{side: SideFit(rows=rows, loss=0.4, familiar=rows // 2) for side in ("train", "validation", "test")}),
    }  # fmt: skip
    return EvaluationResult.model_construct(**(values | changes))


def make_trained(folder: Path = Path(), artifact: str = "a" * 64) -> TrainedModel:
    """A well-fitted model."""
    curve = (CurvePoint(step=1, epoch=1.0, train_loss=None, validation_loss=0.5),)
    return TrainedModel(
        folder=folder, artifact_digest=artifact, base_digest="b" * 64, method="lora", steps=1, shipped_step=1, curve=curve,
        stopped_early=False, layout="packed", supervised_tokens=1, total_tokens=1, tokens_per_second=None, peak_memory_bytes=1,
    )  # fmt: skip


def case_of(evaluation: EvaluationResult, *, leaks: Leaks | None = None, look: Look = FIRST) -> Case:
    """What gates look at, read from the files."""
    folder = evaluation.folder
    return Case(evaluation, read_outcomes(folder), make_trained(), scores=read_scores(folder), leaks=leaks, look=look)


def answers(right: int, rows: int) -> list[str]:
    """So many right answers, and wrong ones after them."""
    return ["right"] * right + ["wrong"] * (rows - right)


def make_row(name: str, text: str) -> Row:
    """A chat of one turn whose right answer is `right`."""
    messages = to_messages(None, text, "right")
    return {"row_id": name, "digest": messages_digest(messages), "group": name, "messages": messages}


def write_prepared(folder: Path) -> PreparedData:
    """Three rows on each side, none of which says what another does."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("train", "validation", "test"):
        write_rows(folder / f"{side}.parquet", [make_row(f"{side} {at}", f"{side} text {at}") for at in range(3)])
    counts = RowCounts(read=9, train=3, validation=3, test=3, quarantined=0, duplicates=0, unselected=0, set_aside=0)
    return PreparedData(folder=folder, digest="d" * 64, training_digest="t" * 64, instruction=None, labels=None, counts=counts)


def write_trained(folder: Path, *rows: Row) -> TrainedModel:
    """A model that says it was trained on these rows."""
    (folder / "artifact").mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"digest": [row["digest"] for row in rows]}, schema={"digest": pl.String}).write_parquet(folder / "artifact" / TRAIN_ROWS)
    return make_trained(folder)


def evaluated_in(workspace: Path, right: int, rows: int) -> StageResult[EvaluationResult]:
    """An evaluation in the workspace's store, in which the base has every row wrong."""
    folder = workspace / "store" / "evaluate" / f"{right}-{rows}"
    plain = write_evaluation(folder, {"base": answers(0, rows), "tuned": answers(right, rows)})
    return StageResult("evaluate", EvaluationResult.model_validate(plain.model_dump()), f"{right}-{rows}", 0.0, False)


def write_finished_run(
    workspace: Path, config: PipelineConfig, *, right: int = 180, rows: int = 200, run_id: str = "run-1"
) -> GateEvidence:
    """What a run leaves in its folder, as far as judging again and topping up read it."""
    prepared, trained = write_prepared(workspace / "prepared"), write_trained(workspace / "trained")
    evaluated, folder = evaluated_in(workspace, right, rows), run_folder(workspace, run_id)
    judged = judge_evaluation(config.gates, workspace, prepared, trained, evaluated, config_digest="c" * 64)
    context = RunContext(run_id=run_id, workspace=workspace, mlflow_run_id="m", mlflow_run_url="http://mlflow/m", prefect_run_url=None)
    keep_for_rejudging(context, prepared, trained, evaluated.value, judged.value)
    write_json(folder / "config.json", config.as_json())
    gates = [gate.model_dump(mode="json") for gate in judged.value.report.gates]
    write_json(folder / SUMMARY, {"run_id": run_id, "verdict": judged.value.report.verdict, "test_rows": rows, "gates": gates})
    return judged.value
