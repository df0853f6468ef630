"""Attention over packed rows with the kernels that a CUDA device has: varlen flash attention, else flex attention.

Both are torch's own. All they need to know is how many tokens of each row lie behind the prefix; how long the prefix is, and how many of
its keys are virtual (without a query), they see from the shapes. Neither is trusted: the check at the start of a training compares them
with padded rows like every layout.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

VARLEN, FLEX = "varlen", "flex"
"""Keys of `tasks.attention.Blocks`: the lengths of the rows, and which kernel is meant."""

KERNELS = {VARLEN: "varlen flash attention", FLEX: "flex attention"}
"""What a person knows them by."""


def cuda_attention(blocks: dict[str, Any]) -> Callable[..., "torch.Tensor"] | None:
    """The kernel that a packed batch was laid out for, if for one of these. It is called as row attention is: queries scaled, shapes
    (heads, tokens, size) in and out."""
    return next((kernel for name, kernel in ((VARLEN, varlen_attention), (FLEX, flex_attention)) if name in blocks), None)


def varlen_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", blocks: dict[str, Any], window: int | None, dropout: float,
    softcap: float | None,
) -> "torch.Tensor":  # fmt: skip
    """Flash attention over segments of different lengths.

    Raises:
        ValueError: something that the kernel cannot do.
    """
    from torch.nn.attention.varlen import varlen_attn

    if dropout or softcap is not None:
        raise ValueError("varlen attention has no dropout and no softcap")
    return in_segments(query, key, value, blocks, window, varlen_attn)


def in_segments(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", blocks: dict[str, Any], window: int | None,
    kernel: Callable[..., Any],
) -> "torch.Tensor":  # fmt: skip
    """Each row's queries against the prefix's keys and its own, one after the other; `kernel` aligns both at their ends.

    Args:
        kernel: called as `torch.nn.attention.varlen.varlen_attn`.
    """
    keys, query_ends, key_ends, longest = _segments(query.shape[1], key.shape[1], blocks)
    # A window of 8 positions has the query's own in it; the kernel counts those before it.
    reach = -1 if window is None else window - 1
    queries, picked, values = (x.transpose(0, 1) for x in (query, key.index_select(1, keys), value.index_select(1, keys)))
    result = kernel(
        queries.contiguous(), picked.contiguous(), values.contiguous(), query_ends, key_ends, *longest, scale=1.0, window_size=(reach, 0),
        enable_gqa=query.shape[0] != key.shape[0],
    )  # fmt: skip
    return result.transpose(0, 1)  # type: ignore[no-any-return]


def _segments(queries: int, keys: int, blocks: dict[str, Any]) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor", tuple[int, int]]:
    """Which keys each segment meets, where its queries and keys end, and the longest of both. The first segment is the prefix."""
    import torch

    if "segments" not in blocks:  # the same for every layer
        device, lengths = blocks[VARLEN].device, blocks[VARLEN].tolist()
        before = keys - sum(lengths)
        sizes = [queries - sum(lengths), *lengths]
        prefix, starts = torch.arange(before), [before + sum(lengths[:row]) for row in range(len(lengths))]
        picked = [prefix, *(torch.cat([prefix, start + torch.arange(size)]) for start, size in zip(starts, lengths, strict=True))]
        ends = [torch.tensor([0, *counts]).cumsum(0).int().to(device) for counts in (sizes, [len(ids) for ids in picked])]
        blocks["segments"] = (torch.cat(picked).to(device), *ends, (max(sizes), max(len(ids) for ids in picked)))
    return blocks["segments"]  # type: ignore[no-any-return]


def flex_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", blocks: dict[str, Any], window: int | None, dropout: float,
    softcap: float | None,
) -> "torch.Tensor":  # fmt: skip
    """Attention whose mask is a function of row and position; blocks of tokens that see nothing of each other are skipped.

    Raises:
        ValueError: something that flex attention cannot do.
    """
    if dropout:
        raise ValueError("flex attention has no dropout")
    name = f"mask {window}"
    if name not in blocks:  # the same for every layer with this window
        blocks[name] = _block_mask(query.shape[1], key.shape[1], blocks[FLEX], window)
    cap = None if softcap is None else lambda score, *_: softcap * (score / softcap).tanh()
    grouped = query.shape[0] != key.shape[0]
    flex = _flex(compiled=query.is_cuda)
    return flex(query[None], key[None], value[None], cap, blocks[name], 1.0, grouped)[0]  # type: ignore[no-any-return]


def _block_mask(queries: int, keys: int, lengths: "torch.Tensor", window: int | None) -> Any:
    import torch
    from torch.nn.attention.flex_attention import create_block_mask

    virtual, before = keys - queries, keys - int(lengths.sum())
    prefix, rows = torch.arange(before, device=lengths.device), torch.arange(len(lengths), device=lengths.device)
    owners = torch.cat([torch.full_like(prefix, -1), rows.repeat_interleave(lengths)])
    starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
    positions = torch.cat([prefix, before + torch.arange(len(starts), device=lengths.device) - starts])

    def sees(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        query = query + virtual
        near = (query >= key) & ((owners[key] == owners[query]) | (owners[key] == -1))
        return near if window is None else near & (positions[query] - positions[key] < window)

    return create_block_mask(sees, None, None, queries, keys, device=lengths.device)


@functools.cache
def _flex(*, compiled: bool) -> Any:
    """Flex attention is fast when compiled; elsewhere than on a GPU, where nobody waits for it, it is not worth the minute."""
    import torch
    from torch.nn.attention.flex_attention import flex_attention as flex

    return torch.compile(flex) if compiled else flex
