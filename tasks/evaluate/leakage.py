"""Whether test rows stand among the rows that an artifact was trained on: looked for once more, after preparation and in the artifact."""

import polars as pl

from tasks.artifacts import PreparedData, Record, TrainedModel
from tasks.files import sha256_json
from tasks.manifest import TRAIN_ROWS
from tasks.rows import prompt_of, read_rows


class Leaks(Record):
    """Test rows that training or validation saw: `same` have the very text, `prompts` the same prompt with another answer, `groups` only a
    row of their group. `rows` counts each row once."""

    rows: int
    same: int
    prompts: int
    groups: int


def find_leaks(prepared: PreparedData, trained: TrainedModel) -> Leaks:
    """Compares the prepared sides, and the test rows with the artifact's own list of training rows: a top-up has other rows than it had."""
    seen = [row for side in ("train", "validation") for row in read_rows(prepared.folder / f"{side}.parquet")]
    digests = {row["digest"] for row in seen} | _trained_on(trained)
    prompts, groups = {sha256_json(prompt_of(row)) for row in seen}, {row["group"] for row in seen}
    found = [
        "same" if row["digest"] in digests else "prompts" if sha256_json(prompt_of(row)) in prompts else "groups"
        for row in read_rows(prepared.folder / "test.parquet")
        if row["digest"] in digests or row["group"] in groups or sha256_json(prompt_of(row)) in prompts
    ]
    return Leaks(rows=len(found), **{kind: found.count(kind) for kind in ("same", "prompts", "groups")})


def _trained_on(trained: TrainedModel) -> set[str]:
    return set(pl.read_parquet(trained.artifact / TRAIN_ROWS, columns=["digest"])["digest"])
