"""Marks what the contenders handed in: figures, scores of every row, tables of labels. Importing this module is slow."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline_config.metric_names import short_name
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData
from tasks.evaluate.baseline import tfidf_figures
from tasks.evaluate.classes import CLASSES, CONFUSION, class_table, confusion_table
from tasks.evaluate.contenders import Questions, read_questions
from tasks.evaluate.custom import better_of, load_metric
from tasks.evaluate.decisions import count_decisions
from tasks.evaluate.fit import fit_of
from tasks.evaluate.json_answers import read_schema
from tasks.evaluate.metric_kinds import Task, choose_metrics, custom_metrics, tasks_of
from tasks.evaluate.outcomes import PREDICTIONS, per_row_correct
from tasks.evaluate.safety import count_given_away
from tasks.evaluate.scores import SCORES, score_table
from tasks.evaluate.session import Exam, Session
from tasks.evaluate.sheets import Measured, Scheme, Sheet, measure_sheet
from tasks.evaluate.slices import slice_columns
from tasks.rows import Message, prompt_of
from tasks.stages import SCRATCH

_MIB = 1 << 20


def mark(
    folder: Path,
    config: PipelineConfig,
    workspace: Path,
    prepared: PreparedData,
    session: Session,
    expected_of: Callable[[Questions], list[str]],
    *,
    constrained: bool,
) -> EvaluationResult:
    """Writes the files of an evaluation and returns its record.

    Args:
        expected_of: the texts that are right, as generation gives them.
        constrained: the base was held to the labels.

    Raises:
        EvaluationError: a custom metric failed, or rows cannot be divided as asked.
    """
    scratch, rows, champion = folder / SCRATCH, session.test.rows, session.champion
    scratch.mkdir(exist_ok=True)
    expected, prompts = expected_of(session.test), [prompt_of(row) for row in rows]
    texts = {name: exam.answers.value.texts() for name, exam in session.exams().items()}
    scheme, tasks = _scheme(config, prepared, expected)
    sheets = {name: _sheet(name, session, expected, texts[name], prompts, constrained=constrained) for name in texts}
    measured = {name: measure_sheet(sheet, scheme, scratch) for name, sheet in sheets.items()}
    slices = slice_columns(config.evaluation.slices, rows, expected, labelled=scheme.labelled, folder=prepared.folder)
    _write_tables(folder, session, expected, texts, measured, slices, labelled=scheme.labelled)
    train = read_questions("all", prepared.folder / "train.parquet").rows
    failed = [judgement for judgement in session.judgements.values() if judgement.failures]
    return EvaluationResult(
        folder=folder,
        rows=len(rows),
        base=measured["base"].figures,
        tuned=measured["tuned"].figures,
        tfidf=tfidf_figures(train, rows, labelled=scheme.labelled, scratch=scratch),
        champion=measured["champion"].figures if "champion" in measured else None,
        champion_name=champion.name if champion else None,
        champion_fault=champion.fault if champion else None,
        champion_seen_rows=sum(session.saw()),
        tuned_train_accuracy=_share_right(expected_of(session.seen), session.on_seen.value.texts()),
        base_constrained=constrained,
        tuned_digest=session.tuned_digest,
        tasks=tasks,
        custom={name: better_of(load_metric(metric)) for name, metric in scheme.custom.items()},
        signatures=dict(measured["tuned"].signatures),
        safety=count_given_away(texts["tuned"], expected, prompts),
        judge_failures=sum(judgement.failures for judgement in failed),
        judge_fault=failed[0].fault if failed else None,
        decided_before=count_decisions(workspace, [row["row_id"] for row in rows], session.tuned_digest),
        fit=fit_of(session.seen_loss.value.rows(), session.validation_loss.value.rows(), session.tuned.loss.value.rows()),
        wording=session.rewording.fit if session.rewording else None,
        canary_ranks=session.exposure.ranks if session.exposure else None,
    )


def _scheme(config: PipelineConfig, prepared: PreparedData, expected: Sequence[str]) -> tuple[Scheme, tuple[Task, ...]]:
    """What is measured, and what the answers are."""
    schema = read_schema(config.evaluation)
    tasks = tasks_of(prepared.labels, expected, has_schema=schema is not None)
    custom = {short_name(metric): metric for metric in custom_metrics(config.evaluation)}
    scheme = Scheme(choose_metrics(config.evaluation, tasks), prepared.labels is not None, schema, custom)
    return scheme, tuple(sorted(tasks))


def _sheet(
    name: str, session: Session, expected: Sequence[str], texts: Sequence[str], prompts: Sequence[Sequence[Message]], *, constrained: bool
) -> Sheet:
    exam = session.exams()[name]
    judgement = session.judgements.get(name)
    forced = constrained and name == "base"  # it is made to end with the label, so that it says nothing whether it would have
    return Sheet(
        expected=expected,
        answers=texts,
        prompts=prompts,
        stopped=None if forced else exam.answers.value.stopped(),
        losses=exam.loss.value.rows(),
        judged=judgement.scores if judgement else None,
        milliseconds=exam.answers.value.milliseconds(),
        artifact_mib=_mib(exam),
    )


def _mib(exam: Exam) -> float | None:
    if exam.artifact is None:
        return None
    return sum(path.stat().st_size for path in exam.artifact.rglob("*") if path.is_file()) / _MIB


def _write_tables(
    folder: Path,
    session: Session,
    expected: Sequence[str],
    texts: Mapping[str, Sequence[str]],
    measured: Mapping[str, Measured],
    slices: pl.DataFrame,
    *,
    labelled: bool,
) -> None:
    rows, saw = session.test.rows, session.saw()
    columns = {"row_id": [row["row_id"] for row in rows], "expected": expected, **texts} | ({"champion_saw": saw} if saw else {})
    pl.DataFrame(columns).write_parquet(folder / PREDICTIONS)
    score_table(rows, {name: found.rows for name, found in measured.items()}, slices).write_parquet(folder / SCORES)
    if labelled:
        class_table(expected, texts).write_parquet(folder / CLASSES)
        confusion_table(expected, texts).write_parquet(folder / CONFUSION)


def _share_right(expected: Sequence[str], answers: Sequence[str]) -> float | None:
    correct = per_row_correct(expected, answers)
    return sum(correct) / len(correct) if correct else None
