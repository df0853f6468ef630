"""Geometry of the page's plots: pure numbers in, places and sizes in percent out; the template draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.data.findings import Bin

_TICKS = 5  # parts of an axis: six labels of six characters fit beside each other on a phone
_SIZES = 10  # as many different sizes have a bar each


@dataclass(frozen=True)
class Column:
    """One bar of a histogram. `start` and `width` are in percent of the plot's width, `height` of the highest column."""

    low: float
    high: float
    count: int
    share: float
    start: float
    width: float
    height: float


@dataclass(frozen=True)
class Tick:
    """A number below the axis, at `place` percent of its width. `anchor` is SVG's `text-anchor`: the outer ones stay inside the plot."""

    place: float
    value: float
    anchor: str


@dataclass(frozen=True)
class Histogram:
    """Columns of the same width, whatever the range of their bins: `even` says whether that is the same too.

    `middle` is the bin that holds the middle one of all values, `last` the highest bin that holds any; null: there are no values.
    """

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    total: int
    highest: int
    even: bool
    middle: Bin | None
    last: Bin | None


def histogram(bins: Sequence[Bin]) -> Histogram:
    """A column for each bin. Bins are in ascending order, without a gap."""
    total, highest = sum(bin_.count for bin_ in bins), max((bin_.count for bin_ in bins), default=0)
    width = 100 / len(bins) if bins else 0.0
    columns = tuple(
        Column(
            bin_.low, bin_.high, bin_.count, bin_.count / total if total else 0.0,
            place * width, width, 100 * bin_.count / highest if highest else 0.0,
        )
        for place, bin_ in enumerate(bins)
    )  # fmt: skip
    ranges = [bin_.high - bin_.low for bin_ in bins]
    even = not ranges or max(ranges) - min(ranges) <= max(ranges) * 1e-6
    filled = [bin_ for bin_ in bins if bin_.count]
    return Histogram(columns, _ticks(bins), total, highest, even, _middle(filled, total), filled[-1] if filled else None)


def sizes(clusters: Mapping[int, int]) -> list[tuple[str, int]]:
    """Number of clusters by size. If there are many different sizes, the large ones are put together: 5–8, 9–16, 17–32, ..."""
    if len(clusters) <= _SIZES:
        return [(str(size), clusters[size]) for size in sorted(clusters)]
    grouped: dict[tuple[int, int], int] = {}
    for size in sorted(clusters):
        high = 1 << (size - 1).bit_length()
        span = (size, size) if size <= 4 else (high // 2 + 1, high)
        grouped[span] = grouped.get(span, 0) + clusters[size]
    return [(str(low) if low == high else f"{low:,}–{high:,}", count) for (low, high), count in grouped.items()]


def _ticks(bins: Sequence[Bin]) -> tuple[Tick, ...]:
    """The bounds of every so many bins, always with the first and the last."""
    if not bins:
        return ()
    bounds = [bins[0].low, *(bin_.high for bin_ in bins)]
    last = len(bins)
    step = -(-last // _TICKS)
    inner = [place for place in range(step, last, step) if last - place >= step]
    anchors = [(0, "start"), *((place, "middle") for place in inner), (last, "end")]
    return tuple(Tick(100 * place / last, bounds[place], anchor) for place, anchor in anchors)


def _middle(filled: Sequence[Bin], total: int) -> Bin | None:
    """Where the lower median lies."""
    seen = 0
    for bin_ in filled:
        seen += bin_.count
        if 2 * seen >= total:
            return bin_
    return None
