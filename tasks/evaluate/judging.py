"""The stage around the gates: keeps their report by content, so that a re-run finds the very same bytes."""

from collections.abc import Mapping
from pathlib import Path

from pipeline_config.gates import GateConfig
from tasks.artifacts import EvaluationResult, GateEvidence, GateReport, PreparedData, Record, TrainedModel
from tasks.evaluate.gates import REPORT, Case, judge_gates, write_report
from tasks.evaluate.outcomes import read_outcomes
from tasks.files import stage_store
from tasks.stages import StageResult, run_stage


class _Judged(Record):
    folder: Path
    digest: str


def judge_evaluation(
    gates: Mapping[str, GateConfig],
    workspace: Path,
    prepared: PreparedData,
    trained: TrainedModel,
    evaluated: StageResult[EvaluationResult],
    *,
    config_digest: str,
) -> StageResult[GateEvidence]:
    """Judges an evaluation, or reuses the report on it."""
    inputs = {
        "gates": {name: gate.model_dump(mode="json") for name, gate in gates.items()},
        "evaluation": evaluated.key,
        "trained": trained.model_dump(mode="json", exclude={"folder"}),
        "data": prepared.digest,
        "canaries": prepared.canaries,
        "config": config_digest,
    }

    def build(folder: Path) -> _Judged:
        case = Case(evaluated.value, read_outcomes(evaluated.value.folder), trained, prepared.canaries)
        report = judge_gates(gates, case, data_digest=prepared.digest, config_digest=config_digest)
        return _Judged(folder=folder, digest=write_report(folder, report).digest)

    result = run_stage(stage_store(workspace), "gates", inputs, _Judged, build)
    path = result.value.folder / REPORT
    report = GateReport.model_validate_json(path.read_bytes())
    return StageResult(
        result.name, GateEvidence(path=path, digest=result.value.digest, report=report), result.key, result.seconds, result.reused
    )
