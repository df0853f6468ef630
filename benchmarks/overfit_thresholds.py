"""Thresholds that would have been best on some runs; they are frozen by hand, in `tasks/evaluate/overfitting.py`."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from benchmarks.overfit_truth import Judged
from tasks.evaluate.overfitting import LEAK_CHANCE, LEAK_SHARE, MILD_REBOUND, SEVERE_REBOUND

Example = tuple[float, bool]
"""A number, and whether what it stands for is true; larger numbers should be true."""


def proposal(judged: Sequence[Judged]) -> Iterator[str]:
    """The runs' best thresholds, beside those that are set, one a line."""
    rebounds = [(run.found.rebound, run.true_rebound) for run in judged if run.found.rebound is not None]
    severe = [(rebound, true >= 1.2) for rebound, true in rebounds]
    mild = [(rebound, true >= 1.05) for rebound, true in rebounds]
    chances = [(-math.log(max(run.found.leak_chance, 1e-300)), run.leak > 0) for run in judged if run.found.leak_chance is not None]
    shares = [(run.leak_share, run.leak > 0) for run in judged]
    yield f"{sum(run.wrong for run in judged)} of {len(judged)} runs are on the wrong side of the gate with what is set"
    yield described("severe rebound", severe, SEVERE_REBOUND, lambda cut: cut)
    yield described("mild rebound", mild, MILD_REBOUND, lambda cut: cut)
    yield described("chance of known validation rows, below", chances, -math.log(LEAK_CHANCE), lambda cut: math.exp(-cut))
    yield described("share of known validation rows", shares, LEAK_SHARE, lambda cut: cut)


def described(name: str, examples: Sequence[Example], set_now: float, shown: Callable[[float], float]) -> str:
    """The range of cuts that divides the examples best, its middle, and how many each misjudges."""
    low, high, fewest = best_cuts(examples)
    middle = (max(low, min(value for value, _ in examples)) + min(high, max(value for value, _ in examples))) / 2
    return (
        f"{name}: {shown(set_now):.4g} is set and misjudges {misjudged(examples, set_now)} of {len(examples)}; "
        f"any between {shown(low):.4g} and {shown(high):.4g} misjudges {fewest}; proposed: {shown(middle):.4g}"
    )


def best_cuts(examples: Sequence[Example]) -> tuple[float, float, int]:
    """The widest range without an example in it whose cuts misjudge fewest, and how many those are.

    Args:
        examples: at least one.
    """
    edges = [-math.inf, *sorted({value for value, _ in examples}), math.inf]
    ranges = [(low, high, misjudged(examples, low)) for low, high in pairwise(edges)]
    fewest = min(wrong for _, _, wrong in ranges)
    best = [(low, high) for low, high, wrong in ranges if wrong == fewest]
    low, high = max(best, key=lambda cut: cut[1] - cut[0] if math.isfinite(cut[1] - cut[0]) else 0.0)
    return low, high, fewest


def misjudged(examples: Sequence[Example], cut: float) -> int:
    """Examples that a cut misjudges: true means above it."""
    return sum((value > cut) != true for value, true in examples)
