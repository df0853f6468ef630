"""The files of augmented data: everything that preparation wrote, more training rows, and where these come from."""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl

from tasks.artifacts import PreparedData
from tasks.augment.training import FILE, TrainingRows
from tasks.files import sha256_json
from tasks.rows import CHILDREN_FILE, SCHEMA, write_table
from tasks.stages import RECORD, SCRATCH

CHILDREN = pl.Schema(
    {
        "row_id": pl.String(),
        "parent": pl.String(),
        "operator": pl.String(),
        "version": pl.String(),
        "seed": pl.Int64(),
        "similarity": pl.Float64(),
    }
)
"""Columns of `children.parquet`, sorted by `row_id`. `version` digests what made the texts, `seed` is that of the first of them, and
`similarity` the smallest cosine of one of them to its parent's."""

REJECTED_FILE = "rejected.parquet"
REJECTED = pl.Schema({"parent": pl.String(), "operator": pl.String(), "reason": pl.String()})
"""Columns of `rejected.parquet`: a line for each child that was asked for and refused. No texts."""

OUTCOMES = pl.Schema(
    {
        **SCHEMA, **CHILDREN, "place": pl.Int64(), "number": pl.Int64(), "reason": pl.String(), "unanswered": pl.Boolean(),
        "cost": pl.Float64(),
    }
)  # fmt: skip
"""What came of each slot: a child, or the reason why there is none; then digest, messages and similarity may be null."""


def child_id(parent: str, operator: str, number: int) -> str:
    """Never that of a row of a source: those have no tilde."""
    return f"{parent}~{operator}~{number}"


def write_augmented(prepared: PreparedData, rows: TrainingRows, outcomes: pl.DataFrame, folder: Path) -> PreparedData:
    """Writes all files of augmented data to a folder.

    With no children the digests stay what they were: training sees the same rows.

    Args:
        outcomes: of every slot (:data:`OUTCOMES`).
    """
    children = outcomes.filter(pl.col("reason").is_null()).sort("row_id")
    link_files(prepared.folder, folder, leave_out=(FILE,))
    write_table(folder / FILE, _merged(rows, children.select(*SCHEMA)))
    children.select(*CHILDREN).write_parquet(folder / CHILDREN_FILE)
    rejected = outcomes.filter(pl.col("reason").is_not_null()).select(*REJECTED)
    rejected.sort("parent", "operator", "reason").write_parquet(folder / REJECTED_FILE)
    if children.is_empty():
        return prepared.model_copy(update={"folder": folder})
    lines = sha256_json(children.select("row_id", "digest", "group").rows())
    digests = {name: sha256_json([getattr(prepared, name), lines]) for name in ("digest", "training_digest")}
    return prepared.model_copy(update={"folder": folder, **digests})


def link_files(source: Path, folder: Path, *, leave_out: Collection[str] = ()) -> None:
    """Gives every file of a stage's result a second name in another folder, or makes a copy where that cannot be."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        name = path.relative_to(source)
        if name.parts[0] in (RECORD, SCRATCH, *leave_out):
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)


def _merged(rows: TrainingRows, children: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Training rows and children, sorted by id as the training rows are, and the canaries behind them."""
    held: pl.DataFrame | None = None
    for part in rows.parts():
        if held is not None:
            before = pl.col("row_id") < part["row_id"][0]
            yield pl.concat([held, children.filter(before)]).sort("row_id")
            children = children.filter(~before)
        held = part
    if held is not None:
        yield pl.concat([held, children]).sort("row_id")
    yield rows.canaries()
