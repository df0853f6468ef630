"""LoRA's products as training computes them: one step of autograd for each projection, in the precision of the base.

PEFT casts a projection's input to fp32 for each of its adapters, keeps those copies for the backward pass, and scales and adds in passes of
their own. On a CPU that is a twelfth of a step's time, and half of what a step keeps. Here the fp32 masters are rounded to the base's
precision for the products, as bf16 autocast does, and

    y = base(x) + s (x A^T) B^T        dx = s (g B) A,   dA = s (g B)^T x,   dB = s g^T (x A^T)

keeps x, which the base's own products hold already, and x A^T. Answering goes through PEFT.
"""

from functools import partial
from typing import Any

import torch

from tasks.methods.peft_tree import TRAINED


class LowRankUpdate(torch.autograd.Function):
    """`y + s (x A^T) B^T`, shapes (..., out), (..., in), (rank, in), (out, rank).

    A and B may be more precise than x; so are their gradients.
    """

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
        """See the class."""
        down, up, rows = a.to(x.dtype), b.to(x.dtype), x.reshape(-1, x.shape[-1])
        inner = rows @ down.T
        ctx.save_for_backward(rows, inner, down, up)
        ctx.scale, ctx.shape, ctx.precision = scale, x.shape, a.dtype
        return torch.addmm(y.reshape(-1, y.shape[-1]), inner, up.T, alpha=scale).view(y.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of y, x, A and B."""
        rows, inner, down, up = ctx.saved_tensors
        outer = gradient.reshape(-1, gradient.shape[-1])
        back = (outer @ up).mul_(ctx.scale)
        of_x = (back @ down).view(ctx.shape) if ctx.needs_input_grad[1] else None
        return gradient, of_x, (back.T @ rows).to(ctx.precision), (outer.T @ inner).to(ctx.precision).mul_(ctx.scale), None


def use_low_rank_update(model: Any) -> int:
    """Makes the LoRA layers of a model that is to be trained compute so; returns how many do.

    Layers of a variant (DoRA and others), with a bias of their own, or that are no projections, stay PEFT's.
    """
    from peft.tuners.lora import LoraLayer

    plain = [module for module in model.modules() if isinstance(module, LoraLayer) and _is_plain(module)]
    for module in plain:
        module.forward = partial(_forward, module)
    return len(plain)


def _is_plain(module: Any) -> bool:
    if TRAINED not in module.lora_A or TRAINED in module.lora_variant or not isinstance(module.get_base_layer(), torch.nn.Linear):
        return False
    return module.lora_A[TRAINED].bias is None and module.lora_B[TRAINED].bias is None


def _forward(module: Any, x: torch.Tensor, *inputs: Any, **call: Any) -> torch.Tensor:
    a, b = module.lora_A[TRAINED].weight, module.lora_B[TRAINED].weight
    updated: torch.Tensor = LowRankUpdate.apply(  # type: ignore[no-untyped-call]
        module.base_layer(x, *inputs, **call), module.lora_dropout[TRAINED](x), a, b, module.scaling[TRAINED]
    )
    return updated
