"""Whether the checkpoint that would ship has overfitted, judged from its curve and its accuracies and nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.artifacts import CurvePoint

Severity = Literal["none", "mild", "severe", "unknown"]

MILD_REBOUND = 1.05
"""Validation loss of the shipped checkpoint over the curve's minimum, from which overfitting is mild."""
_MILD_SHARE_OF_GAP = 0.5
"""Share of the largest allowed accuracy gap from which it is mild."""
_SMALLEST_LOSS = 1e-6
"""Nats a token; below it ratios are noise."""


@dataclass(frozen=True)
class Overfitting:
    """The verdict with its numbers. `unknown`: they are missing or not finite, and nothing may be concluded.

    Attributes:
        rebound: validation loss of the shipped checkpoint divided by the smallest of the curve, at least 1.
        accuracy_gap: accuracy on training rows minus accuracy on test rows.
        finding: the verdict in a sentence.
        remedy: what to change; empty if nothing.
    """

    severity: Severity
    rebound: float | None
    accuracy_gap: float | None
    finding: str
    remedy: str = ""


def judge_overfitting(
    curve: Sequence[CurvePoint],
    shipped_step: int,
    train_accuracy: float | None,
    test_accuracy: float | None,
    *,
    severe_rebound: float,
    largest_gap: float,
) -> Overfitting:
    """Judges one checkpoint.

    Args:
        curve: validation passes in the order of training.
        shipped_step: step of the checkpoint that would ship; 0 if nothing was trained.
        severe_rebound: rebound above which overfitting is severe.
        largest_gap: accuracy gap above which it is severe.
    """
    if not curve and shipped_step == 0:
        return Overfitting("none", None, None, "nothing was trained, so nothing can be overfitted")
    rebound = _rebound(curve, shipped_step)
    if rebound is None:
        return Overfitting("unknown", None, None, f"the validation loss of the shipped step {shipped_step} is not known")
    if train_accuracy is None or test_accuracy is None or not math.isfinite(train_accuracy - test_accuracy):
        return Overfitting("unknown", rebound, None, "the accuracy on training or on test rows is not known")
    gap = train_accuracy - test_accuracy
    best = min(curve, key=lambda point: point.validation_loss)
    finding = (
        f"the shipped step {shipped_step} has {rebound:.2f} times the smallest validation loss (step {best.step}), "
        f"and training rows are {gap:+.3f} above test rows in accuracy"
    )
    severity = _severity(rebound, gap, severe_rebound, largest_gap)
    return Overfitting(severity, rebound, gap, finding, "" if severity == "none" else _remedy(rebound, severe_rebound, best, curve))


def _rebound(curve: Sequence[CurvePoint], shipped_step: int) -> float | None:
    losses = {point.step: point.validation_loss for point in curve}
    if shipped_step not in losses or not all(math.isfinite(loss) for loss in losses.values()):
        return None
    smallest = max(min(point.validation_loss for point in curve), _SMALLEST_LOSS)
    return max(1.0, losses[shipped_step] / smallest)


def _severity(rebound: float, gap: float, severe_rebound: float, largest_gap: float) -> Severity:
    if rebound > severe_rebound or gap > largest_gap:
        return "severe"
    return "mild" if rebound >= MILD_REBOUND or gap > _MILD_SHARE_OF_GAP * largest_gap else "none"


def _remedy(rebound: float, severe_rebound: float, best: CurvePoint, curve: Sequence[CurvePoint]) -> str:
    if rebound > severe_rebound:
        return f"ship the best checkpoint (training.load_best_model_at_end), stop early, or train about {best.epoch:.1f} epochs"
    if rebound >= MILD_REBOUND:
        return "let training stop earlier (training.early_stopping_patience, training.epochs)"
    first = best.step == curve[0].step and len(curve) > 1
    return "lower training.learning_rate" if first else "give more training rows, or raise training.lora.lora_dropout"
