"""Simulated comparisons of two models in accuracy: how often a gate passes and fails, and how often its interval holds the truth.

Whether each model has a row right is all that matters, so a comparison is two numbers: rows that only one of them has right. They are
drawn through their distribution functions at the points of a scrambled Halton sequence. Each comparison is then distributed as an
independent one would be, but together they fill the space evenly, and a rate is known far better than from as many independent ones: two
thousand of those leave a standard error of 0.004, and the worst of twenty true rates of 0.03 would be seen as 0.038.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates_cases import GAIN, MARGIN, Judged, judge_counts

Points = NDArray[np.float64]

COMPARISONS = 2_000
INDEPENDENT = 10_000
"""Independent draws of each null cell besides, as a check on the sequence."""
SEED = 20_261_125
TOP_UPS = (2, 4)
"""A held comparison is judged again on that many times its rows."""


@dataclass(frozen=True)
class Cell:
    """One situation: a gate, so many rows, a true difference, and how many rows the two models differ on."""

    kind: str
    rows: int
    difference: float
    differing: float

    @property
    def name(self) -> str:
        """Such as `superiority_n1000_+0.03_of_0.1`."""
        return f"{self.kind}_n{self.rows}_{self.difference:+g}_of_{self.differing:g}"


@dataclass(frozen=True)
class Rates:
    """Shares of a cell's comparisons: passed and failed at the first look, passed at the first or second one, interval held the truth."""

    passed: float
    failed: float
    passed_in_the_end: float
    covered: float


def null_cells(rows: int) -> list[Cell]:
    """Where nothing may pass: equal models, and models that are exactly at the margin or at the gain asked for."""
    return [
        *(Cell("superiority", rows, 0.0, differing) for differing in (0.05, 0.1, 0.2)),
        *(Cell("non_inferiority", rows, -MARGIN, differing) for differing in (0.05, 0.1, 0.2)),
        Cell("improvement", rows, GAIN, GAIN + 0.1),
    ]


POWER_CELLS = {
    "promotion_power": Cell("superiority", 1_000, 0.03, 0.1),
    "noninferior_power": Cell("non_inferiority", 1_000, 0.0, 0.1),
    "regression_caught": Cell("non_inferiority", 1_000, -0.03, 0.07),
}
"""The bars on what must be seen; only the first look counts."""


def simulate(cell: Cell, *, top_ups: tuple[int, ...] = (), independent: int = 0) -> Rates:
    """Judges a cell's comparisons. With several kinds of top-up, the worst counts.

    Args:
        independent: so many independent draws in place of the sequence's points; 0: the sequence.
    """
    points = np.random.default_rng(SEED).random((independent, 4)) if independent else _points()
    first = _draw(cell, cell.rows, points[:, :2])
    judged = [judge_counts(cell.kind, cell.rows, gained, lost) for gained, lost in first]
    passed = [of.outcome == "pass" for of in judged]
    in_the_end = [_with_top_up(cell, first, judged, times, points[:, 2:]) for times in top_ups]
    return Rates(
        passed=float(np.mean(passed)),
        failed=float(np.mean([of.outcome == "fail" for of in judged])),
        passed_in_the_end=max([float(np.mean(passed)), *in_the_end]),
        covered=float(np.mean([of.interval[0] <= cell.difference <= of.interval[1] for of in judged])),
    )


def _with_top_up(cell: Cell, first: list[tuple[int, int]], judged: list[Judged], times: int, points: Points) -> float:
    """Share that passes if every held comparison gets more rows, whatever the gate advises."""
    rows = cell.rows * times
    more = _draw(cell, rows - cell.rows, points)
    passed = 0
    for (gained, lost), (gained_more, lost_more), of in zip(first, more, judged, strict=True):
        if of.outcome == "hold":
            of = judge_counts(cell.kind, rows, gained + gained_more, lost + lost_more, second=True)
        passed += of.outcome == "pass"
    return passed / len(judged)


def _draw(cell: Cell, rows: int, points: Points) -> list[tuple[int, int]]:
    """Rows that only one has right, for each comparison."""
    from scipy.stats import binom

    gaining, losing = (cell.differing + cell.difference) / 2, (cell.differing - cell.difference) / 2
    gained = binom.ppf(points[:, 0], rows, gaining).astype(int)
    lost = binom.ppf(points[:, 1], rows - gained, losing / (1 - gaining)).astype(int)
    return list(zip(gained.tolist(), lost.tolist(), strict=True))


@cache
def _points() -> Points:
    from scipy.stats import qmc

    found: Points = qmc.Halton(4, scramble=True, seed=SEED).random(COMPARISONS)
    return found


def figures_of_counts() -> Iterator[tuple[str, float]]:
    """Every figure of the comparisons in accuracy."""
    at_null = {cell: simulate(cell, top_ups=TOP_UPS) for rows in (400, 1_000) for cell in null_cells(rows)}
    powers = {name: simulate(cell) for name, cell in POWER_CELLS.items()}
    independent = [simulate(cell, top_ups=TOP_UPS[-1:], independent=INDEPENDENT) for cell in at_null]
    small = {cell: simulate(cell) for cell in null_cells(100)}
    yield "false_promotion_rate", max(rates.passed_in_the_end for rates in at_null.values())
    yield "false_promotion_rate_first_look", max(rates.passed for rates in at_null.values())
    yield "false_promotion_rate_independent_draws", max(rates.passed_in_the_end for rates in independent)
    yield "promotion_power", powers["promotion_power"].passed
    yield "noninferior_power", powers["noninferior_power"].passed
    yield "regression_caught", powers["regression_caught"].failed
    covered = [rates.covered for rates in (*at_null.values(), *powers.values())]
    yield "interval_coverage_min", min(covered)
    yield "interval_coverage_max", max(covered)
    yield "interval_coverage_min_n100", min(rates.covered for rates in small.values())
    yield "interval_coverage_max_n100", max(rates.covered for rates in small.values())
    yield "false_promotion_rate_n100_first_look", max(rates.passed for rates in small.values())
    for cell, rates in at_null.items():
        yield f"false_promotion_{cell.name}", rates.passed_in_the_end
        yield f"coverage_{cell.name}", rates.covered
