"""Per family of models: the fast layouts give the loss and the gradients of padded rows, on rows longer than a sliding window."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tasks.attention_masks import has_window, other_window
from tasks.batching import BLOCKS, PACKED, PADDED, Layout, choose_layout, mean_loss, pack_in_blocks, summed_loss
from tasks.engine import TransformersEngine
from tests.architectures import FAMILIES, WINDOW, random_rows, tiny_model

ROWS = random_rows(10, [30, 22, 26, 19])
FAMILY = pytest.mark.parametrize("family", FAMILIES)
FAST = pytest.mark.parametrize("layout", [BLOCKS, PACKED], ids=lambda layout: layout.name)
SLIDING = {"qwen2-sliding", "qwen3", "mistral", "phi3", "gemma2", "gemma3"}


def own_attention(family: str) -> Any:
    """The model with transformers' own attention and padded rows: the reference."""
    model = tiny_model(family)
    model.set_attn_implementation("eager")
    return model


@FAMILY
def test_rows_are_longer_than_the_window_and_lie_in_blocks(family: str) -> None:
    assert has_window(tiny_model(family)) is (family in SLIDING)
    assert min(len(row["prompt_ids"]) for row in ROWS) > WINDOW
    assert "blocks" in pack_in_blocks(ROWS, 0)


@FAST
@FAMILY
def test_loss_and_gradients_equal_those_of_padded_rows(family: str, layout: Layout) -> None:
    fast, padded = tiny_model(family), own_attention(family)
    ours, theirs = (summed_loss(way, model, way.collate(ROWS, 0)) for way, model in ((layout, fast), (PADDED, padded)))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    ours.backward()
    theirs.backward()
    for (name, got), wanted in zip(fast.named_parameters(), padded.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, rtol=1e-3, atol=1e-4, msg=name)


@FAST
@FAMILY
def test_loss_in_bf16_is_as_near_as_rounding_allows(family: str, layout: Layout) -> None:
    model = tiny_model(family).bfloat16()
    loss = mean_loss(layout, model, ROWS, rows_per_batch=4, pad_id=0)
    assert loss == pytest.approx(mean_loss(PADDED, model, ROWS, rows_per_batch=4, pad_id=0), rel=1e-3)


@FAMILY
def test_every_family_is_trained_in_blocks(family: str) -> None:
    model = tiny_model(family)
    choice = choose_layout(model, ROWS, 0, tolerance=1e-5)
    assert choice.layout is BLOCKS, choice.refused
    assert choice.refused == ()


@FAMILY
def test_a_model_without_row_attention_is_trained_packed_and_says_why(family: str) -> None:
    choice = choose_layout(own_attention(family), ROWS, 0, tolerance=1e-5)
    assert choice.layout is PACKED, choice.refused
    assert [refusal.layout for refusal in choice.refused] == ["blocks"]
    assert choice.refused[0].why
