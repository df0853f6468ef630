"""How each label fares with each contender, and which labels are taken for which."""

from collections.abc import Mapping, Sequence

import polars as pl

CLASSES, CONFUSION = "classes.parquet", "confusion.parquet"


def class_table(expected: Sequence[str], answers: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Precision, recall and F1 of each label that occurs in the expected answers.

    Returns:
        `contender`, `label`, `rows` (that expect it), `answered` (rows that were answered with it), `precision` (null if there are none),
        `recall`, `f1`; sorted by contender in the order given, then by label.
    """
    tables = [_classes(name, _pairs(expected, given)) for name, given in answers.items()]
    return pl.concat(tables)


def confusion_table(expected: Sequence[str], answers: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The confusion matrix as its cells that are not zero: `contender`, `expected`, `answered` and `rows`.

    `answered` is null where the answer is no label of the expected answers.
    """
    tables = []
    for name, given in answers.items():
        counted = _pairs(expected, given).group_by("expected", "answered").agg(rows=pl.len().cast(pl.Int64))
        tables.append(counted.sort("expected", "answered", nulls_last=True).select(pl.lit(name).alias("contender"), pl.all()))
    return pl.concat(tables)


def _pairs(expected: Sequence[str], answers: Sequence[str]) -> pl.DataFrame:
    texts = {"expected": [text.strip() for text in expected], "answered": [text.strip() for text in answers]}
    table = pl.DataFrame(texts, schema={"expected": pl.String, "answered": pl.String})
    is_label = pl.col("answered").is_in(table["expected"].unique().to_list())
    return table.with_columns(answered=pl.when(is_label).then("answered"))


def _classes(name: str, pairs: pl.DataFrame) -> pl.DataFrame:
    right = pl.col("expected") == pl.col("answered")
    wanted = pairs.group_by(label="expected").agg(rows=pl.len().cast(pl.Int64), right=right.fill_null(False).sum().cast(pl.Int64))
    given = pairs.drop_nulls("answered").group_by(label="answered").agg(answered=pl.len().cast(pl.Int64))
    counted = wanted.join(given, on="label", how="left").with_columns(pl.col("answered").fill_null(0)).sort("label")
    return counted.select(
        pl.lit(name).alias("contender"),
        "label",
        "rows",
        "answered",
        precision=pl.when(pl.col("answered") > 0).then(pl.col("right") / pl.col("answered")),
        recall=pl.col("right") / pl.col("rows"),
        f1=2 * pl.col("right") / (pl.col("rows") + pl.col("answered")),
    )
