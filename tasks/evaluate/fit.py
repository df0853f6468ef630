"""The checkpoint that would ship on training, validation and test rows, measured alike: what the overfitting verdict is told of it."""

import math
from collections.abc import Sequence

from tasks.artifacts import Fit, SideFit

FAMILIAR = 0.9
"""Share of the training rows that are familiar, by definition."""

RowLoss = tuple[float, int]
"""Nats of a row's answer, summed over its tokens, and how many those are."""


def fit_of(train: Sequence[RowLoss], validation: Sequence[RowLoss], test: Sequence[RowLoss]) -> Fit:
    """Means over tokens, and how many rows of each side are as familiar as training rows.

    A row is familiar if its loss a token is at most that of nine training rows in ten. Rows that a model has trained on are found out by
    their loss (Yeom et al. 2018, "Privacy Risk in Machine Learning"); here not one by one, but by how many there are.

    Args:
        train: rows drawn from the training rows.
    """
    each = sorted(nats / tokens for nats, tokens in train if tokens)
    limit = each[math.ceil(FAMILIAR * len(each)) - 1] if each else math.nan
    return Fit(train=_side(train, limit), validation=_side(validation, limit), test=_side(test, limit))


def _side(rows: Sequence[RowLoss], limit: float) -> SideFit:
    tokens = sum(count for _, count in rows)
    mean = sum(nats for nats, _ in rows) / tokens if tokens else math.nan
    familiar = sum(nats <= limit * count for nats, count in rows)
    return SideFit(rows=len(rows), loss=mean if math.isfinite(mean) else None, familiar=familiar)
