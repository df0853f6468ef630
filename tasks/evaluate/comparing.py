"""How much better one contender is than another on the same rows, with its uncertainty."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.metric_kinds import MetricKind
from tasks.evaluate.quantities import Quantity, quantity_of
from tasks.evaluate.stored_rows import Scores
from tasks.resampling import Sums, design_effect, resample, sum_by_cluster
from tasks.statistics import LEVEL, Interval, Pairs, median_interval, paired_interval, wilson_interval

FEWEST_CLUSTERS = 20
"""Fewer groups of rows than this cannot stand for all others."""
FEWEST_DIFFERING = 10
"""A bootstrap draws from what was seen: with fewer differing groups than this it sees too little of what there is."""


@dataclass(frozen=True)
class Comparison:
    """A difference that is above 0 where the first contender is better, whichever way is better for the metric.

    Attributes:
        rows: rows on which both were measured.
        interval_on: the interval with a level outside each end that so many rows would give, if all else stayed as it is.
    """

    value: float
    rows: int
    interval_on: Callable[[float, int], Interval]

    def interval(self, level: float = LEVEL) -> Interval:
        """The interval of the rows that there are."""
        return self.interval_on(level, self.rows)


def compare(scores: Scores, kind: MetricKind, first: str, second: str) -> Comparison | str:
    """Compares two contenders by a metric, or says why it cannot: a sentence that a hold can end with.

    Shares of rows are compared by a score interval (`tasks.statistics.paired_interval`), everything else by resampling clusters
    (`tasks.resampling`). Perplexities are compared by their logarithms, so that a difference is in nats a token.
    """
    if kind.better == "neither":
        return f"two models cannot be compared by {kind.name}"
    if scores.rows == 0:
        return "there are no rows"
    one, two = (quantity_of(scores, kind, contender) for contender in (first, second))
    if isinstance(one, str) or isinstance(two, str):
        return one if isinstance(one, str) else str(two)
    apart = int((one.measured != two.measured).sum())
    if apart or not one.measured.any():
        return f"{kind.name} was measured on {apart} rows for one of both only" if apart else f"{kind.name} was not measured on any row"
    kept = one.measured
    _, clusters = np.unique(scores.clusters[kept], return_inverse=True)
    if (groups := int(clusters.max()) + 1) < min(FEWEST_CLUSTERS, len(clusters)):
        return f"the rows form {groups} groups only, and {FEWEST_CLUSTERS} are needed"
    if kind.family == "share":
        return _compare_shares(one.sums[kept, 0] - two.sums[kept, 0], clusters)
    return _compare_resampled(one, two, kept, clusters, kind)


def _compare_shares(difference: NDArray[np.float64], clusters: NDArray[np.int64]) -> Comparison:
    rows = len(difference)
    pairs = Pairs(rows, int((difference > 0).sum()), int((difference < 0).sum()))
    effect = design_effect(difference, clusters)
    return Comparison(pairs.difference, rows, lambda level, many: paired_interval(pairs.scaled(many / effect), 1 - 2 * level))


def _compare_resampled(
    one: Quantity, two: Quantity, kept: NDArray[np.bool_], clusters: NDArray[np.int64],
    kind: MetricKind,
) -> Comparison | str:  # fmt: skip
    differing = len(np.unique(clusters[(one.sums[kept] != two.sums[kept]).any(axis=1)]))
    if differing < FEWEST_DIFFERING:
        return (
            f"the two differ in {kind.name} on {differing} rows (or groups) only, and {FEWEST_DIFFERING} are needed to tell how they differ"
        )
    width, sign = one.sums.shape[1], 1.0 if kind.better == "higher" else -1.0

    def difference(sums: Sums) -> Sums:
        found: Sums = sign * (one.compared(sums[..., :width]) - two.compared(sums[..., width:]))
        return found

    rows = int(kept.sum())
    drawn = resample(sum_by_cluster(np.hstack([one.sums[kept], two.sums[kept]]), clusters), difference)
    if not math.isfinite(drawn.value):
        return f"the difference in {kind.name} is not a number"

    bounded = _is_bounded(one, two, kept, kind)

    def interval_on(level: float, many: int) -> Interval:
        low, high = drawn.percentiles(level) if bounded else drawn.wider(level)
        shrunk = math.sqrt(rows / many)
        return drawn.value + (low - drawn.value) * shrunk, drawn.value + (high - drawn.value) * shrunk

    return Comparison(drawn.value, rows, interval_on)


def _is_bounded(one: Quantity, two: Quantity, kept: NDArray[np.bool_], kind: MetricKind) -> bool:
    """Whether no single row can have any weight: figures of answers, and means of numbers from 0 to 1."""
    if kind.family != "mean":
        return kind.family != "ratio"
    numbers = np.concatenate([one.sums[kept, 0], two.sums[kept, 0]])
    return bool((numbers >= 0).all() and (numbers <= 1).all())


@dataclass(frozen=True)
class Measured:
    """A figure of one contender. `interval` is null where the metric is one number without rows, or there are too few of them."""

    value: float
    rows: int
    interval: Interval | None


def measure_figure(scores: Scores, kind: MetricKind, contender: str) -> Measured | str:
    """One contender's figure on some rows with its interval, or why there is none."""
    if scores.rows == 0:
        return "there are no rows"
    if kind.family == "median":
        return _measure_median(scores, kind, contender)
    found = quantity_of(scores, kind, contender)
    if isinstance(found, str):
        return found
    if not found.measured.any():
        return f"{kind.name} was not measured on any row"
    kept = found.measured
    _, clusters = np.unique(scores.clusters[kept], return_inverse=True)
    value, rows = float(found.figure(found.sums[kept].sum(axis=0))), int(kept.sum())
    if not math.isfinite(value):
        return f"{kind.name} is not a number"
    if kind.family == "share":
        effective = rows / design_effect(found.sums[kept, 0], clusters)
        return Measured(value, rows, wilson_interval(value * effective, effective))
    drawn = resample(sum_by_cluster(found.sums[kept], clusters), found.figure).percentiles()
    return Measured(value, rows, drawn if all(map(math.isfinite, drawn)) else None)


def _measure_median(scores: Scores, kind: MetricKind, contender: str) -> Measured | str:
    column = scores.of(contender, kind.name)
    if column is None:
        return f"{kind.name} was not measured on any row"
    values = column.values[column.measured]
    if not np.isfinite(values).all():
        return f"{kind.name} is not a number on some rows"
    return Measured(float(np.median(values)), len(values), median_interval(values.tolist()))
