"""What the rows look like as a whole, and how far that is from what they looked like before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr
from scipy.stats import chi2

from tasks.data.findings import Bin, Drift, Profile
from tasks.data.locations import listed

EDGES = (0, 4, *(step * 2**power for power in range(2, 15) for step in (2, 3)), 65_536, 2_147_483_648)
"""Of the bars of every histogram of lengths, the same for all data: two to each doubling from 8 on, the last without a bound."""

MODERATE_PSI, LARGE_PSI = 0.1, 0.25
"""The usual reading of the population stability index (Siddiqi, "Credit Risk Scorecards", 2006)."""

JENSEN_SHANNON = 0.1
"""Distance from which on shares have moved: the default of Evidently, which takes it with natural logarithms, so 0.12 in base 2."""

CENTROID = 0.02
"""Cosine distance of centroids. Measured with MiniLM: 0.01 to 0.02 where half of Banking77's labels are gone, 0.02 where three in ten texts
are of another domain, 0.08 where half are, 0.4 where all are; at most 0.007 between random samples of 800 rows."""

_SMALLEST_BIN = 0.05
"""Share of the rows of both profiles that a bin holds when indices are computed, about: bars are joined to that end."""

_CHANCE = 0.001
"""Probability that a measure exceeds its limit though nothing but the choice of rows differs."""

_CHANCE_FACTOR = 2
"""Times the expected distance of two centroids."""


@dataclass(frozen=True)
class Embedded:
    """What embeddings say of a sample of `rows` rows: mean of the unit vectors, and mean cosine distance from it."""

    centroid: tuple[float, ...]
    spread: float
    rows: int


@dataclass(frozen=True)
class Languages:
    """Share of each language in a sample of `rows` rows."""

    shares: Mapping[str, float]
    rows: int


def build_profile(
    rows: pl.DataFrame, *, tokens: ArrayLike | None = None, languages: Languages | None = None, embedded: Embedded | None = None
) -> Profile:
    """Counts what can be counted in the rows, and takes in what others have measured.

    Args:
        rows: `output`, `label` and `characters` of all rows kept.
        tokens: length in tokens of each row of a sample.
    """
    counted = np.asarray([] if tokens is None else tokens, dtype=np.int64)
    labels = rows.select("label").filter(pl.col("label") != "")["label"].value_counts().sort("label")
    return Profile(
        rows=rows.height,
        characters=histogram(rows["characters"].to_numpy()),
        answer_characters=histogram(rows["output"].str.len_chars().to_numpy()),
        tokens=histogram(counted),
        tokens_looked_at=counted.size,
        labels=dict(labels.iter_rows()),
        languages=dict(languages.shares) if languages else {},
        languages_looked_at=languages.rows if languages else 0,
        centroid=embedded.centroid if embedded else (),
        spread=embedded.spread if embedded else None,
        embedded=embedded.rows if embedded else 0,
    )


def histogram(values: NDArray[np.integer]) -> tuple[Bin, ...]:
    """Bars of :data:`EDGES` from the first to the last that is not empty.

    Args:
        values: lengths, not below 0.
    """
    counts = np.histogram(values, bins=EDGES)[0]
    filled = np.flatnonzero(counts)
    if not filled.size:
        return ()
    bars = range(filled[0], filled[-1] + 1)
    return tuple(Bin(low=EDGES[bar], high=EDGES[bar + 1], count=int(counts[bar])) for bar in bars)


def compare_profiles(now: Profile, before: Profile) -> Drift:
    """How far the rows have moved, with a warning for each measure above its limit.

    Limits are :data:`MODERATE_PSI`, :data:`JENSEN_SHANNON` and :data:`CENTROID`, or what another choice of rows would move if that is
    more. For two samples of n and m rows over k bins the index is distributed about as (1/n + 1/m) times chi-square with k - 1 degrees of
    freedom (Yurdakul, Naranjo, Journal of Risk Model Validation 14(4), 2020); the squared Jensen-Shannon distance in base 2 is at most a
    quarter of that (from Topsøe, IEEE Transactions on Information Theory 46:1602, 2000).
    """
    lengths = [_length_shift(name, now, before) for name in _compared_lengths(now, before)]
    labels = _share_shift("labels", now.labels, before.labels)
    languages = _share_shift("languages", _language_counts(now), _language_counts(before))
    embedding = _embedding_shift(now, before)
    length = max((shift for shift in lengths if shift), key=lambda shift: shift.value, default=None)
    measured = {"length_psi": length, "label_distance": labels, "language_distance": languages, "embedding_distance": embedding}
    moved = [shift for shift in (*lengths, labels, languages, embedding) if shift and shift.value > shift.limit]
    return Drift(
        previous_rows=before.rows,
        **{name: shift.value if shift else None for name, shift in measured.items()},
        limits={name: shift.limit for name, shift in measured.items() if shift},
        warnings=(*(shift.warning for shift in moved), *_label_changes(now, before)),
    )


@dataclass(frozen=True)
class _Shift:
    """What a measure is, what it may be, and what to say if it is more."""

    value: float
    limit: float
    warning: str


def _compared_lengths(now: Profile, before: Profile) -> tuple[str, ...]:
    """The lengths of labels say no more than the labels."""
    return ("characters",) if now.labels or before.labels else ("characters", "answer_characters")


def _length_shift(name: str, now: Profile, before: Profile) -> _Shift | None:
    new, old = _bars(getattr(now, name)), _bars(getattr(before, name))
    if not new.sum() or not old.sum():
        return None
    of = {"characters": "texts", "answer_characters": "answers"}[name]
    new_bins, old_bins = _joined(new, new + old), _joined(old, new + old)
    index = _stability_index(new_bins, old_bins)
    return _Shift(
        value=index,
        limit=max(MODERATE_PSI, _by_chance(new_bins.size, new.sum(), old.sum())),
        warning=f"the {of} have other lengths: population stability index {index:.2f}, a {'large' if index > LARGE_PSI else 'moderate'} "
        f"change (limits {MODERATE_PSI} and {LARGE_PSI}); the median is {_median_bar(new)} characters, before {_median_bar(old)}",
    )


def _bars(bins: tuple[Bin, ...]) -> NDArray[np.int64]:
    """Counts for all of :data:`EDGES`, between which bars of a profile that was made with others are put by their lower end."""
    counts = np.zeros(len(EDGES) - 1, dtype=np.int64)
    for bar in bins:
        counts[int(np.searchsorted(EDGES, bar.low, side="right")) - 1] += bar.count
    return counts


def _joined(counts: NDArray[np.int64], pooled: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of neighbouring bars: of those that begin in the same twentieth of all rows, so at most twenty."""
    before = np.cumsum(pooled) - pooled
    bins = np.floor(before / (pooled.sum() * _SMALLEST_BIN)).astype(np.int64)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    return np.asarray(np.add.reduceat(counts, starts))


def _stability_index(new: NDArray[np.int64], old: NDArray[np.int64]) -> float:
    """Population stability index; half a row is added to each bin, so that empty ones have a logarithm."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (new, old))
    return float(((p - q) * np.log(p / q)).sum())


def _median_bar(counts: NDArray[np.int64]) -> str:
    bar = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return f"{EDGES[bar]} to {EDGES[bar + 1] - 1}"


def _share_shift(of: str, new: Mapping[str, float], old: Mapping[str, float]) -> _Shift | None:
    """Jensen-Shannon distance in base 2 (Endres, Schindelin, IEEE Transactions on Information Theory 49:1858, 2003)."""
    rows, rows_before = sum(new.values()), sum(old.values())
    if not rows or not rows_before:
        return None
    names = sorted(new.keys() | old.keys())
    p = np.array([new.get(name, 0) for name in names]) / rows
    q = np.array([old.get(name, 0) for name in names]) / rows_before
    middle = (p + q) / 2
    distance = math.sqrt(max(0.0, float((rel_entr(p, middle) + rel_entr(q, middle)).sum()) / (2 * math.log(2))))
    limit = max(JENSEN_SHANNON, math.sqrt(_by_chance(len(names), rows, rows_before) / 4))
    most = int(np.argmax(np.abs(p - q)))
    return _Shift(
        value=min(1.0, distance),
        limit=limit,
        warning=f"the shares of the {of} have moved: Jensen-Shannon distance {distance:.2f} (limit {limit:.2f}), most of all "
        f"{names[most]!r} from {q[most]:.1%} to {p[most]:.1%}",
    )


def _by_chance(bins: int, rows: float, rows_before: float) -> float:
    """The index that samples without drift exceed once in a thousand times."""
    return float(chi2.isf(_CHANCE, bins - 1)) * (1 / rows + 1 / rows_before) if bins > 1 else 0.0


def _language_counts(profile: Profile) -> dict[str, float]:
    return {language: share * profile.languages_looked_at for language, share in profile.languages.items()}


def _embedding_shift(now: Profile, before: Profile) -> _Shift | None:
    if not now.centroid or len(now.centroid) != len(before.centroid) or now.spread is None or before.spread is None:
        return None
    new, old = np.array(now.centroid), np.array(before.centroid)
    distance = max(0.0, 1 - float(new @ old / (np.linalg.norm(new) * np.linalg.norm(old))))
    limit = max(CENTROID, _CHANCE_FACTOR * (_centroid_error(now) + _centroid_error(before)))
    return _Shift(
        value=distance,
        limit=limit,
        warning=f"the texts mean something else: cosine distance of the centroids {distance:.3f} (limit {limit:.3f})",
    )


def _centroid_error(profile: Profile) -> float:
    """Expected cosine distance of a sample's centroid from the true one. The length of the mean of unit vectors is one less the spread."""
    length = max(1 - (profile.spread or 0.0), 1e-3)
    return (1 - length**2) / (2 * max(profile.embedded, 1) * length**2)


def _label_changes(now: Profile, before: Profile) -> list[str]:
    """Labels that are new, and labels that are gone."""
    if bool(now.labels) != bool(before.labels):
        return [f"answers are {'labels' if now.labels else 'free text'}, before they were {'labels' if before.labels else 'free text'}"]
    new, gone = _missing(now.labels, before.labels), _missing(before.labels, now.labels)
    changes = [f"labels that were not there before: {listed(map(repr, new))}"] if new else []
    return changes + ([f"labels that are gone: {listed(map(repr, gone))}"] if gone else [])


def _missing(there: Mapping[str, int], elsewhere: Mapping[str, int]) -> list[str]:
    """Labels of one table that the other lacks, and hardly by chance: each row with such a label might as well be one of the other's."""
    rows, others = sum(there.values()), sum(elsewhere.values())
    needed = math.log(len(there.keys() | elsewhere.keys()) / _CHANCE) / math.log1p(others / rows) if others else 0.0
    return [label for label, count in sorted(there.items()) if label not in elsewhere and count > needed]
