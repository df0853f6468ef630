"""Tuned on reworded training rows and on the rows that they were made from: whether it has learnt meanings or wordings."""

from dataclasses import dataclass

import polars as pl

from tasks.artifacts import PreparedData, WordingFit
from tasks.evaluate.contenders import Adapter, Examiner, Loss, Questions, sample
from tasks.rows import CHILDREN_FILE
from tasks.stages import StageResult


@dataclass(frozen=True)
class Rewording:
    """The losses of one contender on both."""

    parents: StageResult[Loss]
    augmented: StageResult[Loss]

    @property
    def fit(self) -> WordingFit:
        """What the overfitting verdict is told."""
        return WordingFit(parents=self.parents.value.mean, augmented=self.augmented.value.mean)


def measure_rewording(examiner: Examiner, adapter: Adapter, prepared: PreparedData, train: Questions, size: int) -> Rewording | None:
    """Measures a sample of the reworded rows, and of other rows those that these were made from.

    Args:
        size: of the sample, at most.

    Returns:
        Null if no row was reworded.
    """
    if prepared.augmentation is None or not prepared.augmentation.rows:
        return None
    parents = dict(pl.read_parquet(prepared.folder / CHILDREN_FILE).select("row_id", "parent").iter_rows())
    children = Questions("", [row for row in train.rows if row["row_id"] in parents])
    chosen = sample(children, size, "reworded rows")
    wanted = {parents[row["row_id"]] for row in chosen.rows}
    origins = Questions("the rows that they were made from", [row for row in train.rows if row["row_id"] in wanted])
    return Rewording(parents=examiner.loss(adapter, origins), augmented=examiner.loss(adapter, chosen))
