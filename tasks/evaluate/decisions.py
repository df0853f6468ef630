"""How often test rows have been used to decide. Each use wears them out: of twenty artifacts that are judged by them, one looks better than
it is. The store of the workspace knows; evaluations in other workspaces are not counted."""

from collections.abc import Collection
from pathlib import Path

import polars as pl

from tasks.evaluate.outcomes import PREDICTIONS
from tasks.files import read_json, stage_store
from tasks.stages import RECORD

_SAME = 0.5
"""Share of these rows from which on an earlier evaluation was on the same test set: a few rows more do not make it a fresh one."""


def count_decisions(workspace: Path, row_ids: Collection[str], artifact_digest: str) -> int:
    """How many other artifacts were evaluated on these rows before; several evaluations of one artifact count once.

    Args:
        row_ids: the test rows, at least one.
        artifact_digest: the artifact that is about to be judged, which is left out.
    """
    wanted, judged = set(row_ids), set[str]()
    for path in (stage_store(workspace) / "evaluate").glob(f"*/{RECORD}"):
        digest = read_json(path)["record"].get("tuned_digest")
        if digest is None or digest == artifact_digest or digest in judged:
            continue
        if not (path.parent / PREDICTIONS).is_file():
            continue
        earlier = pl.read_parquet(path.parent / PREDICTIONS, columns=["row_id"])["row_id"]
        if len(wanted.intersection(earlier)) >= _SAME * len(wanted):
            judged.add(digest)
    return len(judged)
