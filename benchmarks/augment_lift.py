"""What reworded rows are worth where there are few: arms side by side on the same test rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.augment_one import WITHOUT, Measured
from tasks.resampling import resample, sum_by_cluster
from tasks.statistics import Interval


@dataclass(frozen=True)
class Lift:
    """By how much an arm is better than `without`, in shares of test rows, as the mean over seeds.

    Attributes:
        interval: of the mean, 0.025 beyond each end, over test rows drawn by their groups. Other seeds would train other models: of that
            it says nothing, `by_seed` does.
        by_seed: the lift of each seed.
    """

    value: float
    interval: Interval
    by_seed: dict[int, float]


def lift_of(arm: Sequence[Measured], without: Sequence[Measured]) -> Lift | None:
    """Compares seed by seed; null if no seed was measured in both, or they answered other rows."""
    plain = {measured["seed"]: measured for measured in without}
    pairs = [(measured, plain[measured["seed"]]) for measured in arm if measured["seed"] in plain]
    if not pairs or any(one["clusters"] != other["clusters"] for one, other in pairs):
        return None
    differences = np.stack([_right(one) - _right(other) for one, other in pairs])
    clusters = np.array(pairs[0][0]["clusters"], dtype=np.int64)
    means = differences.mean(axis=0)
    sums = sum_by_cluster(np.column_stack([means, np.ones_like(means)]), clusters)
    drawn = resample(sums, lambda drawn: drawn[..., 0] / drawn[..., 1])
    by_seed = {one["seed"]: float(row.mean()) for (one, _), row in zip(pairs, differences, strict=True)}
    return Lift(drawn.value, drawn.percentiles(), by_seed)


def figures_of(arms: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    """Figures of all arms that were measured."""
    figures: dict[str, float] = {}
    without = arms.get(WITHOUT, ())
    for name, measured in arms.items():
        if not measured:
            continue
        figures[f"low_data_{name}_accuracy"] = float(np.mean([one["accuracy"] for one in measured]))
        figures[f"low_data_{name}_seeds"] = float(len(measured))
        figures[f"low_data_{name}_seconds"] = float(np.median([one["seconds"] for one in measured]))
        if name == WITHOUT or (lift := lift_of(measured, without)) is None:
            continue
        figures[f"low_data_{name}_children"] = float(np.mean([one["children"] for one in measured]))
        figures[f"low_data_{name}_lift"] = lift.value
        figures[f"low_data_{name}_lift_low"], figures[f"low_data_{name}_lift_high"] = lift.interval
        figures[f"low_data_{name}_lift_worst_seed"] = min(lift.by_seed.values())
        figures[f"low_data_{name}_lift_best_seed"] = max(lift.by_seed.values())
    return figures


def _right(measured: Measured) -> NDArray[np.float64]:
    return np.array([float(one) for one in measured["right"]])
