"""Answers and figures of base, tuned, champion and a plain text classifier on the same test rows."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import EvaluationResult, PreparedData, Rival, TrainedModel
from tasks.evaluate.contenders import Adapter, Examiner, Progress
from tasks.evaluate.custom import code_of, require_metrics
from tasks.evaluate.json_answers import read_schema
from tasks.evaluate.metric_kinds import custom_metrics
from tasks.evaluate.retention import ask_in_general
from tasks.evaluate.session import Session, hold_session, judgements_of
from tasks.files import sha256_file, stage_store
from tasks.rows import TEST_COLUMNS
from tasks.stages import StageResult, run_stage


def measure(
    config: PipelineConfig, workspace: Path, prepared: PreparedData, trained: TrainedModel, rival: Rival | None, on_progress: Progress
) -> StageResult[EvaluationResult]:
    """Asks everybody what nobody has answered yet, and computes the figures. Of a chat, the last answer is judged; the rest is prompt.

    A metric that is asked for later is computed from the stored answers: nothing is generated again. A champion that cannot be asked, or a
    judge that fails, is no error: the result says why, and it is tried again on the next call.

    Raises:
        ConfigError: see :func:`tasks.evaluate.custom.require_metrics`.
        EvaluationError: there are no test rows, a custom metric failed, or rows cannot be divided as asked.
        ModelError: the base or the trained adapter cannot be loaded.
    """
    started = time.monotonic()
    require_metrics(config.evaluation)
    examiner = Examiner(config, workspace, trained.layout, on_progress)
    session = hold_session(examiner, config, prepared, trained, rival)
    if config.evaluation.judge is not None:
        expected = examiner.expected(session.test)
        session = replace(session, judgements=judgements_of(session, config, workspace, expected, on_progress))
    general = ask_in_general(examiner, config, Adapter("tuned", trained.artifact, trained.artifact_digest))
    parts = [*session.parts(), *(general.parts() if general is not None else [])]
    constrained = examiner.constrained_labels(prepared.labels) is not None
    champion = session.champion
    inputs = {
        "data": prepared.digest,
        "canaries": prepared.canaries,
        "labels": prepared.labels,
        "constrained": constrained,
        "parts": [part.key for part in parts],
        "champion": [champion.name, champion.fault] if champion else None,
        **_measured_by(config, prepared, session),
    }

    def build(folder: Path) -> EvaluationResult:
        # Imported only when there is something to compute: it brings datasets, evaluate and scikit-learn.
        from tasks.evaluate.marking import mark

        on_progress("figures of all contenders", len(session.test.rows), len(session.test.rows))
        marked = mark(folder, config, workspace, prepared, session, examiner.expected, constrained=constrained)
        return marked.model_copy(update={"retention": general.keep(folder) if general is not None else None})

    result = run_stage(stage_store(workspace), "evaluate", inputs, EvaluationResult, build)
    reused = result.reused and all(part.reused for part in parts)
    return StageResult(result.name, result.value, result.key, time.monotonic() - started, reused)


def _measured_by(config: PipelineConfig, prepared: PreparedData, session: Session) -> dict[str, Any]:
    """What the figures depend on besides answers and losses."""
    settings, columns = config.evaluation, prepared.folder / TEST_COLUMNS
    return {
        "artifact": session.tuned_digest,
        "metrics": settings.metrics,
        "custom": {metric: code_of(metric) for metric in custom_metrics(settings)},
        "schema": read_schema(settings),
        "slices": settings.slices,
        "columns": sha256_file(columns) if columns.is_file() else None,
        "judgements": {name: judgement.key for name, judgement in session.judgements.items()},
    }
