"""What the checks of all rows together look at."""

from pathlib import Path

import polars as pl

from tasks.data.examples import sample_rows
from tasks.data.overview import Overview, look_over, measured, with_labels
from tasks.data.spool import Spool
from tests.unit.tasks.data.dataset_builders import kept_rows

SIDES = ["train"] * 18 + ["test"] * 6 + ["validation"] * 6


def spooled(folder: Path, rows: pl.DataFrame) -> Spool:
    """The rows as preparation leaves them on disk, in two shards."""
    spool = Spool(folder / "spool")
    for shard in rows.select("row_id", "file", "line", "instruction", "input", "output", turns=pl.lit(None, dtype=pl.String)).iter_slices(
        16
    ):
        spool.add(shard)
    return spool


def table() -> pl.DataFrame:
    instructions = ["Name the queue." if number % 3 else None for number in range(30)]
    rows = kept_rows([f"request {number}" for number in range(30)], ["network", "email"] * 15, instructions=instructions)
    return rows.with_columns(side=pl.Series(SIDES))


def overview(folder: Path, rows: pl.DataFrame, *, most: int, most_of_side: int) -> Overview:
    return look_over(spooled(folder, rows), rows.select("row_id", "text", "side"), most=most, most_of_side=most_of_side)


def test_all_rows_are_there_measured_and_labelled_but_without_their_texts(tmp_path: Path) -> None:
    rows = table()
    found = overview(tmp_path, rows, most=5, most_of_side=0).rows
    assert not {"input", "instruction", "turns", "text", "normal"} & set(found.columns)
    assert found.equals(rows.select(found.columns))


def test_the_sample_has_the_rows_that_a_sample_of_all_would_have_with_their_texts(tmp_path: Path) -> None:
    rows = table()
    sample = overview(tmp_path, rows, most=5, most_of_side=0).sample
    assert sample_rows(sample, 5).select("row_id", "input", "label").equals(sample_rows(rows, 5).select("row_id", "input", "label"))
    assert sample.height == 5


def test_the_sample_has_enough_training_and_test_rows(tmp_path: Path) -> None:
    rows = table()
    sample = overview(tmp_path, rows, most=2, most_of_side=6).sample
    for side in ("train", "test"):
        mine = pl.col("side") == side
        assert sample_rows(sample.filter(mine), 6)["row_id"].equals(sample_rows(rows.filter(mine), 6)["row_id"])


def test_equal_questions_and_instructions_are_equal_and_only_these() -> None:
    rows = kept_rows(
        ["a", "a", "a", "b", None], ["x"] * 5, instructions=["Say it.", "Say it.", None, "Say it.", "b"]
    )  # fmt: skip
    prompts, told = rows["prompt"].to_list(), rows["told"].to_list()
    assert prompts[0] == prompts[1]
    assert len(set(prompts)) == 4
    assert told[0] == told[1] == told[3]
    assert (told[2], len(set(told))) == (None, 3)
    assert rows["characters"].to_list() == [1] * 5, "the instruction stands for a missing input"


def test_free_text_has_no_labels() -> None:
    rows = kept_rows(["a", "b"], ["One answer.", "Another answer."])
    assert with_labels(measured(rows.drop("label")))["label"].to_list() == ["", ""]
