"""Judges the gates. Comparisons are read off paired intervals; what is missing, broken or too little is held and never passed."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
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
    canaries: int = 0


def judge_gates(gates: Mapping[str, GateConfig], case: Case, *, data_digest: str, config_digest: str) -> GateReport:
    """Judges all gates, in the order of their names, and behind them what no configuration can switch off."""
    results = (*(_judge(name, gates[name], case) for name in sorted(gates)), *_refuse_canaries(case))
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


def _refuse_canaries(case: Case) -> Iterator[GateResult]:
    """A model that was trained on planted sentences is for experiments only."""
    if case.canaries:
        yield GateResult(
            name="no_canaries", kind="canaries", metric=None, value=float(case.canaries), threshold=0.0, interval=None, rows=None,
            outcome="fail", reason=f"{case.canaries} canaries are planted in the training rows (data.canaries): never promoted",
        )  # fmt: skip


def _fault(case: Case) -> str | None:
    """Why the evaluation contradicts itself, if it does."""
    evaluation, outcomes = case.evaluation, case.outcomes
    lengths = {len(outcomes.base), len(outcomes.tuned)}
    if outcomes.champion is not None:
        lengths |= {len(outcomes.champion), len(outcomes.champion_saw)}
    if lengths != {evaluation.rows} or evaluation.rows == 0:
        return f"the evaluation speaks of {evaluation.rows} rows, and its predictions have {sorted(lengths)}"
    if outcomes.champion is not None and evaluation.champion_name is None:
        return "there are answers of a champion that has no name"
    for contender in ("base", "tuned", "champion"):
        figures, correct = getattr(evaluation, contender), getattr(outcomes, contender)
        accuracy = None if figures is None else figures.get("accuracy")
        if accuracy is None or correct is None:
            continue
        counted = sum(correct) / len(correct)
        if not abs(accuracy - counted) <= _TOLERANCE:
            return f"the accuracy of {contender} is given as {accuracy}, and its predictions say {counted}"
    return None


def _judge_threshold(name: str, gate: ThresholdGate, case: Case) -> GateResult:
    rows, value = case.evaluation.rows, case.evaluation.tuned.get(gate.metric)
    if value is None or not math.isfinite(value):
        return _result(name, gate, "hold", f"{gate.metric} was not measured or has no meaning for this task; held", rows=rows)
    interval = wilson_interval(sum(case.outcomes.tuned), rows) if gate.metric == "accuracy" else None
    met = value >= gate.threshold if gate.direction == "min" else value <= gate.threshold
    bound = f"{'at least' if gate.direction == 'min' else 'at most'} {gate.threshold:g}"
    shown = f"{gate.metric} {value:.3f}{f' [{interval[0]:.3f}, {interval[1]:.3f}]' if interval else ''} on {rows} rows, {bound} is required"
    if rows < gate.min_rows:
        return _result(name, gate, "hold", f"{shown}, on {gate.min_rows} rows or more; held", value, interval, rows)
    return _result(name, gate, "pass" if met else "fail", shown, value, interval, rows)


def _judge_improvement(name: str, gate: ImprovementGate, case: Case) -> GateResult:
    missing = [who for who in ("base", "tuned") if getattr(case.evaluation, who).get("accuracy") is None]
    if missing:
        return _result(name, gate, "hold", f"accuracy of {' and '.join(missing)} was not measured; held", rows=case.evaluation.rows)
    pairs = count_pairs(case.outcomes.tuned, case.outcomes.base)

    def outcome(of: Interval) -> Outcome:
        return "pass" if of[0] > gate.threshold else "fail" if of[1] <= gate.threshold else "hold"

    return _compared(name, gate, pairs, f"above the base in accuracy, more than {gate.threshold:+g} is required", outcome)


def _judge_non_inferiority(name: str, gate: NonInferiorityGate, case: Case) -> GateResult:
    evaluation, champion = case.evaluation, case.evaluation.champion_name
    if champion is None:
        return _result(name, gate, "not_applicable", "there is no champion yet: first version")
    if evaluation.champion_fault is not None or case.outcomes.champion is None:
        return _result(name, gate, "hold", f"{champion} cannot be compared with: {evaluation.champion_fault or 'it gave no answers'}; held")
    if evaluation.champion is None or None in (evaluation.tuned.get("accuracy"), evaluation.champion.get("accuracy")):
        return _result(name, gate, "hold", f"accuracy of tuned or {champion} was not measured; held")
    tuned, other = case.outcomes.unseen_by_champion()
    seen = sum(case.outcomes.champion_saw)
    left_out = f" ({seen} rows left out that it was trained on)" if seen else ""
    if not tuned:
        return _result(name, gate, "hold", f"{champion} was trained on every test row; held", rows=0)

    def outcome(of: Interval) -> Outcome:
        return "pass" if of[0] > -gate.threshold else "fail" if of[1] < 0 else "hold"

    wanted = f"above {champion} in accuracy{left_out}, a lower end above {-gate.threshold:+g} is required"
    return _compared(name, gate, count_pairs(tuned, other), wanted, outcome)


def _judge_overfitting(name: str, gate: OverfittingGate, case: Case) -> GateResult:
    trained, evaluation = case.trained, case.evaluation
    found = judge_overfitting(
        trained.curve,
        trained.shipped_step,
        evaluation.tuned_train_accuracy,
        evaluation.tuned.get("accuracy"),
        severe_rebound=gate.threshold,
        largest_gap=gate.max_accuracy_gap,
    )
    outcome: Outcome = "fail" if found.severity == "severe" else "hold" if found.severity == "unknown" else "pass"
    return _result(name, gate, outcome, _overfitting_reason(found, gate), found.rebound, rows=evaluation.rows)


def _overfitting_reason(found: Overfitting, gate: OverfittingGate) -> str:
    if found.severity == "unknown":
        return f"{found.finding}; held"
    limits = f"; at most {gate.threshold:g} times and {gate.max_accuracy_gap:+g} are allowed" if found.rebound is not None else ""
    remedy = f"; to do: {found.remedy}" if found.remedy else ""
    return f"overfitting is {found.severity}: {found.finding}{limits}{remedy}"


def _compared(
    name: str,
    gate: ImprovementGate | NonInferiorityGate,
    pairs: Pairs,
    wanted: str,
    judge: Callable[[Interval], Outcome],
) -> GateResult:
    rows, interval = int(pairs.rows), paired_interval(pairs)
    outcome = judge(interval)
    shown = f"tuned is {pairs.difference:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}] {wanted}, on {rows} rows"
    if rows < gate.min_rows:
        outcome, shown = "hold", f"{shown}, and {gate.min_rows} rows are needed; held"
    elif outcome == "hold":
        more = more_rows_to_decide(pairs, lambda of: judge(of) != "hold")
        shown += f"; held: at these rates {f'about {more} more rows would decide' if more is not None else 'more rows would not decide'}"
    return _result(name, gate, outcome, shown, pairs.difference, interval, rows)


def _result(
    name: str,
    gate: GateConfig,
    outcome: Outcome,
    reason: str,
    value: float | None = None,
    interval: Interval | None = None,
    rows: int | None = None,
) -> GateResult:
    metric = "validation_loss_rebound" if isinstance(gate, OverfittingGate) else gate.metric
    return GateResult(
        name=name,
        kind=gate.kind,
        metric=metric,
        value=value,
        threshold=gate.threshold,
        interval=interval,
        rows=rows,
        outcome=outcome,
        reason=reason,
    )
