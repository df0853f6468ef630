"""In which order rows are trained on: which of them share a step decides how much is padded, and how many tokens a step has.

Both orders are permutations that follow from seed and epoch alone, to be cut into batches from the front. Rows are shuffled, then arranged
within windows of some batches, so that who meets whom still changes from epoch to epoch.

- `length_order`: rows of similar length share a batch. Least padding. Steps differ in tokens; with accumulation, short and long batches
  share an optimizer step.
- `steady_order`: each batch gets long and short rows alike. Steps have the same number of tokens, so that memory and time of a step are
  steady; where rows are spread to equal width, more of it is empty.

`tasks.train.sampling` chooses.
"""

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
_WINDOW = 64
"""Batches within which rows are arranged. More make arrangements better and epochs more alike."""


def length_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int, accumulation: int = 1) -> list[int]:
    """Numbers of the rows, so that each `batch_size` of them are of similar length.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch; what is left over makes a smaller last one.
        accumulation: batches of an optimizer step; its batches are spread over all lengths.
    """
    batches: list[list[int]] = []
    generator = random.Random(f"{seed} {epoch}")
    windows, rest = _windows(len(lengths), batch_size * accumulation, generator)
    for window in windows:
        ordered = sorted(window, key=lambda row: lengths[row])
        steps = _dealt([ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)], accumulation)
        generator.shuffle(steps)
        batches += [batch for step in steps for batch in step]
    return [row for batch in batches for row in batch] + sorted(rest, key=lambda row: lengths[row])


def steady_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """Numbers of the rows, so that all batches of `batch_size` rows have about the same number of tokens.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch; what is left over makes a smaller last one.
    """
    generator = random.Random(f"{seed} {epoch}")
    windows, rest = _windows(len(lengths), batch_size, generator)
    batches: list[list[int]] = []
    for window in windows:
        dealt = _dealt(sorted(window, key=lambda row: lengths[row]), batch_size)
        generator.shuffle(dealt)
        batches += dealt
    return [row for batch in batches for row in batch] + rest


def _windows(rows: int, step: int, generator: random.Random) -> tuple[list[list[int]], list[int]]:
    """Shuffled rows in windows of whole steps, all of about the same size, and the rows that are left over."""
    shuffled = list(range(rows))
    generator.shuffle(shuffled)
    steps = rows // step
    count = -(-steps // _WINDOW)
    edges = [steps * number // count * step for number in range(count + 1)] if count else []
    return [shuffled[start:end] for start, end in pairwise(edges)], shuffled[steps * step :]


def _dealt(ordered: Sequence[T], hand: int) -> list[list[T]]:
    """Deals what is sorted into hands of equal size, there and back in turns, so that all hands weigh about the same."""
    hands: list[list[T]] = [[] for _ in range(len(ordered) // hand)]
    for number in range(hand):
        turn = ordered[number * len(hands) : (number + 1) * len(hands)]
        for place, item in zip(hands, turn if number % 2 == 0 else reversed(turn), strict=True):
            place.append(item)
    return hands
