"""Tokens are drawn as likely as they are, and the same ones for the same seed."""

from collections import Counter

import pytest
import torch

from tasks.drawing import Sampling

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0])


def drawn(logits: torch.Tensor, temperature: float, top_p: float, times: int) -> Counter[int]:
    sampling = Sampling(temperature, top_p, range(times))
    return Counter(sampling.draw(logits, number, 0) for number in range(times))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_likely(temperature: float) -> None:
    counts, expected = drawn(LOGITS, temperature, 1.0, 2000), torch.softmax(LOGITS / temperature, 0)
    assert [counts[token] / 2000 for token in range(4)] == pytest.approx(expected.tolist(), abs=0.04)


def test_only_the_likeliest_that_together_are_likely_enough_come() -> None:
    first, second = torch.softmax(LOGITS, 0)[:2].tolist()
    assert set(drawn(LOGITS, 1.0, first - 0.01, 300)) == {0}
    assert set(drawn(LOGITS, 1.0, first + 0.01, 300)) == {0, 1}
    assert set(drawn(LOGITS, 1.0, first + second + 0.01, 300)) == {0, 1, 2}


def test_a_nucleus_may_be_wider_than_what_is_looked_at_first() -> None:
    assert max(drawn(torch.zeros(1000), 1.0, 0.9, 500)) > 400


def test_a_draw_depends_on_seed_and_place_alone() -> None:
    flat = torch.zeros(1000)
    one, other = Sampling(1.0, 1.0, [5, 6]), Sampling(1.0, 1.0, [9, 5])
    assert one.draw(flat, 0, 3) == other.draw(flat, 1, 3)
    assert len({one.draw(flat, prompt, place) for prompt in (0, 1) for place in range(20)}) > 30


def test_hardly_different_logits_give_the_same_draw() -> None:
    torch.manual_seed(0)
    logits = torch.randn(500)
    nearly = logits + 1e-6 * torch.randn(500)
    sampling = Sampling(0.8, 0.95, range(300))
    assert sum(sampling.draw(logits, number, 0) != sampling.draw(nearly, number, 0) for number in range(300)) <= 1
