"""Where a method takes hold of a model, found by the model's shape rather than by a list of architectures."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline_config.errors import ModelError

# Projections that make keys or values, alone or fused with others: k_proj, value, qkv_proj, query_key_value, c_attn.
_KEY_OR_VALUE = re.compile(r"(^|_)kv?(_|$)|(^|_)v(_|$)|qkv|key|value|c_attn", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """One decoder layer: full names of its two sublayers, and of the linear projections in each."""

    attention: str
    attention_projections: tuple[str, ...]
    feed_forward: str
    feed_forward_projections: tuple[str, ...]


def blocks(model: Any) -> list[Block]:
    """The decoder layers of a model.

    Raises:
        ModelError: the model is built in another way.
    """
    depth = model.config.get_text_config().num_hidden_layers
    stacks = [(name, module) for name, module in model.named_modules() if type(module).__name__ == "ModuleList" and len(module) == depth]
    found = [_block(f"{name}.{number}", layer) for name, stack in stacks[:1] for number, layer in enumerate(stack)]
    whole = [block for block in found if block is not None]
    if not whole or len(whole) < len(found):
        raise ModelError(
            f"{len(whole)} of {depth} layers have an attention and a feed-forward", where=type(model).__name__,
            expected="a decoder of such layers", hint="name the modules in `target_modules`, or choose another method",
        )  # fmt: skip
    return whole


def attention_projections(model: Any) -> list[str]:
    """Shortest names that mean the linear projections of attention and nothing else."""
    return _short(model, [name for block in blocks(model) for name in block.attention_projections])


def all_projections(model: Any) -> list[str]:
    """Shortest names that mean every linear projection in the layers; the head that makes logits is in none of them."""
    return _short(model, [name for block in blocks(model) for name in (*block.attention_projections, *block.feed_forward_projections)])


def keys_and_values(model: Any) -> list[str]:
    """Shortest names of the projections that make keys and values; a fused one makes queries too."""
    chosen = [name for block in blocks(model) for name in block.attention_projections if _KEY_OR_VALUE.search(name.rpartition(".")[2])]
    return _short(model, _found(model, chosen, "keys and values"))


def feed_forward_outputs(model: Any) -> list[str]:
    """Shortest names of the feed-forwards' last projections."""
    modules = dict(model.named_modules())
    width = model.config.get_text_config().hidden_size
    chosen: list[str] = []
    for block in blocks(model):
        into = [name for name in block.feed_forward_projections if _outputs(modules[name]) == width]
        # Where the feed-forward is no wider than the model, its first projections end in that width too.
        chosen += into if len(into) < len(block.feed_forward_projections) else into[-1:]
    return _short(model, _found(model, chosen, "the feed-forward's last projection"))


def _block(name: str, layer: Any) -> Block | None:
    attention: list[tuple[str, tuple[str, ...]]] = []
    forward: list[tuple[str, tuple[str, ...]]] = []
    for child, module in layer.named_children():
        projections = tuple(f"{name}.{child}.{path}".rstrip(".") for path, part in module.named_modules() if _is_linear(part))
        if projections:
            (attention if re.search("attn|attention", child) else forward).append((f"{name}.{child}", projections))
    if not attention or not forward:
        return None
    return Block(attention[0][0], _joined(attention), forward[-1][0], _joined(forward))


def _joined(parts: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(name for _, names in parts for name in names)


def _is_linear(module: Any) -> bool:
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Linear | Conv1D)


def _outputs(module: Any) -> int:
    return int(module.nf if hasattr(module, "nf") else module.out_features)


def _found(model: Any, chosen: list[str], what: str) -> list[str]:
    if not chosen:
        raise ModelError(
            f"no projection makes {what}", where=type(model).__name__, expected="linear projections in each layer",
            hint="name the modules in `target_modules`, or choose another method",
        )  # fmt: skip
    return chosen


def _short(model: Any, chosen: Collection[str]) -> list[str]:
    """Names as `target_modules` takes them: a name means every module whose full name ends in it."""
    others = [name for name, module in model.named_modules() if _is_linear(module) and name not in set(chosen)]
    return sorted({_shortest(name, others) for name in chosen})


def _shortest(name: str, others: Iterable[str]) -> str:
    return next(end for end in _ends(name) if not any(f".{other}".endswith(f".{end}") for other in others))


def _ends(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1))
