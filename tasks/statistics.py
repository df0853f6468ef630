"""Intervals for proportions, for paired differences of them, and how many rows a comparison needs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Interval = tuple[float, float]
"""Lower and upper end."""

LEVEL = 0.025
"""One-sided level of a comparison: what is read off one end of its interval."""
CONFIDENCE = 1 - 2 * LEVEL
"""Two-sided, of the interval whose ends are one-sided tests at :data:`LEVEL`."""

_STEPS, _EXACT = 200, 1e-13
"""Most steps to the end of an interval, and how near it has to come."""
_MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Pairs:
    """Outcomes of two contenders on the same rows; only the rows on which they differ matter beside their number.

    The numbers need not be whole: see :meth:`scaled`.

    Attributes:
        rows: all rows, at least one.
        gained: rows that only the first contender has right.
        lost: rows that only the second one has right.
    """

    rows: float
    gained: float
    lost: float

    @property
    def difference(self) -> float:
        """Share of rows right, first minus second."""
        return (self.gained - self.lost) / self.rows

    def scaled(self, rows: float) -> "Pairs":
        """The same rates on another number of rows."""
        share = rows / self.rows
        return Pairs(rows, self.gained * share, self.lost * share)


def count_pairs(first: Sequence[bool], second: Sequence[bool]) -> Pairs:
    """Counts from outcomes row by row.

    Raises:
        ValueError: no rows, or sequences of different length.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"got {len(first)} and {len(second)} outcomes; expected as many of each, at least one")
    gained = sum(one and not two for one, two in zip(first, second, strict=True))
    lost = sum(two and not one for one, two in zip(first, second, strict=True))
    return Pairs(len(first), gained, lost)


def paired_interval(pairs: Pairs, confidence: float = CONFIDENCE) -> Interval:
    """Score interval for a difference of paired proportions (Tango 1998, Statistics in Medicine 17:891-908).

    Its ends are the differences at which the score statistic reaches the normal quantile. The statistic falls monotonically,
    so bracketing finds them. Sensible where the usual interval has width zero, that is where the contenders never differ.
    """
    quantile = _quantile(confidence)
    lower = _root(lambda delta: _score(pairs, delta) - quantile, -1.0, pairs.difference)
    upper = _root(lambda delta: _score(pairs, delta) + quantile, pairs.difference, 1.0)
    return lower, upper


def wilson_interval(successes: float, rows: float, confidence: float = CONFIDENCE) -> Interval:
    """Score interval for one proportion (Wilson 1927, Journal of the American Statistical Association 22:209-212).

    Raises:
        ValueError: no rows, or more successes than rows.
    """
    if rows <= 0 or not 0 <= successes <= rows:
        raise ValueError(f"got {successes} successes in {rows} rows; expected at least one row, and no more successes than rows")
    square = _quantile(confidence) ** 2
    centre = successes + square / 2
    half = math.sqrt(square * (successes * (rows - successes) / rows + square / 4))
    return max(0.0, (centre - half) / (rows + square)), min(1.0, (centre + half) / (rows + square))


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Interval for a median between two of the values, whatever they are distributed like (Conover 1999, Practical Nonparametric
    Statistics, section 3.2).

    The number of values below the median is binomial with one half; each end leaves out as many as its tail allows.

    Returns:
        Null if there are too few values for any; at 0.95 fewer than six.
    """
    count, tail, kept_out = len(values), 0, 0
    while (tail := tail + math.comb(count, kept_out)) / 2**count <= (1 - confidence) / 2:
        kept_out += 1
    ordered = sorted(values)
    return (ordered[kept_out - 1], ordered[-kept_out]) if kept_out else None


def rows_to_decide(rows: int, decides: Callable[[int], bool]) -> int | None:
    """How many rows more than there are would decide a comparison if it stayed as it is.

    Args:
        decides: whether so many rows would; once true for some number, true for more.

    Returns:
        At least 1; null if no number of rows would, or more than ten million.
    """
    few, many = rows, _MOST_ROWS
    if not decides(many):
        return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if decides(middle) else (middle, many)
    return many - rows


def rows_for_power(
    gain: float, bound: float, spread: float, *, spread_at_bound: float | None = None, level: float = LEVEL, power: float = 0.8
) -> int:
    """How many rows a comparison needs so that its lower end is above a bound with that probability (normal approximation).

    Args:
        gain: the true difference, row by row on average, above the bound.
        bound: what the lower end has to be above.
        spread: standard deviation of the difference of one row, if the true difference is `gain`.
        spread_at_bound: the same if it is `bound`; default: the same number.

    Raises:
        ValueError: the gain is not above the bound, so no number of rows is enough.
    """
    if not gain > bound:
        raise ValueError(f"got a gain of {gain} and a bound of {bound}; expected a gain above the bound")
    normal = NormalDist()
    reach = normal.inv_cdf(1 - level) * (spread if spread_at_bound is None else spread_at_bound) + normal.inv_cdf(power) * spread
    return math.ceil((reach / (gain - bound)) ** 2)


def holm_levels(claims: int, level: float, shown: Callable[[str, float], bool], names: Sequence[str]) -> dict[str, float]:
    """The level that each of several claims is read at, so that a false one is taken for true at most that often (Holm 1979).

    Step down: all are read at `level / claims`; those that are not shown are read again at `level` over how many are left, and so on until
    none is shown any more. A claim is shown if and only if it is at the level returned for it.

    Args:
        claims: how many there are, those that nothing is known of included.
        shown: whether the claim of a name is shown at a level; once true, true for larger ones.
        names: those that can be read.
    """
    levels, left, step = dict[str, float](), list(names), claims
    while left:
        met = [name for name in left if shown(name, level / step)]
        levels |= dict.fromkeys(met or left, level / step)
        if not met:
            break
        left = [name for name in left if name not in met]
        step -= len(met)
    return levels


def _score(pairs: Pairs, delta: float) -> float:
    """Tango's statistic for the hypothesis that the difference is `delta`; `lost_rate` is the likeliest one under it."""
    distance = pairs.gained - pairs.lost - pairs.rows * delta
    a, c = 2 * pairs.rows, -pairs.lost * delta * (1 - delta)
    b = (2 * pairs.rows - pairs.gained + pairs.lost) * delta - pairs.gained - pairs.lost
    lost_rate = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = pairs.rows * (2 * lost_rate + delta * (1 - delta))
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is 0: Illinois' method, which halves where it cannot interpolate. Within 1e-13, or at the nearer end."""
    at_low, at_high = falling(low), falling(high)
    if at_low <= 0 or at_high >= 0:
        return low if at_low <= 0 else high
    before, was_low = math.inf, None
    for _ in range(_STEPS):
        middle = (low * at_high - high * at_low) / (at_high - at_low) if math.isfinite(at_low - at_high) else (low + high) / 2
        value = falling(middle)
        is_low = value > 0
        if is_low:
            low, at_low, at_high = middle, value, at_high / 2 if was_low else at_high
        else:
            high, at_high, at_low = middle, value, at_low / 2 if was_low is False else at_low
        if abs(middle - before) < _EXACT:
            return middle
        before, was_low = middle, is_low
    return (low + high) / 2


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
