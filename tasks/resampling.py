"""Bootstrap intervals for figures that are functions of sums over rows: means, ratios of sums, F1, BLEU.

Clusters of rows that belong together are drawn with replacement, all their rows at once (Davison and Hinkley 1997, Bootstrap Methods and
their Application, 3.8). Draws depend on the number of clusters and a fixed seed only, so the same rows give the same interval.

Percentiles of fixed draws never fall when a row gets better, which corrected intervals can. They miss too often where a single row can
have any weight, as losses do (3.1 % in place of 2.5 % at 400 rows, docs/log.md): then an end is the percentile or the figure less t times
the replicates' standard deviation, whichever is further out.

Hesterberg 2015: What Teachers Should Know About the Bootstrap, American Statistician 69:371-386.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.statistics import LEVEL, Interval

Sums = NDArray[np.float64]
"""Sums over rows; the last axis is what is summed."""
Statistic = Callable[[Sums], Any]
"""From sums, whose last axis it uses up, to figures."""

REPLICATES = 4000
"""The ends of a 98 % interval are then its 40th values, with a standard error of 0.0016 of probability."""
SEED = 20_261_125
_TOGETHER = 250
"""Replicates drawn at once."""
_KEPT_CLUSTERS = 5_000
"""Draws from more clusters than these are not kept: 40 MB."""


@dataclass(frozen=True)
class Resampled:
    """What a figure was in every replicate, ascending.

    Attributes:
        value: the figure itself.
        clusters: how many there were to draw from.
    """

    value: float
    clusters: int
    replicates: NDArray[np.float64]

    def percentiles(self, level: float = LEVEL) -> Interval:
        """Percentile interval with this much outside each end, widened for few clusters (Hesterberg 2015).

        NaN in any replicate is NaN at both ends.
        """
        if np.isnan(self.replicates).any():
            return math.nan, math.nan
        tail = expanded_tail(level, self.clusters)
        low, high = np.quantile(self.replicates, [tail, 1 - tail], method="weibull")
        return min(float(low), self.value), max(float(high), self.value)

    def wider(self, level: float = LEVEL) -> Interval:
        """For heavy tails: the percentiles or the ends of the t distribution, whichever is further out. NaN as there."""
        from scipy.stats import t

        (low, high), reach = self.percentiles(level), float(t.isf(level, max(self.clusters - 1, 1)) * self.replicates.std())
        return min(low, self.value - reach), max(high, self.value + reach)


def resample(sums: Sums, statistic: Statistic) -> Resampled:
    """Draws replicates of a figure.

    Args:
        sums: one line for each cluster, in an order that does not depend on that of the rows.
        statistic: makes figures from sums over clusters.
    """
    drawn = [statistic(weights @ sums) for weights in cluster_weights(len(sums))]
    return Resampled(float(statistic(sums.sum(axis=0))), len(sums), np.sort(np.concatenate(drawn)))


def cluster_weights(clusters: int) -> Iterator[NDArray[np.float64]]:
    """How often each cluster is in each replicate: arrays of 250 replicates by clusters, the same ones every time."""
    for drawn in _kept_draws(clusters) if clusters <= _KEPT_CLUSTERS else _draws(clusters):
        yield drawn.astype(np.float64)


def _draws(clusters: int) -> Iterator[NDArray[np.uint16]]:
    draw = np.random.default_rng(SEED)
    for _ in range(REPLICATES // _TOGETHER):
        chosen = draw.integers(0, clusters, (_TOGETHER, clusters)) + clusters * np.arange(_TOGETHER)[:, None]
        yield np.bincount(chosen.ravel(), minlength=_TOGETHER * clusters).reshape(_TOGETHER, clusters).astype(np.uint16)


@lru_cache(maxsize=4)
def _kept_draws(clusters: int) -> list[NDArray[np.uint16]]:
    """Several gates on the same rows have the same draws, and drawing takes longer than all the rest."""
    return list(_draws(clusters))


def sum_by_cluster(rows: Sums, clusters: NDArray[np.int64]) -> Sums:
    """Sums over the rows of each cluster.

    Args:
        rows: rows by values.
        clusters: number of each row's cluster, from 0 on without gaps.
    """
    sums = np.zeros((int(clusters.max()) + 1, rows.shape[1]))
    np.add.at(sums, clusters, rows)
    return sums


def expanded_tail(level: float, clusters: int) -> float:
    """The level that a percentile interval has to be read at: percentiles know neither t nor n - 1, and are too narrow for few clusters."""
    from scipy.stats import norm, t

    if clusters < 2:
        return 0.0
    return float(norm.cdf(t.ppf(level, clusters - 1) * math.sqrt(clusters / (clusters - 1))))


def design_effect(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    """How many times more a mean varies because rows of a cluster are alike (Rao and Scott 1992, Biometrics 48:577-585); at least 1.

    Where the values do not differ at all nothing is known of it, and rows of a cluster are taken to be all alike.
    """
    rows, apart = len(values), values - values.mean()
    sizes = np.bincount(clusters)
    spread = float((apart**2).sum()) / (rows * max(rows - 1, 1))
    if len(sizes) == rows:
        return 1.0
    if spread == 0 or len(sizes) < 2:
        return float((sizes.astype(np.float64) ** 2).sum()) / rows
    sums = np.bincount(clusters, weights=apart)
    return max(1.0, len(sizes) / (len(sizes) - 1) * float((sums**2).sum()) / rows**2 / spread)
