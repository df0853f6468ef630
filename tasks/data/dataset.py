"""Checks of the rows as a whole: are there enough, of each label and of different kinds, and do answers fit one another."""

import polars as pl

from tasks.data.consistency import find_inconsistent_answers, find_mixed_labels, labels_of
from tasks.data.diversity import find_low_diversity
from tasks.data.examples import SHOWN, Excerpt, Show
from tasks.data.findings import Diversity, Finding
from tasks.data.overview import Overview
from tasks.data.triggers import find_triggers

FEW_ROWS, MANY_ROWS = 1_000, 100_000
"""Training rows: sets for fine-tuning usually have between these numbers of them."""

ROWS_OF_LABEL = 20
"""Training rows for each label that are wanted on average."""

RARE_LABEL = 10
LARGEST_RATIO = 10
"""Rows of a label below which it is named, and how many times more the largest may have. Banking77: 35 rows, 5.3 times."""


def check_dataset(overview: Overview, diversity: Diversity, show: Show, excerpt: Excerpt) -> list[Finding]:
    """All findings about the rows kept, warnings first.

    Args:
        overview: of the rows of all sides.
        diversity: of the same rows, by `tasks.data.diversity.build_diversity`.
        show: makes examples of some of them.
        excerpt: masks and cuts a text.
    """
    rows, labels = overview.rows, labels_of(overview.rows["output"])
    counts = {} if labels is None else _training_rows(rows, labels)
    found = [
        find_size(rows.filter(pl.col("side") == "train").height, len(counts)),
        find_imbalance(counts),
        find_mixed_labels(rows),
        find_inconsistent_answers(rows, show),
        find_triggers(overview.sample, excerpt),
        *find_low_diversity(diversity, rows.height, labelled=labels is not None),
    ]
    return sorted((finding for finding in found if finding), key=lambda finding: (finding.level != "warning", finding.code))


def find_size(train: int, labels: int) -> Finding | None:
    """Too few training rows for a model to learn from, or more than are usual.

    Args:
        train: number of training rows.
        labels: number of labels; 0 where answers are free text.
    """
    if train < FEW_ROWS or train < ROWS_OF_LABEL * labels:
        each = f", {train / labels:.1f} for each of {labels} labels" if labels else ""
        wanted = f"; {ROWS_OF_LABEL} for each label are wanted at least" if labels else ""
        return _size("TOO_FEW_ROWS", train, f"{train:,} training rows{each}: {FEW_ROWS:,} to {MANY_ROWS:,} are usual{wanted}")
    if train > MANY_ROWS:
        return _size("MANY_ROWS", train, f"{train:,} training rows: {FEW_ROWS:,} to {MANY_ROWS:,} are usual")
    return None


def find_imbalance(counts: dict[str, int]) -> Finding | None:
    """Labels that have far fewer training rows than the largest one, or hardly any.

    Args:
        counts: training rows of each label in its main spelling, 0 included; empty where answers are free text.
    """
    if not counts:
        return None
    largest, smallest = (choose(counts, key=lambda label: (counts[label], label)) for choose in (max, min))
    bound = max(RARE_LABEL, -(-counts[largest] // LARGEST_RATIO))
    small = sorted((label for label in counts if counts[label] < bound), key=lambda label: (counts[label], label))
    if not small:
        return None
    named = ", ".join(f"{label!r} ({counts[label]})" for label in small[:SHOWN])
    more = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
    ratio = f"{counts[largest] / counts[smallest]:.1f} times as many as" if counts[smallest] else "and there are none of"
    return Finding(
        code="IMBALANCED",
        level="warning",
        count=len(small),
        looked_at=len(counts),
        message=f"{counts[largest]} training rows are of {largest!r}, {ratio} {smallest!r}; labels with fewer than {bound}: {named}{more}",
        hint="add rows of these labels, leave them out, or limit the others: data.max_train_rows keeps labels balanced",
    )


def _size(code: str, train: int, message: str) -> Finding:
    few = code == "TOO_FEW_ROWS"
    hint = (
        "add rows, or compare the tuned model with the base closely"
        if few
        else "a limit may teach as much in less time: data.max_train_rows"
    )
    return Finding(code=code, level="warning" if few else "info", count=train, looked_at=train, message=message, hint=hint)


def _training_rows(rows: pl.DataFrame, labels: pl.Series) -> dict[str, int]:
    """Training rows of each label of any side."""
    counted = rows.select("side", label=labels).group_by("label").agg(train=(pl.col("side") == "train").sum()).sort("label")
    return {label: int(train) for label, train in counted.iter_rows()}
