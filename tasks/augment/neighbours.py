"""What a child must not be near, and what it must be near: held-out rows, and training rows of its label."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.nearness.near import near_pairs_between
from tasks.nearness.normal import normalise

Vectors = NDArray[np.float32]

REFERENCES = 20_000
"""Training rows, at most, among which a child's neighbours are looked for; labels take turns."""

_MARGIN = 0.05
"""How far below the threshold near pairs are looked for: what is found from the threshold on is missed with a probability of 0.002."""
_BLOCK = 256
"""Children that are compared with all others at a time."""


class Embedder(Protocol):
    """Texts to vectors, as `tasks.embeddings.EmbeddedEmbedder`."""

    @property
    def name(self) -> str:
        """Which model it is, and which weights."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (texts, dimensions)."""


class HeldOut:
    """Validation and test rows, and what benchmarks say."""

    def __init__(self, texts: Sequence[str], near_jaccard: float | None, embedder: Embedder, benchmark: Sequence[str] = ()) -> None:
        """Prepares to compare; texts are embedded when they are needed.

        Args:
            texts: what rows were divided by (`tasks.augment.requests.compared_text`).
            near_jaccard: similarity of texts from which on a child is too near; null: only one that says the same is.
            benchmark: further texts, of which only wording is compared.
        """
        self._texts, self._jaccard, self._embedder = texts, near_jaccard, embedder
        self._normal = pl.Series([normalise(text) for text in (*texts, *benchmark)], dtype=pl.String)
        self._same = frozenset(self._normal)
        self._vectors: Vectors | None = None

    def near(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text says the same as a held-out row, or nearly the same."""
        normal = [normalise(text) for text in texts]
        near = set[int]()
        if self._jaccard is not None and len(self._normal):
            pairs = near_pairs_between(pl.Series(normal, dtype=pl.String), self._normal, jaccard=max(self._jaccard - _MARGIN, _MARGIN))
            near = set(pairs.filter(pl.col("jaccard") >= self._jaccard)["row"])
        return [text in self._same or number in near for number, text in enumerate(normal)]

    def cosines(self, vectors: Vectors) -> Vectors:
        """The largest cosine of each vector to a held-out row; -1 if there are none."""
        if not self._texts:
            return np.full(len(vectors), -1, dtype=np.float32)
        if self._vectors is None:
            self._vectors = self._embedder.embed(self._texts)
        others = self._vectors.T
        parts = [(vectors[start : start + _BLOCK] @ others).max(axis=1) for start in range(0, len(vectors), _BLOCK)]
        return np.concatenate([np.zeros(0, dtype=np.float32), *parts])


class References:
    """Training rows with their labels, embedded when they are needed."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str], embedder: Embedder) -> None:
        self._texts, self._embedder = texts, embedder
        self._counts = Counter(labels)
        self._labels = np.array(labels, dtype=object)
        self._vectors: Vectors | None = None

    def agree(self, vectors: Vectors, labels: Sequence[str], neighbours: int) -> list[bool]:
        """Whether most of the nearest rows have the label. For a label with `n` rows, 2 n - 1 are asked at most: its own can be most."""
        if self._vectors is None:
            self._vectors = self._embedder.embed(self._texts)
        agree: list[bool] = []
        for start in range(0, len(vectors), _BLOCK):
            cosines = vectors[start : start + _BLOCK] @ self._vectors.T
            agree += [self._mostly(row, label, neighbours) for row, label in zip(cosines, labels[start:], strict=False)]
        return agree

    def _mostly(self, cosines: Vectors, label: str, neighbours: int) -> bool:
        asked = min(neighbours, 2 * self._counts[label] - 1, len(cosines))
        if asked < 1:
            return True
        nearest = np.argpartition(-cosines, asked - 1)[:asked] if asked < len(cosines) else np.arange(len(cosines))
        return 2 * int((self._labels[nearest] == label).sum()) > asked
