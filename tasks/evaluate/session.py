"""The same test rows put to base, tuned and champion, and what came back. Everything is kept by content and asked once only."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipeline_config.errors import EvaluationError, TunegateError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import PreparedData, Rival, TrainedModel
from tasks.evaluate.contenders import Adapter, Answers, Examiner, Loss, Progress, Questions, as_served, as_trained, read_questions, sample
from tasks.evaluate.exposure import Exposure, canaries_of, measure_exposure
from tasks.evaluate.judge import Judgement, judge_answers
from tasks.evaluate.rewording import Rewording, measure_rewording
from tasks.manifest import TRAIN_ROWS, read_manifest
from tasks.rows import Row, messages_digest
from tasks.stages import StageResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exam:
    """What one contender answered, and its loss; `artifact` is null for the base."""

    answers: StageResult[Answers]
    loss: StageResult[Loss]
    artifact: Path | None


@dataclass(frozen=True)
class ChampionExam:
    """The champion's exam and which test rows it had seen before, or why there is none."""

    name: str
    exam: Exam | None
    saw: tuple[bool, ...]
    fault: str | None


@dataclass(frozen=True)
class Session:
    """Everything that was asked. `seen` is a sample of training rows; `judgements` are empty where no judge is configured.

    `seen_loss` and `validation_loss` are tuned's; `exposure` is that of planted canaries, `rewording` that of reworded training rows; null
    where there are none.
    """

    test: Questions
    base: Exam
    tuned: Exam
    tuned_digest: str
    seen: Questions
    on_seen: StageResult[Answers]
    seen_loss: StageResult[Loss]
    validation_loss: StageResult[Loss]
    exposure: Exposure | None
    rewording: Rewording | None
    champion: ChampionExam | None
    judgements: dict[str, Judgement] = field(default_factory=dict)

    def exams(self) -> dict[str, Exam]:
        """By the names that predictions and figures go under."""
        exams = {"base": self.base, "tuned": self.tuned}
        return exams | {"champion": self.champion.exam} if self.champion and self.champion.exam else exams

    def saw(self) -> tuple[bool, ...]:
        """Whether the champion was trained on each test row; empty if none answered."""
        return self.champion.saw if self.champion and self.champion.exam else ()

    def parts(self) -> list[StageResult[Answers] | StageResult[Loss]]:
        """Results that an evaluation is made from."""
        of_exams = (part for exam in self.exams().values() for part in (exam.answers, exam.loss))
        of_wording = [self.rewording.parents, self.rewording.augmented] if self.rewording is not None else []
        return [self.on_seen, self.seen_loss, self.validation_loss, *of_wording, *of_exams]


def hold_session(examiner: Examiner, config: PipelineConfig, prepared: PreparedData, trained: TrainedModel, rival: Rival | None) -> Session:
    """Asks everybody what nobody has answered yet.

    Raises:
        EvaluationError: there are no test rows.
        ModelError: the base or the trained adapter cannot be loaded.
    """
    test = read_questions("test rows", prepared.folder / "test.parquet", alone=config.deployment.parity_rows)
    if not test.rows:
        raise EvaluationError("there are no test rows", where=str(prepared.folder), expected="at least one row")
    train = read_questions("all", prepared.folder / "train.parquet")
    seen = sample(train, config.evaluation.train_sample_rows, "training rows")
    tuned = Adapter("tuned", trained.artifact, trained.artifact_digest)
    return Session(
        test=test,
        base=Exam(examiner.base_answers(test, prepared.labels), examiner.loss(None, test), None),
        tuned=Exam(examiner.answers(tuned, test), examiner.loss(tuned, test), trained.artifact),
        tuned_digest=trained.artifact_digest,
        seen=seen,
        on_seen=examiner.answers(tuned, seen),
        seen_loss=examiner.loss(tuned, seen),
        validation_loss=examiner.loss(tuned, read_questions("validation rows", prepared.folder / "validation.parquet")),
        exposure=measure_exposure(canaries_of(train.rows, prepared.canaries), lambda rows: _nats(examiner, tuned, rows)),
        rewording=measure_rewording(examiner, tuned, prepared, train, config.evaluation.train_sample_rows),
        champion=_examine(examiner, rival, test) if rival is not None else None,
    )


def _nats(examiner: Examiner, adapter: Adapter, rows: Sequence[Row]) -> list[float]:
    return [loss.nats for loss in examiner.loss(adapter, Questions("canaries", rows)).value.rows()]


def judgements_of(
    session: Session, config: PipelineConfig, workspace: Path, expected: Sequence[str], say: Progress
) -> dict[str, Judgement]:
    """The judge's scores of every contender."""
    judge = config.evaluation.judge
    if judge is None:
        return {}
    texts = {name: exam.answers.value.texts() for name, exam in session.exams().items()}
    return {name: judge_answers(judge, workspace, name, session.test, expected, given, say) for name, given in texts.items()}


def _examine(examiner: Examiner, rival: Rival, test: Questions) -> ChampionExam:
    if rival.folder is None:
        return ChampionExam(rival.adapter_name, None, (), rival.fault or "its files are not here")
    try:
        manifest = read_manifest(rival.folder)
        if manifest.digest != rival.artifact_digest:
            raise EvaluationError(f"its folder holds artifact {manifest.digest[:12]} and not {rival.artifact_digest[:12]}")
        digests = set(pl.read_parquet(rival.folder / TRAIN_ROWS)["digest"])
        adapter = Adapter(rival.adapter_name, rival.folder, rival.artifact_digest)
        asked = as_served(test, manifest.masked_kinds)
        exam = Exam(examiner.answers(adapter, asked), examiner.loss(adapter, asked), rival.folder)
    # Whatever keeps the champion from answering holds the gate, and does not end the run.
    except Exception as error:
        _log.exception("the champion %s cannot be asked", rival.adapter_name)
        return ChampionExam(rival.adapter_name, None, (), _said(error))
    saw = tuple(messages_digest(as_trained(row["messages"], manifest.masked_kinds)) in digests for row in test.rows)
    return ChampionExam(rival.adapter_name, exam, saw, None)


def _said(error: Exception) -> str:
    text = error.what if isinstance(error, TunegateError) else f"{type(error).__name__}: {error}"
    return next(iter(text.splitlines()), type(error).__name__)
