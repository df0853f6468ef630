"""Answers and figures of base, tuned, champion and a plain text classifier on the same test rows."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline_config.errors import EvaluationError, TunegateError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData, Rival, TrainedModel
from tasks.evaluate.contenders import Adapter, Answers, Examiner, Loss, Progress, Questions, as_served, as_trained, read_questions, sample
from tasks.evaluate.outcomes import PREDICTIONS, per_row_correct
from tasks.files import stage_store
from tasks.manifest import TRAIN_ROWS, read_manifest
from tasks.rows import messages_digest
from tasks.stages import SCRATCH, StageResult, run_stage

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Exam:
    """What one contender answered, and its loss."""

    answers: StageResult[Answers]
    loss: StageResult[Loss]


@dataclass(frozen=True)
class _ChampionExam:
    """The champion's exam and which test rows it had seen before, or why there is none."""

    name: str
    exam: _Exam | None
    saw: tuple[bool, ...]
    fault: str | None


@dataclass(frozen=True)
class _Session:
    """Everything that was asked. `seen` is a sample of training rows."""

    test: Questions
    base: _Exam
    tuned: _Exam
    seen: Questions
    on_seen: StageResult[Answers]
    champion: _ChampionExam | None

    def exams(self) -> dict[str, _Exam]:
        """By the names that predictions and figures go under."""
        exams = {"base": self.base, "tuned": self.tuned}
        return exams | {"champion": self.champion.exam} if self.champion and self.champion.exam else exams

    def parts(self) -> list[StageResult[Answers] | StageResult[Loss]]:
        """Results that this evaluation is made from."""
        return [self.on_seen, *(part for exam in self.exams().values() for part in (exam.answers, exam.loss))]


def measure(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, rival: Rival | None, on_progress: Progress
) -> StageResult[EvaluationResult]:
    """Asks everybody what nobody has answered yet, and computes the figures. Of a chat, the last answer is judged; the rest is prompt.

    A champion that cannot be asked is no error: the result says why, and it is tried again on the next call.

    Raises:
        EvaluationError: there are no test rows.
        ModelError: the base or the trained adapter cannot be loaded.
    """
    started = time.monotonic()
    examiner = Examiner(config, workspace, trained.layout, on_progress)
    session = _ask(examiner, config, prepared, trained, rival)
    constrained = examiner.constrained_labels(prepared.labels) is not None
    champion = session.champion
    inputs = {
        "data": prepared.digest,
        "labels": prepared.labels,
        "constrained": constrained,
        "parts": [part.key for part in session.parts()],
        "champion": [champion.name, champion.fault] if champion else None,
    }

    def build(folder: Path) -> EvaluationResult:
        on_progress("figures of all contenders", len(session.test.rows), len(session.test.rows))
        return _evaluate(folder, prepared, session, examiner.expected, constrained=constrained)

    result = run_stage(stage_store(workspace), "evaluate", inputs, EvaluationResult, build)
    reused = result.reused and all(part.reused for part in session.parts())
    return StageResult(result.name, result.value, result.key, time.monotonic() - started, reused)


def _ask(examiner: Examiner, config: PipelineConfig, prepared: PreparedData, trained: TrainedModel, rival: Rival | None) -> _Session:
    test = read_questions("test rows", prepared.folder / "test.parquet", alone=config.deployment.parity_rows)
    if not test.rows:
        raise EvaluationError("there are no test rows", where=str(prepared.folder), expected="at least one row")
    seen = sample(read_questions("all", prepared.folder / "train.parquet"), config.evaluation.train_sample_rows, "training rows")
    tuned = Adapter("tuned", trained.artifact, trained.artifact_digest)
    return _Session(
        test=test,
        base=_Exam(examiner.base_answers(test, prepared.labels), examiner.loss(None, test)),
        tuned=_Exam(examiner.answers(tuned, test), examiner.loss(tuned, test)),
        seen=seen,
        on_seen=examiner.answers(tuned, seen),
        champion=_examine(examiner, rival, test) if rival is not None else None,
    )


def _examine(examiner: Examiner, rival: Rival, test: Questions) -> _ChampionExam:
    if rival.folder is None:
        return _ChampionExam(rival.adapter_name, None, (), rival.fault or "its files are not here")
    try:
        manifest = read_manifest(rival.folder)
        if manifest.digest != rival.artifact_digest:
            raise EvaluationError(f"its folder holds artifact {manifest.digest[:12]} and not {rival.artifact_digest[:12]}")
        digests = set(pl.read_parquet(rival.folder / TRAIN_ROWS)["digest"])
        adapter = Adapter(rival.adapter_name, rival.folder, rival.artifact_digest)
        asked = as_served(test, manifest.masked_kinds)
        exam = _Exam(examiner.answers(adapter, asked), examiner.loss(adapter, asked))
    # Whatever keeps the champion from answering holds the gate, and does not end the run.
    except Exception as error:
        _log.exception("the champion %s cannot be asked", rival.adapter_name)
        return _ChampionExam(rival.adapter_name, None, (), _said(error))
    saw = tuple(messages_digest(as_trained(row["messages"], manifest.masked_kinds)) in digests for row in test.rows)
    return _ChampionExam(rival.adapter_name, exam, saw, None)


def _said(error: Exception) -> str:
    text = error.what if isinstance(error, TunegateError) else f"{type(error).__name__}: {error}"
    return next(iter(text.splitlines()), type(error).__name__)


def _evaluate(
    folder: Path, prepared: PreparedData, session: _Session, expected_of: Callable[[Questions], list[str]], *, constrained: bool
) -> EvaluationResult:
    # Imported only when there is something to compute: they bring datasets, evaluate and scikit-learn.
    from tasks.evaluate.baseline import tfidf_figures
    from tasks.evaluate.metrics import measure_answers

    test, exams, champion = session.test.rows, session.exams(), session.champion
    scratch, labelled, expected = folder / SCRATCH, prepared.labels is not None, expected_of(session.test)
    scratch.mkdir(exist_ok=True)
    texts = {name: exam.answers.value.texts() for name, exam in exams.items()}
    figures = {
        name: measure_answers(expected, texts[name], labelled=labelled, mean_loss=exam.loss.value.mean, scratch=scratch)
        for name, exam in exams.items()
    }
    saw = champion.saw if champion and champion.exam else ()
    columns = {"row_id": [row["row_id"] for row in test], "expected": expected, **texts} | ({"champion_saw": saw} if saw else {})
    pl.DataFrame(columns).write_parquet(folder / PREDICTIONS)
    train = read_questions("all", prepared.folder / "train.parquet").rows
    return EvaluationResult(
        folder=folder,
        rows=len(test),
        base=figures["base"],
        tuned=figures["tuned"],
        tfidf=tfidf_figures(train, test, labelled=labelled, scratch=scratch),
        champion=figures.get("champion"),
        champion_name=champion.name if champion else None,
        champion_fault=champion.fault if champion else None,
        champion_seen_rows=sum(saw),
        tuned_train_accuracy=_share_right(expected_of(session.seen), session.on_seen.value.texts()),
        base_constrained=constrained,
    )


def _share_right(expected: Sequence[str], answers: Sequence[str]) -> float | None:
    correct = per_row_correct(expected, answers)
    return sum(correct) / len(correct) if correct else None
