"""Which numbers training computes with: trainable weights are kept in fp32, whatever the base's precision."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def hold_in_fp32(model: Any) -> None:
    """Turns trainable weights into fp32 masters, in place.

    Two neighbouring bf16 numbers are 2^-8 to 2^-7 of their size apart. A step of the optimizer is about as large as the learning rate: at
    1e-5 it is far below half of that for nearly every weight, and a rounded weight stays where it is.
    """
    for weights in model.parameters():
        if weights.requires_grad and weights.is_floating_point() and weights.dtype != torch.float32:
            # Not a new parameter: tied weights stay tied.
            weights.data = weights.data.float()


def forward_precision(model: Any, dtype: str) -> Callable[[], AbstractContextManager[Any]]:
    """The context for every forward pass in training, validation and the self-check.

    Where all of a model is trained, fp32 masters stand in for a base in `dtype`: autocast makes the products in `dtype`. A base that is
    frozen has that precision already, and the method says how its own weights meet it.
    """
    if dtype == "float32" or any(weights.dtype != torch.float32 for weights in model.parameters()):
        return nullcontext
    return lambda: torch.autocast(model.device.type, dtype=getattr(torch, dtype))
