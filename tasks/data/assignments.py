"""The split file: on which side each text stood in earlier runs. Later runs read it first, so a test row stays a test row.

It is keyed by the digest of a text, not by a row id: the text is what must not be trained on. Sides are only ever added, with one
exception: where new rows connect a cluster of training rows with test rows, all of it becomes test, and the rows that moved are marked.
"""

from io import BytesIO
from pathlib import Path

import polars as pl

from pipeline_config.data import SplitConfig
from tasks.files import exclusive, sha256_json, write_atomically

ASSIGNMENTS = pl.Schema({"text": pl.String(), "side": pl.String(), "moved": pl.Boolean()})
"""One line for each text; `moved` once its side has changed."""

PRECEDENCE = ("test", "validation", "train")
"""A group whose texts were on several sides takes the first of these."""


def history_folder(workspace: Path, model_name: str, split: SplitConfig) -> Path:
    """Where a model's runs leave what later ones go by. Another key or group column is another division, with a folder of its own."""
    return workspace / "data" / f"{model_name}-{sha256_json([split.key, split.group_column])[:12]}"


def assignments_path(history: Path) -> Path:
    """The split file in a model's history."""
    return history / "assignments.parquet"


def read_assignments(path: Path) -> pl.DataFrame:
    """Columns of :data:`ASSIGNMENTS`, sorted by text; no rows if there is no file yet."""
    return pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=ASSIGNMENTS)


def moves_digest(assignments: pl.DataFrame) -> str:
    """Digest of the texts that have moved. Results of earlier runs hold as long as it stays: additions take nothing back."""
    return sha256_json(assignments.filter(pl.col("moved"))["text"].to_list())


def merge(before: pl.DataFrame, split: pl.DataFrame) -> pl.DataFrame:
    """Adds the texts of a run.

    Args:
        before: columns of :data:`ASSIGNMENTS`.
        split: `text` and `side` of each row, as `tasks.data.split.SPLIT` has them.
    """
    ranks = {side: rank for rank, side in enumerate(PRECEDENCE)}
    rank = pl.col("side").replace_strict(ranks, return_dtype=pl.Int64)
    now = split.group_by("text").agg(now=pl.col("side").sort_by(rank).first())
    both = before.join(now, on="text", how="full", coalesce=True)
    changed = (pl.col("side") != pl.col("now")).fill_null(False)
    return both.select("text", side=pl.coalesce("now", "side"), moved=pl.col("moved").fill_null(False) | changed).sort("text")


def keep_assignments(path: Path, split: pl.DataFrame) -> None:
    """Adds the texts of a run to the file. Safe beside other runs, and the file is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_suffix(".lock")):
        content = BytesIO()
        merge(read_assignments(path), split).write_parquet(content)
        write_atomically(path, content.getvalue())
