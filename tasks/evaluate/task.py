"""The Prefect shell of evaluation and of the gates."""

import time
from collections.abc import Callable
from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from pipeline_config.environment import read_machine
from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, GateEvidence, GateReport, PreparedData, Rival, RunContext, TrainedModel, ValidationMarks
from tasks.evaluate.contenders import Progress
from tasks.evaluate.judging import judge_evaluation, keep_for_rejudging
from tasks.evaluate.measure import measure
from tasks.evaluate.outcomes import PREDICTIONS
from tasks.evaluate.retention import figures_of
from tasks.evaluate.validation import mark_validation
from tasks.files import MARKS
from tasks.mlflow_tracking import MlflowTracker
from tasks.planning import plan
from tasks.stages import StageResult
from tasks.tracking import MetricPoint

_SECONDS_BETWEEN_LINES = 10.0


@task(name="plan the gates", persist_result=False, cache_policy=NO_CACHE)
def plan_gates(config: PipelineConfig, prepared: StageResult[PreparedData]) -> None:
    """Says before training how many rows each comparison needs, and warns where the test set has fewer."""
    logger = get_run_logger()
    for planned in plan(config.gates, prepared.value.counts.test):
        (logger.warning if planned.short else logger.info)("plan: %s", planned.sentence())


@task(name="evaluate", persist_result=False, cache_policy=NO_CACHE)
def evaluate_model(
    config: PipelineConfig,
    context: RunContext,
    prepared: StageResult[PreparedData],
    trained: StageResult[TrainedModel],
    rival: Rival | None,
) -> StageResult[EvaluationResult]:
    """Asks base, tuned and champion the same test rows, or reuses what they answered before.

    Raises:
        EvaluationError: there are no test rows.
        ModelError: the base or the trained adapter cannot be loaded.
    """
    progress = progress_lines(get_run_logger().info, time.monotonic)
    result = measure(config, context.workspace, prepared.value, trained.value, rival, progress)
    point = MetricPoint(
        step=trained.value.steps, milliseconds=answered_at(result.value.folder), values=tracked_figures(result.value)
    )  # fmt: skip
    MlflowTracker(read_machine().mlflow_url).log_points(context.mlflow_run_id, [point])
    return result


@task(name="mark validation rows", persist_result=False, cache_policy=NO_CACHE)
def mark_arm(
    config: PipelineConfig, context: RunContext, prepared: StageResult[PreparedData], trained: StageResult[TrainedModel]
) -> StageResult[ValidationMarks]:
    """Puts the validation rows to one arm of an ablation, or reuses what it answered before.

    Raises:
        EvaluationError: there are no validation rows, or the loss is not a finite number.
        ModelError: the artifact cannot be loaded.
    """
    result = mark_validation(
        config, context.workspace, prepared.value, trained.value, progress_lines(get_run_logger().info, time.monotonic)
    )
    values = {f"validation/{result.value.metric}": result.value.value}
    point = MetricPoint(step=trained.value.steps, milliseconds=_written_at(result.value.folder / MARKS), values=values)
    MlflowTracker(read_machine().mlflow_url).log_points(context.mlflow_run_id, [point])
    return result


@task(name="gates", persist_result=False, cache_policy=NO_CACHE)
def judge(
    config: PipelineConfig,
    context: RunContext,
    prepared: StageResult[PreparedData],
    trained: StageResult[TrainedModel],
    evaluated: StageResult[EvaluationResult],
) -> StageResult[GateEvidence]:
    """Judges all gates. The same inputs give the same report, byte for byte."""
    result = judge_evaluation(
        config.gates, context.workspace, prepared.value, trained.value, evaluated, config_digest=config_digest(config)
    )
    report = result.value.report
    keep_for_rejudging(context, prepared.value, trained.value, evaluated.value, result.value)
    _show(report)
    tracker = MlflowTracker(read_machine().mlflow_url)
    tracker.set_tags(context.mlflow_run_id, {"tunegate.verdict": report.verdict, "mlflow.note.content": markdown(report)})
    tracker.log_file(context.mlflow_run_id, result.value.path)
    return result


def answered_at(folder: Path) -> int:
    """When an evaluation's answers were written, in milliseconds since 1970. A result that is reused was measured in an earlier run."""
    return _written_at(folder / PREDICTIONS)


def _written_at(path: Path) -> int:
    return int(path.stat().st_mtime * 1000)


def tracked_figures(evaluation: EvaluationResult) -> dict[str, float]:
    """Every figure that was measured, under names for the tracking server."""
    contenders = {"base": evaluation.base, "tuned": evaluation.tuned, "tfidf": evaluation.tfidf, "champion": evaluation.champion}
    figures = {
        f"test/{name}/{metric}": value
        for name, measured in contenders.items()
        if measured is not None
        for metric, value in measured.model_dump().items()
    }
    general = figures_of(evaluation.retention) if evaluation.retention is not None else {}
    return {name: value for name, value in figures.items() if value is not None} | general


def markdown(report: GateReport) -> str:
    """The report as a Markdown list."""
    lines = [f"- **{gate.name}**: {gate.outcome.replace('_', ' ')}. {gate.reason}" for gate in report.gates]
    before = ", ".join(digest[:12] for digest in report.earlier)
    earlier = f" (look {report.look} at this artifact, after {before})" if before else ""
    return "\n".join([f"Verdict: **{report.verdict}**{earlier}", "", *lines])


def progress_lines(say: Callable[[str], object], clock: Callable[[], float]) -> Progress:
    """A line when something new starts or ends, and one now and then between."""
    current, due = "", 0.0

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal current, due
        if what != current or done == total or clock() >= due:
            current, due = what, clock() + _SECONDS_BETWEEN_LINES
            say(f"{what}: {done} of {total}")

    return on_progress


def _show(report: GateReport) -> None:
    logger = get_run_logger()
    rows = []
    for gate in report.gates:
        logger.info("gate %s: %s. %s", gate.name, gate.outcome, gate.reason)
        interval = "" if gate.interval is None else f"[{gate.interval[0]:+.3f}, {gate.interval[1]:+.3f}]"
        value = "" if gate.value is None else round(gate.value, 4)
        rows.append(
            {
                "gate": gate.name, "outcome": gate.outcome, "value": value, "interval": interval,
                "threshold": gate.threshold, "rows": gate.rows, "reason": gate.reason,
            }
        )  # fmt: skip
    create_table_artifact(table=rows, key="gates", description=f"Verdict: **{report.verdict}**")
