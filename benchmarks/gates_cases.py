"""Evaluations made up for the benchmark of the gates, and their judgement by the pipeline's own code."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline_config.gates import GateConfig, ImprovementGate, NonInferiorityGate, SuperiorityGate
from tasks.artifacts import EvaluationResult, Figures, GateResult, Outcome, TrainedModel
from tasks.evaluate.gates import judge_gates
from tasks.evaluate.gates_case import Case
from tasks.evaluate.looks import FIRST, Look
from tasks.evaluate.outcomes import Outcomes
from tasks.evaluate.stored_rows import Scores
from tasks.statistics import Interval

MARGIN = 0.03
GAIN = 0.2
"""What the gate on improvement over the base asks for."""
SECOND = Look(2, ("the report of the first look",))

_TRAINED = TrainedModel(
    folder=Path(), artifact_digest="", base_digest="", method="", steps=0, shipped_step=0, curve=(), stopped_early=False, layout="packed",
    supervised_tokens=0, total_tokens=0, tokens_per_second=None, peak_memory_bytes=0,
)  # fmt: skip


class Judged(NamedTuple):
    """What a gate made of a comparison."""

    outcome: Outcome
    interval: Interval


def gate_of(kind: str, metric: str = "accuracy", margin: float = MARGIN) -> GateConfig:
    """A gate of one of the three kinds that compare all rows."""
    if kind == "superiority":
        return SuperiorityGate(kind="superiority", metric=metric)
    if kind == "improvement":
        return ImprovementGate(kind="improvement", metric=metric, threshold=GAIN)
    return NonInferiorityGate(kind="non_inferiority", metric=metric, threshold=margin)


@cache
def judge_counts(kind: str, rows: int, gained: int, lost: int, *, second: bool = False) -> Judged:
    """A comparison in accuracy of two models that have one or the other right on so many rows, and both on the rest."""
    same = rows - gained - lost
    tuned, other = (True,) * gained + (False,) * lost + (True,) * same, (False,) * gained + (True,) * lost + (True,) * same
    outcomes = Outcomes(base=other, tuned=tuned, champion=other, champion_saw=(False,) * rows)
    figures = {name: {"accuracy": sum(right) / rows} for name, right in (("tuned", tuned), ("other", other))}
    return _judge(gate_of(kind), rows, outcomes, figures["tuned"], figures["other"], None, SECOND if second else FIRST)


def judge_scores(gate: GateConfig, scores: Scores, *, second: bool = False) -> Judged:
    """A comparison of tuned and champion by whatever the gate names."""
    metric, rows = str(getattr(gate, "metric", "")), scores.rows
    nobody = (False,) * rows
    figures = {} if metric == "accuracy" else {metric: 0.5}  # that it was measured is all that a comparison asks of it
    if metric == "accuracy":
        tuned, other = (_right(scores, who) for who in ("tuned", "champion"))
        outcomes = Outcomes(base=other, tuned=tuned, champion=other, champion_saw=nobody)
        sides = {"accuracy": sum(tuned) / rows}, {"accuracy": sum(other) / rows}
    else:
        outcomes, sides = Outcomes(base=nobody, tuned=nobody, champion=nobody, champion_saw=nobody), (figures, figures)
    return _judge(gate, rows, outcomes, *sides, scores, SECOND if second else FIRST)


def _right(scores: Scores, contender: str) -> tuple[bool, ...]:
    column = scores.of(contender, "accuracy")
    return () if column is None else tuple(bool(value) for value in column.values)


def _judge(
    gate: GateConfig,
    rows: int,
    outcomes: Outcomes,
    tuned: Mapping[str, float],
    other: Mapping[str, float],
    scores: Scores | None,
    look: Look,
) -> Judged:
    evaluation = EvaluationResult(
        folder=Path(), rows=rows, base=Figures(values=dict(other)), tuned=Figures(values=dict(tuned)), tfidf=Figures(),
        champion=Figures(values=dict(other)), champion_name="champion", champion_fault=None, champion_seen_rows=0,
        tuned_train_accuracy=None, base_constrained=True,
    )  # fmt: skip
    case = Case(evaluation, outcomes, _TRAINED, scores=scores, look=look)
    return _read(judge_gates({"gate": gate}, case, data_digest="", config_digest="").gates)


def _read(results: Sequence[GateResult]) -> Judged:
    [result] = results
    if result.interval is None:
        raise ValueError(f"the gate compared nothing: {result.reason}")
    return Judged(result.outcome, result.interval)
