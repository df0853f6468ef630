"""Samples and examples of rows."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.examples import examples_of, sample_rows
from tests.unit.tasks.data.dataset_builders import kept_rows, shown

ROWS = kept_rows([f"request {number}" for number in range(200)], ["a"] * 200)


@given(st.integers(0, 250), st.integers(0, 100))
def test_a_sample_does_not_depend_on_the_order_of_rows(most: int, seed: int) -> None:
    sample = sample_rows(ROWS, most)
    assert sample.height == min(most, 200)
    assert sample.equals(sample_rows(ROWS.sample(fraction=1, shuffle=True, seed=seed), most))


def test_rows_of_a_sample_stay_in_it_when_others_are_taken_away() -> None:
    fewer = ROWS.filter(pl.int_range(pl.len()) % 2 == 0)
    kept = set(sample_rows(ROWS, 50)["row_id"]) & set(fewer["row_id"])
    assert kept <= set(sample_rows(fewer, 50)["row_id"])


def test_examples_are_the_first_rows_and_only_masked_texts() -> None:
    rows = kept_rows(["one", None, "three"], ["a", "b", "c"], instructions=["x", "Say hello.", "x"])
    assert [(example.file, example.line, example.text) for example in examples_of(rows.reverse(), shown)] == [
        ("rows.jsonl", 1, "<one> -> <a>"),
        ("rows.jsonl", 2, "<Say hello.> -> <b>"),
        ("rows.jsonl", 3, "<three> -> <c>"),
    ]


def test_examples_are_few() -> None:
    assert len(examples_of(ROWS, shown)) == 5
