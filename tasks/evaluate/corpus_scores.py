"""Figures of a whole set of answers from numbers of single rows that only have to be added up: what a bootstrap resamples.

Row by row the statistics hold, for BLEU and chrF, sacrebleu's own counts of n-grams; for macro-F1, for each label of the expected answers,
how often it was right, answered and expected. A figure of any choice of rows, some of them several times, is that of the sum of their rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowStatistics:
    """`table` has shape (rows, numbers); `score` makes the figure of sums, shape (..., numbers) to (...)."""

    table: Table
    score: Callable[[Table], Table]

    def figure(self) -> float:
        """The figure of all rows."""
        return float(self.score(self.table.sum(axis=0)))


def row_statistics(metric: str, expected: Sequence[str], answers: Sequence[str]) -> RowStatistics:
    """Statistics of `bleu`, `chrf` or `macro_f1`.

    The labels of macro-F1 are those of all rows; one that does not occur in a choice of rows is left out of that choice's mean, as
    :class:`tasks.evaluate.metrics.MacroF1` would.

    Raises:
        KeyError: another metric.
    """
    makers = {"bleu": _bleu, "chrf": _chrf, "macro_f1": _macro_f1}
    return makers[metric](expected, answers)


def _bleu(expected: Sequence[str], answers: Sequence[str]) -> RowStatistics:
    from sacrebleu.metrics import BLEU

    return _of_sacrebleu(BLEU(), expected, answers)


def _chrf(expected: Sequence[str], answers: Sequence[str]) -> RowStatistics:
    from sacrebleu.metrics import CHRF

    return _of_sacrebleu(CHRF(), expected, answers)


def _of_sacrebleu(metric: Any, expected: Sequence[str], answers: Sequence[str]) -> RowStatistics:
    """sacrebleu's own bootstrap takes these two steps; they have no public name."""
    table = np.array(metric._extract_corpus_statistics(list(answers), [list(expected)]), dtype=np.float64)

    def score(sums: Table) -> Table:
        flat = sums.reshape(-1, sums.shape[-1])
        scores = [metric._compute_score_from_stats([round(count) for count in line]).score for line in flat]
        return np.array(scores, dtype=np.float64).reshape(sums.shape[:-1])

    return RowStatistics(table, score)


def _macro_f1(expected: Sequence[str], answers: Sequence[str]) -> RowStatistics:
    wanted, given = np.array([text.strip() for text in expected]), np.array([text.strip() for text in answers])
    labels = np.unique(wanted)
    is_wanted, is_given = (texts[:, None] == labels[None, :] for texts in (wanted, given))
    table = np.concatenate([is_wanted & is_given, is_given, is_wanted], axis=1).astype(np.float64)
    return RowStatistics(table, _macro_f1_of)


def _macro_f1_of(sums: Table) -> Table:
    right, given, wanted = np.split(sums, 3, axis=-1)
    occurs = wanted > 0
    scores = np.divide(2 * right, given + wanted, out=np.zeros_like(right), where=occurs)
    return np.asarray(scores.sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1), dtype=np.float64)
