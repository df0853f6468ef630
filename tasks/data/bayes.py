"""What the words of a row say of its answer: a multinomial naive Bayes classifier that judges each row by all the others."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tasks.data.phrases import Integers, Words

_PRIOR = 300.0
"""Words that the whole vocabulary counts for in each class: Dirichlet smoothing (Zhai, Lafferty, ACM TOIS 22:179, 2004)."""

_RARE = 2
"""Rows that a word must stand in: others cannot speak for one."""


class WordModel:
    """Classes are equally likely beforehand, and a word counts once in a row.

    Args:
        words: of all rows.
        classes: of each row, numbered from 0, at least two different ones; shape (rows,).
    """

    def __init__(self, words: Words, classes: Integers) -> None:
        held = csr_array((np.ones(words.row.size, dtype=np.float32), (words.row, words.word)), shape=(words.rows, len(words.vocabulary)))
        held.sum_duplicates()
        held.data[:] = 1
        self._held = held[:, np.flatnonzero(_sums(held, axis=0) >= _RARE)]
        self._classes = classes
        member = csr_array((np.ones(words.rows, dtype=np.float32), (np.arange(words.rows), classes)), shape=(words.rows, classes.max() + 1))
        self._counts = (self._held.T @ member).toarray()
        self._sizes = self._counts.sum(axis=0)
        total = self._counts.sum(axis=1)
        self._smoothing = _PRIOR * total / max(total.sum(), 1)
        self._gains = np.log1p(self._counts / self._smoothing[:, None])

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int((self._sizes > 0).sum())

    def shared(self, rows: Integers, share: float) -> Integers:
        """The words that at least this share of the rows hold."""
        return np.flatnonzero(_sums(self._held[rows], axis=0) >= share * rows.size)

    def contradictions(self, rows: Integers, without: Integers) -> NDArray[np.float64]:
        """How much more a row's words speak for the likeliest other class than for its own, without the row itself and some words.

        Returns:
            Logarithm of the ratio of the likelihoods; above 0 if another class is likelier. Shape (rows,).
        """
        held, classes = self._without(rows, without), self._classes[rows]
        lengths, places = _sums(held, axis=1), np.arange(rows.size)
        others = held @ self._gains + lengths[:, None] * np.log(_PRIOR / (self._sizes + _PRIOR))
        others[places, classes] = -np.inf
        others[:, self._sizes == 0] = -np.inf
        row = np.repeat(places, np.diff(held.indptr))
        left = self._counts[held.indices, classes[row]] - 1
        gains = np.bincount(row, np.log1p(left / self._smoothing[held.indices]), minlength=rows.size)
        own = gains + lengths * np.log(_PRIOR / (self._sizes[classes] - lengths + _PRIOR))
        return np.asarray(others.max(axis=1) - own, dtype=np.float64)

    def _without(self, rows: Integers, words: Integers) -> csr_array:
        held = self._held[rows]
        if words.size:
            held.data[np.isin(held.indices, words)] = 0
            held.eliminate_zeros()
        return held


def _sums(matrix: csr_array, axis: int) -> NDArray[np.float64]:
    return np.asarray(matrix.sum(axis=axis), dtype=np.float64).ravel()
