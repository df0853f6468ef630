"""What gates look at, and the form of what they say."""

import math
from dataclasses import dataclass, field
from functools import cached_property

from pipeline_config.gates import ForgettingGate, GateConfig, OverfittingGate
from tasks.artifacts import EvaluationResult, GateResult, Outcome, SliceResult, TrainedModel
from tasks.evaluate.leakage import Leaks
from tasks.evaluate.looks import FIRST, Look
from tasks.evaluate.metric_kinds import MetricKind, kind_of
from tasks.evaluate.outcomes import Outcomes
from tasks.evaluate.stored_rows import CONTENDERS, Scores, scores_of
from tasks.statistics import Interval

_TOLERANCE = 1e-9
"""Largest difference between a stored accuracy and the share of right rows that rounding explains."""


@dataclass(frozen=True)
class Case:
    """Everything that gates look at.

    Attributes:
        scores: what was stored of the rows; null: nothing but the outcomes.
        leaks: test rows that training saw; null: not looked for.
        look: the how manieth judgement of this artifact it is.
    """

    evaluation: EvaluationResult
    outcomes: Outcomes
    trained: TrainedModel
    canaries: int = 0
    scores: Scores | None = field(default=None, repr=False)
    leaks: Leaks | None = None
    look: Look = FIRST

    @cached_property
    def rows(self) -> Scores:
        """The test rows."""
        return self.scores if self.scores is not None else scores_of(self.outcomes)

    def kind(self, metric: str) -> MetricKind | None:
        """How a metric is compared; null if nobody measured it."""
        return kind_of(metric, self.evaluation.custom)


def fault_of(case: Case) -> str | None:
    """Why the evaluation contradicts itself, if it does."""
    evaluation, outcomes, rows = case.evaluation, case.outcomes, case.rows
    lengths = {len(outcomes.base), len(outcomes.tuned)}
    if outcomes.champion is not None:
        lengths |= {len(outcomes.champion), len(outcomes.champion_saw)}
    if lengths != {evaluation.rows} or evaluation.rows == 0:
        return f"the evaluation speaks of {evaluation.rows} rows, and its predictions have {sorted(lengths)}"
    if rows.fault is not None or rows.rows != evaluation.rows:
        return rows.fault or f"the evaluation speaks of {evaluation.rows} rows, and its scores have {rows.rows}"
    if outcomes.champion is not None and evaluation.champion_name is None:
        return "there are answers of a champion that has no name"
    for contender in CONTENDERS:
        figures, correct = getattr(evaluation, contender), getattr(outcomes, contender)
        accuracy = None if figures is None else figures.get("accuracy")
        if accuracy is None or correct is None:
            continue
        counted = sum(correct) / len(correct)
        if not abs(accuracy - counted) <= _TOLERANCE:
            return f"the accuracy of {contender} is given as {accuracy}, and its predictions say {counted}"
    return None


def is_number(value: float | None) -> bool:
    """Whether a figure was measured and is finite."""
    return value is not None and math.isfinite(value)


def shown(interval: Interval | None, form: str = ".3f") -> str:
    """Such as ` [0.812, 0.861]`, with a space before it; nothing without an interval."""
    return "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"


def result_of(
    name: str,
    gate: GateConfig,
    outcome: Outcome,
    reason: str,
    value: float | None = None,
    interval: Interval | None = None,
    rows: int | None = None,
    level: float | None = None,
    more_rows: int | None = None,
    slices: tuple[SliceResult, ...] = (),
) -> GateResult:
    """The record of a judgement. What is no number is not recorded: it is never what a decision was read off."""
    metric = "validation_loss_rebound" if isinstance(gate, OverfittingGate) else getattr(gate, "metric", None)
    return GateResult(
        name=name,
        kind=gate.kind,
        metric=metric,
        value=value if is_number(value) else None,
        threshold=-gate.max_drop if isinstance(gate, ForgettingGate) else gate.threshold,
        interval=interval if interval is not None and all(map(math.isfinite, interval)) else None,
        rows=rows,
        outcome=outcome,
        reason=reason,
        level=level if interval is not None else None,
        more_rows=more_rows,
        slices=slices,
    )
