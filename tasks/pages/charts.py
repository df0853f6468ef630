"""Geometry of plots that several pages have: pure numbers in, places and sizes in percent out; the templates draw them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.artifacts import RowCounts

_SLIVER = 0.6  # percent of the whole that a part has at least, or nobody sees it

FATES = {
    "train": ("Training", "the model learns from these"),
    "validation": ("Validation", "they tell when training stops"),
    "test": ("Test", "they measure the model"),
    "quarantined": ("Quarantined", "unfit, see the findings under “Removed”"),
    "duplicates": ("Duplicates", "one of each group is kept"),
    "unselected": ("Not selected", "their label is not among those asked for"),
    "set_aside": ("Set aside", "more than the limit of their side"),
}
"""What becomes of rows, with a name and what it means: first the three sides, then what is left out."""


@dataclass(frozen=True)
class Part:
    """One segment of a bar that stands for a whole. `start` and `width` are in percent of it, and widths add up to 100.

    A part that is not empty has a least width, for which the others are narrowed in proportion.
    """

    key: str
    name: str
    count: int
    share: float
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One of several bars beside each other. `width` is in percent of the longest."""

    name: str
    count: float
    share: float
    width: float


def stack(named: Mapping[str, tuple[str, int]]) -> tuple[Part, ...]:
    """Parts of a whole, one after the other, in the order given.

    Args:
        named: name and count for each key.
    """
    total = sum(count for _, count in named.values())
    left = 100 - _SLIVER * sum(count > 0 for _, count in named.values())
    parts, start = [], 0.0
    for key, (name, count) in named.items():
        share = count / total if total else 0.0
        width = _SLIVER + left * share if count else 0.0
        parts.append(Part(key, name, count, share, start, width))
        start += width
    return tuple(parts)


def bars(counts: Iterable[tuple[str, float]], total: float | None = None) -> tuple[Bar, ...]:
    """A bar for each name, in the order given.

    Args:
        total: what shares are of; null: the sum of the counts.
    """
    named = list(counts)
    whole = sum(count for _, count in named) if total is None else total
    longest = max((count for _, count in named), default=0)
    return tuple(Bar(name, count, count / whole if whole else 0.0, 100 * count / longest if longest else 0.0) for name, count in named)


def parts_of(counts: RowCounts) -> tuple[Part, ...]:
    """The fates of all rows read: first the three sides, then what was left out."""
    return stack({key: (name, getattr(counts, key)) for key, (name, _) in FATES.items()})
