"""Orders of training rows: every row once, the same for a seed and epoch, and better than chance at what they are for."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.train.order import length_order, steady_order

Order = Callable[..., list[int]]
ORDER = pytest.mark.parametrize(
    "order", [length_order, partial(length_order, accumulation=3), steady_order], ids=["length", "acc", "steady"]
)
LENGTHS = [20 + (number * number * 7) % 180 for number in range(1000)]
"""Spread over 20 to 199 tokens, in no order."""
CHANCE = list(range(1000))


def padded_share(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> float:
    """Share of cells without a token when an order is cut into batches as wide as their longest row."""
    cells = sum(max(batch) * len(batch) for batch in batches_of(lengths, order, batch_size))
    return 1 - sum(lengths) / cells if cells else 0.0


def spread_of_tokens(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> float:
    """Tokens of the fullest batch over those of the mean one, without a smaller last batch."""
    tokens = [sum(batch) for batch in batches_of(lengths, order, batch_size) if len(batch) == batch_size]
    return max(tokens) * len(tokens) / sum(tokens) if tokens else 1.0


def batches_of(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> list[list[int]]:
    return [[lengths[row] for row in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]


@ORDER
@given(lengths=st.lists(st.integers(1, 4000), max_size=300), batch_size=st.integers(1, 17), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_row_comes_once_an_epoch(order: Order, lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    assert sorted(order(lengths, batch_size, seed, epoch)) == list(range(len(lengths)))


@ORDER
def test_seed_and_epoch_decide_and_nothing_else(order: Order) -> None:
    first = order(LENGTHS, 8, 17, 0)
    assert order(list(LENGTHS), 8, 17, 0) == first
    assert order(LENGTHS, 8, 17, 1) != first
    assert order(LENGTHS, 8, 18, 0) != first


@ORDER
def test_rows_meet_others_in_another_epoch(order: Order) -> None:
    def batches(epoch: int) -> set[frozenset[int]]:
        rows = order(LENGTHS, 8, 17, epoch)
        return {frozenset(rows[start : start + 8]) for start in range(0, len(rows), 8)}

    assert len(batches(0) & batches(1)) <= 1


@given(seed=st.integers(0, 1000), batch_size=st.sampled_from([2, 4, 8, 16]))
def test_rows_of_similar_length_leave_little_to_pad(seed: int, batch_size: int) -> None:
    by_length = padded_share(LENGTHS, length_order(LENGTHS, batch_size, seed, 0), batch_size)
    assert by_length < 0.04
    assert by_length < padded_share(LENGTHS, CHANCE, batch_size) / 3


@given(seed=st.integers(0, 1000), batch_size=st.sampled_from([2, 4, 8, 16]))
def test_steps_have_a_steady_number_of_tokens(seed: int, batch_size: int) -> None:
    steady = spread_of_tokens(LENGTHS, steady_order(LENGTHS, batch_size, seed, 0), batch_size)
    assert steady < 1.3  # pairs are the hardest; eight rows stay below 1.08
    assert steady - 1 < (spread_of_tokens(LENGTHS, CHANCE, batch_size) - 1) / 2


@given(seed=st.integers(0, 1000))
def test_with_accumulation_optimizer_steps_are_steadier_and_padding_stays_small(seed: int) -> None:
    alone, spread = (length_order(LENGTHS, 8, seed, 0, accumulation) for accumulation in (1, 4))
    assert spread_of_tokens(LENGTHS, spread, 32) < spread_of_tokens(LENGTHS, alone, 32)
    assert spread_of_tokens(LENGTHS, spread, 32) < 1.2
    assert padded_share(LENGTHS, spread, 8) < 0.08


def test_measures_are_those_of_batches_cut_from_the_front() -> None:
    assert padded_share([4, 2, 4, 2], [0, 2, 1, 3], 2) == 0
    assert padded_share([4, 2, 4, 2], [0, 1, 2, 3], 2) == pytest.approx(0.25)
    assert spread_of_tokens([4, 2, 4, 2], [0, 2, 1, 3], 2) == pytest.approx(8 / 6)
    assert padded_share([], [], 8) == 0


def test_rows_that_fill_no_batch_come_last() -> None:
    rows = length_order([5] * 19, 8, 17, 0)
    assert len(rows) == 19
    assert sorted(rows) == list(range(19))
    assert steady_order([9], 8, 17, 0) == [0]
