"""What becomes of the rows that are fit: which are duplicates, which side the others are on, and which are set aside."""

from dataclasses import dataclass

import polars as pl

from pipeline_config.data import DataConfig
from tasks.data.consistency import labels_of
from tasks.data.deduplicate import NO_PAIRS, add_keys, duplicates_table, find_exact, find_near, find_pairs, with_groups
from tasks.data.labels import are_labels, one_class_only
from tasks.data.quarantine import Quarantine
from tasks.data.sensitive import mask_table
from tasks.data.sources import Source
from tasks.data.split import divide, limit_sides
from tasks.data.spool import Spool

INDEX = ("row_id", "from_test", "file", "line", "group_value", "text", "exact", "answer", "same_answer")
"""What memory holds of every row until its fate is decided. Texts are on disk, normalised ones too: those are read to find near rows."""

_PLACE = {"row_id": pl.String, "file": pl.Categorical, "line": pl.Int64}
_MOST_SPELLINGS = 5_000
"""Distinct answers above which they are not looked at as spellings of labels."""


@dataclass(frozen=True)
class Fates:
    """`split` has `tasks.data.split.SPLIT` and `recorded`; `duplicates` is `tasks.data.deduplicate.DUPLICATES`.

    `cluster_sizes` counts clusters of near rows by their size from 2 on; `labelled` says that answers are labels.
    `benchmark` is what rows of benchmarks say, normalised.
    """

    split: pl.DataFrame
    duplicates: pl.DataFrame
    cluster_sizes: dict[int, int]
    labelled: bool
    benchmark: pl.Series

    def kept(self, *columns: str) -> pl.DataFrame:
        """`row_id` and further columns of the rows that are on a side and not set aside."""
        return self.split.filter("kept").select("row_id", *columns)


def decide(parts: list[pl.DataFrame], spool: Spool, data: DataConfig, recorded: pl.DataFrame, quarantine: Quarantine) -> Fates:
    """Removes duplicates, divides what is left, and applies the limits of each side. Leaks go to quarantine.

    Args:
        parts: columns of :data:`INDEX` for all fit rows. The list is emptied: of a million rows nobody should hold a second copy.
        recorded: sides of texts in earlier runs (`tasks.data.assignments.ASSIGNMENTS`).

    Raises:
        DataError: the answers are labels, and there is only one; or a benchmark cannot be read.
    """
    index = pl.concat(parts).sort("row_id")
    parts.clear()
    places = index.select(*_PLACE)
    exact = find_exact(index)
    index = index.join(exact, on="row_id", how="anti", maintain_order="left").drop("exact")
    same_side, same_row = data.split.near_jaccard, data.checks.near_duplicate_jaccard
    bounds = [bound for bound in (same_side, same_row) if bound is not None]
    pairs = find_pairs(_texts_of(index, spool), min(bounds)) if bounds else NO_PAIRS
    near = find_near(index, pairs, same_row)
    index = with_groups(index.drop("same_answer"), pairs, same_side)
    sizes = _cluster_sizes(index)
    index = _label(index.join(near, on="row_id", how="anti", maintain_order="left").drop("cluster", "group_value"), spool)
    if data.source.test_path or data.split.group_column or data.split.benchmark_paths:  # only then rows are compared across sides
        index = spool.rows(index, ["normal"])
    benchmark = _read_benchmark(data)
    split = limit_sides(divide(index, data, recorded, benchmark, quarantine), data)
    labelled = split["label"].n_unique() > 1
    columns = split.drop("label", "from_test", "file", "line")
    return Fates(columns, duplicates_table(places, exact, near), sizes, labelled, benchmark["normal"])


def _texts_of(index: pl.DataFrame, spool: Spool) -> pl.DataFrame:
    """`from_test` and `normal` of each row, in the order of the index: sorted by row id, which is left out to need no room."""
    return spool.rows(index.select("row_id", "from_test"), ["normal"]).select("from_test", "normal")


def _label(index: pl.DataFrame, spool: Spool) -> pl.DataFrame:
    """Puts `label` in place of `answer`, over which rows are balanced: its main spelling, or one for all where answers are free text."""
    trainable = index.filter(~pl.col("from_test"))["answer"]
    if are_labels(trainable) and trainable.n_unique() == 1:
        first = index.filter(pl.col("answer") == trainable[0]).select("row_id").head(1)
        raise one_class_only(len(trainable), spool.rows(first)["output"][0])
    if index["answer"].n_unique() > _MOST_SPELLINGS:
        return index.drop("answer").with_columns(label=pl.lit(""))
    spelled = spool.rows(index.group_by("answer").agg(pl.col("row_id").min()), ["output"]).select("answer", "output")
    labels = labels_of(index.join(spelled, on="answer", how="left", maintain_order="left")["output"])
    return index.drop("answer").with_columns(label=pl.lit("") if labels is None else labels)


def _read_benchmark(data: DataConfig) -> pl.DataFrame:
    """Keys and places of the rows of all benchmark files, masked as ours are: else a row with an address would not be found in them."""
    sources = [Source(data.source.model_copy(update={"path": path, "test_path": None}), None) for path in data.split.benchmark_paths]
    asked = (shard.filter(pl.col("input").is_not_null()) for source in sources for shard in source.shards())
    shards = [add_keys(mask_table(shard, data.sensitive)).select(*_PLACE, "text", "normal") for shard in asked]
    return pl.concat(shards) if shards else pl.DataFrame(schema={**_PLACE, "text": pl.String, "normal": pl.String})


def _cluster_sizes(grouped: pl.DataFrame) -> dict[int, int]:
    sizes = grouped.group_by("cluster").len(name="size").filter(pl.col("size") > 1)["size"].value_counts(name="clusters").sort("size")
    return {int(size): int(clusters) for size, clusters in sizes.iter_rows()}
