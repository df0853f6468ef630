"""Cross-entropy that holds one copy of the logits: with a large vocabulary they are the largest thing of a step."""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_TARGETS = 32
"""Targets that are in fp32 at a time."""


def summed_cross_entropy(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Cross-entropy in nats, in fp32, summed. Shapes (targets, vocabulary) and (targets,)."""
    return _function()(logits, targets)  # type: ignore[no-any-return]


@functools.cache
def _function() -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    class SummedCrossEntropy(torch.autograd.Function):
        """Its gradient is softmax minus one-hot, made from the logits when it is asked for."""

        @staticmethod
        def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(logits, targets)
            parts = zip(torch.split(logits, _TARGETS), torch.split(targets, _TARGETS), strict=True)
            return torch.stack([cross_entropy(part.float(), wanted, reduction="sum") for part, wanted in parts]).sum()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
            logits, targets = ctx.saved_tensors
            whole = torch.empty_like(logits)
            for out, part, wanted in zip(*(torch.split(x, _TARGETS) for x in (whole, logits, targets)), strict=True):
                share = torch.softmax(part, dim=-1, dtype=torch.float32)
                share[torch.arange(len(wanted), device=share.device), wanted] -= 1
                torch.mul(share, gradient, out=out)
            return whole, None

    return SummedCrossEntropy.apply
