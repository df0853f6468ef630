"""Whether two texts say the same in other words.

The cosine of two whole texts is mostly that of the words that they share, so that "I want to cancel my order" and "I want to extend my
order" come out nearer than many a true paraphrase. So the words decide that only one of the two has, compared without case and without
the commonest English endings. The score is a weighted mean of three parts, each at most 1:

- `low` (weight 5): each word of content that the other text lacks meets the other's word that is most like it, by the cosine of what the
  model makes of the two in their places (late interaction: Khattab, Zaharia, SIGIR 2020). The mean of the worse half of them; of the two
  directions the lower. 1 where nothing is left.
- `cross` (5): what is left of one text without the shared words, against the other's whole text; of the two directions and of the cosine
  of the whole texts the lowest. Where no word of content is left, the whole text stands in.
- `weak` (3): of all words of content the one that the other text covers worst; the mean of the two directions.

Function words (articles, pronouns, auxiliaries and such, but no negation) are no words of content. What a model of sentences does not see
is looked for in the words themselves: pairs with other numbers, days or months, with places swapped, or told apart by a negation alone,
score 0 (:func:`contradicts`). A text without any word scores 0 as well.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.embeddings import Tokens

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Texts to vectors, as `tasks.embeddings.EmbeddedEmbedder`."""

    @property
    def name(self) -> str:
        """Which model it is, and which weights."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (texts, dimensions)."""

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text."""


_LOW, _CROSS, _WEAK = 5, 5, 3

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_ENDINGS = ("'s", "ing", "ied", "ies", "ed", "es", "s")
_SHORTEST_STEM = 3
_LISTED = """
a an the this that these those i me my mine we us our ours you your yours he him his she her hers it its they them their theirs who whom
whose which what and or but if so as than then because although though while when since until after before of in on at to for from by
with about into onto out up down over under off am is are was were be been being do does did doing done have has had having will would
shall should can could may might must there here how why where also too very just only still even yet please kindly
"""
_FUNCTION_WORDS = frozenset(_LISTED.split())
_NEGATIONS = frozenset(["not", "no", "never", "nor", "none", "nobody", "nothing", "without", "cannot"])
_CALENDAR = (
    frozenset(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]),
    frozenset(["january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december"]),
)
"""`may` is a verb more often than a month."""
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,:]\d+)*(?![\w])")
_FROM_TO = re.compile(r"\b(from|to|into)\s+(?:(?:a|an|the|my|our|your)\s+)?(\w+)")
_DECIMALS = 5  # of a cosine; what is beyond depends on the place in a batch


@dataclass(frozen=True)
class Reading:
    """A text, its unit vector, its words that were read, and for each its stem, whether it is one of content, and its unit vector."""

    text: str
    whole: Vectors
    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: NDArray[np.bool_]
    vectors: Vectors


def read_texts(texts: Sequence[str], wholes: Vectors, embedder: Embedder) -> list[Reading]:
    """Reads the words of texts.

    Args:
        wholes: unit vectors of the texts, shape (texts, dimensions).
    """
    return [_reading(text, whole, tokens) for text, whole, tokens in zip(texts, wholes, embedder.embed_tokens(texts), strict=True)]


def _reading(text: str, whole: Vectors, tokens: Tokens) -> Reading:
    words, vectors = [], []
    for match in _WORD.finditer(text):
        inside = (tokens.spans[:, 0] < match.end()) & (tokens.spans[:, 1] > match.start())
        if inside.any():
            words.append(match.group())
            vectors.append(tokens.states[inside].mean(axis=0))
    stacked = np.array(vectors, dtype=np.float32).reshape(len(words), tokens.states.shape[1])
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    content = np.array([word.lower() not in _FUNCTION_WORDS for word in words], dtype=bool)
    return Reading(text, whole, tuple(words), tuple(_stem(word) for word in words), content, stacked / np.maximum(lengths, 1e-9))


def score_readings(pairs: Sequence[tuple[Reading, Reading]], embedder: Embedder, least: float = -1) -> NDArray[np.float64]:
    """How much the two texts of each pair say the same, at most 1.

    A pair that cannot reach `least` gets a score below it, which is not its own.
    """
    covered = np.array([_coverage(left, right) for left, right in pairs]).reshape(-1, 2)
    refuted = np.array([not left.words or not right.words or contradicts(left, right) for left, right in pairs], dtype=bool)
    whole = np.array([float(left.whole @ right.whole) for left, right in pairs]).round(_DECIMALS)
    scores = _combine(covered, whole)
    # The score is no higher than with the cosine of the whole texts: of pairs that are below it already nothing need be embedded.
    open_ = np.flatnonzero((scores >= least) & ~refuted).tolist()
    cross = _cross([pairs[place] for place in open_], embedder)
    scores[open_] = _combine(covered[open_], np.minimum(whole[open_], cross))
    scores[refuted] = 0
    return scores


def contradicts(left: Reading, right: Reading) -> bool:
    """Whether words decide that the two say different things, however like they are otherwise.

    - Both name numbers in digits, days of the week or months, and each has one that the other lacks.
    - What follows `from` in one follows `to` in the other.
    - One has an odd number of negations and the other an even one, and one of them has no other word of content that the other lacks. With
      such a word a negation may say the same ("is broken", "does not work").
    """
    differ = any(one - other and other - one for one, other in zip(_named(left), _named(right), strict=True))
    return differ or _swapped(left.text, right.text) or _denied(left, right)


def _named(reading: Reading) -> list[frozenset[str]]:
    """Its numbers, days and months."""
    words = frozenset(word.lower() for word in reading.words)
    return [_numbers(reading.text), *(words & calendar for calendar in _CALENDAR)]


def _numbers(text: str) -> frozenset[str]:
    """Numbers without marks between thousands: 2,000 is 2000, and 2.50 is not 25."""
    found = (re.sub(r"[.,](?=\d{3}\b)", "", number) for number in _NUMBER.findall(text))
    return frozenset(number.lstrip("0") or "0" for number in found)


def _swapped(text: str, other: str) -> bool:
    left, right = (_ends(text), _ends(other))
    return any(left[start] & right[end] and left[start] - right[start] for start, end in (("from", "to"), ("to", "from")))


def _ends(text: str) -> dict[str, set[str]]:
    ends: dict[str, set[str]] = {"from": set(), "to": set()}
    for word, place in _FROM_TO.findall(text.lower()):
        ends["from" if word == "from" else "to"].add(place)
    return ends


def _denied(left: Reading, right: Reading) -> bool:
    if _negations(left) % 2 == _negations(right) % 2:
        return False
    return any(not (_content(one) - set(other.stems)) for one, other in ((left, right), (right, left)))


def _negations(reading: Reading) -> int:
    return sum(_negates(word) for word in reading.words)


def _negates(word: str) -> bool:
    lower = word.lower().replace("’", "'")
    return lower in _NEGATIONS or lower.endswith("n't")


def _content(reading: Reading) -> set[str]:
    marked = zip(reading.words, reading.stems, reading.content.tolist(), strict=True)
    return {stem for word, stem, counts in marked if counts and not _negates(word)}


def _combine(covered: NDArray[np.float64], cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    combined: NDArray[np.float64] = (_LOW * covered[:, 0] + _WEAK * covered[:, 1] + _CROSS * cosine) / (_LOW + _WEAK + _CROSS)
    return combined.round(_DECIMALS)


def _coverage(left: Reading, right: Reading) -> tuple[float, float]:
    if not left.words or not right.words:
        return 0.0, 0.0
    cosines = left.vectors @ right.vectors.T
    shared = set(left.stems) & set(right.stems)
    (low, weak), (other_low, other_weak) = _covered(left, cosines.max(axis=1), shared), _covered(right, cosines.max(axis=0), shared)
    return min(low, other_low), (weak + other_weak) / 2


def _covered(reading: Reading, best: Vectors, shared: set[str]) -> tuple[float, float]:
    """Of the words that are not shared the mean of the worse half, and the worst of all words of content."""
    left = np.sort(best[reading.content & np.array([stem not in shared for stem in reading.stems])])
    content = best[reading.content] if reading.content.any() else best
    low = float(left[: (len(left) + 1) // 2].mean(dtype=np.float64)) if len(left) else 1.0
    return low, float(content.min())


def _cross(pairs: Sequence[tuple[Reading, Reading]], embedder: Embedder) -> NDArray[np.float64]:
    """The lower of the cosines of one text's remainder with the other's whole text."""
    if not pairs:
        return np.zeros(0)
    rests = [(_rest(left, right), _rest(right, left)) for left, right in pairs]
    vectors = embedder.embed([*(left for left, _ in rests), *(right for _, right in rests)]).reshape(2, len(pairs), -1)
    lefts, rights = np.array([left.whole for left, _ in pairs]), np.array([right.whole for _, right in pairs])
    return np.minimum(_cosines(vectors[0], rights), _cosines(vectors[1], lefts))


def _rest(reading: Reading, other: Reading) -> str:
    shared = set(other.stems)
    kept = [stem not in shared for stem in reading.stems]
    some = any(stays and counts for stays, counts in zip(kept, reading.content.tolist(), strict=True))
    return " ".join(word for word, stays in zip(reading.words, kept, strict=True) if stays) if some else reading.text


def _cosines(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = np.einsum("ij,ij->i", left, right, dtype=np.float64)
    return cosines.round(_DECIMALS)


def _stem(word: str) -> str:
    lower = word.lower().replace("’", "'")
    for ending in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= _SHORTEST_STEM:
            return lower[: -len(ending)]
    return lower
