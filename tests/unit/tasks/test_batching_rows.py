"""Rows that layouts are tried on: of different lengths, held by blocks, and cheap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.batching import pack_in_blocks, rows_to_check
from tasks.chat import EncodedRow

PREFIX = list(range(100, 130))


def rows(*lengths: int) -> list[EncodedRow]:
    """Rows of so many tokens, of which all but the last three are prompt, behind a prefix that all share."""
    return [
        {"row_id": str(number), "prompt_ids": [*PREFIX, *([number] * (length - 33))], "completion_ids": [1, 2, 3], "supervised": [True] * 3}
        for number, length in enumerate(lengths)
    ]  # fmt: skip


def lengths_of(chosen: list[EncodedRow]) -> list[int]:
    return [len(row["prompt_ids"]) + len(row["completion_ids"]) for row in chosen]


def test_the_shortest_the_longest_and_two_between() -> None:
    assert lengths_of(rows_to_check(rows(60, 45, 50, 40, 55, 58, 41), 1000)) == [40, 45, 55, 60]


def test_a_row_that_is_much_longer_is_passed_over_for_blocks_would_not_hold_it() -> None:
    chosen = rows_to_check(rows(*range(40, 60), 2000), 10_000)
    assert len(chosen) == 4
    assert max(lengths_of(chosen)) < 60
    assert "blocks" in pack_in_blocks(chosen, 0)


@pytest.mark.parametrize(("most", "count"), [(240, 4), (200, 4), (110, 2), (10, 2)])
def test_few_tokens_leave_shorter_rows_and_then_fewer(most: int, count: int) -> None:
    chosen = rows_to_check(rows(*range(40, 61)), most)
    assert len(chosen) == count
    assert most == 10 or count * max(lengths_of(chosen)) <= most


@given(st.lists(st.integers(34, 300), min_size=1, max_size=30), st.integers(1, 5000))
def test_some_rows_are_always_found_and_each_stands_there_once(lengths: list[int], most: int) -> None:
    chosen = rows_to_check(rows(*lengths), most)
    ids = [row["row_id"] for row in chosen]
    assert len(set(ids)) == len(ids) >= min(2, len(lengths))
    assert lengths_of(chosen) == sorted(lengths_of(chosen))
