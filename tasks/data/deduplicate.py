"""Which rows say the same or nearly the same, which of them are removed, and which must stay on one side of a split."""

import numpy as np
import polars as pl

from tasks.files import sha256_bytes
from tasks.nearness.clusters import clusters
from tasks.nearness.near import near_pairs
from tasks.nearness.normal import normalise

KEYS = ("text", "normal", "exact", "answer", "same_answer")
DUPLICATES = pl.Schema(
    {
        "row_id": pl.String(),
        "file": pl.String(),
        "line": pl.Int64(),
        "kind": pl.String(),
        "of": pl.String(),
        "of_file": pl.String(),
        "of_line": pl.Int64(),
        "jaccard": pl.Float64(),
    }
)
"""Columns of `duplicates.parquet`: each removed row, `exact` or `near`, and the row `of` which it is one and which is kept."""

_FOUND = {"row_id": pl.String, "of": pl.String, "jaccard": pl.Float64}
NO_PAIRS = pl.DataFrame(schema={"left": pl.Int64, "right": pl.Int64, "jaccard": pl.Float64})


def add_keys(table: pl.DataFrame) -> pl.DataFrame:
    """Adds what rows are compared by.

    `normal` is the normalised input alone, or the instruction where there is no input, and `text` its digest: rows stay together when only
    the instruction's wording differs, so rewording it does not move the test set. `exact` stands for instruction, input and the answer as
    written, `answer` for the answer as written, `same_answer` for the instruction and the normalised answer. These three are numbers of 64
    bits: among a million rows two different ones coincide with a probability of 3 in 10^8.
    """
    columns: dict[str, list[str] | list[int]] = {name: [] for name in KEYS}
    for instruction, text, output in table.select("instruction", "input", "output").iter_rows():
        asked, said, answer = normalise(instruction), normalise(text), output or ""
        exact, same = f"{asked}\n{said}\n{answer}", f"{asked}\n{normalise(answer)}"
        values = (_digest(said or asked), said or asked, _number(exact), _number(answer), _number(same))
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)  # type: ignore[arg-type]
    types = {"text": pl.String(), "normal": pl.String()}
    return table.with_columns(pl.Series(name, values, dtype=types.get(name, pl.UInt64())) for name, values in columns.items())


def find_exact(index: pl.DataFrame) -> pl.DataFrame:
    """Rows with equal `exact` within their source file, except the first by row id, as `row_id`, `of` and `jaccard`."""
    first = pl.col("row_id").min().over("from_test", "exact")
    return index.select("row_id", of=first, jaccard=pl.lit(1.0)).filter(pl.col("row_id") != pl.col("of"))


def find_pairs(index: pl.DataFrame, jaccard: float | None) -> pl.DataFrame:
    """Pairs of rows (`left`, `right`, `jaccard`) whose texts are at least this similar; rows of a test file are compared with none."""
    if jaccard is None:
        return NO_PAIRS
    mine = index.with_row_index("place").filter(~pl.col("from_test")).select(pl.col("place").cast(pl.Int64), "normal")
    pairs, places = near_pairs(mine["normal"], jaccard=jaccard), mine["place"]
    return pairs.with_columns(left=places.gather(pairs["left"]), right=places.gather(pairs["right"]))


def find_near(index: pl.DataFrame, pairs: pl.DataFrame, jaccard: float | None) -> pl.DataFrame:
    """Rows that nearly repeat a row which is kept, with the same instruction and answer, as `row_id`, `of` and `jaccard`.

    Being near is not transitive: rows are taken in the order of their ids, and one goes only if it is near to one that stays.

    Args:
        index: rows sorted by id, with the keys of :func:`add_keys`.
        pairs: as of :func:`find_pairs`.
    """
    if jaccard is None:
        return pl.DataFrame(schema=_FOUND)
    same, ids = index["same_answer"], index["row_id"]
    close = pairs.filter(pl.col("jaccard") >= jaccard, same.gather(pairs["left"]) == same.gather(pairs["right"]))
    gone = np.zeros(index.height, dtype=bool)
    found: list[tuple[str, str, float]] = []
    for left, right, similarity in close.sort("right", "left").iter_rows():
        if not gone[left] and not gone[right]:
            gone[right] = True
            found.append((ids[right], ids[left], similarity))
    return pl.DataFrame(found, schema=_FOUND, orient="row")


def with_groups(index: pl.DataFrame, pairs: pl.DataFrame, jaccard: float | None) -> pl.DataFrame:
    """Adds `cluster` and `group`: rows of one group must not be divided.

    A cluster is what hangs together through pairs of this similarity, named by the smallest `text` in it. A group is what has the same
    `group_value`, and otherwise a cluster; rows of a test file have clusters of their own.
    """
    near = pairs.clear() if jaccard is None else pairs.filter(pl.col("jaccard") >= jaccard)
    linked = index.with_columns(root=clusters(near, index.height)).with_columns(cluster=pl.col("text").min().over("root"))
    own = pl.concat_str(pl.lit("group "), "group_value").map_elements(_digest, return_dtype=pl.String)
    apart = pl.when("from_test").then(pl.concat_str(pl.lit("test "), "cluster")).otherwise("cluster")
    return linked.drop("root").with_columns(group=pl.when(pl.col("group_value").is_not_null()).then(own).otherwise(apart))


def duplicates_table(index: pl.DataFrame, exact: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """What `duplicates.parquet` holds (:data:`DUPLICATES`)."""
    every = pl.concat([exact.with_columns(kind=pl.lit("exact")), near.with_columns(kind=pl.lit("near"))])
    places = index.select("row_id", pl.col("file").cast(pl.String), "line")
    kept = places.rename({"row_id": "of", "file": "of_file", "line": "of_line"})
    return every.join(places, on="row_id").join(kept, on="of").select(*DUPLICATES).cast(DUPLICATES).sort("row_id")


def _digest(text: str) -> str:
    return sha256_bytes(text.encode())[:32]


def _number(text: str) -> int:
    return int(sha256_bytes(text.encode())[:16], 16)
