"""What sentence embeddings tell of rows: held-out rows that say the same in other words, labels that the neighbours contradict, and spread.

Whether two texts say the same is decided by what is left of them. The cosine of two whole texts is mostly that of the words that they share, so
that "I want to cancel my order" and "I want to extend my order" come out nearer than a true paraphrase. Therefore the words that both have are
taken out of both, compared without case and English endings; each remainder is embedded, and the lower of the two cosines, of the whole texts
and of the remainders, is the score. A remainder without a word of content (function words only) stands for nothing that could differ, and the
whole text is taken in its place: where that is so on both sides, the whole texts decide, and a detail that only one side has counts against
the pair. A negation is a word of content.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

SAME = 0.32
"""Score from which on a pair counts as saying the same."""

OVERLAP = pl.Schema({"row": pl.Int64(), "held": pl.Int64(), "score": pl.Float64()})
CONTRADICTED = pl.Schema({"row": pl.Int64(), "label": pl.String(), "others": pl.String(), "score": pl.Float64()})

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Texts to unit vectors, shape (texts, dimensions), as `tasks.embeddings.Embedder.embed`."""

_CANDIDATES = 3  # held rows that are judged for each row: the nearest by cosine
_NEIGHBOURS, _LEAST, _AGREEING = 10, 5, 0.8  # looked at for a label; of these above the floor at least; share of them that agrees
_FLOOR = 0.5  # cosine from which on a neighbour has a say
_BLOCK = 512  # rows compared with all others at a time
_DECIMALS = 5  # of a cosine; what is beyond depends on the place in a block

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_ENDINGS = ("'s", "ing", "ied", "ies", "ed", "es", "s")
_SHORTEST_STEM = 3
_FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "i",
        "me",
        "my",
        "mine",
        "we",
        "us",
        "our",
        "ours",
        "you",
        "your",
        "yours",
        "he",
        "him",
        "his",
        "she",
        "her",
        "hers",
        "it",
        "its",
        "they",
        "them",
        "their",
        "theirs",
        "who",
        "whom",
        "whose",
        "which",
        "what",
        "and",
        "or",
        "but",
        "if",
        "so",
        "as",
        "than",
        "then",
        "because",
        "although",
        "though",
        "while",
        "when",
        "since",
        "until",
        "after",
        "before",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "by",
        "with",
        "about",
        "into",
        "onto",
        "out",
        "up",
        "down",
        "over",
        "under",
        "off",
        "am",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "do",
        "does",
        "did",
        "doing",
        "done",
        "have",
        "has",
        "had",
        "having",
        "will",
        "would",
        "shall",
        "should",
        "can",
        "could",
        "may",
        "might",
        "must",
        "there",
        "here",
        "how",
        "why",
        "where",
        "also",
        "too",
        "very",
        "just",
        "only",
        "still",
        "even",
        "yet",
        "please",
        "kindly",
    ]
)


def score_pairs(texts: Sequence[str], others: Sequence[str], embed: Embed) -> NDArray[np.float64]:
    """How much each text says the same as the other one at its place, -1 to 1; from :data:`SAME` on it counts as the same.

    Args:
        texts: as many as `others`.
    """
    if not texts:
        return np.zeros(0)
    remainders = [_remainders(text, other) for text, other in zip(texts, others, strict=True)]
    left, right = [left for left, _ in remainders], [right for _, right in remainders]
    vectors = embed([*texts, *others, *left, *right]).reshape(4, len(texts), -1)
    whole, rest = _cosines(vectors[0], vectors[1]), _cosines(vectors[2], vectors[3])
    return np.minimum(whole, rest)


def find_overlap(
    texts: Sequence[str], vectors: Vectors, held_texts: Sequence[str], held_vectors: Vectors, embed: Embed, *, least: float = SAME
) -> pl.DataFrame:
    """For each row at most the one held row that says the same and scores highest, among the three nearest by cosine.

    Args:
        vectors: unit vectors of the texts, shape (texts, dimensions).
        held_vectors: the same of the held texts.
        embed: makes the vectors of what is left of two texts without the words that they share.
        least: score from which on a pair is returned.

    Returns:
        A table of :data:`OVERLAP`, in the order of the rows; `held` is the place among the held texts.
    """
    if not len(texts) or not len(held_texts):
        return OVERLAP.to_frame()
    order = np.array(sorted(range(len(held_texts)), key=held_texts.__getitem__))
    places = order[_nearest(vectors, held_vectors[order], _CANDIDATES)[0]]
    rows, held = np.repeat(np.arange(len(texts)), places.shape[1]), places.ravel()
    scores = score_pairs([texts[row] for row in rows], [held_texts[place] for place in held], embed)
    found = pl.DataFrame({"row": rows, "held": held, "score": scores, "text": [held_texts[place] for place in held]})
    best = found.filter(pl.col("score") >= least).sort("row", "score", "text", "held", descending=[False, True, False, False])
    return best.unique("row", keep="first", maintain_order=True).select("row", "held", "score").cast(OVERLAP)


def find_contradicted_labels(vectors: Vectors, labels: Sequence[str]) -> pl.DataFrame:
    """Rows whose neighbours agree on another label.

    Of the ten nearest rows those with a cosine of at least 0.5 have a say; there must be five, and four in five must bear one other label.

    Args:
        vectors: unit vectors, shape (rows, dimensions).
        labels: one for each row.

    Returns:
        A table of :data:`CONTRADICTED`, in the order of the rows: `others` is the neighbours' label, `score` the share of those that agree.
    """
    if len(labels) <= _LEAST:
        return CONTRADICTED.to_frame()
    places, cosines = _nearest(vectors, vectors, _NEIGHBOURS + 1)
    found = []
    for row, (near, cosine) in enumerate(zip(places, cosines, strict=True)):
        voters = [labels[place] for place, value in zip(near, cosine, strict=True) if place != row and value >= _FLOOR][:_NEIGHBOURS]
        other, votes = max(((label, voters.count(label)) for label in set(voters)), key=lambda vote: (vote[1], vote[0]), default=("", 0))
        if len(voters) >= _LEAST and other != labels[row] and votes >= _AGREEING * len(voters):
            found.append((row, labels[row], other, votes / len(voters)))
    return pl.DataFrame(found, schema=CONTRADICTED, orient="row")


def spread(vectors: Vectors) -> tuple[NDArray[np.float64], float]:
    """The mean of unit vectors, shape (dimensions,), and the mean cosine distance from it.

    The cosine is that with the mean's direction, so that the spread is one less the mean's length.

    Raises:
        ValueError: there is no vector.
    """
    if not len(vectors):
        raise ValueError("the spread of no vectors; expected at least one")
    centroid = vectors.mean(axis=0, dtype=np.float64)
    return centroid, float(1 - np.linalg.norm(centroid))


def _nearest(vectors: Vectors, held: Vectors, most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places and cosines of the nearest, shape (rows, most), the nearest first and of equals the one that comes first."""
    blocks = []
    for start in range(0, len(vectors), _BLOCK):
        cosines = np.round((vectors[start : start + _BLOCK] @ held.T).astype(np.float64), _DECIMALS)
        places = np.argsort(-cosines, axis=1, kind="stable")[:, :most]
        blocks.append((places, np.take_along_axis(cosines, places, axis=1)))
    return np.concatenate([places for places, _ in blocks]), np.concatenate([cosines for _, cosines in blocks])


def _cosines(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    return np.round(np.einsum("ij,ij->i", left, right, dtype=np.float64), _DECIMALS)


def _remainders(text: str, other: str) -> tuple[str, str]:
    """Both without the words that they share, or whole where no word of content is left."""
    words, other_words = _WORD.findall(text), _WORD.findall(other)
    shared = {_stem(word) for word in words} & {_stem(word) for word in other_words}
    return _without(words, shared) or text, _without(other_words, shared) or other


def _without(words: list[str], shared: set[str]) -> str:
    left = [word for word in words if _stem(word) not in shared]
    return " ".join(left) if any(word.lower() not in _FUNCTION_WORDS for word in left) else ""


def _stem(word: str) -> str:
    lower = word.lower().replace("’", "'")
    for ending in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= _SHORTEST_STEM:
            return lower[: -len(ending)]
    return lower
