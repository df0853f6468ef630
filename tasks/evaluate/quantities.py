"""Figures as functions of sums over rows, so that one bootstrap serves them all."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.evaluate.metric_kinds import MetricKind
from tasks.evaluate.scores import Scores
from tasks.resampling import Statistic, Sums

_BLEU_ORDER, _CHRF_ORDER = 4, 6
_CHRF_BETA = 2


@dataclass(frozen=True)
class Quantity:
    """One contender's figure on some rows.

    Attributes:
        sums: rows by what is summed.
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
            return _mean(scores.of(contender, kind.name), kind.name, contender)
        case "ratio":
            return _ratio(scores.of(contender, "loss"), scores.of(contender, "loss_tokens"), contender)
        case "macro_f1":
            return _of_texts(scores, contender, _f1_sums, _macro_f1)
        case "bleu":
            return _of_texts(scores, contender, _bleu_sums, _bleu)
        case "chrf":
            return _of_texts(scores, contender, _chrf_sums, _chrf)
        case "point":
            return f"{kind.name} is not measured row by row"


def _mean(values: pl.Series | None, metric: str, contender: str) -> Quantity | str:
    if values is None:
        return f"{metric} of {contender} is not stored row by row"
    measured = values.is_not_null().to_numpy()
    if not values.drop_nulls().is_finite().all():
        return f"{metric} of {contender} is not a number on some rows"
    sums = np.column_stack([values.fill_null(0.0).to_numpy(), measured.astype(np.float64)])
    return Quantity(sums, _share, _share, measured)


def _ratio(nats: pl.Series | None, tokens: pl.Series | None, contender: str) -> Quantity | str:
    if nats is None or tokens is None:
        return f"the loss of {contender} is not stored row by row"
    measured = (nats.is_not_null() & tokens.is_not_null()).to_numpy()
    if not (nats.drop_nulls().is_finite().all() and tokens.drop_nulls().is_finite().all()):
        return f"the loss of {contender} is not a number on some rows"
    sums = np.column_stack([nats.fill_null(0.0).to_numpy(), tokens.fill_null(0.0).to_numpy()]) * measured[:, None]
    return Quantity(sums, lambda of: np.exp(np.minimum(_share(of), 700.0)), _share, measured)


def _share(sums: Sums) -> Sums:
    """First sum over second; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], math.nan)


def _of_texts(scores: Scores, contender: str, sums_of: Callable[[list[str], list[str]], Sums], figure: Statistic) -> Quantity | str:
    expected, answers = scores.texts("expected"), scores.texts(contender)
    if expected is None or answers is None:
        return f"the answers of {contender} are not stored"
    if None in answers or None in expected:
        return f"some answers of {contender} are missing"
    return Quantity(sums_of(expected, answers), figure, figure, np.ones(len(expected), dtype=np.bool_))


def _f1_sums(expected: list[str], answers: list[str]) -> Sums:
    """For each label of the expected answers: right, answered and expected. Another answer is a miss."""
    wanted = [text.strip() for text in expected]
    place = {label: at for at, label in enumerate(sorted(set(wanted)))}
    sums = np.zeros((len(wanted), 3, len(place)))
    for row, (right, given) in enumerate(zip(wanted, (text.strip() for text in answers), strict=True)):
        sums[row, 2, place[right]] = 1
        if given in place:
            sums[row, 1, place[given]] = 1
            sums[row, 0, place[given]] = given == right
    return sums.reshape(len(wanted), -1)


def _macro_f1(sums: Sums) -> Sums:
    """Mean F1 of the labels that are expected at all."""
    right, answered, expected = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    there = expected > 0
    scores = np.divide(2 * right, answered + expected, out=np.zeros_like(right), where=there)
    with np.errstate(invalid="ignore"):
        found: Sums = scores.sum(axis=-1) / there.sum(axis=-1)
    return found


def _bleu_sums(expected: list[str], answers: list[str]) -> Sums:
    """sacrebleu's own statistics of each row: both lengths, n-grams that match, and all."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    found = (metric.corpus_score([answer], [[wanted]]) for wanted, answer in zip(expected, answers, strict=True))
    return np.array([[of.sys_len, of.ref_len, *of.counts, *of.totals] for of in found], dtype=np.float64)


def _bleu(sums: Sums) -> Sums:
    """BLEU of four orders with exponential smoothing, as sacrebleu's default computes it."""
    lengths, references = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + _BLEU_ORDER], sums[..., 2 + _BLEU_ORDER :]
    empty = (totals > 0) & (matches == 0)
    smoothed = np.where(empty, 0.5 ** np.cumsum(empty, axis=-1), matches)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(totals > 0, np.log(smoothed / totals), -math.inf).mean(axis=-1)
        brevity = np.where(lengths < references, 1 - references / lengths, 0.0)
        found = 100 * np.exp(precision + brevity)
    return np.where((lengths > 0) & matches.any(axis=-1), found, 0.0)


def _chrf_sums(expected: list[str], answers: list[str]) -> Sums:
    """For each order: n-grams of characters in the answer, in the expected answer, and in both."""
    rows = []
    for wanted, answer in zip(expected, answers, strict=True):
        pairs = [(_grams(answer, order), _grams(wanted, order)) for order in range(1, _CHRF_ORDER + 1)]
        rows.append([count for given, right in pairs for count in _counts(given, right)])
    return np.array(rows, dtype=np.float64)


def _counts(given: "Counter[str]", right: "Counter[str]") -> Sequence[int]:
    # sacrebleu counts no n-grams of an answer where the expected one has none of that order.
    return (given.total() if right else 0, right.total(), (given & right).total())


def _grams(text: str, order: int) -> "Counter[str]":
    joined = "".join(text.split())
    return Counter(joined[at : at + order] for at in range(len(joined) - order + 1))


def _chrf(sums: Sums) -> Sums:
    """chrF2 of characters up to six, over the orders that both sides have (Popovic 2015), as sacrebleu's default computes it."""
    given, right, both = np.moveaxis(sums.reshape(*sums.shape[:-1], _CHRF_ORDER, 3), -1, 0)
    there = (given > 0) & (right > 0)
    orders = there.sum(axis=-1)
    precision = np.divide(both, given, out=np.zeros_like(both), where=there).sum(axis=-1)
    recall = np.divide(both, right, out=np.zeros_like(both), where=there).sum(axis=-1)
    square = _CHRF_BETA**2
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = precision / orders, recall / orders
        found = 100 * (1 + square) * precision * recall / (square * precision + recall)
    return np.where(np.isfinite(found), found, 0.0)
