"""Sorted numbers without repetitions, and consecutive ranges, without a loop over their elements."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", np.int64, np.uint64)
Integers = NDArray[np.int64]


def distinct(values: NDArray[_Number]) -> NDArray[_Number]:
    """Sorted and without repetitions. Where most numbers occur once or twice, this is faster than hashing them."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if ordered.size else ordered


def ranges(lengths: Integers) -> tuple[Integers, Integers]:
    """For each of consecutive ranges, as often as it is long, its number and the offset within it."""
    owner = np.repeat(np.arange(lengths.size), lengths)
    return owner, np.arange(owner.size) - (np.cumsum(lengths) - lengths)[owner]


def blocks(costs: NDArray[np.integer], limit: int) -> Iterator[slice]:
    """Cuts a sequence into runs of at least one whose costs add up to at most the limit, where one alone is not more."""
    totals = np.cumsum(costs, dtype=np.int64)
    start = 0
    while start < totals.size:
        before = totals[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, before + limit, side="right")))
        yield slice(start, stop)
        start = stop
