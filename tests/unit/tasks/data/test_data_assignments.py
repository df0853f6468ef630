"""The split file: sides of earlier runs hold in later ones."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_config.data import SplitConfig
from tasks.data.assignments import ASSIGNMENTS, assignments_path, history_folder, keep_assignments, merge, moves_digest, read_assignments
from tasks.data.split import SIDES

SPLITS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(SIDES)), max_size=12)


def split_of(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"text": pl.String, "side": pl.String}, orient="row")


def nothing() -> pl.DataFrame:
    return pl.DataFrame(schema=ASSIGNMENTS)


def test_a_text_on_several_sides_counts_as_test_before_validation_before_train() -> None:
    merged = merge(nothing(), split_of([("a", "train"), ("a", "test"), ("b", "train"), ("b", "validation"), ("c", "train")]))
    assert merged.rows() == [("a", "test", False), ("b", "validation", False), ("c", "train", False)]


def test_texts_that_a_run_does_not_have_are_kept_and_moved_ones_are_marked() -> None:
    before = merge(nothing(), split_of([("a", "train"), ("b", "test")]))
    after = merge(before, split_of([("a", "test"), ("c", "train")]))
    assert after.rows() == [("a", "test", True), ("b", "test", False), ("c", "train", False)]
    assert merge(after, split_of([("a", "test")])).rows() == after.rows(), "once moved, always marked"


@given(SPLITS)
def test_the_same_run_again_changes_nothing(rows: list[tuple[str, str]]) -> None:
    once = merge(nothing(), split_of(rows))
    assert merge(once, split_of(rows)).equals(once)


@given(SPLITS, SPLITS)
def test_new_texts_alone_leave_earlier_results_valid(rows: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    before = merge(nothing(), split_of(rows))
    fresh = [(text.upper(), side) for text, side in more]
    assert moves_digest(merge(before, split_of(fresh))) == moves_digest(before)


def test_a_moved_text_makes_earlier_results_invalid() -> None:
    before = merge(nothing(), split_of([("a", "train")]))
    assert moves_digest(merge(before, split_of([("a", "test")]))) != moves_digest(before)


def test_the_file_is_added_to(tmp_path: Path) -> None:
    path = assignments_path(tmp_path / "history")
    assert read_assignments(path).is_empty()
    keep_assignments(path, split_of([("a", "train")]))
    keep_assignments(path, split_of([("b", "test")]))
    assert read_assignments(path).select("text", "side").rows() == [("a", "train"), ("b", "test")]


@pytest.mark.parametrize(
    ("change", "same"), [({"test_fraction": 0.1}, True), ({"key": "other"}, False), ({"group_column": "customer"}, False)]
)
def test_another_key_or_group_column_is_another_division(tmp_path: Path, change: dict[str, object], same: bool) -> None:
    changed = SplitConfig(**change)  # type: ignore[arg-type]
    assert (history_folder(tmp_path, "m", SplitConfig()) == history_folder(tmp_path, "m", changed)) is same
    assert history_folder(tmp_path, "m", SplitConfig()) != history_folder(tmp_path, "n", SplitConfig())
