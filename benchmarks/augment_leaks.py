"""Whether reworded rows say what validation or test rows say, looked at in another way than the pipeline does.

Nothing of the pipeline's search takes part: texts are normalised here, sets of four characters are made here, and every child is compared
with every held-out text. It holds for scripts of which a character is worth one letter, as Banking77's are.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_SHINGLE = 4
_BLOCK = 512
"""Children that are compared with all others at a time."""


class Leaks(NamedTuple):
    """Numbers of children: `exact` say the same as a held-out text, `near` nearly the same and not the same. `nearest` is the largest
    Jaccard similarity of any child that is neither."""

    exact: int
    near: int
    nearest: float


def find_leaks(children: Sequence[str], held_out: Sequence[str], jaccard: float) -> Leaks:
    """Compares all with all.

    Args:
        jaccard: similarity from which on a child counts as near.
    """
    own, others = [plain(text) for text in children], sorted({plain(text) for text in held_out})
    exact = set(own) & set(others)
    apart = [text for text in own if text not in exact]
    if not apart or not others:
        return Leaks(len(own) - len(apart), 0, 0.0)
    nearest = _nearest(apart, others)
    near = nearest >= jaccard
    return Leaks(len(own) - len(apart), int(near.sum()), float(nearest[~near].max(initial=0.0)))


def plain(text: str) -> str:
    """Without differences of case, white space and kinds of the same character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> set[str]:
    """All runs of four characters, from one space before the text on; beyond its end there are spaces."""
    padded = f" {text}{' ' * (_SHINGLE - 1)}"
    return {padded[start : start + _SHINGLE] for start in range(len(text) + 1)}


def _nearest(texts: Sequence[str], others: Sequence[str]) -> Any:
    """The largest Jaccard similarity of each text to any of the others."""
    sets, held = [shingles(text) for text in texts], [shingles(text) for text in others]
    number = {shingle: at for at, shingle in enumerate(sorted(set().union(*sets, *held)))}
    against, sizes = _matrix(held, number).T.tocsr(), np.array([len(one) for one in held])
    found = []
    for start in range(0, len(sets), _BLOCK):
        part = sets[start : start + _BLOCK]
        shared = (_matrix(part, number) @ against).toarray()
        either = np.array([len(one) for one in part])[:, None] + sizes[None, :] - shared
        found.append((shared / either).max(axis=1))
    return np.concatenate(found)


def _matrix(sets: Sequence[set[str]], number: dict[str, int]) -> Any:
    """One line a set, a one for each of its members."""
    from scipy.sparse import csr_matrix

    columns = [number[shingle] for one in sets for shingle in one]
    ends = np.cumsum([0, *(len(one) for one in sets)])
    return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, ends), shape=(len(sets), len(number)))
