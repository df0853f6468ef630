"""Masks that say which keys each query sees, for layers with and without a sliding window.

A mask that is handed to a model as (rows, 1, queries, keys) reaches its layers as it is, and a sliding window is lost on the way. So the
window is put in here, by position: padding, or other rows of a packed sequence, may lie between two neighbours of a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Mask = Any
"""(rows, keys) with 1 for a token and 0 for padding; or (rows, 1, queries, keys), boolean or additive; or one of these for each type of
layer, as `transformers` calls the types."""


def sliding_window(config: Any) -> int | None:
    """How many positions the layers with a window see, their own included; None where every layer sees everything."""
    return getattr(config.get_text_config(decoder=True), "sliding_window", None)


def has_window(model: Any) -> bool:
    """Whether any layer of a model sees less than everything."""
    return bool(_holders_of_windows(model))


@contextmanager
def other_window(model: Any, window: int | None) -> Iterator[None]:
    """Gives all layers that have a window another one for as long as the context lasts; None leaves them as they are."""
    held = [] if window is None else [(holder, name, getattr(holder, name)) for holder, name in _holders_of_windows(model)]
    try:
        for holder, name, _ in held:
            setattr(holder, name, window)
        yield
    finally:
        for holder, name, before in held:
            setattr(holder, name, before)


def _holders_of_windows(model: Any) -> list[tuple[Any, str]]:
    """Configurations and layers that say how far attention reaches, and under which name."""
    parts = [part for module in model.modules() for part in (module, getattr(module, "config", None)) if part is not None]
    holders = {id(part): part for part in parts}.values()
    names = ("sliding_window", "attention_chunk_size")
    return [(holder, name) for holder in holders for name in names if isinstance(getattr(holder, name, None), int)]


def masks_by_layer(config: Any, visible: "torch.Tensor", distance: "torch.Tensor") -> Mask:
    """The mask of each type of layer, or the one mask of a model whose layers are alike.

    Args:
        config: the model's.
        visible: which keys a query would see without a window; boolean, shape (rows, 1, queries, keys).
        distance: how many positions a key lies before a query; broadcasts with `visible`.
    """
    window = sliding_window(config)
    if window is None:
        return _as_read(config, visible)
    near = _as_read(config, visible & (distance < window))
    return near if _layers_are_alike(config) else {"full_attention": _as_read(config, visible), "sliding_attention": near}


def padding_masks(config: Any, seen: "torch.Tensor", queries: int) -> Mask:
    """What the last `queries` tokens of each padded row see; padding may lie anywhere in a row.

    transformers' own masks count a window in places, so padding between a shared prefix and a row's own tokens would shift it. The cache
    has to hold every place (`DynamicCache()`; one made for a window drops the oldest).

    Args:
        config: the model's.
        seen: 1 for a token and 0 for padding, shape (rows, keys).

    Returns:
        `seen` itself where the model has no window.
    """
    import torch

    if sliding_window(config) is None:
        return seen
    places, positions = torch.arange(seen.shape[1], device=seen.device), seen.cumsum(dim=1) - 1
    visible = seen.bool()[:, None, None, :] & (places[None, :] <= places[-queries:, None])
    return masks_by_layer(config, visible, positions[:, None, -queries:, None] - positions[:, None, None, :])


def with_virtual_tokens(config: Any, mask: Mask, positions: "torch.Tensor", virtual: int) -> Mask:
    """Puts `virtual` tokens, at positions 0, 1, ..., before those of a packed sequence. All rows see them, as far as the window reaches.

    Args:
        config: the model's.
        mask: shape (1, 1, tokens, tokens), or such a mask for each type of layer.
        positions: of the queries, shape (queries,): those behind the virtual tokens, or all.

    Returns:
        Shape (1, 1, queries, virtual + tokens), or such a mask for each type of layer.
    """
    if not isinstance(mask, dict):
        return _widen(mask, positions, virtual, sliding_window(config) if _layers_are_alike(config) else None)
    windows = {kind: sliding_window(config) if kind == "sliding_attention" else None for kind in mask}
    return {kind: _widen(one, positions, virtual, windows[kind]) for kind, one in mask.items()}


def _widen(mask: "torch.Tensor", positions: "torch.Tensor", virtual: int, window: int | None) -> "torch.Tensor":
    import torch
    from torch.nn.functional import pad

    distance = positions[:, None] - torch.arange(virtual, device=positions.device)
    seen = (distance >= 0) if window is None else (distance >= 0) & (distance < window)
    hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    columns = seen if mask.dtype == torch.bool else _additive(seen)
    rest = pad(mask, (0, 0, len(positions) - mask.shape[2], 0), value=hidden)
    return torch.cat([columns[None, None], rest], dim=-1)


def _layers_are_alike(config: Any) -> bool:
    return getattr(config.get_text_config(decoder=True), "layer_types", None) is None


def _as_read(config: Any, visible: "torch.Tensor") -> "torch.Tensor":
    """transformers' eager attention adds its mask to the scores; all others read a boolean one."""
    return _additive(visible) if config._attn_implementation == "eager" else visible


def _additive(visible: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.zeros(visible.shape, device=visible.device).masked_fill(~visible, torch.finfo(torch.float32).min)
