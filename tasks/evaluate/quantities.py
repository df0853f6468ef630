"""Figures as functions of sums over rows, so that one bootstrap serves them all."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.corpus_scores import row_statistics
from tasks.evaluate.metric_kinds import MetricKind
from tasks.evaluate.stored_rows import Column, Scores
from tasks.resampling import Statistic, Sums

_LARGEST_LOSS = 700.0
"""Nats a token; exp of more is no number."""


@dataclass(frozen=True)
class Quantity:
    """One contender's figure on some rows.

    Attributes:
        sums: rows by what is summed; zeros in a row that was not measured.
        figure: makes the figure from sums.
        compared: makes what two contenders are compared by; the figure, or its logarithm where ratios are meant (perplexity).
        measured: which rows count.
    """

    sums: Sums
    figure: Statistic
    compared: Statistic
    measured: NDArray[np.bool_]


def quantity_of(scores: Scores, kind: MetricKind, contender: str) -> Quantity | str:
    """A contender's quantity, or why there is none: a sentence that a hold can end with."""
    match kind.family:
        case "share" | "mean":
            return _mean(scores.of(contender, kind.name), kind, contender)
        case "ratio":
            return _ratio(scores.of(contender, "loss"), scores.of(contender, "loss_tokens"), contender)
        case "macro_f1" | "bleu" | "chrf":
            return _of_texts(scores, kind.family, contender)
        case "median" | "point":
            return f"{kind.name} is no sum over rows"


def _mean(column: Column | None, kind: MetricKind, contender: str) -> Quantity | str:
    if column is None:
        return f"{kind.name} of {contender} is not stored row by row"
    if not np.isfinite(column.values).all():
        return f"{kind.name} of {contender} is not a number on some rows"
    if kind.family == "share" and not np.isin(column.values, (0.0, 1.0)).all():
        return f"{kind.name} of {contender} is neither right nor wrong on some rows"
    return Quantity(np.column_stack([column.values, column.measured.astype(np.float64)]), _share, _share, column.measured)


def _ratio(nats: Column | None, tokens: Column | None, contender: str) -> Quantity | str:
    if nats is None or tokens is None:
        return f"the loss of {contender} is not stored row by row"
    measured = nats.measured & tokens.measured
    sums = np.column_stack([nats.values, tokens.values]) * measured[:, None]
    if not np.isfinite(sums).all():
        return f"the loss of {contender} is not a number on some rows"
    return Quantity(sums, lambda of: np.exp(np.minimum(_share(of), _LARGEST_LOSS)), _share, measured)


def _share(sums: Sums) -> Sums:
    """First sum over second; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], math.nan)


def _of_texts(scores: Scores, metric: str, contender: str) -> Quantity | str:
    expected, answers = scores.texts("expected"), scores.texts(contender)
    if expected is None or answers is None:
        return f"the answers of {contender} are not stored"
    if None in answers or None in expected:
        return f"some answers of {contender} are missing"
    found = row_statistics(metric, expected, answers)
    return Quantity(found.table, found.score, found.score, np.ones(len(expected), dtype=np.bool_))
