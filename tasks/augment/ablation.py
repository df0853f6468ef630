"""What each operator is worth: trainings with and without its rows, at equal steps, on the same validation rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline_config.augmentation import OperatorName
from pipeline_config.errors import TrainingError
from pipeline_config.pipeline import PipelineConfig
from tasks.artifacts import Ablation, AblationArm, OperatorCounts, PreparedData, TrainedModel, ValidationMarks
from tasks.files import MARKS, stage_store
from tasks.resampling import Sums, design_effect, resample, sum_by_cluster
from tasks.stages import StageResult, run_stage
from tasks.statistics import Interval, Pairs, paired_interval

WITHOUT = "without"
"""The arm that all others are compared with: no reworded rows."""
OUTCOMES = "arms.parquet"
"""`row_id`, `cluster`, and of each arm `<arm>.answer`, `<arm>.amount` and `<arm>.weight` (`tasks.artifacts.ValidationMarks`)."""


@dataclass(frozen=True)
class Arm:
    """One training of an ablation, and how it did on the validation rows."""

    name: str
    rows: StageResult[PreparedData]
    trained: StageResult[TrainedModel]
    marks: StageResult[ValidationMarks]

    @property
    def accepted(self) -> int:
        """Reworded rows among those that it was trained on."""
        found = self.rows.value.augmentation
        return found.rows if found is not None else 0

    @property
    def parts(self) -> tuple[StageResult[Any], ...]:
        """What it took."""
        return self.rows, self.trained, self.marks


def alone(config: PipelineConfig, name: OperatorName) -> PipelineConfig:
    """The configuration with one operator on, and no ablation to ask for."""
    others = frozenset(config.augmentation.operators()) - {name}
    kept = config.augmentation.without(others).model_copy(update={"ablate": False, "ablation_steps": None})
    return config.model_copy(update={"augmentation": kept})


def is_missing(prepared: PreparedData) -> bool:
    """Whether the one operator that was on cannot be had on this machine."""
    found: tuple[OperatorCounts, ...] = prepared.augmentation.operators if prepared.augmentation is not None else ()
    return all(operator.missing is not None for operator in found)


def compare_arms(workspace: Path, without: Arm, arms: Sequence[Arm], steps: int) -> StageResult[Ablation]:
    """The record of an ablation, with everybody's marks beside it.

    Exact match is compared by the gates' score interval (`tasks.statistics.paired_interval`), losses by resampling clusters
    (`tasks.resampling`); rows of one cluster are no independent evidence in either.

    Raises:
        TrainingError: an arm took another number of steps; that is a fault of this program.
    """
    every = (without, *arms)
    _require_equal_steps(every, steps)

    def build(folder: Path) -> Ablation:
        marks = {arm.name: pl.read_parquet(arm.marks.value.folder / MARKS) for arm in every}
        _side_by_side(marks).write_parquet(folder / OUTCOMES)
        metric = without.marks.value.metric
        judged = tuple(_judge(arm, without, marks) for arm in arms)
        return Ablation(folder=folder, steps=steps, arms=judged, metric=metric)

    inputs = {"steps": steps, "arms": [[arm.name, arm.accepted, arm.marks.key] for arm in every]}
    result = run_stage(stage_store(workspace), "ablation", inputs, Ablation, build)
    parts = [part for arm in every for part in arm.parts]
    seconds = result.seconds + sum(part.seconds for part in parts)
    return StageResult(result.name, result.value, result.key, seconds, result.reused and all(part.reused for part in parts))


def sentence(arm: AblationArm, ablation: Ablation) -> str:
    """What was measured of an operator, and what follows."""
    found = f"{arm.lift:+.3f} [{arm.interval[0]:+.3f}, {arm.interval[1]:+.3f}] in {ablation.metric.replace('_', ' ')}"
    compared = f"over training without it, {ablation.steps} steps each, on {arm.rows} validation rows"
    return f"{arm.name}: {found} {compared}, with {arm.accepted} reworded rows; {'kept' if arm.kept else 'dropped: no measured lift'}"


def _require_equal_steps(arms: Sequence[Arm], steps: int) -> None:
    apart = [f"{arm.name} {arm.trained.value.steps}" for arm in arms if arm.trained.value.steps != steps]
    if apart:
        raise TrainingError(
            f"arms of the ablation trained other numbers of steps: {', '.join(apart)}", where="ablation", expected=f"{steps} steps each",
            hint="this is a fault of tunegate: please report it",
        )  # fmt: skip


def _side_by_side(marks: dict[str, pl.DataFrame]) -> pl.DataFrame:
    first = next(iter(marks.values())).select("row_id", "cluster")
    columns = [table.select(pl.col("answer", "amount", "weight").name.prefix(f"{name}.")) for name, table in marks.items()]
    return pl.concat([first, *columns], how="horizontal")


def _judge(arm: Arm, without: Arm, marks: dict[str, pl.DataFrame]) -> AblationArm:
    mine, plain = arm.marks.value, without.marks.value
    lift, interval = lift_of(marks[arm.name], marks[WITHOUT], loss=mine.metric == "loss")
    return AblationArm(
        name=arm.name, accepted=arm.accepted, rows=mine.rows, value=mine.value, without=plain.value, lift=lift, interval=interval,
        kept=interval[0] > 0,
    )  # fmt: skip


def lift_of(first: pl.DataFrame, second: pl.DataFrame, *, loss: bool) -> tuple[float, Interval]:
    """By how much the first of two marks of the same rows is better, with an interval that has 0.025 beyond each end.

    Args:
        first: columns `cluster`, `amount` and `weight`; the rows are in the same order in both.
        loss: amounts are nats, and less is better.
    """
    _, clusters = np.unique(first["cluster"].to_numpy(), return_inverse=True)
    mine, other = (table.select("amount", "weight").to_numpy() for table in (first, second))
    return _less_loss(mine, other, clusters) if loss else _more_right(mine[:, 0] - other[:, 0], clusters)


def _more_right(difference: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[float, Interval]:
    rows = len(difference)
    pairs = Pairs(rows, int((difference > 0).sum()), int((difference < 0).sum()))
    return pairs.difference, paired_interval(pairs.scaled(rows / design_effect(difference, clusters)))


def _less_loss(mine: NDArray[np.float64], other: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[float, Interval]:
    def difference(sums: Sums) -> Sums:
        less: Sums = sums[..., 2] / sums[..., 3] - sums[..., 0] / sums[..., 1]
        return less

    drawn = resample(sum_by_cluster(np.hstack([mine, other]), clusters), difference)
    return drawn.value, drawn.wider()
