"""`scores.parquet`: what every contender got for every test row, and what rows belong together. Comparisons and slices are made from it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from tasks.rows import Row

if TYPE_CHECKING:
    from tasks.evaluate.metrics import Rows

SCORES = "scores.parquet"


def score_table(rows: Sequence[Row], scores: Mapping[str, Mapping[str, "Rows"]], slices: pl.DataFrame) -> pl.DataFrame:
    """The table, in the order of the rows.

    `cluster` is the row's group: the value of `data.split.group_column`, or the rows that nearly say the same. Rows of one cluster are no
    independent evidence, so a bootstrap draws clusters.

    Args:
        scores: by contender and metric, a number or null for each row.
        slices: columns `slice.<name>`.
    """
    ids = {"row_id": [row["row_id"] for row in rows], "cluster": [row["group"] for row in rows]}
    numbers = [
        pl.Series(f"{contender}.{metric}", list(values), dtype=pl.Float64)
        for contender, measured in scores.items()
        for metric, values in measured.items()
    ]
    return pl.DataFrame(ids, schema={"row_id": pl.String, "cluster": pl.String}).with_columns(*numbers, *slices.get_columns())
