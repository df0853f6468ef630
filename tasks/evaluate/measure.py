"""Answers and figures of base, tuned, champion and a plain text classifier on the same test rows."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline_config.errors import EvaluationError, TunegateError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData, Rival, TrainedModel
from tasks.evaluate.contenders import Adapter, Answers, Examiner, Loss, Progress, Questions, read_questions, sample
from tasks.evaluate.outcomes import PREDICTIONS, per_row_correct
from tasks.files import stage_store
from tasks.manifest import TRAIN_ROWS, read_manifest
from tasks.rows import answer_of
from tasks.stages import SCRATCH, StageResult, run_stage

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Exam:
    """What one contender answered, and its loss."""

    answers: StageResult[Answers]
    loss: StageResult[Loss]


@dataclass(frozen=True)
class _ChampionExam:
    """The champion's exam with the rows that it had seen before, or why there is none."""

    name: str
    exam: _Exam | None
    saw: tuple[bool, ...]
    fault: str | None


def measure(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, rival: Rival | None, on_progress: Progress
) -> StageResult[EvaluationResult]:
    """Asks everybody what nobody has answered yet, and computes the figures.

    A champion that cannot be asked is no error: the result says why, and it is tried again on the next call.

    Raises:
        EvaluationError: there are no test rows.
        ModelError: the base or the trained adapter cannot be loaded.
    """
    started = time.monotonic()
    test = read_questions("test rows", prepared.folder / "test.parquet")
    if not test.rows:
        raise EvaluationError("there are no test rows", where=str(prepared.folder), expected="at least one row")
    seen = sample(read_questions("", prepared.folder / "train.parquet"), config.evaluation.train_sample_rows, "training rows")
    examiner = Examiner(config, workspace, trained.layout, on_progress)
    adapter = Adapter("tuned", trained.artifact, trained.artifact_digest)
    base = _Exam(examiner.base_answers(test, prepared.labels), examiner.loss(None, test))
    tuned = _Exam(examiner.answers(adapter, test), examiner.loss(adapter, test))
    on_seen = examiner.answers(adapter, seen)
    champion = _examine(examiner, rival, test) if rival is not None else None
    exams = [base, tuned, *([champion.exam] if champion and champion.exam else [])]
    inputs = {
        "data": prepared.digest, "labels": prepared.labels, "on_seen": on_seen.key,
        "exams": [[exam.answers.key, exam.loss.key] for exam in exams],
        "champion": [champion.name, champion.fault] if champion else None,
    }  # fmt: skip

    def build(folder: Path) -> EvaluationResult:
        on_progress("figures", 0, len(test.rows))
        constrained = examiner.constrained_labels(prepared.labels) is not None
        return _evaluate(folder, prepared, (test, base, tuned), (seen, on_seen.value), champion, constrained=constrained)

    result = run_stage(stage_store(workspace), "evaluate", inputs, EvaluationResult, build)
    parts = [on_seen, *(part for exam in exams for part in (exam.answers, exam.loss))]
    reused = result.reused and all(part.reused for part in parts)
    return StageResult(result.name, result.value, result.key, time.monotonic() - started, reused)


def _examine(examiner: Examiner, rival: Rival, test: Questions) -> _ChampionExam:
    if rival.folder is None:
        return _ChampionExam(rival.adapter_name, None, (), rival.fault or "its files are not here")
    try:
        found = read_manifest(rival.folder).digest
        if found != rival.artifact_digest:
            raise EvaluationError(f"its folder holds artifact {found[:12]} and not {rival.artifact_digest[:12]}")
        digests = set(pl.read_parquet(rival.folder / TRAIN_ROWS)["digest"])
        adapter = Adapter(rival.adapter_name, rival.folder, rival.artifact_digest)
        exam = _Exam(examiner.answers(adapter, test), examiner.loss(adapter, test))
    # Whatever keeps the champion from answering must hold the gate and not end the run.
    except Exception as error:
        _log.exception("the champion %s cannot be asked", rival.adapter_name)
        return _ChampionExam(rival.adapter_name, None, (), _said(error))
    return _ChampionExam(rival.adapter_name, exam, tuple(row["digest"] in digests for row in test.rows), None)


def _said(error: Exception) -> str:
    text = error.what if isinstance(error, TunegateError) else f"{type(error).__name__}: {error}"
    return next(iter(text.splitlines()), type(error).__name__)


def _evaluate(
    folder: Path,
    prepared: PreparedData,
    asked: tuple[Questions, _Exam, _Exam],
    sampled: tuple[Questions, Answers],
    champion: _ChampionExam | None,
    *,
    constrained: bool,
) -> EvaluationResult:
    # Imported only when there is something to compute: they bring datasets, evaluate and scikit-learn.
    from tasks.evaluate.baseline import tfidf_figures
    from tasks.evaluate.metrics import measure_answers

    test, base, tuned = asked
    scratch, labelled, wanted = folder / SCRATCH, prepared.labels is not None, [answer_of(row) for row in test.rows]
    scratch.mkdir(exist_ok=True)
    exams = {"base": base, "tuned": tuned} | ({"champion": champion.exam} if champion and champion.exam else {})
    texts = {name: exam.answers.value.texts() for name, exam in exams.items()}
    figures = {
        name: measure_answers(wanted, texts[name], labelled=labelled, mean_loss=exam.loss.value.mean, scratch=scratch)
        for name, exam in exams.items()
    }
    columns = {"row_id": [row["row_id"] for row in test.rows], "expected": wanted, **texts}
    saw = champion.saw if champion and champion.exam else ()
    pl.DataFrame({**columns, "champion_saw": saw} if "champion" in exams else columns).write_parquet(folder / PREDICTIONS)
    train = read_questions("", prepared.folder / "train.parquet")
    return EvaluationResult(
        folder=folder,
        rows=len(test.rows),
        base=figures["base"],
        tuned=figures["tuned"],
        tfidf=tfidf_figures(train.rows, test.rows, labelled=labelled, scratch=scratch),
        champion=figures.get("champion"),
        champion_name=champion.name if champion else None,
        champion_fault=champion.fault if champion else None,
        champion_seen_rows=sum(saw),
        tuned_train_accuracy=_share_right(sampled[0], sampled[1].texts()),
        base_constrained=constrained,
    )


def _share_right(questions: Questions, answers: Sequence[str]) -> float | None:
    correct = per_row_correct([answer_of(row) for row in questions.rows], answers)
    return sum(correct) / len(correct) if correct else None
