"""Judges the gates. Comparisons are read off paired intervals; what is missing, broken or too little is held and never passed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline_config.gates import (
    ForgettingGate,
    GateConfig,
    ImprovementGate,
    LeakageGate,
    NonInferiorityGate,
    OverfittingGate,
    SafetyGate,
    SlicesGate,
    SuperiorityGate,
    ThresholdGate,
)
from tasks.artifacts import GateEvidence, GateReport, GateResult
from tasks.evaluate.forgetting import judge_forgetting
from tasks.evaluate.gates_absolute import judge_threshold
from tasks.evaluate.gates_case import Case, fault_of, result_of
from tasks.evaluate.gates_checks import judge_leakage, judge_overfitting_gate, judge_safety
from tasks.evaluate.gates_paired import judge_against_champion, judge_improvement
from tasks.evaluate.gates_slices import judge_slices
from tasks.files import sha256_bytes, write_atomically
from tasks.verdict import verdict_of

REPORT = "gate_report.json"


def judge_gates(
    gates: Mapping[str, GateConfig], case: Case, *, data_digest: str, config_digest: str, rejudges: str | None = None
) -> GateReport:
    """Judges all gates, in the order of their names, and behind them what no configuration can switch off.

    Args:
        rejudges: digest of the report that this one judges once more without a model; such a report opens nothing.
    """
    results = (*(_judge(name, gates[name], case) for name in sorted(gates)), *_refuse_canaries(case))
    return GateReport(
        artifact_digest=case.trained.artifact_digest,
        data_digest=data_digest,
        config_digest=config_digest,
        gates=results,
        verdict=verdict_of(results),
        look=case.look.number,
        earlier=case.look.earlier,
        rejudges=rejudges,
    )


def write_report(folder: Path, report: GateReport) -> GateEvidence:
    """Stores a report as canonical JSON: equal reports are equal bytes, so they have the same digest."""
    content = json.dumps(report.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"
    write_atomically(folder / REPORT, content)
    return GateEvidence(path=folder / REPORT, digest=sha256_bytes(content), report=report)


def _judge(name: str, gate: GateConfig, case: Case) -> GateResult:
    if (fault := fault_of(case)) is not None:
        return result_of(name, gate, "hold", f"{fault}; held")
    match gate:
        case ThresholdGate():
            return judge_threshold(name, gate, case)
        case ImprovementGate():
            return judge_improvement(name, gate, case)
        case NonInferiorityGate() | SuperiorityGate():
            return judge_against_champion(name, gate, case)
        case SlicesGate():
            return judge_slices(name, gate, case)
        case OverfittingGate():
            return judge_overfitting_gate(name, gate, case)
        case ForgettingGate():
            return judge_forgetting(name, gate, case.evaluation.retention, case.look)
        case LeakageGate():
            return judge_leakage(name, gate, case)
        case SafetyGate():
            return judge_safety(name, gate, case)


def _refuse_canaries(case: Case) -> Iterator[GateResult]:
    """A model that was trained on planted sentences is for experiments only."""
    if case.canaries:
        yield GateResult(
            name="no_canaries", kind="canaries", metric=None, value=float(case.canaries), threshold=0.0, interval=None, rows=None,
            outcome="fail", reason=f"{case.canaries} canaries are planted in the training rows (data.canaries): never promoted",
        )  # fmt: skip
