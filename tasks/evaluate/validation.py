"""How one trained artifact does on each validation row: what trainings are compared by before anything is decided on test rows."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from pipeline_config.errors import EvaluationError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import ArmMetric, PreparedData, TrainedModel, ValidationMarks
from tasks.evaluate.contenders import Adapter, Answers, Examiner, Loss, Progress, Questions, read_questions
from tasks.evaluate.outcomes import per_row_correct
from tasks.files import MARKS, stage_store
from tasks.stages import StageResult, run_stage

_SCHEMA = pl.Schema({"row_id": pl.String(), "cluster": pl.String(), "answer": pl.String(), "amount": pl.Float64(), "weight": pl.Float64()})
_Marks = tuple[Sequence[str | None], Sequence[float], Sequence[float]]
"""Answer, amount and weight of each row."""


def mark_validation(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, on_progress: Progress
) -> StageResult[ValidationMarks]:
    """Answers all validation rows where answers are labels; of free text, the loss of the expected answers is given.

    Raises:
        EvaluationError: there are no validation rows, or the loss is not a finite number.
        ModelError: the artifact cannot be loaded.
    """
    questions = read_questions("validation rows", prepared.folder / "validation.parquet")
    if not questions.rows:
        raise EvaluationError("there are no validation rows", where=str(prepared.folder), expected="at least one row")
    examiner = Examiner(config, workspace, trained.layout, on_progress)
    tuned = Adapter("tuned", trained.artifact, trained.artifact_digest)
    if prepared.labels is None:
        loss = examiner.loss(tuned, questions)
        return _mark(workspace, "loss", questions, loss, lambda: _losses(loss.value))
    answers = examiner.answers(tuned, questions)
    return _mark(workspace, "exact_match", questions, answers, lambda: _matches(answers.value, examiner.expected(questions)))


def _mark(
    workspace: Path, metric: ArmMetric, questions: Questions, given: StageResult[Answers] | StageResult[Loss], marks: Callable[[], _Marks]
) -> StageResult[ValidationMarks]:
    def build(folder: Path) -> ValidationMarks:
        answers, amounts, weights = marks()
        value = sum(amounts) / sum(weights)
        if not math.isfinite(value):
            raise EvaluationError(f"the loss on validation rows is {value}", where=questions.name, expected="a finite number of nats")
        of_rows = {"row_id": [row["row_id"] for row in questions.rows], "cluster": [row["group"] for row in questions.rows]}
        columns = {**of_rows, "answer": answers, "amount": amounts, "weight": weights}
        pl.DataFrame(columns, schema=_SCHEMA).write_parquet(folder / MARKS)
        return ValidationMarks(folder=folder, metric=metric, rows=len(questions.rows), value=value)

    inputs = {"metric": metric, "of": given.key, "clusters": [row["group"] for row in questions.rows]}
    result = run_stage(stage_store(workspace), "marks", inputs, ValidationMarks, build)
    return StageResult(result.name, result.value, result.key, result.seconds + given.seconds, result.reused and given.reused)


def _matches(answers: Answers, expected: Sequence[str]) -> _Marks:
    texts = answers.texts()
    return texts, [float(right) for right in per_row_correct(expected, texts)], [1.0] * len(texts)


def _losses(loss: Loss) -> _Marks:
    rows = loss.rows()
    return [None] * len(rows), [row.nats for row in rows], [float(row.tokens) for row in rows]
