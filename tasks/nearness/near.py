"""Rows that say nearly the same: MinHash finds candidates, the exact Jaccard similarity decides.

A text is compared by its shingles (`tasks.nearness.shingles`).

MinHash signatures are cut into bands; rows that agree in a whole band share a bucket and are candidates (Leskovec, Rajaraman, Ullman,
"Mining of Massive Datasets", chapter 3). Candidates whose signatures differ too much are dropped, and for all others the similarity is
computed from the shingles.

Measured at 0.65: of banking questions of 15 to 40 words with two of them replaced 98 in 100 were found, of those of 15 to 18 words 92; with
one replaced, all. In 44 texts of 17 languages two words dropped, added, swapped or mistyped never led below 0.65. With three, four or five
plain characters instead, a sixth, a quarter or three fifths of the edited Chinese and Japanese texts fell below it, and with words nearly
all. Different messages of 14 words between the same greeting and signature reached 0.34. What no such measure can tell is whether the one
word that differs is the decisive one.

What is found depends on the texts alone: rows in another order only change the row numbers, and nothing is random.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.nearness.clusters import components
from tasks.nearness.ranges import Integers, blocks, distinct, ranges
from tasks.nearness.shingles import SIGNATURE_BITS, Keys, fold, hash_factors, minima, shingles_of, signatures, similarities

JACCARD = 0.65
"""Similarity from which on rows count as near, unless something else is asked for."""

PAIRS = pl.Schema({"left": pl.Int64(), "right": pl.Int64(), "jaccard": pl.Float64()})
MATCHES = pl.Schema({"row": pl.Int64(), "held": pl.Int64(), "jaccard": pl.Float64()})

_HASHES = 512  # at most; a row of 150 characters takes about 0.02 microseconds for each
_HELD_BANDS = 40  # whose keys are in memory at a time, at most: four bytes for each row and band
_KEPT_HASHES = 256  # for estimates; at most
_RECALL, _MARGIN = 0.998, 0.05  # probability that a pair is a candidate if it is that far above the threshold
_FULL = 8  # rows of a bucket up to which all of its pairs are candidates
_WINDOW = 4  # neighbours in a larger bucket
_SIGMAS = 3  # how far an estimate may be below the threshold, in standard deviations
_HASHED_CHARACTERS, _COMPARED_SIGNATURES = 1 << 16, 1 << 14  # one block of work

_Candidates = tuple[Integers, Integers, Integers, NDArray[np.bool_]]  # proposer (in ascending order), left, right, from a crowded bucket


@dataclass(frozen=True)
class Banding:
    """How signatures are cut: `bands` of `rows` hashes each."""

    bands: int
    rows: int

    def recall(self, similarity: float) -> float:
        """Probability that two rows of this Jaccard similarity share a bucket ("Mining of Massive Datasets", section 3.4.2)."""
        return 1 - float((1 - similarity**self.rows) ** self.bands)


def choose_banding(jaccard: float) -> Banding:
    """The longest bands, hence the fewest candidates in vain, with a recall of 0.998 at 0.05 above the threshold and at most 512 hashes.

    Args:
        jaccard: the threshold.

    Raises:
        ValueError: the threshold is not in (0, 1].
    """
    if not 0 < jaccard <= 1:
        raise ValueError(f"a Jaccard threshold of {jaccard}; expected more than 0 and at most 1")
    similarity = min(jaccard + _MARGIN, 0.99)  # equal shingles share every bucket
    every = (Banding(_HASHES // rows, rows) for rows in range(_HASHES, 0, -1))
    rows = next(banding.rows for banding in every if banding.recall(similarity) >= _RECALL)
    return Banding(math.ceil(math.log(1 - _RECALL) / math.log1p(-(similarity**rows))), rows)


def near_pairs(texts: pl.Series, *, jaccard: float = JACCARD) -> pl.DataFrame:
    """Pairs of rows whose texts are near.

    Equal texts are paired with the first of them only, and of them only the first is compared with others: `clusters` joins what belongs
    together.

    In a bucket of at most eight rows all pairs are candidates. In a larger one, as boilerplate makes it, a row's candidates are the four
    that follow in the order of the next band, less those that other pairs already connect with it, and only the likeliest is judged. So
    the work is linear, and what may be missing are pairs within large clusters, rarely a cluster's connection. Of 300 rows with two of
    their words replaced, among 20,000 of which all shared 30 words and had 8 to 40 of their own, every one was paired with its origin;
    where only four words or eight digits differed, nine of ten were, and 98 of 100 were in its cluster.

    Where very many texts are a little less alike than the threshold, most of the time goes into judging them: about 20 microseconds each,
    up to some thirty for each row, where a row without such relatives takes about 30 in all.

    Args:
        texts: strings, normalised by `tasks.nearness.normal.normalise`; null counts as empty.
        jaccard: threshold in (0, 1].

    Returns:
        `left` < `right` (row numbers) and `jaccard`, at or above the threshold; sorted.

    Raises:
        ValueError: the threshold is out of range.
    """
    rows = _with_first(texts)
    equal = rows.filter(pl.col("row") != pl.col("first")).select(left="first", right="row", jaccard=pl.lit(1.0))
    distinct = rows.filter(pl.col("row") == pl.col("first")).select("text", "row").sort("text")
    del rows
    search = _Search(distinct["text"], jaccard)
    for keys, following in search.bands():
        search.judge(_within(keys, following, search.connected()))
    ends = np.sort(distinct["row"].to_numpy()[np.stack([search.left, search.right])], axis=0)
    near = pl.DataFrame({"left": ends[0], "right": ends[1], "jaccard": search.jaccard}, schema=PAIRS)
    return pl.concat([equal.cast(PAIRS), near]).sort("left", "right")


def near_pairs_between(texts: pl.Series, held: pl.Series, *, jaccard: float = JACCARD) -> pl.DataFrame:
    """The nearest held row of each row that has one.

    In a bucket of at most eight held rows all of them are candidates. In a larger one they are the four on either side in the order of
    the next band, of which the likeliest is judged, and only for a row that no band before has matched: a held row that is nearer than the
    one stated may be missed.

    Args:
        texts: strings, normalised by `tasks.nearness.normal.normalise`; null counts as empty.
        held: strings to compare with, for instance the test rows.
        jaccard: threshold in (0, 1].

    Returns:
        `row`, `held` (row numbers of either series) and `jaccard`, at or above the threshold; sorted by row, one line each. Of held rows
        that are equally near it is the first.

    Raises:
        ValueError: the threshold is out of range.
    """
    rows, others = _with_first(texts), _with_first(held)
    against = others.filter(pl.col("row") == pl.col("first")).select("text", held="row").sort("text")
    wanted = rows.filter(pl.col("row") == pl.col("first")).select("text", first="row").sort("text")
    equal = wanted.join(against, on="text").select("first", "held", jaccard=pl.lit(1.0))
    wanted = wanted.join(against, on="text", how="anti", maintain_order="left")
    search = _Search(pl.concat([wanted["text"], against["text"]]), jaccard)
    for keys, following in search.bands():
        matched = np.zeros(wanted.height, dtype=bool)
        matched[search.left] = True
        search.judge(_between(keys, following, matched))
    numbers = {"first": wanted["first"].gather(search.left), "held": against["held"].gather(search.right - wanted.height)}
    near = pl.DataFrame({**numbers, "jaccard": search.jaccard}, schema={"first": pl.Int64, "held": pl.Int64, "jaccard": pl.Float64})
    every = pl.concat([equal.cast(near.schema), near]).sort("jaccard", "held", descending=[True, False])
    best = every.unique("first", keep="first", maintain_order=True)
    return rows.join(best, on="first").select(*MATCHES).cast(MATCHES).sort("row")


class _Search:
    """What bands have proposed for a series of distinct texts, and what of it is near.

    `left`, `right` and `jaccard` are the pairs at or above the threshold, positions in the series.

    A text takes about 220 bytes beside itself: keys of 40 bands, and two bits of 256 minima. Bands whose keys find no room are sketched
    in another pass over the texts.
    """

    def __init__(self, texts: pl.Series, jaccard: float) -> None:
        self._texts, self._lengths = texts, texts.str.len_chars().to_numpy()
        self._threshold, self._banding = jaccard, choose_banding(jaccard)
        self._kept = min(self._banding.bands * self._banding.rows, _KEPT_HASHES)
        self._least = _least_agreement(jaccard, self._kept)
        self._signatures = np.zeros((len(texts), SIGNATURE_BITS, -(-self._kept // 64)), dtype=np.uint64)
        self._judged = np.empty(0, dtype=np.int64)
        self.left, self.right, self.jaccard = self._judged, self._judged, np.empty(0)

    def bands(self) -> Iterator[tuple[Keys, Keys]]:
        """For each band the keys of the texts' buckets, and those of another band to order a bucket by; valid until the next."""
        passes = -(-self._banding.bands // _HELD_BANDS)
        held = np.empty((-(-self._banding.bands // passes), len(self._texts)), dtype=np.uint32)
        for first in range(0, self._banding.bands, len(held)):
            keys = held[: self._banding.bands - first]
            self._sketch(first, keys)
            yield from ((band, keys[(number + 1) % len(keys)]) for number, band in enumerate(keys))

    def connected(self) -> Integers:
        """For each text the first of those that pairs connect with it (`tasks.nearness.clusters.components`)."""
        group = np.arange(len(self._texts))
        ends = distinct(np.concatenate([self.left, self.right]))
        group[ends] = ends[components(np.searchsorted(ends, self.left), np.searchsorted(ends, self.right), ends.size)]
        return group

    def _sketch(self, first: int, keys: Keys) -> None:
        """Fills in the keys, of shape (bands, texts), of the bands from `first` on; the first time the signatures as well."""
        begin, size = first * self._banding.rows, len(keys) * self._banding.rows
        factors = hash_factors(begin, size if first else max(size, self._kept))
        for part in blocks(self._lengths, _HASHED_CHARACTERS):
            smallest = minima(*shingles_of(self._texts[part]), factors)
            keys[:, part] = fold(smallest[:size].reshape(len(keys), self._banding.rows, -1))
            if not first:
                self._signatures[part] = signatures(smallest[: self._kept])

    def judge(self, candidates: Iterator[_Candidates]) -> None:
        """Adds the candidates that are near, each once however often it is proposed."""
        codes = self._not_judged(np.concatenate([self._judged[:0], *(self._likely(*block) for block in candidates)]))
        left, right = np.divmod(codes, max(len(self._texts), 1))
        jaccard = similarities(self._texts, self._lengths, left, right)
        near = jaccard >= self._threshold
        self.left, self.right = np.append(self.left, left[near]), np.append(self.right, right[near])
        self.jaccard = np.append(self.jaccard, jaccard[near])
        self._judged = np.sort(np.append(self._judged, codes), kind="stable")

    def _likely(self, owner: Integers, left: Integers, right: Integers, crowded: NDArray[np.bool_]) -> Integers:
        """Those whose signatures agree enough, each pair as one number. Of an owner's candidates from a crowded bucket, only the best."""
        agreed = self._agreements(left, right)
        kept = agreed >= self._least
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        if first.size:
            best = np.repeat(np.maximum.reduceat(agreed, first), np.diff(first, append=owner.size))
            kept &= ~crowded | (agreed == best)
        left, right = left[kept], right[kept]
        return np.minimum(left, right) * len(self._texts) + np.maximum(left, right)

    def _agreements(self, left: Integers, right: Integers) -> Integers:
        """How many hashes of the signatures agree, in all of their bits."""
        differing = np.bitwise_or.reduce(self._signatures[left] ^ self._signatures[right], axis=1)
        return np.asarray(self._kept - np.bitwise_count(differing).sum(axis=1, dtype=np.int64))

    def _not_judged(self, codes: Integers) -> Integers:
        codes = distinct(codes)
        if not self._judged.size:
            return codes
        place = np.minimum(np.searchsorted(self._judged, codes), self._judged.size - 1)
        return np.asarray(codes[self._judged[place] != codes])


def _with_first(texts: pl.Series) -> pl.DataFrame:
    """`text`, `row` and `first`, the first row with the same text."""
    numbered = pl.DataFrame({"text": texts.cast(pl.String).fill_null("")}).with_row_index("row").cast({"row": pl.Int64})
    return numbered.with_columns(first=pl.col("row").min().over("text"))


def _least_agreement(jaccard: float, hashes: int) -> float:
    """How many of the hashes agree, less three standard deviations, if the similarity is the threshold.

    Minima are equal with probability `jaccard`, and if they differ, their bits are equal by chance (Li, König, "b-Bit Minwise Hashing",
    WWW 2010, theorem 1 for small sets among many).
    """
    share = jaccard + (1 - jaccard) / 2**SIGNATURE_BITS
    return float(hashes * share - _SIGMAS * math.sqrt(hashes * share * (1 - share)))


def _within(keys: Keys, following: Keys, group: Integers) -> Iterator[_Candidates]:
    """Candidate pairs among the texts, in blocks; `group` says which are connected already."""
    bucket, order = _shared(keys)
    order = order[np.lexsort((following[order], bucket))]
    ends = np.append(np.flatnonzero(bucket[1:] != bucket[:-1]) + 1, bucket.size)
    sizes = np.diff(ends, prepend=0)
    crowded = np.repeat(sizes > _FULL, sizes)
    after = np.repeat(ends, sizes) - np.arange(bucket.size) - 1  # how many follow in the bucket
    reach = np.where(crowded, np.minimum(after, _WINDOW), after)
    for part in blocks(reach, _COMPARED_SIGNATURES):
        owner, offset = ranges(reach[part])
        position = owner + part.start
        left, right = order[position], order[position + offset + 1]
        wanted = ~crowded[position] | (group[left] != group[right])
        yield owner[wanted], left[wanted], right[wanted], crowded[position[wanted]]


def _shared(keys: Keys) -> tuple[Keys, Integers]:
    """Keys that occur twice or more, and positions, in ascending order of both. Few rows share a bucket: the others are left out early."""
    packed = keys.astype(np.uint64) << np.uint64(32)
    packed |= np.arange(keys.size, dtype=np.uint64)
    packed.sort()
    equal = (packed[1:] ^ packed[:-1]) >> np.uint64(32) == 0
    packed = packed[np.append(equal, False) | np.append(False, equal)] if keys.size else packed
    return (packed >> np.uint64(32)).astype(np.uint32), (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _between(keys: Keys, following: Keys, matched: NDArray[np.bool_]) -> Iterator[_Candidates]:
    """Candidate pairs of a row and a held text, in blocks; the rows come first, as many as `matched` has."""
    bucket, position = _shared(keys)
    shift = np.uint64(32)
    ordered = (bucket.astype(np.uint64) << shift) | following[position]
    rows, held = ordered[position < matched.size], ordered[position >= matched.size]
    row, order = position[position < matched.size], np.argsort(held, kind="stable")
    other, held = position[position >= matched.size][order], held[order]
    low, high = (np.searchsorted(held >> shift, rows >> shift, side=side) for side in ("left", "right"))
    crowded = high - low > _FULL
    nearest = np.clip(np.searchsorted(held, rows) - _WINDOW, low, np.maximum(low, high - 2 * _WINDOW))
    first = np.where(crowded, nearest, low)
    reach = np.where(crowded, np.where(matched[row], 0, 2 * _WINDOW), high - low)
    for part in blocks(reach, _COMPARED_SIGNATURES):
        owner, offset = ranges(reach[part])
        at = owner + part.start
        yield owner, row[at], other[first[at] + offset], crowded[at]
