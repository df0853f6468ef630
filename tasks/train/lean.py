"""Layers of a frozen base that keep less for the backward pass, and make fewer passes over memory, than autograd does by itself.

Two things that nearly all of today's decoders have: a root-mean-square norm, and a gated feed-forward layer with SiLU. Each is taken over
only where it gives what the model's own layer gives, which is tried on random numbers: a norm that scales by 1 + w (Gemma) or a gate of
another kind stays as it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import silu

_TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest difference from the model's own layer, as a share of its largest number."""
_TOKENS = 4


class RootMeanSquareNorm(torch.autograd.Function):
    """`w x / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467), over the last dimension, `w` frozen.

    Keeps x and one number a token; autograd would keep two copies of x in fp32 and one as it is.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """See the class."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return torch.mul(x, scale, out=torch.empty_like(x)).mul_(weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Gradient of x."""
        x, weight, scale = ctx.saved_tensors
        inner = gradient * weight
        along = torch.sum(inner * x, dim=-1, keepdim=True, dtype=torch.float32)
        whole = torch.mul(inner, scale).float()
        return whole.addcmul_(x.float(), along.mul_(scale**3).div_(-x.shape[-1])).to(gradient.dtype), None, None


class GatedSilu(torch.autograd.Function):
    """`silu(gate) * up`; keeps those two, and computes silu once more on the way back."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """See the class."""
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of gate and up."""
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient * up, gate), silu(gate).mul_(gradient)


def use_lean_layers(model: Any) -> int:
    """Takes over the norms and feed-forward layers of a model that is to be trained on a CPU; returns how many."""
    trusted: dict[tuple[type, torch.dtype], bool] = {}
    taken = 0
    for module in model.modules():
        lean = _lean_forward(module)
        if lean is None or "forward" in vars(module):
            continue
        kind = (type(module), next(module.parameters()).dtype)
        if kind not in trusted:
            trusted[kind] = _is_same(module, lean)
        if trusted[kind]:
            module.forward = lean
            taken += 1
    return taken


def _lean_forward(module: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What could take the place of a module's own forward pass, by the names that its parts have."""
    if "RMSNorm" in type(module).__name__ and hasattr(module, "weight") and not module.weight.requires_grad:
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        return partial(_norm, module, eps) if isinstance(eps, float) else None
    if all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return partial(_feed_forward, module)
    return None


def _norm(module: Any, eps: float, x: torch.Tensor) -> torch.Tensor:
    normed: torch.Tensor = RootMeanSquareNorm.apply(x, module.weight, eps)  # type: ignore[no-untyped-call]
    return normed


def _feed_forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    inner = GatedSilu.apply(module.gate_proj(x), module.up_proj(x))  # type: ignore[no-untyped-call]
    output: torch.Tensor = module.down_proj(inner)
    return output


@torch.no_grad()
def _is_same(module: torch.nn.Module, lean: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether both ways give the same, on numbers that leave the state of chance as it was."""
    weight: torch.Tensor = module.weight if hasattr(module, "weight") else module.gate_proj.weight  # type: ignore[assignment, union-attr]
    width = getattr(getattr(module, "gate_proj", None), "in_features", weight.shape[-1])
    was_training, dtype = module.training, weight.dtype if weight.dtype in _TOLERANCE else torch.bfloat16
    x = torch.randn(1, _TOKENS, width, generator=torch.Generator().manual_seed(0)).to(weight.device, dtype)
    module.eval()
    try:
        own, other = module(x).float(), lean(x).float()
    # A layer of the same name may want something else altogether.
    except (RuntimeError, TypeError, AttributeError, ValueError):
        return False
    finally:
        module.train(was_training)
    return bool((own - other).abs().max() <= _TOLERANCE[dtype] * own.abs().max())
