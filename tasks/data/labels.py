"""Which answers are labels, and which of them a run is about."""

from collections.abc import Sequence

import polars as pl

from pipeline_config.errors import DataError
from tasks.data.locations import did_you_mean, listed

_MOST_LABELS = 200
ROWS_PER_LABEL = 3


def are_labels(answers: pl.Series) -> bool:
    """Whether answers are labels rather than free text: at most 200 distinct ones, each on three rows or more on average."""
    distinct = answers.n_unique()
    return 0 < distinct <= _MOST_LABELS and len(answers) >= ROWS_PER_LABEL * distinct


def select_labels(table: pl.DataFrame, wanted: Sequence[str]) -> pl.DataFrame:
    """Keeps rows whose answer is wanted; no wanted answers mean all.

    Rows without a readable answer stay as well: they are faulty whatever is wanted, and belong into quarantine.

    Raises:
        DataError: no row has one of the wanted answers.
    """
    if not wanted:
        return table
    found = table["output"].drop_nulls().unique().sort().to_list()
    unknown = [label for label in wanted if label not in found]
    if unknown:
        raise DataError(
            f"no row has the answer {listed(map(repr, unknown))}",
            where="data.source.labels",
            expected=f"some of {listed(found)}",
            hint=did_you_mean(unknown[0], found),
        )
    unreadable = pl.col("output").is_null() | pl.col("not_text").str.contains("output").fill_null(False)
    return table.filter(unreadable | pl.col("output").is_in(list(wanted)))


def require_two_classes(answers: pl.Series) -> None:
    """Refuses labels that leave nothing to tell apart.

    Raises:
        DataError: the answers are labels, and there is only one.
    """
    if are_labels(answers) and answers.n_unique() == 1:
        raise DataError(
            f"one class only: all {len(answers)} training rows have the answer {answers[0]!r}",
            where="data.source",
            expected="at least two different answers",
            hint="check data.source.columns.output and data.source.labels",
        )
