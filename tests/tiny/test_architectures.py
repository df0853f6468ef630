"""Per family of models: the fast layouts give the loss and the gradients of padded rows, on rows longer than a sliding window."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from tasks.attention import _row_attention, make_blocks, widen_blocks
from tasks.attention_cuda import flex_attention, in_segments
from tasks.attention_masks import has_window, padding_masks
from tasks.batching import BLOCKS, FLEX, PACKED, PADDED, Layout, choose_layout, mean_loss, pack_in_blocks, summed_loss
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


@FAMILY
def test_padding_behind_a_shared_prefix_does_not_move_the_window(family: str) -> None:
    model = tiny_model(family)
    prefix, own = torch.randint(2, 100, (1, 11)), torch.randint(2, 100, (1, 5))
    gap = torch.zeros(1, 4, dtype=torch.long)
    seen = torch.tensor([[1] * 11 + [0] * 4 + [1] * 5])
    positions = torch.cat([torch.zeros(1, 4, dtype=torch.long), torch.arange(11, 16)[None]], dim=1)
    with torch.no_grad():
        cache = model(prefix, past_key_values=DynamicCache(), use_cache=True).past_key_values
        mask = padding_masks(model.config, seen, 9)
        padded = model(torch.cat([gap, own], dim=1), attention_mask=mask, position_ids=positions, past_key_values=cache).logits[:, -5:]
        torch.testing.assert_close(padded, model(torch.cat([prefix, own], dim=1)).logits[:, -5:], rtol=1e-4, atol=1e-5)


@FAMILY
def test_flex_attention_gives_the_loss_of_padded_rows(family: str) -> None:
    loss = mean_loss(FLEX, tiny_model(family), ROWS, rows_per_batch=4, pad_id=0)
    assert loss == pytest.approx(mean_loss(PADDED, own_attention(family), ROWS, rows_per_batch=4, pad_id=0), rel=1e-5)


def one_segment_at_a_time(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_ends: torch.Tensor, key_ends: torch.Tensor, longest_query: int,
    longest_key: int, *, scale: float, window_size: tuple[int, int], enable_gqa: bool,
) -> torch.Tensor:  # fmt: skip
    """What torch's varlen attention promises: segments apart, queries aligned with the last keys, a window of keys before each query."""
    results = []
    for query_end, key_end in zip(pairs(query_ends), pairs(key_ends), strict=True):
        q, k, v = query[slice(*query_end)], key[slice(*key_end)], value[slice(*key_end)]
        assert len(q) <= longest_query
        assert len(k) <= longest_key
        distance = torch.arange(len(k) - len(q), len(k))[:, None] - torch.arange(len(k))[None, :]
        mask = (distance >= 0) & ((distance <= window_size[0]) | (window_size[0] < 0))
        heads = (x.transpose(0, 1) for x in (q, k, v))
        attended = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        results.append(attended.transpose(0, 1))
    return torch.cat(results)


def pairs(ends: torch.Tensor) -> list[tuple[int, int]]:
    assert ends.dtype == torch.int32
    return list(pairwise(ends.tolist()))


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("virtual", [0, 3])
@pytest.mark.parametrize("shared", [0, 6])
def test_kernels_for_cuda_equal_row_attention(shared: int, virtual: int, window: int | None) -> None:
    torch.manual_seed(0)
    lengths = [7, 2, 9]
    query = torch.randn(4, shared + sum(lengths), 16)
    key, value = (torch.randn(2, virtual + shared + sum(lengths), 16) for _ in range(2))
    wanted = _row_attention(query, key, value, widen_blocks(make_blocks(lengths, shared), virtual), window, 0.0, None)
    told = torch.tensor(lengths)
    torch.testing.assert_close(flex_attention(query, key, value, {"flex": told}, window, 0.0, None), wanted)
    torch.testing.assert_close(in_segments(query, key, value, {"varlen": told}, window, one_segment_at_a_time), wanted)


@pytest.mark.parametrize("shared", [0, 6])
def test_long_rows_are_attended_to_by_fused_attention_and_come_out_the_same(shared: int) -> None:
    torch.manual_seed(0)
    lengths = [400, 390]
    query = torch.randn(4, shared + sum(lengths), 8)
    key, value = (torch.randn(2, shared + sum(lengths), 8) for _ in range(2))
    for window in (None, 50):
        long = _row_attention(query, key, value, make_blocks(lengths, shared), window, 0.0, None)
        # A cap far above every score changes nothing, but fused attention has none.
        plain = _row_attention(query, key, value, make_blocks(lengths, shared), window, 0.0, 1e6)
        torch.testing.assert_close(long, plain, rtol=1e-3, atol=1e-3)
