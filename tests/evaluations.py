"""Writes stored evaluations as small as they can be, and lets a test bend any part of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.artifacts import CurvePoint, EvaluationResult, Figures, TrainedModel
from tasks.evaluate.gates_case import Case
from tasks.evaluate.leakage import Leaks
from tasks.evaluate.looks import FIRST, Look
from tasks.evaluate.outcomes import read_outcomes
from tasks.evaluate.stored_rows import read_scores

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
