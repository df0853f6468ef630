"""A metric as a user writes one."""

from collections.abc import Sequence

from tasks.rows import Message


def vowels(answer: str, expected: str, prompt: Sequence[Message]) -> float:
    return float(sum(letter in "aeiou" for letter in answer))


vowels.better = "lower"  # type: ignore[attr-defined]
