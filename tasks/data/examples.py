"""Rows as examples of a finding, and a choice of rows that is the same in every run."""

from collections.abc import Callable

import polars as pl

from tasks.data.findings import Example

Excerpt = Callable[[str], str]
"""Masks personal data and secrets in a text, and cuts it."""

Show = Callable[[pl.DataFrame], tuple[Example, ...]]
"""Makes examples of some rows, known by `row_id`, `file` and `line`, and finds their texts where they are."""

SHOWN = 5
"""Examples of one finding, and names in one message, at most."""


def examples_of(rows: pl.DataFrame, excerpt: Excerpt) -> tuple[Example, ...]:
    """The first rows by place in their files, with the text to work on (the instruction where there is none) and the answer."""
    shown = rows.sort("file", "line", "row_id").head(SHOWN)
    texts = shown.select("file", "line", text_of(), "output").iter_rows()
    return tuple(Example(file=file, line=line, text=f"{excerpt(text)} -> {excerpt(answer)}") for file, line, text, answer in texts)


def text_of() -> pl.Expr:
    """`content`: the input, or the instruction where there is no input."""
    return pl.coalesce("input", "instruction", pl.lit("")).alias("content")


def sample_rows(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most so many rows, sorted: those with the smallest digests of their texts.

    Digests are as good as random, so this is a fair sample. It depends neither on the order of the rows nor on chance, and a row that is
    in the sample of a table stays in it when other rows are taken away.
    """
    if rows.height > most:
        rows = rows.bottom_k(most, by=["text", "row_id"])
    return rows.sort("text", "row_id")
