"""Texts as sets of shingles: hashes of these, MinHash signatures of the sets, and their exact similarity.

From each character on, and from one space before the first, a shingle takes as many characters as make up the worth of four letters; beyond
the end of the text there are spaces. A letter, digit or sign is worth one; a Han character, kana or Hangul syllable, which stands for about
as much as two letters, is worth two. The Jaccard similarity of two texts is the number of distinct shingles that they share, divided by the
number that either has.

For the exact similarity shingles are compared as hashes of 52 bits: that two different ones coincide happens in one of 10^11 pairs of
150 characters, and in one of 10^8 pairs of 3,000.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.nearness.ranges import Integers, blocks, distinct, ranges

SIGNATURE_BITS = 2
"""That a signature keeps of each minimum."""

_HASH_BITS = np.uint64(52)
_WORTH = 4  # of a shingle, in letters
_SYLLABLES = ((0x2E80, 0xA4D0), (0xAC00, 0xD7A4), (0xF900, 0xFB00), (0x20000, 0x40000))  # Han, kana and Yi; Hangul; Han again, twice
_JUDGED_CHARACTERS = 1 << 19  # one block of work

Words = NDArray[np.uint64]
Keys = NDArray[np.uint32]


def shingles_of(texts: pl.Series) -> tuple[Words, Integers]:
    """Hashes of the shingles of at least one text, one after another, and where each text's begin."""
    pad = _WORTH - 1
    joined = " " + (" " * (pad + 1)).join(texts.to_list()) + " " * pad
    characters = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    lengths = texts.str.len_chars().to_numpy().astype(np.int64) + 1  # of a text and the space before it: its shingles
    ends = np.cumsum(lengths + pad)
    kept = np.ones(characters.size - pad, dtype=bool)
    for back in range(1, pad + 1):
        kept[ends[:-1] - back] = False
    return _window_hashes(characters)[kept], np.cumsum(lengths) - lengths


def hash_factors(first: int, count: int) -> NDArray[np.uint32]:
    """Of the hashes from a number on, by which :func:`minima` tells them apart."""
    numbers = np.arange(first + 1, first + 1 + count, dtype=np.uint64)
    return (_mix(numbers) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)


def minima(shingles: Words, starts: Integers, factors: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Smallest hash of each text's shingles, of shape (hashes, texts). A product modulo 2^32 with an odd factor permutes the shingles."""
    shortened = (shingles >> np.uint64(32)).astype(np.uint32)
    smallest = np.empty((factors.size, starts.size), dtype=np.uint32)
    product = np.empty_like(shortened)
    for factor, of_texts in zip(factors, smallest, strict=True):
        np.multiply(shortened, factor, out=product)
        np.minimum.reduceat(product, starts, out=of_texts)
    return smallest


def fold(smallest: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """One number for each band of each text, from shape (bands, rows, texts)."""
    folded = np.zeros((smallest.shape[0], smallest.shape[2]), dtype=np.uint64)
    for row in range(smallest.shape[1]):
        folded = _mix(folded + smallest[:, row])
    return (folded >> np.uint64(32)).astype(np.uint32)


def signatures(smallest: NDArray[np.uint32]) -> Words:
    """The upper bits of each minimum's mixture, from shape (hashes, texts): first all first bits of a text, then all second ones.

    Of shape (texts, bits, words), filled up with zeros to whole words.
    """
    mixed = (smallest * np.uint32(0x9E3779B1)).T
    planes = np.zeros((mixed.shape[0], SIGNATURE_BITS, -(-mixed.shape[1] // 64) * 8), dtype=np.uint8)
    for plane in range(SIGNATURE_BITS):
        bits = np.packbits((mixed >> np.uint32(31 - plane)) & np.uint32(1), axis=1)
        planes[:, plane, : bits.shape[1]] = bits
    return planes.view(np.uint64)


def similarities(texts: pl.Series, lengths: Keys, left: Integers, right: Integers) -> NDArray[np.float64]:
    """Jaccard similarity of each pair of positions; `lengths` are the texts', in characters."""
    costs = np.maximum(lengths[left].astype(np.int64) + lengths[right], _JUDGED_CHARACTERS >> 11)
    parts = blocks(costs, _JUDGED_CHARACTERS)
    return np.concatenate([np.empty(0), *(_similarities_of_block(texts, left[part], right[part]) for part in parts)])


def _similarities_of_block(texts: pl.Series, left: Integers, right: Integers) -> NDArray[np.float64]:
    """The same for at most 2^11 pairs: row or pair is kept in the upper 12 bits of a number, and 52 bits of the shingle's hash below."""
    rows, where = np.unique(np.concatenate([left, right]), return_inverse=True)
    shingles, starts = shingles_of(texts.gather(rows))
    owner = np.repeat(np.arange(rows.size, dtype=np.uint64), np.diff(starts, append=shingles.size))
    elements = distinct((owner << _HASH_BITS) | (shingles >> np.uint64(12)))
    sizes = np.bincount((elements >> _HASH_BITS).astype(np.int64))
    begin = (np.cumsum(sizes) - sizes)[where]
    side, offset = ranges(sizes[where])
    pair = (side % left.size).astype(np.uint64)
    either = distinct((pair << _HASH_BITS) | (elements[begin[side] + offset] & np.uint64((1 << 52) - 1)))
    union = np.bincount((either >> _HASH_BITS).astype(np.int64))
    return np.asarray((sizes[where].reshape(2, -1).sum(axis=0) - union) / union)


def _window_hashes(characters: NDArray[np.uint32]) -> Words:
    """Hash of the shingle that begins at each character, except the last few, which are padding."""
    count = characters.size - _WORTH + 1
    windows = np.stack([characters[step : step + count] for step in range(_WORTH)]).astype(np.uint64) + np.uint64(1)
    if characters.max() >= _SYLLABLES[0][0]:
        windows *= _counted(characters)
    hashes = windows[0]
    for window in windows[1:]:
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += window
    return _mix(hashes)


def _counted(characters: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Whether a character is still in the shingle that begins so many before it, of shape (characters of a shingle, shingles)."""
    worth = np.ones(characters.size, dtype=np.uint8)
    for first, end in _SYLLABLES:
        worth += (characters >= first) & (characters < end)
    before = np.concatenate([[0], np.cumsum(worth)])
    count = characters.size - _WORTH + 1
    return np.stack([before[step : step + count] - before[:count] < _WORTH for step in range(_WORTH)])


def _mix(values: Words) -> Words:
    """A bijection of 64 bits that leaves no pattern: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
