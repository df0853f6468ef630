"""Bottleneck adapters as plain modules: PEFT has none, and takes no methods beyond its own list.

An adapter is x + up(act(down(x))). `up` starts at zero, so a fresh adapter changes nothing.

Where they sit. The papers draw blocks that normalise after the sum; today's decoders normalise before each sublayer:

    x = x + adapter(attention(norm(x)))        houlsby only
    x = x + adapter(feed_forward(norm(x)))     houlsby and pfeiffer

So an adapter changes what a sublayer adds to the stream, before it is added; in families that normalise a sublayer's output as well
(Gemma 2 and 3), before that norm. It hangs on the sublayer's output by a hook: the base's modules stay what they are, whether their
weights are in 4 or 32 bits.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tasks.methods.targets import blocks


@dataclass(frozen=True)
class Shape:
    """What an adapter looks like, but for the width of the model. `dropout` is on the bottleneck's input, in training only."""

    placement: str
    bottleneck_size: int
    activation: str
    dropout: float


class Bottleneck(nn.Module):
    """One adapter. Its weights are fp32, and so are its products unless autocast says otherwise; the result is as precise as its input."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.dropout = nn.Dropout(shape.dropout)
        self.down = nn.Linear(width, shape.bottleneck_size)
        self.up = nn.Linear(shape.bottleneck_size, width)
        self.activation = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}[shape.activation]()
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (..., width) in and out."""
        inner = self.activation(self.down(self.dropout(x).to(self.down.weight.dtype)))
        return x + self.up(inner).to(x.dtype)  # type: ignore[no-any-return]


class BottleneckModel(nn.Module):
    """A base whose sublayers are adapted by one of several named sets of adapters, or by none. Takes the base's own calls.

    Attributes:
        base: the model underneath. Its weights are frozen.
        sets: adapters by the name of their set, then by place, such as `3_attention`.
        shapes: what the adapters of each set look like.
        active: name of the set in use; null: none.
    """

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.sets = nn.ModuleDict()
        self.shapes: dict[str, Shape] = {}
        self.active: str | None = None
        modules = dict(base.named_modules())
        for number, block in enumerate(blocks(base)):
            for place, sublayer in (("attention", block.attention), ("feed_forward", block.feed_forward)):
                modules[sublayer].register_forward_hook(functools.partial(self._adapt, f"{number}_{place}"))

    @property
    def config(self) -> Any:
        """The base model's configuration."""
        return self.base.config

    @property
    def device(self) -> torch.device:
        """Where the base model is."""
        return self.base.device  # type: ignore[no-any-return]

    def add(self, name: str, shape: Shape) -> nn.ModuleDict:
        """Adds a set of fresh adapters."""
        places = ("attention", "feed_forward") if shape.placement == "houlsby" else ("feed_forward",)
        width = self.config.get_text_config().hidden_size
        keys = [f"{number}_{place}" for number in range(len(blocks(self.base))) for place in places]
        adapters = nn.ModuleDict({key: Bottleneck(width, shape) for key in keys}).to(device=self.device, dtype=torch.float32)
        self.sets[name], self.shapes[name] = adapters.train(self.training), shape
        return adapters

    def remove(self, name: str) -> None:
        """Takes a set away."""
        del self.sets[name], self.shapes[name]
        self.active = None if self.active == name else self.active

    def forward(self, *inputs: Any, **call: Any) -> Any:
        """One forward pass of the base with the active adapters."""
        return self.base(*inputs, **call)

    def _adapt(self, place: str, module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.active is None or place not in self.sets[self.active]:  # type: ignore[operator]
            return output
        adapter = self.sets[self.active][place]  # type: ignore[index]
        # Attention gives its weights besides, and mixtures of experts their choices.
        return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)
