"""Projections with their weights laid out as a CPU's matrix kernel reads them, for answering many prompts at once.

Otherwise oneDNN copies each weight into that order in every pass, which costs the more the fewer tokens a pass has (docs/log.md). The
product is the same one, only the copy is made once.
"""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_MOST = 2**30
"""Bytes of weights that are held twice, at most: beyond it memory is worth more than the copying."""
_TOKENS = 512
"""Tokens of a pass that the order is chosen for; it serves every number."""


@contextmanager
def packed_weights(model: Any) -> Iterator[None]:
    """Makes a model's plain projections in bf16 compute so for as long as the context lasts; all others, and those on a GPU, stay."""
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    if not layers or not _has_kernel() or sum(weight.nbytes for weight in {id(x.weight): x.weight for x in layers}.values()) > _MOST:
        yield
        return
    for layer in layers:
        layer.forward = _forward_of(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _is_plain(layer: Any) -> bool:
    import torch

    own = "forward" in vars(layer)  # somebody else's, which stays
    return not own and type(layer) is torch.nn.Linear and layer.weight.dtype == torch.bfloat16 and layer.weight.device.type == "cpu"


def _has_kernel() -> bool:
    import torch

    # Elsewhere the same calls end in other kernels, which nobody has tried.
    at_home = platform.machine() in ("x86_64", "AMD64") and torch._C._has_mkldnn
    return at_home and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _forward_of(layer: Any) -> "Callable[[torch.Tensor], torch.Tensor]":
    import torch

    kernels, bias = torch.ops.mkldnn, layer.bias
    packed = kernels._reorder_linear_weight(layer.weight.detach(), _TOKENS)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return kernels._linear_pointwise(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]

    return forward
