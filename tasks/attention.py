"""Attention over packed rows that costs what the rows cost: each row's queries meet the shared prefix and their own row, and nothing else.

A dense mask over the whole packed sequence makes every token meet every other: twice the rows, four times the work. Here the rows are
spread to equal width, so that a few matrix products do all rows at once, and gathered again:

    queries (rows, width)  x  keys (rows, prefix + width)

On a CPU the backward pass of fused attention is the dearest part of a training step (docs/log.md), until rows are so long that plain
products are dearer, and hold a score for each pair of tokens besides. On a GPU see `tasks.attention_cuda`.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.attention_cuda import cuda_attention

if TYPE_CHECKING:
    import torch

NAME = "tunegate_rows"
"""What transformers knows this attention by. Without `blocks` it is transformers' own fused attention."""

_LONG = 2**17
"""Scores of one head and row above which fused attention is faster: with 8 rows of 256 plain products take 0.9 of its time, of 512 2.2."""

Blocks = dict[str, Any]
"""Where the rows of a packed sequence are, as `tasks.attention_cuda` needs it, or for row attention:

`spread`: for each cell of (rows, width), a token's index behind the prefix, shape (cells,).
`gather`: for each token behind the prefix, its cell.
`real`: which cells hold a token, shape (cells, 1).
`mask`: which keys a row's queries see, shape (width, prefix + width). Key number `k` has position `k`. It is the same for every row: cells
without a token come last, so no token sees them. The first keys may be virtual: keys and values that have no query of their own.
"""


def use_row_attention(model: Any) -> None:
    """Switches a model with fused attention to this one, or one that has none only because it caps its scores. Others are left alone."""
    capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    if model.config._attn_implementation == "sdpa" or (capped and model.config._attn_implementation == "eager"):
        _register()
        model.set_attn_implementation(NAME)


def make_blocks(lengths: Sequence[int], shared: int) -> Blocks:
    """Describes rows of these lengths that lie behind a prefix of `shared` tokens."""
    import torch

    width = max(lengths)
    columns, sizes = torch.arange(width), torch.tensor(lengths)
    real = columns[None, :] < sizes[:, None]
    starts = sizes.cumsum(0) - sizes
    return {
        "spread": torch.where(real, starts[:, None] + columns, 0).flatten(),
        "gather": real.flatten().nonzero()[:, 0],
        "real": real.flatten()[:, None],
        "mask": _within(shared + width, shared, width, None),
    }


def widen_blocks(blocks: Blocks, virtual: int) -> Blocks:
    """Puts `virtual` keys before the shared prefix, which every row sees."""
    import torch

    if "mask" not in blocks:  # the kernels for CUDA see it from the shapes
        return blocks
    mask = blocks["mask"]
    return {**blocks, "mask": torch.cat([mask.new_ones(len(mask), virtual), mask], dim=1)}


@functools.cache
def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attend(
    module: Any, query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", attention_mask: "torch.Tensor | None",
    dropout: float = 0.0, scaling: float | None = None, blocks: Blocks | None = None, **options: Any,
) -> tuple["torch.Tensor", None]:  # fmt: skip
    """One layer's attention, as transformers calls it. Shapes (1, heads, tokens, size) in, (1, tokens, heads, size) out.

    Raises:
        ValueError: the model wants something that is not computed here.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    softcap = options.get("softcap")
    if blocks is None and softcap is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    unknown = [name for name in ("s_aux", "position_bias") if options.get(name) is not None]
    if unknown:
        raise ValueError(f"row attention has no {', '.join(unknown)}")
    scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if blocks is None:
        return _capped_attention(scaled, key, value, attention_mask, dropout, softcap).transpose(1, 2), None
    if "slots" in blocks:
        kept = blocks["slots"].attend(scaled[0], key[0], value[0], module.layer_idx, options.get("sliding_window"), softcap)
        return kept[None], None
    rows = cuda_attention(blocks) or _row_attention
    return rows(scaled[0], key[0], value[0], blocks, options.get("sliding_window"), dropout, softcap).transpose(0, 1)[None], None


def _capped_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", mask: "torch.Tensor | None", dropout: float, softcap: float | None
) -> "torch.Tensor":
    """Attention over rows as transformers lays them out, (rows, heads, tokens, size), for scores that fused attention cannot cap."""
    rows, heads, tokens, size = query.shape
    kinds, seen = key.shape[1:3]
    visible = _within(seen, seen - tokens, tokens, query.device) if mask is None else mask[:, :, None]
    grouped = query.reshape(rows, kinds, heads // kinds, tokens, size)
    return _softmax_attention(grouped, key, value, visible, dropout, softcap).reshape(rows, heads, tokens, size)


def _row_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", blocks: Blocks, window: int | None, dropout: float,
    softcap: float | None,
) -> "torch.Tensor":  # fmt: skip
    """Shape (heads, tokens, size) in and out. Heads that share keys are rows of one matrix product."""
    import torch

    mask = blocks["mask"]
    width, seen = mask.shape
    # Keys that outnumber queries are virtual. They come first, so that to a row they are more of the prefix.
    rows, before, virtual = len(blocks["spread"]) // width, seen - width, key.shape[1] - query.shape[1]
    heads, kinds, size = query.shape[0], key.shape[0], query.shape[-1]
    mask = mask if window is None else mask & _within(window, before, width, mask.device)
    prefix_q, own_q = torch.tensor_split(query, [before - virtual], dim=1)
    (prefix_k, own_k), (prefix_v, own_v) = (torch.tensor_split(x, [before], dim=1) for x in (key, value))
    own_q = _spread(own_q, blocks).view(kinds, heads // kinds, rows, width, size).transpose(1, 2)
    keys, values = (
        torch.cat([prefix[:, None].expand(kinds, rows, before, size), _spread(own, blocks).view(kinds, rows, width, size)], dim=2)
        for prefix, own in ((prefix_k, own_k), (prefix_v, own_v))
    )
    own = _softmax_attention(own_q, keys, values, mask, dropout, softcap).transpose(1, 2).reshape(heads, rows * width, size)
    shared = before - virtual
    if not shared:
        return _gather(own, blocks)
    causal = _within(window or before, virtual, shared, mask.device)
    prefix_q = prefix_q.reshape(kinds, 1, heads // kinds, shared, size)
    prefix = _softmax_attention(prefix_q, prefix_k[:, None], prefix_v[:, None], causal, dropout, softcap).reshape(heads, shared, size)
    return torch.cat([prefix, _gather(own, blocks)], dim=1)


def _softmax_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", mask: "torch.Tensor", dropout: float, softcap: float | None
) -> "torch.Tensor":
    """Query (kinds, rows, heads of a kind, width, size) against key and value (kinds, rows, seen, size).

    Nothing here tells kinds from rows: they may change places. `softcap` c makes a score s into c tanh(s / c) (Gemma 2). A query that sees
    nothing, as padding may, gets the mean of everything and not "not a number", which would spread.
    """
    import torch
    from torch.nn.functional import dropout as drop

    kinds, rows, group, width, size = query.shape
    if softcap is None and width * key.shape[2] > _LONG:
        return _fused_attention(query, key, value, mask, dropout)
    queries, keys, values = (x.reshape(kinds * rows, -1, size) for x in (query, key, value))
    if softcap is None:
        # Added with the product, and nothing to undo on the way back. The mask is one row's: all have the same.
        bias = torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill_(~mask, torch.finfo(query.dtype).min)
        scores = torch.baddbmm(bias.repeat(group, 1), queries, keys.transpose(1, 2))
    else:
        capped = softcap * ((queries @ keys.transpose(1, 2)).float() / softcap).tanh()
        scores = capped.view(kinds, rows, group, width, -1).masked_fill(~mask, torch.finfo(torch.float32).min)
        scores = scores.view(kinds * rows, group * width, -1)
    # A product's precision in and out, fp32 in between.
    weights = scores.softmax(dim=-1).to(value.dtype)
    return ((drop(weights, dropout) if dropout else weights) @ values).view(kinds, rows, group, width, size)


def _fused_attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", mask: "torch.Tensor", dropout: float
) -> "torch.Tensor":
    """As :func:`_softmax_attention`, holding no scores. The mask is the same for all rows."""
    from torch.nn.functional import scaled_dot_product_attention

    kinds, rows, group, width, size = query.shape
    keys, values = (x.reshape(kinds * rows, 1, -1, size).expand(-1, group, -1, -1) for x in (key, value))
    queries = query.reshape(kinds * rows, group, width, size)
    return scaled_dot_product_attention(queries, keys, values, mask, dropout, scale=1.0).view(kinds, rows, group, width, size)


def _within(window: int, shared: int, width: int, device: Any) -> "torch.Tensor":
    """Which keys are not behind a query's position, and less than `window` before it; shape (width, shared + width)."""
    import torch

    query, key = shared + torch.arange(width, device=device)[:, None], torch.arange(shared + width, device=device)[None, :]
    return (key <= query) & (query - key < window)


def _spread(tokens: "torch.Tensor", blocks: Blocks) -> "torch.Tensor":
    """(heads, tokens, size) to (heads, cells, size)."""
    return _reorder()(tokens, blocks["spread"], blocks["gather"], None)  # type: ignore[no-any-return]


def _gather(cells: "torch.Tensor", blocks: Blocks) -> "torch.Tensor":
    """(heads, cells, size) to (heads, tokens, size)."""
    return _reorder()(cells, blocks["gather"], blocks["spread"], blocks["real"])  # type: ignore[no-any-return]


@functools.cache
def _reorder() -> Any:
    import torch

    class Reorder(torch.autograd.Function):
        """`index_select` whose backward is one as well. Autograd's own adds up gradients one by one, for indices that may repeat.

        Here each token has one cell. Cells without a token repeat token 0: nothing looks at them, so their gradient is zero.
        """

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, there: torch.Tensor, back: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
            ctx.back, ctx.real = back, real
            return x.index_select(1, there)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
            gradient = gradient.index_select(1, ctx.back)
            return gradient if ctx.real is None else gradient * ctx.real, None, None, None

    return Reorder.apply
