"""Which answers are labels, and which of them a run is about."""

from collections.abc import Collection, Sequence

import polars as pl

from pipeline_config.errors import DataError
from tasks.data.locations import did_you_mean, listed

_MOST_LABELS = 200
ROWS_PER_LABEL = 3


def are_labels(answers: pl.Series) -> bool:
    """Whether answers are labels rather than free text: at most 200 distinct ones, each on three rows or more on average."""
    distinct = answers.n_unique()
    return 0 < distinct <= _MOST_LABELS and len(answers) >= ROWS_PER_LABEL * distinct


def is_selected(wanted: Sequence[str]) -> pl.Expr:
    """Whether a row of the canonical table has a wanted answer; no wanted answers mean all.

    Rows without a readable answer stay as well: they are faulty whatever is wanted, and belong into quarantine.
    """
    unreadable = pl.col("output").is_null() | pl.col("fault").is_not_null()
    return unreadable | pl.col("output").is_in(list(wanted)) if wanted else pl.lit(True)


def require_known(wanted: Sequence[str], found: Collection[str]) -> None:
    """Refuses answers that no row has.

    Raises:
        DataError: one of the wanted answers is not among those found.
    """
    unknown = [label for label in wanted if label not in found]
    if unknown:
        raise DataError(
            f"no row has the answer {listed(map(repr, unknown))}",
            where="data.source.labels",
            expected=f"some of {listed(sorted(found))}",
            hint=did_you_mean(unknown[0], sorted(found)),
        )


def one_class_only(rows: int, answer: str) -> DataError:
    """The error for labels that leave nothing to tell apart."""
    return DataError(
        f"one class only: all {rows} training rows have the answer {answer!r}",
        where="data.source",
        expected="at least two different answers",
        hint="check data.source.columns.output and data.source.labels",
    )
