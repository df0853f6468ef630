"""`summary.json`: what a run did, measured, decided and left behind. Its schema is `docs/reference/summary.schema.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline_config.loading import config_digest
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import (
    EvaluationResult,
    Figures,
    GateEvidence,
    GateReport,
    PreparedData,
    PromotionOutcome,
    Record,
    RegisteredVersion,
    RunContext,
    StageRecord,
    TrainedModel,
)
from tasks.methods.settings import settle
from tasks.planning import shortfalls
from tasks.revision import code_revision

Outcome = Literal["passed", "gate_failed", "held", "awaiting_approval", "rejected", "error", "interrupted"]
STAGES = ("prepare", "train", "evaluate", "gates", "register", "promote")
"""Every stage of the main job, in order; one that a run did not reach is `skipped`."""

AWAITING = ("AwaitingApproval", "Suspended", "Paused")
"""States in which a promotion run waits for a person."""


_ALWAYS = ("accuracy", "macro_f1", "perplexity")
"""Figures that every summary names, null where they were not measured; others only where a contender has them."""


class RunParts(Record):
    """What a run has so far. Later parts are null until their stage has ended."""

    stages: tuple[StageRecord, ...] = ()
    data: PreparedData | None = None
    trained: TrainedModel | None = None
    evaluated: EvaluationResult | None = None
    judged: GateEvidence | None = None
    registered: RegisteredVersion | None = None
    promotion: PromotionOutcome | None = None
    error: str | None = None
    faults: tuple[str, ...] = ()
    """What of the run's report could not be written or shown."""


def outcome_of(parts: RunParts, *, interrupted: bool = False) -> Outcome:
    """One word for how the run ended. Only a version that is live is `passed`."""
    if interrupted:
        return "interrupted"
    if parts.error is not None or parts.judged is None:
        return "error"
    if parts.judged.report.verdict != "pass":
        return "gate_failed" if parts.judged.report.verdict == "fail" else "held"
    state = parts.promotion.state if parts.promotion is not None else None
    if state == "Promoted":
        return "passed"
    if state == "Rejected":
        return "rejected"
    return "awaiting_approval" if state in AWAITING else "error"


def summarise(
    config: PipelineConfig,
    context: RunContext,
    parts: RunParts,
    outcome: Outcome,
    endpoint: Mapping[str, str] | None,
    example: str | None,
    page: Path | None = None,
) -> dict[str, Any]:
    """The summary as JSON values.

    Args:
        endpoint: `url` and `model` of what answers now; null unless this run's version is live.
        example: a test row's user turn, to try the endpoint with.
        page: where the run's page lies; null if there is none.
    """
    trained, version = parts.trained, parts.registered
    return {
        "run_id": context.run_id,
        "outcome": outcome,
        "verdict": parts.judged.report.verdict if parts.judged else None,
        "error": parts.error,
        "config_digest": config_digest(config),
        "git_revision": code_revision(),
        "approval_policy": config.registry.approval,
        "stages": _stages(parts),
        "rows": parts.data.counts.model_dump() if parts.data else None,
        "augmentation": _augmentation(parts.data),
        "data_digest": parts.data.digest if parts.data else None,
        "metrics": _metrics(parts.evaluated),
        "test_rows": parts.evaluated.rows if parts.evaluated else None,
        "gates": [gate.model_dump(mode="json") for gate in parts.judged.report.gates] if parts.judged else [],
        "model": {"name": version.model_name, "version": version.version, "adapter": version.adapter_name} if version else None,
        "artifact_digest": trained.artifact_digest if trained else None,
        "gate_report_digest": parts.judged.digest if parts.judged else None,
        "endpoint": dict(endpoint) if endpoint else None,
        "example": example,
        "report": str(page) if page else None,
        "training": _training(trained),
        "notes": notes_of(config, parts),
        "urls": {
            "prefect_run": context.prefect_run_url,
            "mlflow_run": context.mlflow_run_url,
            "model_version": version.url if version else None,
            "promotion_run": parts.promotion.url if parts.promotion else None,
        },
    }


def _stages(parts: RunParts) -> dict[str, Any]:
    done = {stage.name: stage.model_dump(exclude={"name"}) for stage in parts.stages}
    return {name: done.get(name, {"status": "skipped", "seconds": 0.0, "reused": False}) for name in STAGES}


def _augmentation(data: PreparedData | None) -> dict[str, Any] | None:
    if data is None or data.augmentation is None:
        return None
    return data.augmentation.model_dump(mode="json", exclude={"ablation": {"folder"}})


def _metrics(evaluated: EvaluationResult | None) -> dict[str, Any]:
    nothing = Figures()
    contenders = {
        "base": evaluated.base if evaluated else nothing,
        "tuned": evaluated.tuned if evaluated else nothing,
        "tfidf": evaluated.tfidf if evaluated else nothing,
        "champion": (evaluated.champion if evaluated else None) or nothing,
    }
    names = dict.fromkeys([*_ALWAYS, *(name for figures in contenders.values() for name in figures.values)])
    return {contender: {name: figures.get(name) for name in names} for contender, figures in contenders.items()}


def _training(trained: TrainedModel | None) -> dict[str, Any] | None:
    if trained is None:
        return None
    fields = {
        "method", "layout", "steps", "shipped_step", "stopped_early",
        "supervised_tokens", "total_tokens", "tokens_per_second", "peak_memory_bytes",
    }  # fmt: skip
    return trained.model_dump(mode="json", include=fields)


def notes_of(config: PipelineConfig, parts: RunParts) -> list[str]:
    """What a reader must not miss: anything that was done in another way than usual."""
    notes = []
    if config.registry.approval == "auto":
        notes.append("approval policy `auto`: a passing verdict was enough, no person approved this version")
    notes += settle(config.training).notes
    if parts.data is not None:
        notes += [f"data: {warning}" for warning in parts.data.warnings]
    if parts.data is not None and parts.data.canaries:
        notes.append(f"{parts.data.canaries} canaries are planted in the training rows: this run can never be promoted")
    if parts.data is not None:
        notes += [f"plan: {warning}" for warning in shortfalls(config.gates, parts.data.counts.test)]
    if parts.trained is not None:
        notes += [f"training: {note}" for note in parts.trained.notes]
    evaluated = parts.evaluated
    if evaluated is not None and evaluated.champion_seen_rows:
        notes.append(f"{evaluated.champion_seen_rows} test rows stand in the champion's training data and are left out of that comparison")
    if evaluated is not None and not evaluated.base_constrained:
        notes.append("the base answered freely: there are no labels, or too many, to restrict it to")
    if parts.judged is not None and parts.judged.report.earlier:
        notes.append(_look(parts.judged.report))
    return [*notes, *(_notes_on_evidence(evaluated) if evaluated is not None else []), *(f"report: {fault}" for fault in parts.faults)]


def _notes_on_evidence(evaluated: EvaluationResult) -> list[str]:
    """What makes the evaluation weaker evidence than it looks."""
    notes = []
    if evaluated.decided_before:
        noun = "artifact was" if evaluated.decided_before == 1 else "artifacts were"
        notes.append(f"{evaluated.decided_before} other {noun} judged by these test rows before: each time they say a little less")
    if evaluated.judge_failures:
        notes.append(f"the judge gave no verdict on {evaluated.judge_failures} rows ({evaluated.judge_fault}): `judge` was not measured")
    if given_away := evaluated.safety.get("any"):
        kinds = ", ".join(f"{kind} {count}" for kind, count in evaluated.safety.items() if count and kind not in ("any", "answers"))
        notes.append(f"{given_away} answers of the tuned model hold personal data or secrets that nobody gave it ({kinds})")
    return notes


def _look(report: GateReport) -> str:
    """A top-up must not be taken for a first judgement."""
    before, read = ", ".join(digest[:12] for digest in report.earlier), "are read at 0.01" if report.look == 2 else "decide nothing"
    return f"this is look {report.look} at the artifact, after gate report {before}: its comparisons {read}"
