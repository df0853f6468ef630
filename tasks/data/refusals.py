"""Answers that decline, or that only say what an assistant says of itself. A model trained on them learns to decline."""

import polars as pl

from tasks.data.labels import ROWS_PER_LABEL, are_labels
from tasks.data.quarantine import faults_of
from tasks.refusal_patterns import declining

_LONGEST = 1000
"""Characters; an answer that is longer has something to say after all."""


def find_refusals(table: pl.DataFrame) -> pl.DataFrame:
    """Finds answers of at most 1,000 characters that begin as a refusal does, or that say nothing but what an assistant says of itself.

    English, and the commonest forms of German, French and Spanish. Only the first 300 characters are read, from the first on: a refusal
    that is told of further on is none. Labels are never refusals: where answers are labels (`tasks.data.labels`), an answer that stands on
    three rows or more and is at most twice as long as most is taken for one.

    Returns:
        Row id, code `REFUSAL` and reason of each such row (`tasks.data.quarantine.FAULTS`).
    """
    answers = table.filter(pl.col("output").str.len_chars() <= _LONGEST, ~pl.col("output").is_in(_labels(table["output"])))
    if answers.is_empty():  # as with labels alone, where the expressions need not even be compiled
        return faults_of([])
    found = answers.filter(declining(answers["output"]))
    return faults_of([(row_id, "REFUSAL", "output begins as a refusal does") for row_id in found["row_id"].sort()])


def _labels(answers: pl.Series) -> list[str]:
    """Answers that are labels. A few refusals among labels do not change the median."""
    if not are_labels(answers):
        return []
    counted = answers.drop_nulls().alias("answer").to_frame().group_by("answer").len("rows")
    usual = answers.str.len_chars().median()
    likely = counted.filter((pl.col("rows") >= ROWS_PER_LABEL) & (pl.col("answer").str.len_chars() <= 2 * pl.lit(usual)))
    return likely["answer"].sort().to_list()
