"""LoRA's products for answering many prompts at once: as exact as PEFT's, without tensors of 32 bits as wide as the base's outputs.

Beside a base of bf16, PEFT computes an update in fp32: W x + s B (A x) is made of four passes over numbers of twice the size, which is as
dear on a CPU as a third of the base's own products. Here the narrow half A x stays in fp32. It and s B are each split in two numbers of
bf16, of which the second is what rounding took from the first, and

    s B (A x)  =  [B1 B1 B2] [a1; a2; a1]    up to 2^-16 of it,

is one product that is added to W x where it lies, in fp32 inside and rounded once, as PEFT's sum is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextmanager
def exact_products(model: Any) -> Iterator[None]:
    """Makes the active LoRA weights of a model compute so for as long as the context lasts; layers of other kinds stay as they are."""
    changed = [layer for layer in model.modules() if _is_plain(layer)]
    for layer in changed:
        layer.forward = _forward_of(layer)
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward


def _is_plain(layer: Any) -> bool:
    """Whether a layer is plain LoRA with one active version, in fp32 beside a projection in bf16."""
    import torch
    from peft.tuners.lora.layer import Linear

    if type(layer) is not Linear or len(layer.active_adapters) != 1 or layer.disable_adapters or layer.merged:
        return False
    [name] = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant or layer.training:
        return False
    down, up, base = layer.lora_A[name], layer.lora_B[name], layer.base_layer
    return (
        type(base) is torch.nn.Linear
        and base.weight.dtype == torch.bfloat16
        and down.weight.dtype == up.weight.dtype == torch.float32
        and up.bias is None
    )


def _forward_of(layer: Any) -> "Callable[[torch.Tensor], torch.Tensor]":
    import torch
    from torch.nn.functional import linear

    [name] = layer.active_adapters
    base, down = layer.base_layer, layer.lora_A[name].weight
    up = torch.cat(_split(layer.lora_B[name].weight * layer.scaling[name], order=(0, 0, 1)), dim=1).t()

    def forward(x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = base(x)
        narrow = _split(linear(x.reshape(-1, x.shape[-1]).float(), down), order=(0, 1, 0))
        out.view(-1, out.shape[-1]).addmm_(torch.cat(narrow, dim=1), up)
        return out

    return forward


def _split(numbers: "torch.Tensor", order: tuple[int, ...]) -> "list[torch.Tensor]":
    """The number of bf16 next to each, and the one next to what is left, in the order that is asked for."""
    near = numbers.bfloat16()
    parts = (near, (numbers - near).bfloat16())
    return [parts[part] for part in order]
