"""Judges the gates. Comparisons are read off paired intervals; what is missing, broken or too little is held and never passed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_config.gates import GateConfig, ImprovementGate, NonInferiorityGate, OverfittingGate, ThresholdGate
from tasks.artifacts import EvaluationResult, GateEvidence, GateReport, GateResult, Outcome, TrainedModel
from tasks.evaluate.outcomes import Outcomes
from tasks.evaluate.overfitting import Overfitting, judge_overfitting
from tasks.files import sha256_bytes, write_atomically
from tasks.statistics import Interval, Pairs, count_pairs, more_rows_to_decide, paired_interval, wilson_interval
from tasks.verdict import verdict_of

REPORT = "gate_report.json"

_TOLERANCE = 1e-9
"""Largest difference between a stored accuracy and the share of right rows that rounding explains."""


@dataclass(frozen=True)
class Case:
    """Everything that gates look at."""

    evaluation: EvaluationResult
    outcomes: Outcomes
    trained: TrainedModel


def judge_gates(gates: Mapping[str, GateConfig], case: Case, *, data_digest: str, config_digest: str) -> GateReport:
    """Judges all gates, in the order of their names."""
    results = tuple(_judge(name, gates[name], case) for name in sorted(gates))
    return GateReport(
        artifact_digest=case.trained.artifact_digest,
        data_digest=data_digest,
        config_digest=config_digest,
        gates=results,
        verdict=verdict_of(results),
    )


def write_report(folder: Path, report: GateReport) -> GateEvidence:
    """Stores a report as canonical JSON: equal reports are equal bytes, so they have the same digest."""
    content = json.dumps(report.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"
    write_atomically(folder / REPORT, content)
    return GateEvidence(path=folder / REPORT, digest=sha256_bytes(content), report=report)


def _judge(name: str, gate: GateConfig, case: Case) -> GateResult:
    if (fault := _fault(case)) is not None:
        return _result(name, gate, "hold", f"{fault}; held")
    match gate:
        case ThresholdGate():
            return _judge_threshold(name, gate, case)
        case ImprovementGate():
            return _judge_improvement(name, gate, case)
        case NonInferiorityGate():
            return _judge_non_inferiority(name, gate, case)
        case OverfittingGate():
            return _judge_overfitting(name, gate, case)


def _fault(case: Case) -> str | None:
    """Why the evaluation contradicts itself, if it does."""
    evaluation, outcomes = case.evaluation, case.outcomes
    lengths = {len(outcomes.base), len(outcomes.tuned)}
    if outcomes.champion is not None:
        lengths |= {len(outcomes.champion), len(outcomes.champion_saw)}
    if lengths != {evaluation.rows} or evaluation.rows == 0:
        return f"the evaluation speaks of {evaluation.rows} rows, and its predictions have {sorted(lengths)}"
    for contender, figures, correct in (("base", evaluation.base, outcomes.base), ("tuned", evaluation.tuned, outcomes.tuned)):
        accuracy, counted = figures.accuracy, sum(correct) / len(correct)
        if accuracy is not None and not abs(accuracy - counted) <= _TOLERANCE:
            return f"the accuracy of {contender} is given as {accuracy}, and its predictions say {counted}"
    return None


def _judge_threshold(name: str, gate: ThresholdGate, case: Case) -> GateResult:
    rows, value = case.evaluation.rows, getattr(case.evaluation.tuned, gate.metric)
    if value is None or not math.isfinite(value):
        return _result(name, gate, "hold", f"{gate.metric} was not measured or has no meaning for this task; held", rows=rows)
    interval = wilson_interval(sum(case.outcomes.tuned), rows) if gate.metric == "accuracy" else None
    met = value >= gate.threshold if gate.direction == "min" else value <= gate.threshold
    bound = f"{'at least' if gate.direction == 'min' else 'at most'} {gate.threshold:g}"
    shown = f"{gate.metric} {value:.3f}{_shown(interval)} on {rows} rows, {bound} is required"
    if rows < gate.min_rows:
        return _result(name, gate, "hold", f"{shown}, on {gate.min_rows} rows or more; held", value, interval, rows)
    return _result(name, gate, "pass" if met else "fail", shown, value, interval, rows)


def _judge_improvement(name: str, gate: ImprovementGate, case: Case) -> GateResult:
    missing = [who for who in ("base", "tuned") if getattr(case.evaluation, who).accuracy is None]
    if missing:
        return _result(name, gate, "hold", f"accuracy of {' and '.join(missing)} was not measured; held", rows=case.evaluation.rows)
    pairs = count_pairs(case.outcomes.tuned, case.outcomes.base)
    interval = paired_interval(pairs)
    wanted = f"more than {gate.threshold:+g}"

    def outcome(of: Interval) -> Outcome:
        return "pass" if of[0] > gate.threshold else "fail" if of[1] <= gate.threshold else "hold"

    return _compared(name, gate, pairs, interval, outcome(interval), f"above the base in accuracy, {wanted} is required", outcome)


def _judge_non_inferiority(name: str, gate: NonInferiorityGate, case: Case) -> GateResult:
    evaluation, champion = case.evaluation, case.evaluation.champion_name
    if champion is None:
        return _result(name, gate, "not_applicable", "there is no champion yet: first version")
    if evaluation.champion_fault is not None or case.outcomes.champion is None:
        return _result(name, gate, "hold", f"{champion} cannot be compared with: {evaluation.champion_fault or 'it gave no answers'}; held")
    if evaluation.tuned.accuracy is None or evaluation.champion is None or evaluation.champion.accuracy is None:
        return _result(name, gate, "hold", f"accuracy of tuned or {champion} was not measured; held")
    tuned, other = case.outcomes.unseen_by_champion()
    left_out = f" ({evaluation.champion_seen_rows} left out that it was trained on)" if evaluation.champion_seen_rows else ""
    if not tuned:
        return _result(name, gate, "hold", f"{champion} was trained on every test row; held", rows=0)
    pairs = count_pairs(tuned, other)
    interval = paired_interval(pairs)

    def outcome(of: Interval) -> Outcome:
        return "pass" if of[0] > -gate.threshold else "fail" if of[1] < 0 else "hold"

    wanted = f"above {champion} in accuracy{left_out}, the lower end must be above {-gate.threshold:+g}"
    return _compared(name, gate, pairs, interval, outcome(interval), wanted, outcome)
