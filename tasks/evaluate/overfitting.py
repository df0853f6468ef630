"""Whether the checkpoint that would ship has overfitted, judged from its curve and from evaluation numbers and nothing else.

What decides is how far its loss on unseen rows stands above the smallest that training went through. The validation curve shows it, as long
as validation rows are unseen rows; whether they are is judged as well. `benchmarks/overfit.py` finds the thresholds and measures how often
the verdict is wrong.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.artifacts import CurvePoint, EvaluationResult, Fit, TrainedModel, WordingFit
from tasks.evaluate.exposure import RIVALS, Exposure
from tasks.evaluate.remedies import against_gap, against_leak, against_memory, against_rebound, against_wording

Severity = Literal["none", "mild", "severe", "unknown"]
"""`unknown`: numbers are missing or not finite, or the curve cannot be believed; nothing may be concluded."""

MILD_REBOUND, SEVERE_REBOUND = 1.05, 1.1
"""Loss of the shipped checkpoint on unseen rows, over the smallest of all checkpoints. A true one of 1.2 is severe; a curve of a few dozen
rows shows it as 1.05 as well as 1.4, and shows 1.0 of nearly all that is well fitted."""
LEAK_CHANCE, LEAK_SHARE = 1e-5, 0.25
"""Validation rows are known to the model if as many familiar ones among them would come about by chance less often than this, and if the
share of known ones is this large: validation rows may be a little easier than test rows without any of them being known."""
POOLED_PART = 0.25
"""How far a rebound is drawn from the loss on validation rows to that on validation and test rows together, as an exponent. Not further,
because rows that are dear at the shipped checkpoint were so at the best one too, which the test rows do not tell of."""
MILD_GAP = 0.3
"""Share of rows right, training minus test."""
MILD_WORDING = 1.5
"""Loss on augmented rows over the loss on the rows that they were made from. A matter of judgement, as the two thresholds below."""
MEMORY_CHANCE = 0.001
"""Canaries were memorised if as much exposure would come about by chance less often than this."""
SEVERE_MEMORY = 0.5
"""Share of the canaries that the model prefers to all other codes."""

_LATEST_FIRST_EPOCH = 2.0
"""A curve that begins later does not show where the smallest loss was."""
_MOST_LEAKED = 0.9
"""Largest share of known validation rows that is reckoned with: above, next to nothing of the curve speaks of unseen rows."""
_LARGEST_PART = 2.0
"""Of the loss on all of them over that on validation rows, or its inverse: test rows of another kind shall not outvote the curve."""
_SMALLEST_LOSS = 1e-6
"""Nats a token; below it ratios are noise."""


@dataclass(frozen=True)
class Evidence:
    """All that is judged. Null: not measured.

    Attributes:
        method: its name, for the remedy.
        curve: validation passes in the order of training.
        shipped_step: step of the checkpoint that would ship; 0 if nothing was trained.
        fit: its losses on training, validation and test rows.
        train_accuracy, test_accuracy: share of rows right.
        wording: null if no row was augmented.
        canaries: how many were planted; `exposure` is required if there are any.
    """

    method: str
    curve: Sequence[CurvePoint]
    shipped_step: int
    fit: Fit | None
    train_accuracy: float | None
    test_accuracy: float | None
    wording: WordingFit | None = None
    canaries: int = 0
    exposure: Exposure | None = None


@dataclass(frozen=True)
class Limits:
    """What the gate allows. `largest_gap` of accuracies null: a gap alone is never severe."""

    severe_rebound: float = SEVERE_REBOUND
    largest_gap: float | None = None


@dataclass(frozen=True)
class Overfitting:
    """The verdict with its numbers; those that could not be told are null.

    Attributes:
        rebound: loss of the shipped checkpoint on unseen rows divided by the smallest of all checkpoints, at least 1.
        best_step: where the validation curve is lowest.
        loss_gap: loss on test rows minus loss on training rows, in nats a token.
        gap_slope: by how much validation minus training loss grows in an epoch, up to the shipped checkpoint.
        accuracy_gap: share of training rows right minus share of test rows right.
        leak_chance: probability of so many familiar validation rows if they were unseen rows like those of the test.
        wording_ratio: loss on augmented rows over loss on the rows that they were made from.
        exposure_bits: mean exposure of the canaries.
        finding: the verdict in a sentence.
        remedy: what to change; empty if nothing.
    """

    severity: Severity
    finding: str
    remedy: str = ""
    rebound: float | None = None
    best_step: int | None = None
    loss_gap: float | None = None
    gap_slope: float | None = None
    accuracy_gap: float | None = None
    leak_chance: float | None = None
    wording_ratio: float | None = None
    exposure_bits: float | None = None


def evidence_of(trained: TrainedModel, evaluation: EvaluationResult, canaries: int) -> Evidence:
    """What a run's records say.

    Args:
        canaries: how many are planted in the training rows.
    """
    ranks = evaluation.canary_ranks
    return Evidence(
        method=trained.method, curve=trained.curve, shipped_step=trained.shipped_step, fit=evaluation.fit,
        train_accuracy=evaluation.tuned_train_accuracy, test_accuracy=evaluation.tuned.get("accuracy"), wording=evaluation.wording,
        canaries=canaries, exposure=Exposure(ranks, RIVALS) if ranks else None,
    )  # fmt: skip


def judge_overfitting(evidence: Evidence, limits: Limits | None = None) -> Overfitting:
    """Judges one checkpoint: the worst of what its numbers say, and `unknown` where one is missing that is needed."""
    if not evidence.curve and evidence.shipped_step == 0:
        return Overfitting("none", "nothing was trained, so nothing can be overfitted")
    numbers = _read(evidence)
    if isinstance(numbers, str):
        return Overfitting("unknown", numbers)
    doubts = list(_doubts(evidence, numbers, limits or Limits()))
    said: list[Severity] = ["none", *(doubt.severity for doubt in doubts)]
    severity = max(said, key=_RANK.__getitem__)
    remedies = dict.fromkeys(doubt.remedy for doubt in doubts if doubt.severity == severity)
    return Overfitting(
        severity=severity, finding="; ".join([_described(evidence, numbers), *(doubt.said for doubt in doubts if doubt.said)]),
        remedy="; ".join(remedies), rebound=numbers.rebound, best_step=numbers.best.step, loss_gap=numbers.loss_gap,
        gap_slope=numbers.gap_slope, accuracy_gap=numbers.accuracy_gap, leak_chance=numbers.leak_chance, wording_ratio=numbers.wording,
        exposure_bits=evidence.exposure.bits if evidence.exposure else None,
    )  # fmt: skip


@dataclass(frozen=True)
class _Numbers:
    best: CurvePoint
    rebound: float
    loss_gap: float
    gap_slope: float | None
    accuracy_gap: float
    leak_chance: float
    leaks: bool
    wording: float | None


@dataclass(frozen=True)
class _Doubt:
    """One reason for a verdict that is not `none`."""

    severity: Severity
    remedy: str
    said: str = ""


_RANK: dict[Severity, int] = {"none": 0, "mild": 1, "unknown": 2, "severe": 3}
"""Unknown is worse than mild: it closes the gate."""


def _read(evidence: Evidence) -> _Numbers | str:
    """The numbers, or which one is missing, in words."""
    curve, fit, wording = evidence.curve, evidence.fit, evidence.wording
    shipped = next((point for point in curve if point.step == evidence.shipped_step), None)
    if shipped is None or not all(math.isfinite(point.validation_loss) for point in curve):
        return f"the validation loss of the shipped step {evidence.shipped_step} is not known"
    if curve[0].epoch > _LATEST_FIRST_EPOCH:
        return f"the first validation came after {curve[0].epoch:.1f} epochs: where the smallest loss was is not known"
    if fit is None or (gap := _minus(fit.test.loss, fit.train.loss)) is None or not (_counts(fit) and _is_number(fit.validation.loss)):
        return "the loss of the shipped checkpoint on training, validation or test rows is not known"
    if (accuracy_gap := _minus(evidence.train_accuracy, evidence.test_accuracy)) is None:
        return "the accuracy on training or on test rows is not known"
    ratio = _ratio(wording.augmented, wording.parents) if wording is not None else None
    if wording is not None and ratio is None:
        return "the loss on augmented rows, or on the rows that they were made from, is not known"
    if evidence.canaries and evidence.exposure is None:
        return f"{evidence.canaries} canaries are planted, and their exposure is not known"
    chance = leak_chance(fit)
    leaks = chance < LEAK_CHANCE and leak_share(fit) >= LEAK_SHARE
    return _Numbers(
        best=min(curve, key=lambda point: point.validation_loss),
        rebound=max(_rebound_on_curve(curve, shipped, fit), _rebound_on_test(curve, shipped, fit) if leaks else 1.0),
        loss_gap=gap, gap_slope=_gap_slope(curve, evidence.shipped_step), accuracy_gap=accuracy_gap, leak_chance=chance, leaks=leaks,
        wording=ratio,
    )  # fmt: skip


def _doubts(evidence: Evidence, numbers: _Numbers, limits: Limits) -> Iterator[_Doubt]:
    method, best = evidence.method, numbers.best
    if (severity := _grade(numbers.rebound, MILD_REBOUND, limits.severe_rebound)) != "none":
        first, shipped = best.step == evidence.curve[0].step and len(evidence.curve) > 1, best.step == evidence.shipped_step
        yield _Doubt(severity, against_rebound(method, best, first=first, shipped=shipped))
    if numbers.leaks:
        said = "validation rows are as familiar to the model as training rows, so the curve cannot be believed"
        yield _Doubt("unknown", against_leak(), said)
    if (severity := _grade(numbers.accuracy_gap, MILD_GAP, limits.largest_gap)) != "none":
        yield _Doubt(severity, against_gap(method))
    if numbers.wording is not None and numbers.wording > MILD_WORDING:
        said = f"augmented rows have {numbers.wording:.2f} times the loss of the rows that they were made from"
        yield _Doubt("mild", against_wording(), said)
    if evidence.exposure is not None and evidence.exposure.chance < MEMORY_CHANCE:
        said = f"planted canaries were memorised: their exposure is {evidence.exposure.bits:.1f} bits"
        yield _Doubt("severe" if evidence.exposure.first >= SEVERE_MEMORY else "mild", against_memory(method), said)


def _grade(value: float, mild: float, severe: float | None) -> Severity:
    if severe is not None and value > severe:
        return "severe"
    return "mild" if value >= mild else "none"


def _described(evidence: Evidence, numbers: _Numbers) -> str:
    growing = "" if numbers.gap_slope is None else f", validation minus training loss grows by {numbers.gap_slope:+.3f} an epoch"
    return (
        f"the shipped step {evidence.shipped_step} has {numbers.rebound:.2f} times the smallest loss on unseen rows "
        f"(validation is best at step {numbers.best.step}); test rows have {numbers.loss_gap:+.3f} nats a token more than training rows"
        f"{growing}; training rows are {numbers.accuracy_gap:+.3f} above test rows in accuracy"
    )


def _rebound_on_curve(curve: Sequence[CurvePoint], shipped: CurvePoint, fit: Fit) -> float:
    """The rebound that validation shows, drawn towards what validation and test rows say together where it shows one.

    A curve of a few dozen rows can rise, or not, by one or two of them. The test rows are a second sample of the shipped loss; the more
    validation rows there are, the less they change.
    """
    assert fit.test.loss is not None
    smallest, last = (max(loss, _SMALLEST_LOSS) for loss in (min(point.validation_loss for point in curve), shipped.validation_loss))
    if last <= smallest:
        return 1.0
    rows, others = fit.validation.rows, fit.test.rows
    pooled = (rows * last + others * fit.test.loss) / (rows + others)
    beside = min(max(pooled / last, 1 / _LARGEST_PART), _LARGEST_PART)
    return max(1.0, last / smallest * math.pow(beside, POOLED_PART))


def _rebound_on_test(curve: Sequence[CurvePoint], shipped: CurvePoint, fit: Fit) -> float:
    """The rebound where a share of the validation rows is known to the model, so that their loss mixes that of training and unseen rows.

    The loss on unseen rows at each point is what is left when the training rows' part is taken out of the mixture; leaked rows only make
    validation look better, so it is at least the validation loss. The shipped checkpoint's own is the test loss.
    """
    assert fit.train.loss is not None
    assert fit.test.loss is not None
    share = min(leak_share(fit), _MOST_LEAKED)
    # The loss that training has right behind a point; that before it is older, and larger.
    behind = [point.train_loss for point in curve[1:]] + [fit.train.loss]
    unseen = [
        point.validation_loss if known is None else max(point.validation_loss, (point.validation_loss - share * known) / (1 - share))
        for point, known in zip(curve, behind, strict=True)
        if point.step != shipped.step
    ]
    return max(1.0, fit.test.loss / max(min([*unseen, fit.test.loss]), _SMALLEST_LOSS))


def leak_share(fit: Fit) -> float:
    """Which share of the validation rows is as familiar as training rows, beyond those that unseen rows have among them; 0 to 1."""
    train, validation, test = (side.familiar / side.rows for side in (fit.train, fit.validation, fit.test))
    return min(1.0, max(0.0, (validation - test) / (train - test))) if train > test else 0.0


def leak_chance(fit: Fit) -> float:
    """Probability of as many familiar validation rows or more, if validation and test rows were drawn from the same rows.

    Fisher's exact test, one-sided: the familiar ones are spread over both sides at random.
    """
    from scipy.stats import hypergeom

    validation, test = fit.validation, fit.test
    familiar, rows = validation.familiar + test.familiar, validation.rows + test.rows
    return float(hypergeom.sf(validation.familiar - 1, rows, familiar, validation.rows))


def _gap_slope(curve: Sequence[CurvePoint], shipped_step: int) -> float | None:
    """Least-squares slope of validation minus training loss over the epochs; null with fewer than two points that have both."""
    points = [
        (point.epoch, point.validation_loss - point.train_loss)
        for point in curve
        if point.step <= shipped_step and point.train_loss is not None and math.isfinite(point.train_loss)
    ]
    if len({epoch for epoch, _ in points}) < 2:
        return None
    middle = sum(epoch for epoch, _ in points) / len(points)
    spread = sum((epoch - middle) ** 2 for epoch, _ in points)
    return sum((epoch - middle) * gap for epoch, gap in points) / spread


def _counts(fit: Fit) -> bool:
    return all(side.rows > 0 and 0 <= side.familiar <= side.rows for side in (fit.train, fit.validation, fit.test))


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _minus(one: float | None, other: float | None) -> float | None:
    """Null unless both are finite."""
    return one - other if one is not None and other is not None and math.isfinite(one - other) else None


def _ratio(one: float | None, other: float | None) -> float | None:
    """Null unless both are finite."""
    return None if _minus(one, other) is None or one is None or other is None else one / max(other, _SMALLEST_LOSS)
