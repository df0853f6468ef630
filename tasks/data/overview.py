"""What the checks of all rows together look at: of every row what is short, and the texts of a sample."""

from dataclasses import dataclass

import polars as pl

from tasks.data.consistency import labels_of
from tasks.data.examples import sample_rows, text_of
from tasks.data.spool import Spool

_SHORT = ("row_id", "file", "line", "output", "side", "prompt", "told", "characters")


@dataclass(frozen=True)
class Overview:
    """`rows` are all rows kept, with the columns of :func:`measured` and `label`, but without texts other than `output`.

    `sample` are those of them with the smallest digests of their texts (`tasks.data.examples.sample_rows`), with all columns.
    """

    rows: pl.DataFrame
    sample: pl.DataFrame


def look_over(spool: Spool, kept: pl.DataFrame, *, most: int, most_of_side: int) -> Overview:
    """Reads the rows a part at a time: all texts at once would be what takes most memory in a preparation.

    Args:
        kept: `row_id`, `text` and `side` of the rows kept.
        most: rows of the sample.
        most_of_side: the sample has at least so many training and test rows each, or all of them.
    """
    texts = ("file", "line", "instruction", "input", "output", "turns")
    rows = with_labels(pl.concat([measured(part).select(_SHORT) for part in spool.parts(kept, texts[:-1])]))
    sides = (sample_rows(kept.filter(pl.col("side") == side), most_of_side) for side in ("train", "test"))
    chosen = pl.concat([sample_rows(kept, most), *sides]).unique("row_id")
    return Overview(rows, spool.rows(chosen, texts).join(rows.select("row_id", "label"), on="row_id", maintain_order="left"))


def measured(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds `prompt`, which is equal for equal questions, `told`, which is equal for equal instructions and null where there is none, and
    `characters`, the length of the text to work on."""
    asked = pl.concat_str(pl.col("instruction").fill_null(""), "text", separator="\n").hash()
    told = pl.when(pl.col("instruction").is_not_null()).then(pl.col("instruction").hash())
    return rows.with_columns(prompt=asked, told=told, characters=text_of().str.len_chars())


def with_labels(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds `label`, the main spelling of an answer, empty where answers are free text."""
    labels = labels_of(rows["output"])
    return rows.with_columns(label=pl.lit("") if labels is None else labels)
